#!/bin/sh
# SPDX-License-Identifier: MIT
# What is told of collections: the log, the summary at exit, and nothing unless it is asked for.
. "$srcdir/tests/preload/common.sh"
program=$top_builddir/tests/api/collect_fork
stress=
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# linked OPTIONS ARGS...: the program without preloading; its output in out and err, its status in $status.
linked() {
  linked_options=$1
  shift
  rm -f "$work/log" "$work"/log.*
  GLEANER_OPTIONS=tool=$tool:$linked_options timeout 60 "$program" "$@" >"$work/out" 2>"$work/err"
  status=$?
}
silent() { [ ! -s "$work/out" ] && [ ! -s "$work/err" ]; }
lines() { grep -c . "$1"; }
show() {
  echo "#   status $status"
  note "$work/err"
  [ ! -e "$work/log" ] || note "$work/log"
}

number='[0-9][0-9]*'
ms="$number\\.[0-9][0-9][0-9]"
begin="^gleaner $number: $ms s: collection $number of generation [012]"
times="(stop $ms, roots $ms, old $ms, mark $ms, weak $ms, sweep $ms)"
end="pages $number scanned and $number skipped, roots ${number}K, threads $number, markers $number\$"

# --- silence ---

linked verbose log
ok "nothing is told unless it is asked for" silent || show

# --- the log ---

linked gc-log="$work/log" log
ok "the program says nothing then, either" silent || show
grep -v "$begin (asked for): pause $ms ms $times, heap ${number}K -> ${number}K, reclaimed $number objects of $number bytes, $end" "$work/log" |
  grep -v "$begin (asked for): pause $ms ms $times, heap ${number}K -> ${number}K before the sweep, $end" |
  grep -v "$begin is swept: heap ${number}K, reclaimed $number objects of $number bytes\$" >"$work/other"
ok "the log has a line for each collection, and one for the sweep of each full one" \
  eval '[ "$(lines "$work/log")" = 7 ] && [ ! -s "$work/other" ]' || show
ok "children write there as well, each with its own id" eval '[ "$(cut -d: -f1 "$work/log" | sort -u | grep -c .)" = 3 ]' || show
ok "and go on counting" eval 'cut -d: -f3 "$work/log" | cut -d" " -f2-3 | uniq | tr "\n" "," | grep -q "1,collection 2,collection 3,collection 4,collection 5,$"' || show
cp "$work/log" "$work/kept"
GLEANER_OPTIONS=gc-log=$work/kept "$program" log
ok "a log that is there already is appended to" eval '[ "$(lines "$work/kept")" = 14 ]' || note "$work/kept"

linked gc-log="$work/log.%p" log
ok "with %p each process has a file of its own" eval '[ "$(ls "$work"/log.* | grep -c .)" = 3 ]' || ls "$work"
for file in "$work"/log.*; do
  ok "where only its own lines are" eval '[ "$(cut -d: -f1 "$file" | sort -u)" = "gleaner ${file##*.}" ]' || note "$file"
done

linked gc-log=stderr log
ok "the log can go to standard error" eval '[ "$(lines "$work/err")" = 7 ] && [ ! -s "$work/out" ]' || show
GLEANER_OPTIONS=gc-log=stderr "$program" lose 2>&- >"$work/out"
status=$?
ok "a program without one runs all the same" eval '[ $status = 7 ] && [ ! -s "$work/out" ]'

linked gc-log="$work/none/log" lose
ok "a log that cannot be written is told once, and the program runs" \
  eval '[ $status = 7 ] && [ "$(lines "$work/err")" = 1 ] && grep -q "cannot write the log to .*none/log.*No such" "$work/err"' || show

linked gc-log="$work/log" close "$work/victim"
ok "a program that closes all descriptors keeps its log" eval '[ "$(lines "$work/log")" = 3 ]' || show
ok "and nothing is written to its own files" test ! -s "$work/victim" || note "$work/victim"

mkfifo "$work/pipe"
{ exec 9<"$work/pipe"; read -r line <&9; exec 9<&-; echo "$line" >"$work/first"; } &
reader=$!
GLEANER_OPTIONS=gc-log=$work/pipe timeout 60 "$program" lose >"$work/out" 2>"$work/err"
status=$?
wait $reader
ok "a reader of the log that goes away does not end the program" test $status = 7 || show
ok "though it has read something" grep -q "$begin" "$work/first"

# --- the summary ---

linked stats lose
ok "--stats tells at exit what was collected" \
  eval 'grep -q "^== gleaner: collections of .*collect_fork (pid $number)" "$work/err" && [ ! -s "$work/out" ]' || show
ok "and the status stays the program's" test $status = 7
ok "each generation in a line" eval 'grep -q "^0  *9  *0 " "$work/err" && grep -q "^1  *0  *0 " "$work/err" && grep -q "^2  *1  *0 " "$work/err"' || show
ok "with a histogram of the pauses" grep -q '^  below .*#' "$work/err" || show
ok "the share of time" grep -qE '^== ran [0-9.]+ ms; stood still for [0-9.]+ % of that' "$work/err" || show
ok "and how writes are tracked" grep -qE '^== write tracking: (uffd|soft-dirty|scan), because ' "$work/err" || show
linked stats:write-tracking=scan lose
ok "which can be chosen" grep -q '^== write tracking: scan, because' "$work/err" || show
linked stats:report="$work/summary.%p" lose
ok "it goes where reports go" eval 'silent && grep -q "collections of" "$work"/summary.*' || show
linked stats:format=json:report="$work/summary.json" lose
if command -v python3 >/dev/null; then
  cat >"$work/check.py" <<'END'
import json, sys
r = json.load(open(sys.argv[1]))
c = r["collect"]
g = c["generations"]
assert len(g) == 3 and g[0]["collections"] == 9 and g[2]["collections"] == 1 and g[2]["objects"] >= 180
assert g[2]["bytes"] >= 180 * 5000 and g[2]["pause_50_ns"] <= g[2]["pause_99_ns"] <= g[2]["pause_max_ns"] <= g[2]["stopped_ns"]
assert sum(b["count"] for b in c["pauses"]) == 10 and c["given_up"] == []
assert 0 < c["stopped_ns"] <= c["collecting_ns"] < c["elapsed_ns"] and c["markers"] >= 1
assert c["write_tracking"] in ("uffd", "soft-dirty", "scan") and c["write_tracking_why"]
END
  ok "as JSON it has the members of the manual" python3 "$work/check.py" "$work/summary.json" || note "$work/summary.json"
fi
linked stats:mode=collect:sites lose
ok "with sites it tells where what was reclaimed came from" \
  eval 'grep -q "bytes in .* blocks were reclaimed, allocated at" "$work/err" && grep -q "#0 .*crowd_make" "$work/err" && grep -q "#2 .*main" "$work/err"' || note "$work/err" 40
linked stats none
ok "a program that needed no collection has an empty summary" grep -q '^2  *0  *0 ' "$work/err" || show
linked stats log
ok "children tell for themselves" eval '[ "$(grep -c "^== gleaner: collections of" "$work/err")" = 3 ]' || show
GLEANER_OPTIONS=stats:tool=/nowhere "$program" lose 2>"$work/err"
ok "without the command it is told plainly" eval 'grep -q "^gleaner: /nowhere: No such" "$work/err" && grep -q "^generation 2: 1 collections" "$work/err"' || show

summary() { grep -q "^== gleaner: collections of" "$work/err"; }
linked stats end quick_exit
ok "quick_exit is an end as well" eval 'summary && [ $status = 7 ]' || show
linked stats end signal
ok "a signal is none" eval '! summary && [ $status = 143 ]' || show
linked stats:report-at-signal end signal
ok "but with --report-at-signal" eval 'summary && [ $status = 143 ]' || show
linked stats end _exit
ok "nor is _exit" eval '! summary && [ $status = 7 ]' || show
extra=stats:report-at-_exit
under collect "$program" end _exit 2>"$work/err"
status=$?
extra=
ok "but with --report-at-_exit" eval 'summary && [ $status = 7 ]' || show

# --- under the command ---

cat >"$work/leak.c" <<'END'
#include <stdlib.h>
int main(void) {
  for (int i = 0; i < 300000; i++) *(volatile char *)malloc(1000) = 1;
  return 5;
}
END
if $CC -O1 -g -fno-builtin -o "$work/leak" "$work/leak.c"; then
  "$tool" collect "$work/leak" >"$work/out" 2>"$work/err"
  status=$?
  ok "gleaner collect leaves status and output alone" eval '[ $status = 5 ] && silent' || note "$work/err"
  cd "$work" || exit 99
  "$tool" collect --stats --sites --gc-log=log.here --report=summary ./leak
  ok "a relative log is where the command was called" eval '[ "$(grep -c "of generation" "$work/log.here")" -ge 3 ]'
  ok "the summary names the line that leaks" grep -q 'main .*leak.c:3' "$work/summary" || note "$work/summary" 40
fi
finish
