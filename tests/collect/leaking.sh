#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that leak in every shape stay small under gleaner collect, and say what they say without it; and without it
# they do not stay small, so that this is worth saying. Each keeps some 8 MiB.
. "$srcdir/tests/collect/common.sh"
LEAKING_MIB=${LEAKING_MIB:-200}
export LEAKING_MIB
bound=$((${LEAKING_BOUND:-96} * 1024))

# The largest figure of a run, of all its processes.
peak() { sort -k2n "$work/$1.figures" 2>/dev/null | tail -n 1 | sed 's/.* //'; }
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
    ok "$1 $scenario stays small: $(peak collect) KiB" is_bounded
    ok "$1 $scenario alone does not: $(peak glibc) KiB" is_unbounded
  done
}

for compiler in "${CXX:-}" c++ g++ clang++; do
  command -v "${compiler:-/nonexistent}" >/dev/null && break
done
"$compiler" -std=c++17 -O1 -g -pthread -o "$work/objects" "$srcdir/tests/collect/objects.cc" 2>"$work/log"

for program in leaking coroutines objects; do leaking $program; done
finish
