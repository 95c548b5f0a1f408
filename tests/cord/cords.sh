#!/bin/sh
# SPDX-License-Identifier: MIT
# libcord: each test linked with libgc.so.1 alone, and with malloc from the same heap; the random ones with collections at every
# chance, too. GLEANER_SEED repeats one.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/cord
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

for program in making looking printing files; do
  for mode in glibc collect; do merge_as "$program $mode" $mode "$here/$program" "$work"; done
done
stressed() { merge_as "$1 stressed" glibc env GLEANER_OPTIONS=stress=1 "$here/$1" "$2" "$3"; }
stressed making "$work"
stressed looking "$work"
stressed files "$work"
for threads in 1 4; do
  merge_as "random of $threads threads" glibc "$here/random" 100000 $threads
  stressed random 1500 $threads
  merge_as "random of $threads threads collect" collect "$here/random" 8000 $threads
done

# Compiled with our headers and run on the system's libgc; compiled with its headers and run on ours.
if PATH=$PATH:/sbin ldconfig -p | grep -q '[^/]libgc\.so\.1 '; then
  mkdir "$work/only" && cp "$top_builddir/libcord.so.1" "$work/only"
  for program in making looking printing; do
    merge_as "$program on the system's libgc" glibc env LD_LIBRARY_PATH="$work/only" "$here/$program"
  done
else
  skip "our cords on the system's libgc" "it is not installed"
fi
if [ -r /usr/include/gc/cord.h ]; then
  for program in making looking; do
    ok "$program is compiled with the system's headers" $CC -std=gnu11 -D_GNU_SOURCE -fno-builtin -w -I/usr/include/gc -I"$srcdir/tests" \
      "$srcdir/tests/cord/$program.c" "$srcdir/tests/tap.c" -o "$work/$program" "$top_builddir/libcord.so.1" "$top_builddir/libgc.so.1" -lpthread
    merge_as "$program of the system's headers" glibc "$work/$program"
  done
else
  skip "the system's headers with our cords" "they are not installed"
fi

# ends STATUS TEXT HOW
ends() {
  "$here/ending" "$3" >"$work/out" 2>"$work/err"
  [ $? = "$1" ] && cat "$work/out" "$work/err" | grep -q "$2"
}
ok "without memory CORD_oom_fn is called" ends 3 '^no memory$' told
ok "without that the program is told and aborts" ends 134 '^libcord: out of memory$' untold
ok "so it is with more characters than can be counted" ends 134 '^libcord: out of memory$' length
ok "and when a character beyond the end is asked for" ends 134 '^libcord: CORD_fetch: ' fetch
ok "or one at a position that is outside" ends 134 '^libcord: CORD_pos_fetch: ' position
ok "CORD_dump shows how a cord is made" ends 0 '^ *string of 54: "a \\042string\\042 that' dump || note "$work/out"
ok "with functions" grep -q '^ *function of 50: "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"\.\.\.$' "$work/out"
ok "and what was cut" grep -q '^ *text of 900: "fghij' "$work/out"

if command -v nm >/dev/null; then
  tr ';{}' '\n\n\n' <"$srcdir/cord/libcord.map" | sed -n 's/^ *\(CORD_[A-Za-z_0-9]*\) *$/\1/p' | sort >"$work/meant"
  nm -D --defined-only "$top_builddir/libcord.so.1" | awk '{ print $3 }' | sort >"$work/exported"
  ok "libcord.so.1 exports exactly the names of its map" cmp "$work/meant" "$work/exported"
  nm -D --undefined-only "$top_builddir/libcord.so.1" | awk '{ print $2 }' | grep '^GC_' | while read -r name; do
    grep -qw "$name" "$srcdir/src/api/libgc.map" || echo "$name"
  done >"$work/unknown"
  ok "and uses what gc.h declares" test ! -s "$work/unknown" || note "$work/unknown"
  while read -r name; do
    cat "$srcdir/include/cord.h" "$srcdir/include/cord_pos.h" "$srcdir/include/ec.h" | grep -qw "$name" || echo "$name has no declaration"
    grep -qw "$name" "$srcdir/man/cord.3" || echo "$name is not in cord(3)"
  done <"$work/meant" >"$work/unknown"
  ok "each name is declared, and in cord(3)" test ! -s "$work/unknown" || note "$work/unknown"
else
  skip "exported names" "nm is not installed"
fi
unset LD_LIBRARY_PATH
finish
