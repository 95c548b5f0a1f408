#!/bin/sh
# SPDX-License-Identifier: MIT
# Real programs that run for longer, under gleaner collect with collections as often as they can be afforded: they do
# what they do without us. GLEANER_TEST_LONG=1 makes each longer by an order of magnitude, and adds runs with stress.
. "$srcdir/tests/collect/common.sh"
long=${GLEANER_TEST_LONG:+1}
HOME=$work/home GIT_CONFIG_NOSYSTEM=1 TZ=UTC0 PERL_HASH_SEED=0 PYTHONHASHSEED=0 PYTHONMALLOC=malloc
GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
export HOME GIT_CONFIG_NOSYSTEM TZ PERL_HASH_SEED PYTHONHASHSEED PYTHONMALLOC GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL \
  GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
mkdir "$HOME"
often="--gc-cpu=50 --threshold0=1M --threshold1=3 --threshold2=3"

# amount SHORT LONG
amount() { if [ "$long" ]; then echo "$2"; else echo "$1"; fi; }

# In a fresh directory that always has the same name.
in_place() {
  rm -rf "$work/run" && mkdir "$work/run" && cp -R "$work/input/." "$work/run" && cd "$work/run" || return
  "$@"
  cd / || exit 99
}

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
  in_place run glibc 300 sh -c "$script"
  for options in "$often --concurrent=off" "$often --concurrent=on --markers=2" ${long:+"--stress --concurrent=off" "--stress"}; do
    in_place run_collect collect 600 "$options" sh -c "$script"
    ok "$program_name under collect $options" unharmed glibc collect || show_difference glibc collect
  done
}

# --- what they work on ---
mkdir "$work/input" "$work/input/src"
cp "$srcdir"/src/heap/*.[ch] "$work/input/src"
awk -v lines="$(amount 20000 200000)" 'BEGIN { srand(1); for (i = 0; i < lines; i++)
  printf "%d line %d of %s %x\n", (i * 7919) % 30011, i, i % 7 ? "text" : "prose", i * i % 65537 }' >"$work/input/lines"

# A python3 that has its test suite.
for python in "${GLEANER_TEST_PYTHON:-}" python3 /usr/bin/python3; do
  command -v "${python:-/nonexistent}" >/dev/null && "$python" -c 'import test.test_dict' 2>/dev/null && break
  python=
done
tests="test_dict test_list test_generators test_thread"
[ ! "$long" ] || tests="$tests test_set test_json test_weakref test_heapq test_queue test_gc test_re test_threading test_subprocess test_pickle test_zlib test_sqlite3 test_io test_decimal
  test_collections test_deque test_unicode test_str test_long test_ast test_compile test_asyncio test_ctypes test_tracemalloc test_xml_etree_c"
export python tests
if [ "$python" ]; then
  # What is said of times and of the order is left out.
  program python3-tests "$python" <<'EOS'
"$python" -m test -q $tests 2>&1 | grep -E 'failed|passed|tests? OK|SUCCESS|FAILURE|rror' | sort
EOS
else
  skip python3-tests "no python3 with its test suite"
fi

amount=$(amount 60 600)
export amount
program git git <<'EOS'
git init -q -b main . 2>&1
awk -v commits="$amount" 'BEGIN { for (i = 1; i <= commits; i++) {
  printf "commit refs/heads/main\ncommitter C <c@example.org> %d +0000\ndata 9\ncommit %2d\n", 1000000000 + i, i % 100;
  for (f = 0; f < 20; f++) { text = ""; for (k = 0; k < 60; k++) text = text ((i * f + k * (k < i % 60)) % 9973) " and some words\n";
    printf "M 644 inline file%d\ndata %d\n%s\n", (i * 7 + f) % 90, length(text), text } } }' | git fast-import --quiet
git repack -a -d -f -q --depth=50 --window=50 --threads=2; git fsck --full --strict; git count-objects -v | grep -v size
git log --format=%H%T | cksum; git log -p --stat | cksum; git checkout -q -f main; cat file* | cksum; git blame file1 | cksum; git gc -q --aggressive; git fsck
EOS

program gcc gcc <<'EOS'
for f in src/block.c src/cache.c src/runs.c src/sweep.c; do
  test -e "$f" && gcc -std=gnu11 -O2 -g -D_GNU_SOURCE -D'unlikely(x)=(x)' -D'likely(x)=(x)' -c -fsyntax-only -I. "$f" 2>&1 | cksum
done
for n in 1 2 3; do awk -v n="$n" 'BEGIN { for (i = 0; i < 300; i++)
  printf "static int f%d_%d(int x) { int a[8]; for (int i = 0; i < 8; i++) a[i] = x * %d + i; return a[x & 7] ^ a[(x + %d) & 7]; }\n", n, i, i * n + 1, i;
  printf "int g%d(int x) {\n", n; for (i = 0; i < 300; i++) printf "  x += f%d_%d(x);\n", n, i; print "  return x;\n}" }' >one$n.c
gcc -O2 -g -Wall -c one$n.c -o one$n.o; cksum <one$n.o; done
EOS

program sqlite3 sqlite3 <<'EOS'
sqlite3 file.db <<SQL
create table t(a integer primary key, b text, c real, d blob); create index i on t(b); create index j on t(c, b);
with recursive n(x) as (select 1 union all select x + 1 from n where x < $amount * 1000) insert into t select x, 'text ' || (x * 7919 % 50003), x / 7.0, zeroblob(x % 100) from n;
update t set b = upper(b) || a where a % 3 = 0; delete from t where a % 5 = 0; select count(*), sum(a), min(b), max(c), sum(length(d)) from t;
select a % 17, count(*), max(b) from t group by 1 order by 1; select count(*) from t x join t y on x.b = y.b where x.a < y.a; vacuum; pragma integrity_check;
SQL
sqlite3 file.db .dump | cksum
EOS

program perl perl <<'EOS'
perl -e 'use strict; my %h; for my $round (1 .. 5) { open my $f, "<", "lines" or die; while (<$f>) { push @{$h{$_ % 1000}}, [split] }
  my $n = 0; for my $k (keys %h) { $n += @$_ for @{$h{$k}}; splice @{$h{$k}}, 0, 15; my $r = { list => $h{$k} }; $r->{self} = $r; } print "$n\n"; }
  my $s = join ",", map { scalar @{$h{$_}} } sort keys %h; $s =~ s/(\d+)/<$1>/g; print length $s, "\n"'
EOS

program ruby ruby <<'EOS'
ruby -e 'n = ENV["amount"].to_i * 20; h = {}; n.times { |i| h["key #{i % 5000}"] = (1..20).map { |k| "value #{i * k}" }; h.delete("key #{i * 7 % 5000}") if i % 3 == 0 }
p h.size, h.values.flatten.map(&:size).sum; t = 4.times.map { |k| Thread.new { (1..n).map { |i| (i * k).to_s * 3 }.map(&:size).sum } }; p t.map(&:value)
f = Fiber.new { n.times { |i| Fiber.yield [i] * 10 } }; p n.times.sum { f.resume.size }; GC.start; p File.readlines("lines").group_by { |l| l[0, 2] }.transform_values(&:size).sort.first(5)'
EOS

program php php <<'EOS'
php -n -r '$n = getenv("amount") * 200; $a = []; for ($i = 0; $i < $n; $i++) { $a[$i % 3000] = ["k" => str_repeat("v", $i % 200), "n" => [$i, [$i + 1]]]; if ($i % 5 == 0) unset($a[$i * 7 % 3000]); }
$s = 0; foreach ($a as $v) $s += strlen($v["k"]) + $v["n"][1][0]; echo count($a), " ", $s, "\n"; class T { public $o; public $x; } for ($i = 0; $i < $n; $i++) { $t = new T; $t->o = new T; $t->o->o = $t; $t->x = range(1, 10); }
echo gc_collect_cycles() > 0 ? "cycles" : "none", "\n", md5(json_encode($a)), "\n", strlen(preg_replace("/\\d+/", "<$0>", file_get_contents("lines"))), "\n";'
EOS

program bash bash <<'EOS'
bash -c 'declare -A m; for ((i = 0; i < amount * 100; i++)); do m[k$((i % 700))]="value $i ${m[k$((i * 7 % 700))]:0:50}"; ((i % 3)) || unset "m[k$((i * 13 % 700))]"; done
for k in "${!m[@]}"; do echo "$k ${m[$k]}"; done | sort | cksum; mapfile -t l < lines; s=; for x in "${l[@]:0:3000}"; do s+=${x/line/word}; done; echo ${#l[@]} ${#s}; f() { (($1)) && f $(($1 - 1)) "$@" || echo ${#*}; }; f 60'
EOS

# --- a server ---

redis() { redis-cli -s "$work/redis.sock" "$@"; }
# Starts it with the command before it, loads it, and compares what it holds in the end.
redis_run() {
  redis_name=$1
  shift
  rm -f "$work/redis.sock"
  (cd "$work" && exec "$@" redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --appendonly no --io-threads 4 \
    --io-threads-do-reads yes --enable-debug-command local --daemonize no) >"$work/redis.log" 2>&1 &
  redis_pid=$!
  try=0
  while [ $((try += 1)) -lt 200 ]; do
    redis ping >/dev/null 2>&1 && break
    sleep 0.3
  done
  {
    awk -v n="$(amount 20000 200000)" 'BEGIN { for (i = 0; i < n; i++) {
      printf "SET key%d value%d%0*d\r\n", i % 5000, i, i % 300, i; printf "HSET hash%d field%d %d\r\n", i % 50, i % 400, i;
      printf "LPUSH list%d %d\r\nLTRIM list%d 0 99\r\n", i % 20, i, i % 20; printf "ZADD z%d %d member%d\r\n", i % 10, i, i % 900;
      printf "SADD s%d %d\r\nSREM s%d %d\r\n", i % 10, i % 3000, i % 10, i * 7 % 3000; if (i % 9 == 0) printf "DEL key%d\r\n", i * 11 % 5000; } }' |
      redis --pipe
    redis debug digest
    redis-benchmark -s "$work/redis.sock" -q -n "$(amount 800 100000)" -c 40 -P 4 -r 5000 \
      -t "$(amount set,get,lpush,hset set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset)" >"$work/redis.benchmark" 2>&1
    echo "benchmark $?"
    redis ping
    redis shutdown nosave
  } 2>&1 | tr '\r' '\n' | grep -v '^$' >"$work/$redis_name.out"
  wait $redis_pid
  echo "status $?" >>"$work/$redis_name.out"
  : >"$work/$redis_name.err"
}
# What the benchmark does is random: only that it went well is compared.
redis_same() {
  grep -q '^benchmark 0' "$work/collect.out" && cmp -s "$work/glibc.out" "$work/collect.out"
}
case " ${GLEANER_TEST_PROGRAMS:-redis} " in
  *" redis "*)
    if command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null; then
      redis_run glibc env
      for options in "$often --concurrent=off" "$often --concurrent=on --markers=2" ${long:+"--stress"}; do
        redis_run collect "$tool" collect $options
        ok "redis under collect $options" redis_same || {
          show_difference glibc collect
          tail -n 30 "$work/redis.log" | sed 's/^/#   /'
        }
      done
    else
      skip redis "redis-server or redis-benchmark is missing"
    fi
    ;;
esac
finish
