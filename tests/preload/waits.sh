#!/bin/sh
# SPDX-License-Identifier: MIT
# Calls that wait end when they would without us, however often the world is stopped; and pointers that only the kernel holds keep
# what they point to.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/preload

for mode in ${GLEANER_TEST_MODES:-glibc malloc leaks collect}; do
  for part in 0 1 2; do
    merge $mode "$here/waits" part $part 3
  done
  merge $mode "$here/waits" aio_suspend
done
for mode in ${GLEANER_TEST_MODES:-glibc malloc leaks collect}; do
  merge $mode "$here/pins"
done
finish
