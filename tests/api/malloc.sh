#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the programs of this folder against libc's malloc, to show that they ask nothing that libc does not do, against
# ours, and against ours with a leak report at the end, and while it collects again and again.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/api

for mode in ${GLEANER_TEST_MODES:-glibc malloc leaks collect}; do
  extra=
  [ $mode = collect ] && extra=gc-cpu=100:threshold0=128K:threshold1=2:threshold2=2
  for program in basic align limits info threads fork early lowered; do
    merge $mode "$here/malloc_$program"
  done
  merge $mode "$here/libc_users"
  # Under a limit on address space and on data, which start-up has to live with as well.
  merge $mode "$here/malloc_limits" address
  merge $mode "$here/malloc_limits" data
done
finish
