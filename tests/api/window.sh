#!/bin/sh
# SPDX-License-Identifier: MIT
# The window on the heap: linked with the library alone, with the preloaded one serving malloc, too, and in the modes that collect malloc'ed
# memory, and none.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/api
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

for program in window memory; do
  merge_as "linked $program" glibc "$here/$program"
  for mode in malloc collect; do merge $mode "$here/$program" as $mode; done
done
for program in window memory; do merge leaks "$here/$program" leaks; done
extra=unaligned merge_as "unaligned window" malloc "$here/window" unaligned
merge_seconds=240
for program in window memory; do
  for mode in malloc collect; do extra=stress=1 merge_as "stress $mode $program" $mode "$here/$program" as $mode; done
done
finish
