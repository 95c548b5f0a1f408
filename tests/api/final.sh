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
for program in basic edges threads garbage; do
  linked stress=0 final_$program
  linked stress=1:concurrent=off final_$program
  linked write-tracking=scan:$often:concurrent=off final_$program
  linked write-tracking=auto:concurrent=on:$often final_$program
  preload malloc "" final_$program
  preload collect concurrent=on:$often final_$program
  preload collect stress=1:write-tracking=scan:concurrent=off final_$program
done

ok "exceptions of finalizers pass through, linked" "$here/final_throw"
for mode in malloc collect; do
  ok "exceptions of finalizers pass through, $mode" under $mode "$here/final_throw"
done

GLEANER_OPTIONS=finalize-at-exit=1 "$here/final_garbage" exit >"$work/out"
ok "with finalize-at-exit finalizers are run at exit" test "$(cat "$work/out")" = "finalized at exit"
"$here/final_garbage" exit >"$work/out"
ok "and without it they are not" test ! -s "$work/out"

# shows TEXT: so many lines of what the debugging program tells.
shows() { grep -c "$1" "$work/out"; }
"$here/final_garbage" debug 2>"$work/out"
ok "what cannot be reclaimed is told of" test "$(shows ': uncollectable object 0x[0-9a-f]* of 32 bytes$')" -ge 50
ok "so is what could be" test "$(shows ': collectable object 0x[0-9a-f]* of 32 bytes$')" -ge 100
ok "so is each collection" test "$(shows ': collection [0-9]* of generation 2 ')" -ge 1
ok "and once that something cannot be" test "$(shows 'cannot be finalized')" -eq 1
GLEANER_OPTIONS=gc-log="'$work/log'" "$here/final_garbage" debug 2>"$work/err"
mv "$work/log" "$work/out"
ok "where there is a log it is told there" test "$(shows ': uncollectable object')" -ge 50 -a ! -s "$work/err"
unset LD_LIBRARY_PATH
finish
