#!/bin/sh
# SPDX-License-Identifier: MIT
# A program does as it does without us while markers run beside it, whatever it does to its memory and to itself.
. "$srcdir/tests/collect/common.sh"
options="--concurrent=on --stress=1 --gc-cpu=100 --threshold0=1M --threshold1=2 --threshold2=1 --gc-log=$work/log"
ran_beside() { grep -q 'while the program ran' "$work/log"; }

for markers in 1 3; do
  for scenario in alone protect number replace descriptors resize fork clone; do
    rm -f "$work/log"
    run glibc 60 "$here/meanwhile" "$scenario"
    run_collect collect 120 "$options --markers=$markers" "$here/meanwhile" "$scenario"
    ok "$scenario with $markers: no difference" unharmed glibc collect || show_difference glibc collect
    ok "$scenario with $markers: markers ran beside it" ran_beside
  done
done
finish
