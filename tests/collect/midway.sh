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

for way in uffd scan; do
  run_collect again 120 "--write-tracking=$way" "$here/again" again
  ok "what is handed out again at an address that an old object names already ($way)" said again "0 lost" || note "$work/again.out"
done
run_collect jump 60 "" "$here/again" jump
ok "what only a jmp_buf in malloc'ed memory knows, mangled" said jump "0 lost" || note "$work/jump.out"
for options in "" --poison "--threshold0=64K --concurrent=on"; do
  run_collect plain 60 "$options" "$here/again" plain
  ok "what only memory without pointers knows, also in garbage with a finalizer ($options)" said plain "0 lost" || note "$work/plain.out"
done
finish
