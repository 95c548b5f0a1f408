#!/bin/sh
# SPDX-License-Identifier: MIT
# A program that hides a pointer and uses it later: it is told so, never harmed in silence; with poison=1 by both stacks.
. "$srcdir/tests/collect/common.sh"
options="--gc-cpu=100 --threshold0=1M --threshold1=1 --threshold2=1"

show() {
  note "$work/collect.out"
  note "$work/collect.err"
}
said() { grep -q "$1" "$work/collect.err"; }
status_is() { [ "$(tail -n 1 "$work/collect.out")" = "status $1" ]; }
# The stack under the title has the function.
stack_has() { sed -n "/^  $1/,/^  [a-z]/p" "$work/collect.err" | grep -q "$2"; }
survived() { grep -q survived "$work/collect.out"; }

run_collect collect 60 "$options" "$here/hidden" free
ok "a hidden pointer is freed: it is told" said 'gleaner: free().*0x' || show
ok "and the program is ended" status_is 134 || show
run_collect collect 60 "$options --misuse=report" "$here/hidden" free
ok "with misuse=report it is told" said 'gleaner: free().*0x' || show
ok "and the program goes on" eval 'survived && status_is 0' || show
run_collect collect 60 "$options" "$here/hidden" realloc
ok "a hidden pointer is resized: it is told" said 'gleaner: realloc().*0x' || show
ok "and the program is ended" status_is 134 || show

run_collect collect 60 "$options" "$here/hidden" lead
ok "what a hidden object leads to is spared with it" grep -q '^itself 1, collected 1, suspect 1$' "$work/collect.out" || show

options="$options --poison"
run_collect collect 60 "$options" "$here/hidden" free
ok "with poison the free is told as one of memory that was taken back" said 'free().*taken back' || show
ok "with the stack that freed it" stack_has 'freed by' hidden_free || show
ok "and the one that allocated it" stack_has 'allocated by' hidden_make || show
run_collect collect 60 "$options" "$here/hidden" realloc
ok "with poison the realloc is told as one of memory that was taken back" said 'realloc().*taken back' || show
ok "with the stack that resized it" stack_has 'reallocated by' hidden_realloc || show
ok "and the one that allocated it" stack_has 'allocated by' hidden_make || show
run_collect collect 60 "$options" "$here/hidden" read
ok "with poison reclaimed memory holds the pattern" grep -q '^db db$' "$work/collect.out" || show

# Nothing of this where nothing is collected.
run collect 60 env LD_PRELOAD="$library" GLEANER_OPTIONS=mode=malloc "$here/hidden" free
ok "where nothing is collected, nothing is told" eval 'survived && status_is 0 && ! said gleaner' || show
finish
