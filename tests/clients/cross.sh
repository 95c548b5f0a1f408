#!/bin/sh
# SPDX-License-Identifier: MIT
# A program compiled against our headers runs on Debian's libgc, and one compiled against Debian's on ours: four runs, all alike.
. "$srcdir/tests/preload/common.sh"
unset LD_LIBRARY_PATH
debian=$(ls /usr/include/gc/gc.h /usr/lib/*/libgc.so 2>/dev/null | sed -n 's,/libgc\.so$,,p' | head -n 1)
if [ ! -e /usr/include/gc/gc.h ] || [ ! -e "$debian/libgc.so" ]; then
  skip "programs run on either library" "libgc-dev is not installed"
  finish
fi
cc="${CC:-cc} -O1 -g -w"
ok "compiled against our headers" $cc -I"$srcdir/include" -o "$work/ours" "$srcdir/tests/clients/cross.c" "$top_builddir/libgc.so.1" -lpthread
ok "compiled against Debian's" $cc -o "$work/debians" "$srcdir/tests/clients/cross.c" "$debian/libgc.so" -lpthread
here() { timeout -k 5 $((60 * patience)) env LD_LIBRARY_PATH="$1" ${2:+"$2"} "$work/$program" >"$work/out" 2>"$work/err"; }
alike() { here "$@" && cmp -s "$work/first" "$work/out"; }
program=debians
ok "Debian's on Debian's" here "$debian" || note "$work/err"
mv "$work/out" "$work/first"
ok "it said much" test "$(grep -c . "$work/first")" -gt 100
for program in debians ours; do
  for library in "$debian" "$top_builddir"; do
    [ "$program $library" = "debians $debian" ] && continue
    ok "$program headers, on the library in $library" alike "$library" || { diff "$work/first" "$work/out" >"$work/diff"; note "$work/diff"; note "$work/err"; }
  done
  ok "$program headers, on ours with stress and markers" alike "$top_builddir" GLEANER_OPTIONS=stress=1:markers=4:concurrent=on || { diff "$work/first" "$work/out" >"$work/diff"; note "$work/diff"; note "$work/err"; }
done
finish
