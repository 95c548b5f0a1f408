#!/bin/sh
# SPDX-License-Identifier: MIT
# gc_cpp.h and gc_allocator.h: linked with the libraries alone, with malloc from the same heap, and with collections at every
# chance; and that the headers compile in each version of the language, with each of their switches.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/cxx
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

for program in placing containers; do
  for mode in glibc collect; do merge_as "$program $mode" $mode "$here/$program"; done
done
merge_as "placing stressed" glibc env GLEANER_OPTIONS=stress=1 "$here/placing"
merge_as "placing leaks" leaks "$here/placing" leaks
merge_as "refused" glibc "$here/refused"
merge_as "refused_new" glibc "$here/refused_new"

cat >"$work/all.cc" <<'EOF'
#include "gc_cpp.h"
#include "gc_allocator.h"
#include <map>
#include <vector>
#ifdef GC_NAMESPACE
using namespace boehmgc;
#endif
struct A : gc_cleanup { int x; };
void clean_up(void *, void *) {}
int use() {
  std::vector<A *, gc_allocator<A *> > as(1, new A);
  std::map<int, long, std::less<int>, traceable_allocator<std::pair<const int, long> > > map;
  std::vector<char, gc_allocator_ignore_off_page<char> > chars(10);
  map[3] = 4;
#ifdef GC_NAME_CONFLICT
  int GC = 0;
  as.push_back(new (UseGC) A);
#else
  as.push_back(new (GC) A);
#endif
#ifdef GC_ATOMIC_UNCOLLECTABLE
  delete new (PointerFreeNoGC) int;
#endif
  delete new (UseGC, clean_up, NULL) int;
  return as.back()->x + (int)map[3] + chars[0];
}
EOF
compiles() { $CXX -fsyntax-only -Wall -Wextra -Werror -I"$srcdir/include" "$@" "$work/all.cc"; }
for standard in 98 11 14 17 20; do ok "the headers compile as C++$standard" compiles -std=gnu++$standard -pedantic; done
for switch in GC_NAMESPACE GC_ATOMIC_UNCOLLECTABLE GC_INCLUDE_NEW GC_NO_OPERATOR_NEW_ARRAY GC_NO_FINALIZATION GC_DEBUG; do
  ok "and with $switch" compiles -D$switch
done
ok "and with GC_NAME_CONFLICT" compiles -DGC_NAME_CONFLICT -Wno-unused

if command -v nm >/dev/null; then
  for name in libgccpp libgctba; do
    tr ';{}' '\n\n\n' <"$srcdir/cxx/$name.map" | tr ' ' '\n' | grep '^_Z' | sort >"$work/meant"
    nm -D --defined-only "$top_builddir/$name.so.1" | awk '{ print $3 }' | sort >"$work/exported"
    ok "$name.so.1 exports exactly the names of its map" cmp "$work/meant" "$work/exported"
  done
else
  skip "exported names" "nm is not installed"
fi
unset LD_LIBRARY_PATH
finish
