#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests of libgc's own names: linked with the library alone, and with the preloaded one serving malloc, too.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/libgc
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
# What is counted here is not to be disturbed by collections at every chance; what each setting is must stay so.
merge_seconds=180
merge_as "stressed settings" glibc env GLEANER_OPTIONS=stress=1 "$here/settings"
stress=
for program in settings collecting figures; do
  merge_as "linked $program" glibc "$here/$program"
  merge collect "$here/$program"
done
finish
