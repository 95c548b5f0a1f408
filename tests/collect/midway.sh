#!/bin/sh
# SPDX-License-Identifier: MIT
# What a collection must not lose although it finds it in an odd moment or place: pages on their way from one object to another, and
# coroutines' stacks next to the one on which it was begun.
. "$srcdir/tests/collect/common.sh"

said() { [ "$(cat "$work/$1.out")" = "$2
status 0" ] && ! [ -s "$work/$1.err" ]; }

run moved 120 env LD_LIBRARY_PATH="$top_builddir" "$here/moved"
ok "an array that moves loses nothing" said moved "0 lost" || note "$work/moved.out"

run glibc 60 "$here/neighbours"
for options in "" --poison; do
  run_collect collect 60 "$options" "$here/neighbours"
  ok "what the stacks side by side know stays ($options)" unharmed glibc collect || show_difference glibc collect
done
finish
