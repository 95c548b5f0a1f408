#!/bin/sh
# SPDX-License-Identifier: MIT
# Real programs, unmodified: their output, errors and status are those of a run without us, with our malloc (LD_PRELOAD),
# with a leak report (gleaner leaks), and with a collector (gleaner collect) that collects far more often than it would by
# itself. Small inputs; nothing here depends on the time.
. "$srcdir/tests/preload/common.sh"
ulimit -c 0
HOME=$work/home GIT_CONFIG_NOSYSTEM=1 TZ=UTC0
GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='2001-02-03T04:05:06Z'
GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE='2001-02-03T04:05:06Z'
PERL_HASH_SEED=0 PYTHONHASHSEED=0 PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
PYTHONWARNINGS=ignore::DeprecationWarning # of a fork while threads that were joined are ending
export HOME TZ GIT_CONFIG_NOSYSTEM GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_NAME \
  GIT_COMMITTER_EMAIL GIT_COMMITTER_DATE PERL_HASH_SEED PYTHONHASHSEED PYTHONMALLOC PYTHONDONTWRITEBYTECODE \
  PYTHONWARNINGS
mkdir "$HOME" "$work/input"
awk 'BEGIN { srand(1); for (i = 0; i < 3000; i++) printf "%d line %d of %s\n", (i * 7919) % 3001, i, i % 7 ? "text" : "Prose" }' \
  >"$work/input/lines"
for i in 1 2 3 4 5 6 7 8 9; do sed -n "${i}00,${i}60p" "$work/input/lines" >"$work/input/part$i"; done
touch -d 2001-02-03 "$work/input"/* "$work/input"

# Runs the script in a fresh directory that always has the same name, in the mode.
in_mode() {
  rm -rf "$work/run" && mkdir "$work/run" && cp -p "$work/input"/* "$work/run" && touch -d 2001-02-03 "$work/run" || return
  cd "$work/run" || return
  case $1 in
    leaks) timeout -k 5 200 "$tool" leaks --report="$work/report.%p" ${GLEANER_TEST_STRESS:+--stress} sh -c "$script" ;;
    collect)
      # A collection at every slow path takes these too long.
      case $program_name in gcc | g++ | gdb) often= ;; *) often=${GLEANER_TEST_STRESS:+--stress} ;; esac
      timeout -k 5 400 "$tool" collect --gc-cpu=100 --threshold0=256K --threshold1=2 --threshold2=2 $often sh -c "$script"
      ;;
    *) under_patiently 50 "$1" sh -c "$script" ;;
  esac >"$work/$1.out" 2>"$work/$1.err" </dev/null
  echo "status $?" >>"$work/$1.out"
}

same() { cmp -s "$work/glibc.out" "$work/$1.out" && cmp -s "$work/glibc.err" "$work/$1.err"; }

# program NAME COMMAND...: the script is read from standard input; skipped when one of the commands is missing.
program() {
  program_name=$1
  shift
  script=$(cat)
  case " ${GLEANER_TEST_PROGRAMS:-$program_name} " in *" $program_name "*) ;; *) return ;; esac
  for command in "$@"; do
    command -v "$command" >/dev/null || {
      skip "$program_name" "$command is missing"
      return
    }
  done
  in_mode glibc
  for mode in ${GLEANER_TEST_MODES:-malloc leaks collect}; do
    in_mode $mode
    ok "$program_name in mode $mode" same $mode || {
      diff "$work/glibc.out" "$work/$mode.out" >"$work/diff" || note "$work/diff"
      diff "$work/glibc.err" "$work/$mode.err" >"$work/diff" || note "$work/diff"
    }
  done
  cd / || exit 99
}

program bash bash <<'EOS'
exec bash -c 'declare -A map; for i in {1..1500}; do map[$i]=$((i * i)); done
sum=0; for k in "${!map[@]}"; do ((sum += map[$k])); done; echo $sum
x=$(printf "%s," {1..500}); echo ${#x} ${x//1/one} | wc -c; cat <(echo a) <(echo b)
mapfile -t lines < lines; echo ${#lines[@]} "${lines[17]}"; unset map; f() { local a=("$@"); echo ${#a[@]}; }; f * | cat
trap "echo left" EXIT; nosuchcommand; [[ abc =~ (b)(c) ]] && echo ${BASH_REMATCH[2]}; exit 3'
EOS

program coreutils sort md5sum factor <<'EOS'
sort -n lines | uniq | wc; sort -k4 -k2,2nr lines | md5sum; sort -S 64k -T . lines | sha256sum; shuf --random-source=lines lines | cksum
cut -d' ' -f3 part1 | tr 0-9 a-j | tac | fold -w 5 | paste - - | head -n 3; join part1 part2; comm part3 part4 | tail -n 2
ls -l --time-style=full-iso part* lines | cut -d' ' -f5-; split -l 500 lines x.; ls x.*; od -c part5 | tail -n 2; seq 3 3 12 | factor; fmt part6 | wc
cp -r . ../copy; rm -r ../copy; dd if=lines bs=100 count=3 status=none | cksum; ls nonexistent; expr 6 '*' 7; numfmt --to=iec 123456; test 1 = 2
EOS

program git git <<'EOS'
exec 2>&1
git init -q -b main . && git add . && git commit -q -m first && for i in 1 2 3 4; do
  git checkout -q -b side$i && sed -i "s/line/branch $i/" part$i && git commit -q -a -m "side $i" && git checkout -q main; done
git merge -q --no-edit side1 side2 && git merge -q --no-edit side3; git log --stat --format='%H %an %s'; git repack -a -d -q; git fsck --full
git diff HEAD~1 | cksum; git blame part1 | tail -n 2; git grep -c Prose; git gc -q; git clone -q . ../clone; git -C ../clone log --oneline
rm -rf ../clone; git archive HEAD | tar t; git format-patch -1 --stdout side4 | head -n 8; git rebase -q side4; git status --short; git show nonsense
EOS

program python3 python3 <<'EOS'
exec python3 -c '
import json, re, zlib, collections, sqlite3, hashlib, sys, subprocess, ctypes, decimal, gc
text = open("lines").read()
words = collections.Counter(re.findall(r"\w+", text))
print(words.most_common(3), zlib.crc32(zlib.compress(text.encode())))
tree = json.loads(json.dumps([{"a": [i, {"b": str(i) * 5}]} for i in range(3000)]))
print(len(tree), hashlib.sha1(repr(tree).encode()).hexdigest())
db = sqlite3.connect(":memory:"); db.execute("create table t(a, b)")
db.executemany("insert into t values(?, ?)", [(i % 13, text[i:i + 40]) for i in range(3000)])
print(db.execute("select a, count(*), max(b) from t group by a order by a").fetchall()[5])
class Node: pass
for i in range(3000): a, b = Node(), Node(); a.other, b.other = b, a
gc.collect(); print(decimal.Decimal(2) ** 500, sum(range(10 ** 4)))
print(subprocess.run(["wc", "-l", "lines"], capture_output=True).stdout)
sys.stderr.write("to stderr\n"); raise SystemExit(5)'
EOS

program python3-threads python3 <<'EOS'
exec python3 -c '
import threading, queue, multiprocessing, concurrent.futures, os
q, out = queue.Queue(), []
def work():
    while True:
        n = q.get()
        if n is None: return
        out.append(sum(len(str(i) * (i % 9)) for i in range(n)))
threads = [threading.Thread(target=work) for _ in range(8)]
for t in threads: t.start()
for i in range(200): q.put(i * 3)
for t in threads: q.put(None)
for t in threads: t.join()
print(len(out), sum(out))
with concurrent.futures.ThreadPoolExecutor(4) as pool: print(sum(pool.map(lambda n: len(" " * n), range(1000))))
with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(abs, range(-5, 0)))
pid = os.fork()
if pid == 0: os._exit(len([str(i) for i in range(10)]))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
threading.Thread(target=lambda: threading.Event().wait(), daemon=True).start()'
EOS

program perl perl <<'EOS'
exec perl -e 'use strict; use warnings; use Data::Dumper; use List::Util qw(sum shuffle);
open my $f, "<", "lines" or die; my (%count, @all); while (<$f>) { $count{$_}++ for split; push @all, [length, $_]; }
print "$_ $count{$_}\n" for (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 4];
my $text = join "", map { $_->[1] } sort { $a->[0] <=> $b->[0] || $a->[1] cmp $b->[1] } @all; $text =~ s/(\d+)/<$1>/g; print length $text, "\n";
my @f = map { my $n = $_; sub { $n * shift } } 1 .. 1000; print sum(map { $_->(3) } @f), "\n";
{ my $a = {}; $a->{self} = $a for 1 .. 10; } local $Data::Dumper::Sortkeys = 1; print Dumper({ a => [1, { b => "c" }] });
my $pid = fork // die; if (!$pid) { exit 4 } waitpid $pid, 0; print $? >> 8, "\n"; print `echo from a shell`; eval { die { code => 3 } }; print $@->{code}, "\n";
warn "a warning\n"; die "the end\n"'
EOS

program sqlite3 sqlite3 <<'EOS'
sqlite3 :memory: <<'SQL'
create table t(a integer primary key, b text, c real); create index i on t(b);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 5000) insert into t select x, 'text ' || (x * 7919 % 5003), x / 7.0 from n;
select count(*), sum(a), min(b), max(c) from t; select b, c from t where b like 'text 49%' order by c desc limit 5;
update t set b = upper(b) where a % 3 = 0; delete from t where a % 5 = 0; select a % 7, group_concat(substr(b, 6, 2)) from t where a < 60 group by 1;
select count(*) from t x join t y on x.b = y.b; select nonsense from t; select json_group_array(a) from t where a < 20; pragma integrity_check;
SQL
echo $?; sqlite3 file.db 'create table u(x); insert into u values(zeroblob(100000)); select length(x) from u; vacuum'; ls file.db
EOS

program gcc gcc <<'EOS'
cat >one.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
int main(void) { char *p[100]; for (int i = 0; i < 100; i++) p[i] = malloc(20), sprintf(p[i], "%d", i * 7919 % 101);
  qsort(p, 100, sizeof *p, compare); puts(p[50]); return 6; }
C
gcc -O2 -g -Wall one.c -o one && ./one; echo $?; printf 'int f(void) { return g(; }\nint h = "x";\n' >bad.c; gcc -c bad.c; echo $?; gcc -O1 -S -o - one.c | grep -c mov >count; test -s count
EOS

program g++ g++ <<'EOS'
cat >one.cc <<'C'
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
struct alignas(256) Wide { char c[256]; };
thread_local std::string local = "a thread local string that is too long to lie in the object";
int main() {
  std::map<std::string, std::vector<int>> m;
  for (int i = 0; i < 2000; i++) m["key number " + std::to_string(i % 97)].push_back(i);
  auto w = std::make_unique<Wide>(); auto *a = new Wide[3]; std::cout << (reinterpret_cast<size_t>(w.get()) | reinterpret_cast<size_t>(a)) % 256; delete[] a;
  int caught = 0;
  for (int i = 0; i < 500; i++) try { throw std::runtime_error("a message that is allocated " + local); } catch (std::exception &e) { caught++; }
  try { std::vector<char> v(size_t(1) << 46); } catch (std::bad_alloc &) { caught++; }
  volatile size_t n = 0; char *zero = new char[n]; delete[] zero; ::operator delete(::operator new(10, std::nothrow));
  std::vector<std::thread> t; for (int i = 0; i < 4; i++) t.emplace_back([] { local += "!"; }); for (auto &x : t) x.join();
  std::cout << ' ' << m.size() << ' ' << caught << std::endl; throw caught == 501 ? 1 : 2;
}
C
g++ -std=c++17 -O1 one.cc -o one -pthread && ./one; echo $?
EOS

program make make <<'EOS'
cat >Makefile <<'M'
all: $(patsubst part%,copy%,$(sort $(wildcard part*))) ; @cat $^ | wc -l
copy%: part% ; @sed 's/line/made/' $< >$@ && echo made $@
fail: ; @false
M
make; make -n all fail; make -j2 all; make -k fail nosuch 2>&1 | sed 's/make\[[0-9]*\]/make/'; make -p -n | grep -c part
EOS

program gdb gdb gcc <<'EOS'
printf 'int deep(int n) {\n  return n ? deep(n - 1) + 1 : *(volatile int *)0;\n}\nint main(void) { return deep(5); }\n' >one.c; gcc -g -O0 one.c -o one
gdb -nx -batch -ex 'set debuginfod enabled off' -ex 'info line deep' -ex 'disassemble deep' -ex 'print sizeof(int)' ./one 2>&1
gdb -nx -batch -ex 'set debuginfod enabled off' -ex 'break deep if n == 3' -ex run -ex bt -ex 'print n * 7' -ex continue -ex bt ./one 2>&1 |
  grep -E '^(#|\$|Breakpoint|Program)' | sed 's/0x[0-9a-f]*/0x/'
EOS

program find find <<'EOS'
mkdir -p a/b/c/d && touch a/x a/b/y a/b/c/z && find . -name '[xyz]' -newer lines | sort; find . -type f -size +1k -exec wc -c {} + | tail -n 1
find . -name 'part*' -print0 | sort -z | xargs -0 -n 3 echo; find nonexistent; find . -regex '.*/[a-d]' -printf '%P %d\n' | sort; find a -delete; ls a
EOS

program tar tar gzip <<'EOS'
mkdir d && cp -p part* d && touch -d 2001-02-03 d && tar cf d.tar d && tar tvf d.tar | cut -c 1-10,30- | sort | tail -n 3; tar czf d.tgz --owner=0 --group=0 --mtime=@0 --sort=name d; gzip -l d.tgz | wc -l
mkdir e && tar xf d.tgz -C e && diff -r d e/d && echo same; tar df d.tar && rm d/part1 && tar df d.tar; tar xf lines; echo $?
EOS

program sed sed <<'EOS'
sed -n -e '/Prose/{s/\([0-9]*\) line/\1 LINE/;p}' lines | tail -n 3; sed -E ':a;N;$!ba;s/\n[0-9]+/,/g' part1 | wc -c; sed 's/[^ ]*/(&)/3g; y/abc/xyz/' part2 | head -n 2
sed -i.old '1~3d' part3 && wc -l part3 part3.old; sed -e 'x;G;1!h;$!d' part4 | wc; sed 's/(//;s/\(/x/' part5; echo $?
EOS

program awk awk <<'EOS'
awk '{ n[$5]++; t[$1] = t[$1] $0 } END { for (k in n) print k, n[k] | "sort"; close("sort"); l = 0; for (k in t) l += length(t[k]); print l }' lines
awk 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(16); s = ""; for (i = 0; i < 2000; i++) s = s i; print length(s), substr(s, 500, 9) }'
awk '{ gsub(/[0-9]+/, "<&>"); print toupper($0) }' part1 | tail -n 2; awk 'BEGIN { while (("ls part*" | getline x) > 0) print x; exit 7 }'; echo $?; awk 'BEGIN { print 1 +* }' 2>/dev/null; echo $?
EOS

program php php <<'EOS'
exec php -n -r '$a = []; foreach (file("lines") as $l) { foreach (explode(" ", trim($l)) as $w) { $a[$w] = ($a[$w] ?? 0) + 1; } } arsort($a);
echo count($a), " ", key($a), "\n"; echo strlen(json_encode(json_decode(json_encode(array_fill(0, 2000, ["x" => [1, 2.5, "three"]])), true))), "\n";
echo preg_replace_callback("/\d+/", fn($m) => $m[0] * 2, file("part1")[0]); function g() { for ($i = 0; $i < 1000; $i++) yield str_repeat("y", $i); }
$n = 0; foreach (g() as $s) $n += strlen($s); echo $n, "\n"; class T { public $o; } for ($i = 0; $i < 20000; $i++) { $t = new T; $t->o = $t; } echo gc_collect_cycles() > 0 ? "cycles" : "none", "\n";
try { throw new RuntimeException("caught"); } catch (Exception $e) { echo $e->getMessage(), "\n"; } echo md5(serialize($a)), "\n"; exit(8);'
EOS

program php-extensions php <<'EOS'
exec php -r 'echo PHP_MAJOR_VERSION > 6 ? "loaded\n" : "old\n"; $x = get_loaded_extensions(); sort($x); echo implode(" ", $x), "\n"; echo strlen(date("Y")), "\n";'
EOS

program ruby ruby <<'EOS'
exec ruby -e 'require "json"; require "set"; c = Hash.new(0); File.foreach("lines") { |l| l.split.each { |w| c[w] += 1 } }
p c.sort_by { |k, v| [-v, k] }.first(3); puts JSON.parse(JSON.generate((1..2000).map { |i| { "a" => [i, "s" * (i % 50)] } })).size
t = 6.times.map { |i| Thread.new { (1..300).map { |j| "#{i}-#{j}" * 3 }.join.size } }; p t.sum(&:value); 5.times { ("x".."zzz").to_a; GC.start }
f = Fiber.new { 10.times { |i| Fiber.yield i.to_s * 100 } }; p 5.times.map { f.resume.size }; p (2**2000).to_s.size, "line 12".gsub(/\d/) { |d| d.to_i + 1 }
pid = fork { exit! 3 }; p Process.wait2(pid)[1].exitstatus; p `echo from a shell`; begin; raise ArgumentError, "caught"; rescue => e; p e.message; end; warn "a warning"; exit 9'
EOS

case " ${GLEANER_TEST_MODES:-leaks} " in *" leaks "*)
  ok "the programs' reports were written to files" eval 'ls "$work"/report.* >/dev/null 2>&1' ;;
esac
finish
