#!/bin/sh
# SPDX-License-Identifier: MIT
# Every option and every public name is documented, and nothing is documented that does not exist.
. "$srcdir/tests/preload/common.sh"

# The manual without its markup.
plain() { sed -e '/^\.\\"/d' -e 's/\\-/-/g' -e 's/\\f.//g' -e 's/^\.[A-Z]* //' "$1"; }

plain "$srcdir/man/gleaner.1" >"$work/manual"
"$tool" --help >"$work/help"
ok "gleaner --help is printed" test -s "$work/help"
sed -n 's/^  --\([a-z0-9_-]*\).*/\1/p' "$work/help" >"$work/options"
ok "it lists the options" test -s "$work/options"
while read -r option; do
  ok "--$option is in the manual" grep -qE -e "^(-- *)?(--)?$option( |=|\$)" -e "--$option([= ]|\$)" "$work/manual"
done <"$work/options"
sed -n 's/^\.B[A-Z]* --\([a-z0-9_-]*\).*/\1/p' "$srcdir/man/gleaner.1" | sort -u | grep -vxE 'help|version|no-|' |
  grep -vxF -f "$work/options" >"$work/stale"
ok "the manual has no option that does not exist" test ! -s "$work/stale" || note "$work/stale"

tr ';{}' '\n\n\n' <"$srcdir/src/api/libgc.map" | sed -n 's/^ *\(GC_[A-Za-z0-9_]*\) *$/\1/p' | sort -u >"$work/names"
ok "there are public names" test -s "$work/names"
# The headers of libgc.so.1 itself; those of its companions are not.
headers=$(ls "$srcdir"/include/*.h | grep -vE '/(gc_cpp|gc_allocator|cord|cord_pos|ec)\.h$')
while read -r name; do
  ok "$name is declared in a public header" grep -qw "$name" $headers
  ok "$name is in the manual" grep -qw "$name" "$srcdir"/man/gc*.3
done <"$work/names"
cat $headers | sed -e ':whole' -e '/\\$/{' -e N -e 's/\\\n//' -e 'b whole' -e '}' -e 's/ GC_ATTR_[A-Z_]*\(([0-9, ]*)\)\{0,1\}//g' | # a macro is one line
  sed -n '/^ *[#*\/]/d; /^typedef/d; s/^extern .*(GC_CALLBACK \*\(GC_[A-Za-z0-9_]*\))(.*/\1/p; t
    s/^extern .*[ *]\(GC_[A-Za-z0-9_]*\), \*\(GC_[A-Za-z0-9_]*\);.*/\1\n\2/p; s/^extern .*[ *]\(GC_[A-Za-z0-9_]*\);.*/\1/p; t
    s/.*[ *]\(GC_[A-Za-z0-9_]*\)(.*/\1/p' | sort -u >"$work/declared"
ok "the headers declare nothing else" cmp -s "$work/names" "$work/declared" || {
  diff "$work/names" "$work/declared" >"$work/diff"
  note "$work/diff"
}

for mode in malloc leaks collect; do
  ok "README tells what mode $mode does" grep -qw "$mode" "$srcdir/README"
done
ok "README begins with the two commands" sh -c 'head -n 12 "$0" | grep -q "bootstrap demo" && head -n 12 "$0" | grep -q "bootstrap check"' "$srcdir/README"
if command -v man >/dev/null; then
  for page in "$srcdir"/man/*.[1-9]; do
    page=${page##*/}
    MANWIDTH=100 man --warnings -l "$srcdir/man/$page" 2>"$work/warnings" >/dev/null
    ok "man/$page has no fault" test ! -s "$work/warnings" || note "$work/warnings"
  done
else
  skip "the manual pages have no faults" "man is not installed"
fi
finish
