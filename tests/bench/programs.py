# SPDX-License-Identifier: MIT
"""Real programs with a fixed job each, for bench.py. It knows nothing of allocators, checkers or measuring.

Each job runs as one process of a program as the system has it, reads only files made here, and writes the same
to its standard output each time. A size of 1 takes about half a second on a slow machine."""
import os
import subprocess

PERL = """
my (%count, @rows);
for my $i (1 .. 80_000 * $ARGV[0]) {
  my $key = sprintf "%s-%d", substr("the quick brown fox jumps over", $i % 20, 8), $i * 7919 % 60_000;
  $count{$key}++;
  push @rows, {id => $i, key => $key, tags => [split /[ -]/, $key]};
  @rows = @rows[grep { $_ % 2 } 0 .. $#rows] if @rows > 20_000;
}
my $text = join ",", map { "$_=$count{$_}" } sort keys %count;
$text =~ s/(\\d+)=(\\d+)/$2:$1/g;
print length $text, " ", scalar @rows, " ", substr($text, 0, 60), "\\n";
"""

PYTHON = """
import json, sys
def tree(depth): return None if not depth else {"l": tree(depth - 1), "r": tree(depth - 1), "n": [depth] * 3}
class Point:
    def __init__(self, x, y): self.x, self.y = x, y
n, words, points = int(45000 * float(sys.argv[1])), {}, []
for i in range(n):
    words.setdefault("word%d" % (i * 7919 % 30011), []).append((i, str(i)))
    points.append(Point(i, [i, float(i)]))
    if len(points) > 10000: points = points[::2]
text = json.dumps(tree(11))
for i in range(max(1, n // 15000)): back = json.loads(text)
print(len(text), len(words), sum(len(v) for v in words.values()), sum(p.x for p in points))
"""

SQL = """
create table t(id integer primary key, name text, score real, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < %d)
  insert into t select i, 'name' || (i * 7919 %% 10007), i / 3.0, hex(i * 1234567) from n;
create index by_name on t(name);
create table u as select name, count(*) c, group_concat(note) g from t group by name;
select count(*), sum(c), sum(length(g)) from u;
update t set note = note || name where id %% 3 = 0;
delete from t where id %% 5 = 0;
select sum(length(a.note)), count(*) from t a join u b on a.name = b.name where b.c > 2;
select name, score from t order by note desc limit 5;
"""

RUBY = """
n = (60_000 * ARGV[0].to_f).to_i
words, rows = Hash.new { |h, k| h[k] = [] }, []
n.times do |i|
  key = "word number #{i * 7919 % 9973} of the list"
  words[key] << i
  rows << {id: i, key: key.split(' '), text: key.upcase * 3}
  rows = rows.each_slice(2).map(&:last) if rows.size > 8000
end
puts words.size, rows.size, words.sort.map { |k, v| k.length * v.length }.sum
"""

PHP = """<?php
$n = (int)(90000 * (float)$argv[1]);
$words = []; $rows = [];
for ($i = 0; $i < $n; $i++) {
  $key = 'word ' . ($i * 7919 % 30011);
  $words[$key][] = $i;
  $rows[] = ['id' => $i, 'key' => explode(' ', $key), 'text' => str_repeat($key, 3)];
  if (count($rows) > 20000) $rows = array_values(array_filter($rows, fn($k) => $k % 2, ARRAY_FILTER_USE_KEY));
}
ksort($words);
$text = preg_replace('/(\\d)(\\d)/', '$2$1', json_encode($words));
echo count($words), ' ', count($rows), ' ', strlen($text), ' ', md5($text), "\\n";
"""

BASH = """
declare -A count
for ((i = 0; i < ${1%%.*}; i++)); do
  key="word $((i * 7919 % 3001)) of many"
  count[$key]=$((${count[$key]:-0} + i))
  parts=($key)
  text="${key//o/0} ${parts[1]} ${text:0:200}"
done
sum=0
for key in "${!count[@]}"; do ((sum += ${count[$key]} + ${#key})); done
echo "${#count[@]} $sum ${#text}"
"""

# Compiled by cc1. Each function differs in its constants, so that nothing is folded with another.
C_HEAD = """typedef unsigned long size_t;
void *memcpy(void *, const void *, size_t);
struct item { struct item *next; long key, value[8]; char name[24]; };
static long mix(long a, long b) { return (a ^ (b << 7)) * 2654435761L + (b >> 3); }
"""
C_FUNCTION = """
long work_%(i)d(struct item *list, const long *in, long *out, int n) {
  long sum = %(a)d, best = in[0];
  for (struct item *p = list; p; p = p->next) {
    switch ((p->key + %(i)d) %% 7) {
    case 0: sum += mix(p->key, %(a)d); break;
    case 1: for (int j = 0; j < 8; j++) p->value[j] = mix(p->value[j], j + %(b)d); break;
    case 2: if (p->value[%(c)d] > best) best = p->value[%(c)d]; /* fall through */
    case 3: memcpy(p->name, &best, sizeof best); break;
    case 4: for (int j = 7; j > 0; j--) p->value[j] += p->value[j - 1] / (%(a)d + 1); break;
    default: sum ^= p->value[p->key & 7]; break;
    }
  }
  for (int i = 0; i < n; i++) {
    out[i] = in[i] * %(b)d + in[n - 1 - i] %% %(a)d;
    if (out[i] & 1) out[i] = %(next)s;
    for (int j = i; j > 0 && out[j] < out[j - 1]; j--) { long t = out[j]; out[j] = out[j - 1]; out[j - 1] = t; }
  }
  return sum + best + (n > 3 ? out[n / 2] : out[0]);
}
"""


def find_program(name):
    """The first compiled program of that name on PATH: a script in front of it (pyenv's, say) starts others."""
    for directory in os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep):
        path = os.path.realpath(os.path.join(directory, name))
        try:
            with open(path, "rb") as file:
                if os.access(path, os.X_OK) and file.read(4) == b"\x7fELF":
                    return path
        except OSError:
            pass
    return None


def _write(work, name, text):
    path = os.path.join(work, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def _c_source(functions):
    text = C_HEAD
    for i in range(functions):
        call = "work_%d(list, in, out, i / 2)" % (i - 1) if i % 3 else "mix(i, sum)"
        text += C_FUNCTION % {"i": i, "a": i * 7 + 3, "b": i * 13 % 101 + 2, "c": i % 8, "next": call}
    return text


def _git_repository(work, commits):
    """A history of `commits` commits over 40 files, written by fast-import: quick and always the same."""
    path = os.path.join(work, "repository")
    environment = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull)
    subprocess.run(["git", "init", "-q", path], check=True, env=environment)
    files = [["line %d of file %d: %d" % (i, f, i * f * 7919 % 10007) for i in range(120)] for f in range(40)]
    stream = []
    for c in range(commits):
        touched = sorted({c % 40, c * 7 % 40, c * 13 % 40})
        for f in touched:
            files[f][c * 31 % 120] = "commit %d changed this to %d" % (c, c * 104729 % 99991)
        stream.append("commit refs/heads/main\ncommitter A B <a@b> %d +0000\n" % (c + 1))
        stream.append("data <<E\nchange %d\nE\n" % c)
        for f in touched if c else range(40):
            stream.append("M 100644 inline dir%d/file%d\ndata <<E\n%s\nE\n" % (f % 5, f, "\n".join(files[f])))
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input="".join(stream), text=True, check=True,
                   env=environment)
    return path


class Job:
    """One command line, or the reason in `missing` why there is none."""

    def __init__(self, name, argv=None, env=None, missing=None):
        self.name, self.argv, self.env, self.missing = name, argv, env or {}, missing


def _job(name, program, arguments, env=None):
    path = find_program(program)
    if not path:
        return Job(name, missing=program + " is not installed")
    return Job(name, [path] + arguments, env)


def _job_cc1(work, size):
    gcc = find_program("gcc")
    ask = [gcc, "-print-prog-name=cc1"]
    cc1 = gcc and subprocess.run(ask, stdout=subprocess.PIPE, text=True).stdout.strip()
    if not cc1 or not os.access(cc1, os.X_OK):
        return Job("gcc (cc1 -O2)", missing="gcc is not installed")
    source = _write(work, "source.i", _c_source(max(1, int(18 * size))))
    return Job("gcc (cc1 -O2)", [cc1, "-quiet", "-fpreprocessed", "-O2", source, "-o", "-"])


def jobs_core(work, size):
    """perl, python3, sqlite3 and gcc."""
    yield _job("perl", "perl", [_write(work, "job.pl", PERL), str(size)], {"PERL_HASH_SEED": "0"})
    yield _job("python3", "python3", ["-S", "-s", _write(work, "job.py", PYTHON), str(size)],
               {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"})
    sql = SQL % max(10, int(140000 * size))
    yield _job("sqlite3", "sqlite3", ["-batch", "-init", os.devnull, ":memory:", sql])
    yield _job_cc1(work, size)


def jobs_more(work, size):
    """git, ruby, php and bash."""
    if find_program("git"):
        repository = _git_repository(work, max(10, int(1800 * size)))
        env = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        yield _job("git log -p", "git", ["-C", repository, "log", "-p", "--stat", "main"], env)
        pack = ["pack-objects", "--all", "--revs", "--stdout", "-q", "--threads=1", "--no-reuse-delta"]
        yield _job("git pack-objects", "git", ["-C", repository] + pack, env)
    else:
        yield Job("git", missing="git is not installed")
    yield _job("ruby", "ruby", ["--disable=gems", _write(work, "job.rb", RUBY), str(size)])
    yield _job("php", "php", ["-n", _write(work, "job.php", PHP), str(size)], {"USE_ZEND_ALLOC": "0"})
    yield _job("bash", "bash", ["--norc", _write(work, "job.sh", BASH), str(max(1, int(32000 * size)))])
