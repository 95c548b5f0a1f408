#!/bin/sh
# SPDX-License-Identifier: MIT
# libgc's leak finding: what is told of a program that forgets to free. The collector is conservative: of 200 it may miss some, and so what is told
# is most of them. Each line is one sort, and each of its objects is told once at most.
. "$srcdir/tests/preload/common.sh"
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# run NAME HOW MODE [VARIABLE=...]...: the program, its output in out, what we tell in err.
run() {
  run_name=$1 how=$2 run_mode=$3
  shift 3
  under_patiently 60 "$run_mode" env "$@" "$top_builddir/tests/libgc/findleak" "$how" >"$work/out" 2>"$work/err"
  run_status=$?
}
line_of() { sed -n "s/^$1 //p" "$work/out"; }
told() { grep -c "leaked: the object at 0x[0-9a-f]* (.*findleak.c:$(line_of "$1"), sz=$2," "$work/err"; }
most() { [ "$(told "$1" "$2")" -ge 150 ] && [ "$(told "$1" "$2")" -le 200 ]; }
none() { ! grep -q "findleak.c:$(line_of "$1")," "$work/err"; }
plain() { count=$(grep -c 'leaked: the object at 0x[0-9a-f]* (appr. sz=[0-9]*, NORMAL)' "$work/err") && [ "$count" -ge 150 ] && [ "$count" -le 200 ]; }
ended() { [ "$run_status" = 0 ] && grep -qx ends "$work/out"; }

check() {
  ok "$run_name: it ends as ever" ended || note "$work/err"
  ok "$run_name: leaks are found" grep -qx 'on 1' "$work/out"
  ok "$run_name: what malloc leaked is told with its line" most leaked 40 || note "$work/err" 5
  ok "$run_name: what calloc leaked" most cleared 30
  ok "$run_name: what strdup leaked" most text 5
  ok "$run_name: what strndup leaked" most part 3
  ok "$run_name: what wcsdup leaked" most wide 20
  ok "$run_name: what realloc leaked, and not what it had before" most moved 200
  ok "$run_name: and what GC_malloc leaked" plain
  ok "$run_name: nothing is told of what is held, and freed later" none held
  ok "$run_name: nor of what is freed at once" none freed
  ok "$run_name: nor of what is uncollectable" none uncollectable
  ok "$run_name: and their number" grep -q '^gleaner: [0-9]* objects leaked' "$work/err"
}

for how in variable call environment exit; do
  case $how in
    environment | exit) run "$how" "$how" glibc GC_FIND_LEAK=1 ;;
    *) run "$how" "$how" glibc ;;
  esac
  check
  [ "$how" = exit ] || ok "$how: there are no finalizers, and no links" sh -c '! grep -q finalized "$1" && grep -qx "no links" "$1" && grep -qx "no long links" "$1"' - "$work/out"
done
for mode in malloc collect; do
  run "preloaded, $mode" call "$mode"
  check
done

run "stacks" call glibc GLEANER_OPTIONS=sites=1
check
ok "stacks: with sites=1 the call stack follows" sh -c 'grep -A 4 "leaked: .*findleak.c:" "$1" | grep -q "#[0-9]* .*findleak+0x"' - "$work/err"
run "in mode leaks" call leaks
ok "in mode leaks CHECK_LEAKS reports what is lost" grep -q 'are definitely lost' "$work"/report.*
ok "in mode leaks nothing else is told" sh -c '! grep -q "leaked:" "$1"' - "$work/err"

run off off glibc
ok "without it nothing is told" sh -c '[ ! -s "$1" ] && grep -qx "on 0" "$2"' - "$work/err" "$work/out"

run "abort" exit glibc GC_FIND_LEAK=1 GC_ABORT_ON_LEAK=1
ok "GC_ABORT_ON_LEAK: the program aborts" test "$run_status" = 134
ok "GC_ABORT_ON_LEAK: once it was told what leaked" most leaked 40
run "delayed" after glibc GC_FIND_LEAK=1 GC_FINDLEAK_DELAY_FREE=1
ok "GC_FINDLEAK_DELAY_FREE: who writes to what was freed is told" sh -c '[ "$(grep -c "written to after it was freed: .*findleak.c:" "$1")" -ge 150 ]' - "$work/err"
ok "GC_FINDLEAK_DELAY_FREE: and nothing leaked" sh -c '! grep -q leaked "$1"' - "$work/err" || note "$work/err"
finish
