#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests of gc.h and gc_ext.h: linked with the library alone, with the preloaded one serving malloc, too, and in the modes that
# collect malloc'ed memory, and none.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/api
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
# What is counted here is not to be disturbed by collections at every chance.
stress=

for program in alloc control roots callbacks fork ref typed threads disabled; do
  merge_as "linked collect_$program" glibc "$here/collect_$program"
  for mode in malloc collect; do merge $mode "$here/collect_$program"; done
done
merge collect "$here/collect_ref" owned
for program in alloc control; do merge leaks "$here/collect_$program" leaks; done
finish
