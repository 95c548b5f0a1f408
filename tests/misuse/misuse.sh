#!/bin/sh
# SPDX-License-Identifier: MIT
# Each misuse is named in one line that begins with "gleaner: " and ends the program by SIGABRT, as under glibc; with
# misuse=report the program goes on, and its heap is sound.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/misuse
ulimit -c 0

# run MODE POLICY PROGRAM: status in $status, output in out and err.
run() {
  extra=misuse=$2
  # A shell of its own, whose remark on the abort nobody sees.
  (under_patiently 20 "$1" "$here/$3" >"$work/out" 2>"$work/err"; echo $? >"$work/status") 2>/dev/null </dev/null
  extra=
  status=$(cat "$work/status")
}

show() {
  echo "#   status $status"
  note "$work/out"
  note "$work/err"
}

named() { grep -q "^gleaner: .*$1" "$work/err"; }
aborted() { [ "$status" = 134 ] && ! grep -q survived "$work/out"; }
went_on() { [ "$status" = 0 ] && [ "$(cat "$work/out")" = survived ]; }

# check PROGRAM WORDS: WORDS is a pattern that the message contains.
check() {
  for mode in malloc leaks collect; do
    run $mode abort "$1"
    if [ "$status" = 77 ]; then
      skip "$1 in mode $mode" "the allocator chose otherwise"
      continue
    fi
    ok "$1 in mode $mode is named" named "$2" || show
    ok "$1 in mode $mode aborts" aborted || show
    run $mode report "$1"
    ok "$1 in mode $mode is named with misuse=report" named "$2" || show
    ok "$1 in mode $mode goes on with misuse=report" went_on || show
  done
}

for program in double_free double_free_later double_free_aligned double_free_zero double_free_thread double_free_orphan \
  double_free_realloc free_sized_twice realloc_twice leak_and_double_free; do
  check $program 'free(): double free of 0x[0-9a-f]* '
done
# A large block's place is given back at once: nothing is known of it any more.
check double_free_large 'free(): .*0x'
check free_past_large 'free(): .*0x'
check free_never 'free(): .*0x'
check realloc_freed_large 'realloc(): .*0x'
check realloc_freed 'realloc(): use after free of 0x'
check realloc_interior 'realloc(): invalid pointer 0x.*, 16 bytes inside a block'
check free_interior 'free(): invalid pointer 0x.*, 16 bytes inside a block'
check free_odd 'free(): invalid pointer 0x.*, 1 bytes inside a block'
check free_interior_large 'free(): invalid pointer 0x.*, 4096 bytes inside a block'
check free_interior_far 'free(): invalid pointer 0x.*, 9437184 bytes inside a block'
for program in free_stack free_global free_text free_wild free_noncanonical; do
  check $program 'free(): invalid pointer 0x.*never allocated'
done

# Where stacks are recorded, both are shown: of the second free and of the allocation.
run leaks abort double_free
ok "a double free shows the stack of the free and that of the allocation" \
  eval 'grep -q "freed by" "$work/err" && grep -q "allocated by" "$work/err" &&
    [ "$(grep -c "#0  *main .*double_free" "$work/err")" = 2 ]' || show
# Memory that was reclaimed while its address was hidden.
run collect report:poison=1 free_reclaimed
ok "a free() of reclaimed memory is named, with the collection that reclaimed it" \
  named 'free(): 0x[0-9a-f]* (a block of 1000 bytes) was taken back by collection [123], which found no pointer' || show
ok "it goes on with misuse=report" went_on || show
ok "the stacks of the free and of the allocation are shown" \
  eval 'grep -q "freed by" "$work/err" && grep -q "allocated by" "$work/err" &&
    grep -q "#0  *hide .*free_reclaimed" "$work/err" && grep -q "#0  *main .*free_reclaimed" "$work/err"' || show
run collect abort:poison=1 free_reclaimed
ok "else the program aborts" aborted || show
run collect report free_reclaimed
ok "without poison=1 it is said how to find out" named 'free(): .*poison=1 would tell' || show

# A correct program prints nothing, whatever the policy.
for policy in abort report; do
  for mode in malloc leaks collect; do
    extra=misuse=$policy
    under $mode "$top_builddir/tests/api/malloc_early" >"$work/out" 2>"$work/err"
    ok "a correct program in mode $mode hears nothing" eval '[ ! -s "$work/err" ]' || note "$work/err"
  done
done
finish
