#!/bin/sh
# SPDX-License-Identifier: MIT
# Links, weak references, weak maps: linked with the library alone, and with it preloaded, in the ways in which collections may differ.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/api
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
stress=

for program in links refs map race model trash; do
  merge_as "linked weak_$program" glibc "$here/weak_$program"
  for mode in malloc collect; do merge $mode "$here/weak_$program"; done
  for extra in write-tracking=scan concurrent=on stress=1; do merge_as "collect $extra weak_$program" collect "$here/weak_$program"; done
  extra=
  GLEANER_OPTIONS=poison=1 merge_as "linked poison=1 weak_$program" glibc "$here/weak_$program"
done
finish
