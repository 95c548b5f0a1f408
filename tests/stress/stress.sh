#!/bin/sh
# SPDX-License-Identifier: MIT
# Random mutators, with us and with a leak report. A failing run is repeated by GLEANER_SEED=N.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/stress

# The mutators free everything in the end.
nothing_lost() { [ $mode != leaks ] || ! grep -H . "$work"/report.* >"$work/lost" 2>/dev/null; }

run() {
  merge $mode "$@"
  ok "$mode $(basename "$1"): nothing is reported lost" nothing_lost || note "$work/lost"
  rm -f "$work"/report.*
}

# The process ends while threads that never stop allocating search it.
ends() {
  extra=stress=1
  under "$1" timeout -s KILL 60 "$here/ending" >"$work/out" 2>&1
  status=$?
  extra=
  rm -f "$work"/report.*
  [ $status = 7 ]
}

for mode in ${GLEANER_TEST_MODES:-malloc leaks}; do
  run "$here/mutator" 1 60000 2 2 # one thread: repeatable
  run "$here/mutator" 4 20000 4 3
  run "$here/mutator" 32 3000 3 1
  run "$here/mutator" 8 300 40 0 # threads come and go
  run "$here/pipeline"
  # With every invariant checked again and again, in any case.
  extra=stress=1
  run "$here/mutator" 3 5000 2 1
  extra=
  ok "$mode ending: a search of another thread does not keep the process from ending" ends $mode || note "$work/out"
done
finish
