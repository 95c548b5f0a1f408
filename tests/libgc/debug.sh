#!/bin/sh
# SPDX-License-Identifier: MIT
# libgc's debug objects and checked pointers: linked with the library alone, and with the preloaded one.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/libgc
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

for program in debug replaced pointers backptr debug_cxx; do
  [ -x "$here/$program" ] || continue # no compiler for C++
  merge_as "linked $program" glibc "$here/$program"
  for mode in malloc collect; do merge $mode "$here/$program"; done
done
finish
