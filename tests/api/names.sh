#!/bin/sh
# SPDX-License-Identifier: MIT
# The table of names in gc_names(7): each row names what exists, and has its test in tests/api/names.c, and no other is there.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/api
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
stress=

sed -n '/^\.TS/,/^\.TE/p' "$srcdir/man/gc_names.7" | grep '|' | grep -vE '^tab|\|Gleaner\|' >"$work/rows"
ok "there is a table" test "$(wc -l <"$work/rows")" -gt 80
cut -d'|' -f1 "$work/rows" | sort >"$work/names"
ok "no row is there twice" sh -c 'test -z "$(uniq -d "$0")"' "$work/names" || uniq -d "$work/names" | sed 's/^/# /'

tr ';{}' '\n\n\n' <"$srcdir/src/api/libgc.map" | sed -n 's/^ *\(GC_[A-Za-z0-9_]*\) *$/\1/p' >"$work/public"
cut -d'|' -f2 "$work/rows" | tr -d ' ' | tr ',' '\n' | sort -u >"$work/ours"
while read -r name; do
  case $name in
    GC_[A-Z]*) ok "$name is in gc_ext.h" grep -qw "$name" "$srcdir/include/gc_ext.h" ;;
    *) ok "$name is a public name" grep -qx "$name" "$work/public" ;;
  esac
  ok "$name is used by the tests of the rows" grep -qw "$name" "$srcdir/tests/api/names.c"
done <"$work/ours"

under_patiently 60 glibc "$here/names" >"$work/out"
sed -n 's/^\(not \)*ok [0-9]* - \(.*\): .*/\2/p' "$work/out" | grep -vx 'gc\.h' | sort >"$work/tested"
ok "each row has a test, and each test is of a row" cmp -s "$work/names" "$work/tested" || {
  diff "$work/names" "$work/tested" >"$work/diff"
  note "$work/diff"
}
merge_as "linked names" glibc "$here/names"
for mode in malloc collect; do merge $mode "$here/names"; done

# What has libgc's name is called by some test.
sed -n 's/ GC_ATTR_[A-Z_]*\(([0-9, ]*)\)\{0,1\}//g; /^ *[#*\/]/d; /^typedef/d; s/.*[ *]\(GC_[A-Za-z0-9_]*\)(.*/\1/p' \
  "$srcdir/include/gc.h" "$srcdir/include/gc_settings.h" | grep -vx 'GC_INIT_CONF_.*' | sort -u >"$work/libgc"
while read -r name; do
  ok "$name is called by a test" grep -rqwE "$name" "$srcdir/tests" --include='*.c' --include='*.h' --include='*.sh'
done <"$work/libgc"
finish
