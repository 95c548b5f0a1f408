#!/bin/sh
# SPDX-License-Identifier: MIT
# Finalizers: each program linked with the library and preloaded, with collections at every chance or not, with each way of finding what was
# written, marking while the program runs or not.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/api
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
stress= # as each run says

# linked OPTIONS PROGRAM, preload MODE OPTIONS PROGRAM
linked() { merge_as "linked $1 $2" glibc env GLEANER_OPTIONS="$1" "$here/$2"; }
preload() {
  extra=$2
  merge_as "$1 $2 $3" "$1" "$here/$3"
  extra=
}

often=threshold0=64K:threshold1=2:threshold2=1
for program in basic; do
  linked stress=0 final_$program
  linked stress=1:concurrent=off final_$program
  linked write-tracking=scan:$often:concurrent=off final_$program
  linked write-tracking=auto:concurrent=on:$often final_$program
  preload malloc "" final_$program
  preload collect concurrent=on:$often final_$program
  preload collect stress=1:write-tracking=scan:concurrent=off final_$program
done
unset LD_LIBRARY_PATH
finish
