#!/bin/sh
# SPDX-License-Identifier: MIT
# The window on the heap: linked with the library alone, with the preloaded one serving malloc, too, and in the modes that collect malloc'ed
# memory, and none.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/api
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

for program in window; do
  merge_as "linked $program" glibc "$here/$program"
  for mode in malloc collect; do merge $mode "$here/$program" as $mode; done
done
merge leaks "$here/window" leaks
extra=unaligned merge_as "unaligned window" malloc "$here/window" unaligned
merge_seconds=240
extra=stress=1 merge_as "stress window" malloc "$here/window" as malloc
extra=stress=1 merge_as "stress collect window" collect "$here/window" as collect
finish
