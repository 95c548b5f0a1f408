#!/bin/sh
# SPDX-License-Identifier: MIT
# The table of libgc's names in gc_libgc(3): what it says is there is exported, what is exported is there, and nothing that libgc's headers declare
# is missing.
. "$srcdir/tests/preload/common.sh"

exported() { tr ';{}' '\n\n\n' <"$1" | sed -n 's/^ *\(_Z18\)\{0,1\}\(GC_[A-Za-z0-9_]*\) *$/\2/p'; }
sed -n '/^\.SH NAMES/,/^\.TE/p' "$srcdir/man/gc_libgc.3" | sed -n 's/^\(GC_[A-Za-z0-9_]*\)|\([^|]*\)|\(.*\)$/\1|\2|\3/p' >"$work/rows"
ok "there is a table" test "$(wc -l <"$work/rows")" -gt 250
cut -d'|' -f1 "$work/rows" | sort >"$work/all"
ok "no name is there twice" sh -c 'test -z "$(uniq -d "$0")"' "$work/all"
grep -vE '^[^|]*\|(as libgc\||(differs|nothing|absent)\|.)' "$work/rows" >"$work/odd"
ok "each row has a state, and what is not as in libgc a remark" test ! -s "$work/odd" || note "$work/odd"

{ exported "$srcdir/src/api/libgc.map" && exported "$srcdir/cxx/libgccpp.map" | sed 's/v$//'; } | sort -u >"$work/exported"
grep -v '|absent|' "$work/rows" | cut -d'|' -f1 | sort >"$work/present"
comm -23 "$work/present" "$work/exported" >"$work/missing"
ok "what is in the table is exported" test ! -s "$work/missing" || note "$work/missing"
grep '|absent|' "$work/rows" | cut -d'|' -f1 | sort | comm -12 - "$work/exported" >"$work/there"
ok "unless it is said to be absent" test ! -s "$work/there" || note "$work/there"
grep -oh 'GC_[A-Za-z0-9_]*' "$srcdir/include/gc_ext.h" | sort -u >"$work/own"
comm -23 "$work/exported" "$work/all" | comm -23 - "$work/own" >"$work/unlisted"
ok "what is exported and not Gleaner's own is in the table" test ! -s "$work/unlisted" || note "$work/unlisted"

# Where libgc's own headers are installed: every function and variable of theirs. Functions stand before a parenthesis, variables before a semicolon.
theirs=/usr/include/gc
if grep -qs 'define GC_TMP_VERSION_MINOR 2' $theirs/gc_version.h && [ -r $theirs/gc_mark.h ]; then
  for header in gc gc_mark gc_typed gc_inline gc_backptr gc_disclaim gc_gcj javaxfc gc_pthread_redirects; do
    $CC -fpreprocessed -dD -E $theirs/$header.h 2>/dev/null | sed -e ':whole' -e '/\\$/{' -e N -e 's/\\\n//' -e 'b whole' -e '}' | grep -v '^ *#'
  done | tr '\n' ' ' | tr ';{}' '\n\n\n' | grep -E 'GC_API|^ *extern|GC_pthread|GC_dlopen' | grep -v typedef |
    sed -E 's/GC_ATTR_[A-Z_]*( *\([0-9, ]*\))?//g; s/GC_CALL(BACK)?//g; s/\( *\* *(GC_[a-z_]*)\)/\1/' |
    sed -nE 's/^[^(]*[ *](GC_[A-Za-z][A-Za-z0-9_]*) *(\(.*)?$/\1/p' | sort -u >"$work/theirs"
  ok "libgc's headers can be read" test "$(wc -l <"$work/theirs")" -gt 250
  comm -23 "$work/theirs" "$work/all" >"$work/forgotten"
  ok "all that they declare is in the table" test ! -s "$work/forgotten" || note "$work/forgotten"
else
  skip "libgc's own headers" "those of 8.2 are not installed"
fi
finish
