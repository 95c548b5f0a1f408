#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that leak in every shape stay small under gleaner collect, and say what they say without it; and without it
# they do not stay small, so that this is worth saying. Each keeps some 8 MiB.
. "$srcdir/tests/collect/common.sh"
LEAKING_MIB=${LEAKING_MIB:-200}
export LEAKING_MIB

# The largest figure of a run, of all its processes.
peak() { sort -k2n "$work/$1.figures" 2>/dev/null | tail -n 1 | sed 's/.* //'; }
# In KiB. Where memory is lost faster than it can be looked through on a busy machine, the bound is not tight.
choose_bound() {
  bound=$((${LEAKING_BOUND:-128} * 1024))
  case $1 in
    threads_at_once | large) bound=$(($(peak glibc) * 9 / 10)) ;;
    objects) bound=$((bound * 3 / 2)) ;;
  esac
}

# What is known not to hold yet, and why.
todo() {
  case $1 in
    queue) echo "old garbage keeps young garbage, and after a collection that found little the next comes late" ;;
    malloc_* | whole_program) echo "saved registers chain coroutines, which are seldom found unreachable twice in a row" ;;
  esac
}

is_bounded() { [ "$(peak collect)" -lt $bound ]; }
is_unbounded() { [ "$(peak glibc)" -gt $bound ]; }

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
    LEAKING_FIGURES=$work/glibc.figures
    export LEAKING_FIGURES
    run glibc 60 "$program" "$scenario"
    LEAKING_FIGURES=$work/collect.figures
    run_collect collect 60 "${LEAKING_OPTIONS:-}" "$program" "$scenario"
    ok "$1 $scenario is unharmed" unharmed glibc collect || show_difference glibc collect
    choose_bound "$scenario"
    if [ "$(todo "$scenario")" ] && ! is_bounded; then
      tap_count=$((tap_count + 1))
      echo "not ok $tap_count - $1 $scenario stays small: $(peak collect) KiB # TODO $(todo "$scenario")"
    else
      ok "$1 $scenario stays small: $(peak collect) KiB" is_bounded
    fi
    ok "$1 $scenario alone does not: $(peak glibc) KiB" is_unbounded
  done
}

for compiler in "${CXX:-}" c++ g++ clang++; do
  command -v "${compiler:-/nonexistent}" >/dev/null && break
done
"$compiler" -std=c++17 -O1 -g -pthread -o "$work/objects" "$srcdir/tests/collect/objects.cc" 2>"$work/log"

for program in leaking coroutines objects; do leaking $program; done
finish
