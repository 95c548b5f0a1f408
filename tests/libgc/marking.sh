#!/bin/sh
# SPDX-License-Identifier: MIT
# What libgc's interface says about marking: linked with the library alone, and with it preloaded, in the ways in which collections may differ.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/libgc
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
stress= # as each run says

# linked OPTIONS PROGRAM ARGS...
linked() {
  linked_options=$1 linked_program=$2
  shift 2
  merge_as "linked $linked_options $linked_program" glibc env GLEANER_OPTIONS="$linked_options" "$here/$linked_program" "$@"
}

often=threshold0=256K:threshold1=2:threshold2=1
for program in interior marks standing disclaim; do
  linked markers=1 $program
  linked markers=4:write-tracking=scan:$often:concurrent=off $program
  linked concurrent=on:$often $program
  linked poison=1 $program
  for mode in malloc collect; do merge $mode "$here/$program"; done
done
for options in concurrent=off concurrent=on:$often write-tracking=scan:$often stress=1; do linked $options strangers; done
GC_ALL_INTERIOR_POINTERS=1 linked concurrent=off interior environment
finish
