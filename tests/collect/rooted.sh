#!/bin/sh
# SPDX-License-Identifier: MIT
# A list whose only pointer lies in each place that there is outlives any number of collections; and does not when the place is
# cleared, so that this is worth saying.
. "$srcdir/tests/collect/common.sh"
show() {
  note "$work/collect.out"
  note "$work/collect.err"
}
said() { [ "$(cat "$work/collect.out")" = "$1
status 0" ] && ! [ -s "$work/collect.err" ]; }

for options in --concurrent=off --concurrent=on; do
  options="$options --gc-cpu=100 --threshold0=1M --threshold1=2 --threshold2=2"
  for scenario in $("$here/rooted"); do
    run_collect collect 60 "$options" "$here/rooted" "$scenario"
    ok "$scenario keeps a list ($options)" said "300 nodes" || show
    run_collect collect 60 "$options" "$here/rooted" "$scenario" drop
    ok "$scenario, cleared, does not" said gone || show
  done
done
finish
