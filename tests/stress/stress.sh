#!/bin/sh
# SPDX-License-Identifier: MIT
# Random mutators, with us, with a leak report, and with every invariant checked again and again. A failing run is
# repeated by GLEANER_SEED=N.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/stress
[ -z "$stress" ] || patience=6

for mode in ${GLEANER_TEST_MODES:-malloc leaks}; do
  if [ -n "$stress" ]; then
    merge $mode "$here/mutator" 1 3000 2 1
    merge $mode "$here/mutator" 4 1000 3 1
    continue
  fi
  merge $mode "$here/mutator" 1 60000 2 2 # one thread: repeatable
  merge $mode "$here/mutator" 4 20000 4 3
  merge $mode "$here/mutator" 32 3000 3 1
  merge $mode "$here/mutator" 8 300 40 0 # threads come and go
  merge $mode "$here/pipeline"
done
# What is checked at every slow path, on a small scale in any case.
extra=stress=1
for mode in ${GLEANER_TEST_MODES:-malloc leaks}; do
  merge $mode "$here/mutator" 3 700 2 1
done
finish
