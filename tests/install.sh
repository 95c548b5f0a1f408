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
include=$(dirname "$(find "$root" -name gc.h ! -path '*/gc/gc.h')")
find "$root" ! -type d | sed 's|.*/||' | sort | tr '\n' ' ' >"$work/files"
# Everything, but for the libraries that were left out and what belongs to them.
out=none
[ -e "$top_builddir/libcord.so.1" ] || out="$out|cord.*|ec\\.h"
[ -e "$top_builddir/libgccpp.so.1" ] || out="$out|gc_cpp\\..|gc_allocator\\.h"
{
  ls "$srcdir/man" "$srcdir/include" "$srcdir/include/gc" | grep '\.[h1-9]$'
  printf '%s\n' gleaner gleaner.pc bdw-gc.pc libgleaner.so
  (cd "$top_builddir" && ls libgc.so.1 libcord.so.1 libgccpp.so.1 libgctba.so.1 2>/dev/null) | sed 'p; s/\.1$//'
} | grep -vxE "$out" | sort | tr '\n' ' ' >"$work/expected"
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

# builds COMPILER NAME INCLUDES LIBRARIES CONDITION: a program that includes these, and is linked and run, finds it to hold.
builds() {
  { for header in $3; do echo "#include <$header>"; done; echo "int main(void) { return !($5); }"; } >"$work/$2.c"
  $1 -Wall -Werror $(pkg_config --cflags bdw-gc) "$work/$2.c" -o "$work/$2" $(pkg_config --libs bdw-gc) $4 &&
    LD_LIBRARY_PATH=$lib "$work/$2"
}
if command -v pkg-config >/dev/null; then
  pkg_config() { env PKG_CONFIG_PATH="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root" PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 \
    PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config "$@"; }
  ok "pkg-config knows libgc" pkg_config --atleast-version=8.2.0 bdw-gc
  ok "gc.h is found" builds "$CC" plain gc.h '' 'GC_base(GC_malloc(8)) != 0'
  ok "gc/gc.h is, too" builds "$CC" inside 'gc/gc.h gc/gc_ext.h gc.h' '' 'GC_base(GC_malloc(8)) != 0'
  if [ -e "$top_builddir/libgccpp.so.1" ]; then
    ok "gc_cpp.h and gc_allocator.h are found" builds "$CXX -x c++" plain_cxx 'gc_cpp.h gc_allocator.h' -lgccpp \
      'GC_base(new int) && GC_base(gc_allocator<int>().allocate(1))'
    ok "and in gc/" builds "$CXX -x c++" inside_cxx 'gc/gc_cpp.h gc/gc_allocator.h' -lgctba 'GC_base(new (UseGC) int) != 0'
  fi
  if [ -e "$top_builddir/libcord.so.1" ]; then
    ok "cord.h and ec.h are found" builds "$CC" cords 'cord.h ec.h' -lcord 'CORD_len(CORD_cat("a", "b")) == 2'
    ok "and in gc/" builds "$CC" cords_inside 'gc/cord.h gc/ec.h cord.h' -lcord 'CORD_cmp("a", CORD_cat("a", "b")) < 0'
  fi
else
  skip "what is installed is found by pkg-config" "pkg-config is not installed"
fi
for header in $(cd "$srcdir/include" && ls *.h); do
  ok "$header is in gc/, too" grep -q "^#include \"../$header\"" "$srcdir/include/gc/$header"
done

ok "make uninstall works" quiet_make uninstall || note "$work/make.out" 60
find "$root" ! -type d >"$work/left"
ok "and leaves nothing" test ! -s "$work/left" || note "$work/left"
finish
