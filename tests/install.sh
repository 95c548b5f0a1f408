#!/bin/sh
# SPDX-License-Identifier: MIT
# What make install puts where, that it works from there, and that make uninstall takes all of it away.
. "$srcdir/tests/preload/common.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL
root=$work/root

quiet_make() { make -C "$top_builddir" "$@" DESTDIR="$root" >"$work/make.out" 2>&1; }

ok "make install with DESTDIR works" quiet_make install || note "$work/make.out" 60
bin=$(find "$root" -name gleaner -type f)
lib=$(dirname "$(find "$root" -name libgc.so.1)")
include=$(dirname "$(find "$root" -name gc.h)")
find "$root" ! -type d | sed 's|.*/||' | sort | tr '\n' ' ' >"$work/files"
(cd "$srcdir/man" && ls ./*.[1-9] && printf './%s\n' gc.h gc_ext.h gleaner gleaner.pc libgc.so libgc.so.1 libgleaner.so) |
  sed 's|.*/||' | sort | tr '\n' ' ' >"$work/expected"
ok "the command, the libraries, headers, pkg-config file and manuals are installed" \
  cmp -s "$work/files" "$work/expected" || note "$work/files"

cat >"$work/lose.c" <<'END'
#include <gc_ext.h>
#include <stdio.h>
#include <string.h>

static void **keep;

__attribute__((noinline)) static void lose(void) { memset(GC_malloc(48), 1, 48); }

int main(void) {
  keep = GC_malloc(100);
  keep[0] = GC_malloc_atomic(10);
  for (int i = 0; i < 3; i++) lose();
  char *inside = (char *)keep + 5;
  printf("%d %d %d\n", GC_base(inside) == keep, GC_size(keep) >= 100, GC_get_heap_size() > 0);
  printf("%ld\n", GC_leak_check() < 0 ? -1 : GC_leak_check());
  GC_free(keep[0]);
  return 0;
}
END
ok "a program is built with what is installed" $CC -g -I"$include" "$work/lose.c" -o "$work/lose" -L"$lib" -lgc
LD_LIBRARY_PATH=$lib "$work/lose" >"$work/out" 2>"$work/err"
ok "and runs with libgc.so.1 alone" sh -c '[ "$(head -n 1 "$0")" = "1 1 1" ]' "$work/out" || note "$work/out"
ok "where no leak is searched" sh -c '[ "$(tail -n 1 "$0")" = -1 ] && [ ! -s "$1" ]' "$work/out" "$work/err"
LD_LIBRARY_PATH=$lib "$bin" leaks --report="$work/report" "$work/lose" >"$work/out" 2>"$work/err"
ok "the installed command reports what it loses" grep -q ' 3 blocks are definitely lost' "$work/report" || note "$work/report"
ok "in one heap with the installed library" sh -c '[ "$(tail -n 1 "$0")" -ge 2 ]' "$work/out" || note "$work/out"

ok "make uninstall works" quiet_make uninstall || note "$work/make.out" 60
find "$root" ! -type d >"$work/left"
ok "and leaves nothing" test ! -s "$work/left" || note "$work/left"
finish
