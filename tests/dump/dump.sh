#!/bin/sh
# SPDX-License-Identifier: MIT
# Heap dumps of a program whose heap is known (graph.c): when it ends, and asked for while it waits or allocates; what is told of them;
# and that the program does not notice.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/dump
ulimit -c 0
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

says() { # says FILE TEXT: a line has it
  grep -qF -e "$2" "$1" || { note "$1"; return 1; }
}
matches() {
  grep -qE -e "$2" "$1" || { note "$1"; return 1; }
}
address() { sed -n "s/^$1 //p" "$work/out"; }
why() { # why NAME: into $work/why
  "$tool" why "$work/dump" "$(address "$1")" >"$work/why" 2>&1
}
steps() { [ "$(grep -c -e '-> ' "$work/why")" = "$1" ] || { note "$work/why"; return 1; }; }
retained() { # retained NAME OBJECTS
  grep -F "$(address "$1") " "$work/top" | grep -qE "^ *$(($2 * size)) +$size +" || { echo "#   $1 $(address "$1")"; note "$work/top" 30; return 1; }
}

# What is known of graph's heap. size: of its objects, as told.
known() {
  size=$2
  ok "$1: the dump is there" test -s "$work/dump" || return
  why chain3
  ok "$1: a global is told by its name, and the way from there" says "$work/why" "global variable 'graph_chain' of "
  ok "$1: which is three objects long" steps 3
  ok "$1: and each step by its place" sh -c 'grep -qF -e "+8 -> $1:" "$0" && grep -qF -e "+0 -> $2:" "$0"' "$work/why" "$(address chain2)" "$(address chain3)"
  why table
  ok "$1: a place in an array is told" says "$work/why" "global variable 'graph_table'+40 of "
  why own2
  ok "$1: so is a thread-local variable" says "$work/why" "thread-local variable 'graph_own' of thread "
  why held2
  ok "$1: and a stack, with the function" matches "$work/why" "the stack of thread [0-9]+ .*, in graph_holder"
  why cycle3
  ok "$1: the way into a cycle is the shortest" steps 3
  "$tool" top --by=retained --limit=100 "$work/dump" >"$work/top" 2>&1
  ok "$1: on the top of a diamond hangs all of it" retained diamond_top 4
  ok "$1: on its sides nothing else" retained diamond_left 1
  ok "$1: nor on its bottom" retained diamond_bottom 1
  ok "$1: a tree hangs on its top" retained tree_top 6
  ok "$1: and its left part there" retained tree_left 3
  ok "$1: a cycle hangs on where it is entered" retained cycle1 3
  ok "$1: and its end on what leads there" retained cycle3 1
  "$tool" top --by=generation "$work/dump" >"$work/top" 2>&1
  ok "$1: generations are told" says "$work/top" "generation 0"
  "$tool" top --by=size "$work/dump" >"$work/top" 2>&1
  ok "$1: so are sizes" matches "$work/top" " of $size bytes"
}

# --- when it ends ---

for mode in malloc leaks collect; do
  rm -f "$work/dump"
  "$tool" dump --at-exit -o "$work/dump" --mode=$mode --report="$work/report" "$here/graph" exit >"$work/out" 2>"$work/err"
  ok "at exit, $mode: the status is the program's" test $? = 7
  ok "at exit, $mode: nothing is said" test ! -s "$work/err" || note "$work/err"
  [ $mode = leaks ] || known "at exit, $mode" 48
done
"$tool" top "$work/dump" >"$work/top" 2>&1
ok "sites are recorded, and told with file and line" matches "$work/top" '^ +48 +1  graph_node \(.*graph\.c:[0-9]+\) < graph_make \(.*graph\.c:[0-9]+\) < '
why held1
ok "so is where one object was allocated" matches "$work/why" '#2 +graph_holder +.*graph\.c:'
rm -f "$work/dump"
env GLEANER_OPTIONS="dump-at-exit='$work/dump'" "$here/graph-linked" exit >"$work/out" 2>"$work/err"
ok "at exit, linked: the status is the program's" test $? = 7
known "at exit, linked" 64

# --- while it runs ---

# start HOW COMMAND...: runs it with an input that stays open until finished; waits until it is ready. $pid: the program.
start() {
  start_how=$1
  shift
  rm -f "$work/input" "$work/out"
  mkfifo "$work/input"
  "$@" "$start_how" <"$work/input" >"$work/out" 2>"$work/err" &
  pid=$!
  exec 9>"$work/input"
  start_tries=0
  while [ $((start_tries += 1)) -lt 600 ]; do
    grep -q '^ready' "$work/out" 2>/dev/null && return
    sleep 0.1
  done
}
end() {
  exec 9>&-
  wait "$pid"
  status=$?
}
# The writer's pipe is closed a moment before it ends.
childless() {
  childless_tries=0
  while [ -n "$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)" ]; do
    [ $((childless_tries += 1)) -lt 300 ] || return 1
    sleep 0.1
  done
}
undisturbed() {
  ok "$1: it goes on to its end" test "$status" = 7
  ok "$1: no call of it was cut short" says "$work/out" "poll 1 "
  ok "$1: it has no child that it did not make" says "$work/out" "wait no child"
  ok "$1: and hears of none" says "$work/out" "SIGCHLD 0"
  ok "$1: no descriptor was left" says "$work/out" "descriptors +0"
  ok "$1: it says nothing else" test ! -s "$work/err" || note "$work/err"
}
readable() { "$tool" top --by=generation "$work/dump" >"$work/top" 2>&1; }
ask() {
  rm -f "$work/dump"
  "$tool" dump "$pid" -o "$work/dump" >"$work/asked" 2>"$work/asked.err"
}
program() { # program MODE: how it is run
  case $1 in
    linked) echo "$here/graph-linked" ;;
    *) echo env "LD_PRELOAD=$library" "GLEANER_OPTIONS=mode=$1:report=$work/report" "$here/graph" ;;
  esac
}

for mode in malloc leaks collect linked; do
  size=48
  [ $mode != leaks ] && size=48
  # shellcheck disable=SC2046 # several words
  start poll $(program $mode)
  ask
  ok "asked, $mode: the dump is written" test $? = 0 || note "$work/asked.err"
  ok "asked, $mode: its name is told" says "$work/asked" "$work/dump"
  mv "$work/dump" "$work/first"
  ask
  ok "asked, $mode: again" test $? = 0 || note "$work/asked.err"
  ok "asked, $mode: no child is left" childless
  end
  undisturbed "asked, $mode"
  case $mode in collect | linked) size=64 ;; esac
  [ $mode = malloc ] || known "asked, $mode" $size
  mv "$work/first" "$work/dump"
  why own2
  ok "asked, $mode: the first one was as good" says "$work/why" "thread-local variable 'graph_own' of thread $pid"

  # shellcheck disable=SC2046
  start threads $(program $mode)
  good=0
  for _ in 1 2 3; do ask && "$tool" top --by=generation "$work/dump" >"$work/top" 2>&1 && good=$((good + 1)); done
  ok "allocating in 8 threads, $mode: three dumps are written, and can be read" test $good = 3 || note "$work/asked.err"
  ok "allocating in 8 threads, $mode: no child is left" childless
  end
  undisturbed "allocating in 8 threads, $mode"
  ok "allocating in 8 threads, $mode: no object is harmed" says "$work/out" "bad 0"
  why chain3
  ok "allocating in 8 threads, $mode: the graph is there" steps 3
done

# --- what cannot be done ---

refused() { # refused NAME STATUS TEXT COMMAND...
  refused_name=$1 refused_status=$2 refused_text=$3
  shift 3
  "$@" >"$work/asked" 2>"$work/asked.err"
  ok "$refused_name: status $refused_status" test $? = "$refused_status"
  ok "$refused_name: one line" test "$(wc -l <"$work/asked.err")" = 1 || note "$work/asked.err"
  ok "$refused_name: which says why" says "$work/asked.err" "$refused_text"
}
sleep 100 &
plain=$!
refused "a process without Gleaner" 1 "does not run with Gleaner" "$tool" dump $plain
kill -0 $plain
ok "a process without Gleaner: lives on" test $? = 0
kill $plain
wait $plain 2>/dev/null
refused "a process that is not there" 1 "there is no process" "$tool" dump $plain
refused "no number" 2 "is no process id" "$tool" dump none
refused "no process" 2 "one process is wanted" "$tool" dump
# shellcheck disable=SC2046
start poll $(program malloc)
refused "a file that cannot be made" 1 "cannot write" "$tool" dump "$pid" -o /nowhere/dump
ok "a file that cannot be made: the program has no child left" childless
if [ -w /dev/full ]; then
  refused "a full disk" 1 "No space left" "$tool" dump "$pid" -o /dev/full
  ok "a full disk: the device is still there" test -c /dev/full
fi
"$tool" dump "$pid" -o - >"$work/dump" 2>"$work/asked.err"
ok "standard output will do" readable
ok "and nothing else is there" test ! -s "$work/asked.err"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  refused "another user's process" 1 "only its user may dump it" \
    setpriv --reuid=65534 --clear-groups "$tool" dump "$pid" -o /dev/null
else
  skip "another user's process" "this needs root and setpriv"
fi
end
undisturbed "after refusals"
# shellcheck disable=SC2046
start undumpable $(program malloc)
refused "a program that made itself undumpable" 1 "process $pid c" "$tool" dump "$pid" -o "$work/dump"
end
ok "a program that made itself undumpable: goes on" test "$status" = 7
# shellcheck disable=SC2046
start filtered $(program malloc)
refused "a program under a filter of system calls" 1 "under a filter of system calls" "$tool" dump "$pid" -o "$work/dump"
end
ok "a program under a filter of system calls: goes on" test "$status" = 7
# shellcheck disable=SC2046
start poll $(program malloc)
kill -STOP "$pid"
refused "a stopped process" 1 "does not answer" "$tool" dump "$pid" -o "$work/dump"
kill -CONT "$pid"
end
undisturbed "a stopped process, when it goes on"
refused "--at-exit where nothing can be written" 7 "no heap dump in" \
  "$tool" dump --at-exit -o /nowhere/dump "$here/graph" exit

# --- readers ---

printf 'gleaner-dump 9\n' >"$work/bad"
refused "another version" 1 "another version" "$tool" top "$work/bad"
printf 'something else' >"$work/bad"
refused "no dump" 1 "is no heap dump" "$tool" why "$work/bad" 0x10
rm -f "$work/dump"
"$tool" dump --at-exit -o "$work/dump" "$here/graph" exit >"$work/out" 2>"$work/err"
head -c 1000 "$work/dump" >"$work/bad"
refused "half a dump" 1 "not written to its end" "$tool" top "$work/bad"
refused "a missing file" 1 "No such file" "$tool" top "$work/nothing"
refused "no address" 2 "is no address" "$tool" why "$work/dump" head
refused "an address of nothing" 1 "no object alive" "$tool" why "$work/dump" 0x10
refused "a bad option" 2 "unknown option" "$tool" top --sort "$work/dump"
refused "a bad table" 2 "is not one of" "$tool" top --by=color "$work/dump"
refused "a bad limit" 2 "is not a number" "$tool" top --limit=-1 "$work/dump"
finish
