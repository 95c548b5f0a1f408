#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs in the manuals are built and run: linked with the library, and with it preloaded.
. "$srcdir/tests/preload/common.sh"
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# Each example that includes something, without roff's escapes, in a file of its own.
extract() {
  awk -v name="$2" '
    /^\.EX/ { text = ""; inside = 1; next }
    /^\.EE/ { if (text ~ /#include/) printf "%s", text >(name (++n) ".c"); inside = 0; next }
    inside { gsub(/\\&/, ""); gsub(/\\-/, "-"); gsub(/\\e/, "\\"); text = text $0 "\n" }' "$1"
}

runs() { under_patiently 60 "$@" >"$work/out" 2>&1; }

for page in "$srcdir"/man/*.[1-9]; do extract "$page" "$work/${page##*/}-"; done
for part in GC_ref GC_weak_get GC_register_finalizer GC_get_referrers GC_collect GC_weak_map_get GC_why GC_dump_heap; do
  ok "a program in the manuals shows $part" grep -qw "$part" "$work"/*.c
done

cd "$work" || exit 99 # where programs may leave something
for program in "$work"/*.c; do
  name=${program##*/} name=${name%.c}
  ok "$name is built without a warning" "$CC" -std=gnu11 -O1 -Wall -Wextra -Werror -I"$srcdir/include" "$program" -o "$work/$name" \
    -L"$top_builddir" -l:libgc.so.1 -lpthread 2>"$work/cc" || {
    note "$work/cc"
    continue
  }
  for mode in glibc malloc collect; do # in mode leaks nothing is collected, which some of them tell
    ok "$name runs, $mode" runs $mode "$work/$name" || note "$work/out"
  done
done
finish
