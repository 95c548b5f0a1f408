#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that leak in every shape stay small under gleaner collect, and say what they say without it; and without it
# they do not stay small, so that this is worth saying. Each keeps some 8 MiB.
. "$srcdir/tests/collect/common.sh"
LEAKING_MIB=${LEAKING_MIB:-200}
export LEAKING_MIB

# The largest figure of a run, of all its processes.
peak() { sort -k2n "$work/$1.figures" 2>/dev/null | tail -n 1 | sed 's/.* //'; }
# Threads that are not yet stopped go on losing memory meanwhile: on a busy machine that has no tight bound, but it does not grow with
# what is lost in all.
runs_ahead() { case $1 in threads_at_once | fork_from_a_thread) ;; *) false ;; esac }
# In KiB.
choose_bound() {
  bound=$((${LEAKING_BOUND:-128} * 1024))
  [ "$1" != objects ] || bound=$((bound * 3 / 2))
  ! runs_ahead "$1" || bound=$(($(peak glibc) * 3 / 4))
}

is_bounded() { [ "$(peak collect)" -lt $bound ]; }
is_unbounded() { [ "$(peak glibc)" -gt $bound ]; }

# measured NAME COMMAND...: with the figures of that name.
measured() (
  LEAKING_FIGURES=$work/$1.figures
  ! runs_ahead "$scenario" || LEAKING_MIB=$((LEAKING_MIB * 2))
  export LEAKING_FIGURES
  shift
  "$@"
)

# leaking PROGRAM: each of its scenarios.
leaking() {
  program=$here/$1
  [ "$1" != objects ] || program=$work/objects
  [ -x "$program" ] || {
    skip "$1" "it could not be built"
    return
  }
  for scenario in ${LEAKING_SCENARIOS:-$("$program")}; do
    rm -f "$work"/*.figures
    measured glibc run glibc 60 "$program" "$scenario" &
    measured collect run_collect collect 60 "${LEAKING_OPTIONS:-}" "$program" "$scenario"
    wait
    ok "$1 $scenario is unharmed" unharmed glibc collect || show_difference glibc collect
    choose_bound "$scenario"
    ok "$1 $scenario stays small: $(peak collect) KiB" is_bounded
    ok "$1 $scenario alone does not: $(peak glibc) KiB" is_unbounded
  done
}

# A log is written deep in the stack of the program: nothing that the program knew may be left there, for it would be taken for a
# pointer, and all that a queue ever held after that would be kept.
logged() {
  rm -f "$work"/*.figures
  scenario=queue
  measured collect run_collect collect 60 "--gc-log=/dev/null ${LEAKING_OPTIONS:-}" "$here/leaking" queue
  choose_bound $scenario
  ok "a queue stays small where collections are logged: $(peak collect) KiB" is_bounded
}

for compiler in "${CXX:-}" c++ g++ clang++; do
  command -v "${compiler:-/nonexistent}" >/dev/null && break
done
"$compiler" -std=c++17 -O1 -g -pthread -o "$work/objects" "$srcdir/tests/collect/objects.cc" 2>"$work/log"

for program in ${LEAKING_PROGRAMS:-leaking coroutines objects}; do leaking $program; done
logged
finish
