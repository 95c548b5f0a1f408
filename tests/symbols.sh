#!/bin/sh
# SPDX-License-Identifier: MIT
# The libraries export what their map files say, and nothing of libunwind or anybody else.
. "$srcdir/tests/preload/common.sh"

meant() { tr ';{}' '\n\n\n' <"$1" | sed -n 's/^ *\([A-Za-z_][A-Za-z0-9_]*\) *$/\1/p' | sort -u; }
exported() { nm -D --defined-only "$1" | awk '{ print $3 }' | sed 's/@.*//' | sort -u; }

check() {
  library=$top_builddir/$1
  meant "$srcdir/$2" >"$work/meant"
  exported "$library" >"$work/exported"
  ok "$1 exports exactly the names of $2" cmp -s "$work/meant" "$work/exported" || {
    diff "$work/meant" "$work/exported" >"$work/diff"
    note "$work/diff"
  }
  grep -E '^_?unw_|^_Unwind' "$work/exported" >"$work/unwind"
  ok "$1 shows no name of an unwinder" test ! -s "$work/unwind" || note "$work/unwind"
  nm -D --undefined-only "$library" | grep -E ' _?unw_| _Unwind' >"$work/unwind"
  ok "$1 wants none from anybody" test ! -s "$work/unwind" || note "$work/unwind"
  readelf -dW "$library" >"$work/dynamic"
  sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/dynamic" | grep -vE '^(libc\.so\.6|ld-linux-x86-64\.so\.2)$' >"$work/needed"
  ok "$1 needs no library but the C library" test ! -s "$work/needed" || note "$work/needed"
  ok "$1 is named libgc.so.1, so that one process has one heap" grep -q 'SONAME.*\[libgc\.so\.1\]' "$work/dynamic"
  ok "$1 has no writable code, no text relocation" sh -c '! grep -q TEXTREL "$0"' "$work/dynamic"
}

if command -v nm >/dev/null && command -v readelf >/dev/null; then
  check libgc.so.1 src/api/libgc.map
  check libgleaner.so preload/libgleaner.map
  meant "$srcdir/src/api/libgc.map" >"$work/gc"
  meant "$srcdir/preload/libgleaner.map" | grep '^GC_' >"$work/gleaner"
  ok "both libraries have the same names of libgc" cmp -s "$work/gc" "$work/gleaner"
else
  skip "exported names" "nm and readelf are not installed"
fi
finish
