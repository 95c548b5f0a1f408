#!/bin/sh
# SPDX-License-Identifier: MIT
# GC_why and GC_dump_heap: linked with the library alone, and with it preloaded in each mode.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/api
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
stress=

merge_as "linked heap" glibc "$here/heap"
for mode in malloc collect leaks; do merge $mode "$here/heap"; done
finish
