#!/bin/sh
# SPDX-License-Identifier: MIT
# Whatever the place, what is kept there is intact: the same output with collections as without.
. "$srcdir/tests/collect/common.sh"
cd "$top_builddir" || exit 1

for scenario in $("$here/places"); do
  run glibc 60 "$here/places" "$scenario"
  for options in "--gc-cpu=100 --threshold0=256K" "--stress=1 --poison=1"; do
    # shellcheck disable=SC2086 # several words
    run_collect collect 120 "$options" "$here/places" "$scenario"
    ok "$scenario ($options)" unharmed glibc collect || show_difference glibc collect
  done
done
finish
