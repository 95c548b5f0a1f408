#!/bin/sh
# SPDX-License-Identifier: MIT
# Each header of libgc's compiles alone and without a warning, in old and new C and C++; and what a program defines before them has its effect.
. "$srcdir/tests/preload/common.sh"
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
strict="-Wall -Wextra -pedantic -Werror -fsyntax-only"
headers="gc gc_mark gc_typed gc_inline gc_tiny_fl gc_version gc_backptr gc_gcj gc_disclaim javaxfc leak_detector gc_pthread_redirects gc_config_macros"

# compiles COMPILER FLAGS HEADER: alone, and twice.
compiles() {
  printf '#include <%s.h>\n#include <gc.h>\n#include <%s.h>\nint main(void) { return 0; }\n' "$3" "$3" >"$work/one.$4"
  $1 $2 $strict -I"$srcdir/include" "$work/one.$4" >"$work/compiled" 2>&1
}
for header in $headers; do
  [ -e "$srcdir/include/$header.h" ] || continue
  for flags in "-std=c89" "-std=c11" "-std=gnu17 -DGC_THREADS" "-std=c99 -DGC_DEBUG -DGC_THREADS" "-std=gnu89 -DGC_REQUIRE_WCSDUP -DGC_DEBUG"; do
    ok "$header.h compiles with $flags" compiles "$CC" "$flags" $header c || note "$work/compiled"
  done
  [ -n "$CXX" ] || continue
  for flags in "-std=c++98" "-std=c++11 -DGC_THREADS" "-std=c++17 -DGC_DEBUG"; do
    ok "$header.h compiles with $flags" compiles "$CXX" "$flags" $header cc || note "$work/compiled"
  done
done

# runs NAME COMPILER FLAGS: the program on standard input is built and run, and succeeds.
runs() {
  cat >"$work/program.$4"
  $2 $3 -Wall -Wextra -Werror -I"$srcdir/include" "$work/program.$4" -o "$work/program" "$top_builddir/libgc.so.1" >"$work/compiled" 2>&1 &&
    timeout 60 "$work/program" 2>>"$work/compiled"
}

ok "what is defined for GC_INIT is set" runs init "$CC" -std=c89 c <<'END' || note "$work/compiled"
#define GC_THREADS
#define GC_DONT_EXPAND
#define GC_FORCE_UNMAP_ON_GCOLLECT
#define GC_MAX_RETRIES 2
#define GC_ALLOCD_BYTES_PER_FINALIZER 5000
#define GC_FREE_SPACE_DIVISOR 4
#define GC_FULL_FREQ 6
#define GC_TIME_LIMIT 30
#define GC_MARKERS 3
#define GC_SIG_SUSPEND 50
#define GC_SIG_THR_RESTART 51
#define GC_MAXIMUM_HEAP_SIZE 200000000
#define GC_IGNORE_WARN
#define GC_INITIAL_HEAP_SIZE 100000000
#include <gc.h>
int main(void) {
  GC_INIT()
  if (!GC_dont_expand || !GC_get_force_unmap_on_gcollect() || GC_max_retries != 2 || GC_get_allocd_bytes_per_finalizer() != 5000) return 1;
  if (GC_free_space_divisor != 4 || GC_full_freq != 6 || GC_time_limit != 30 || GC_get_parallel() != 2) return 2;
  if (GC_get_suspend_signal() <= 0 || GC_get_suspend_signal() != GC_get_thr_restart_signal() || GC_get_warn_proc() != GC_ignore_warn_proc) return 3;
  if (GC_MALLOC(300000000)) return 4;
  return 0;
}
END
ok "GC_DONT_GC disables" runs dont "$CC" "-std=c11 -DGC_DONT_GC" c <<'END' || note "$work/compiled"
#include <gc/gc.h>
int main(void) {
  GC_INIT();
  GC_gcollect();
  return !GC_is_disabled() || GC_get_gc_no() != 0;
}
END
ok "threads are what they are called, and dlopen" runs threads "$CC" "-std=gnu11 -DGC_THREADS" c <<'END' || note "$work/compiled"
#include <gc.h>
#include <string.h>
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)
static void *work(void *arg) { return *(void **)arg = GC_MALLOC(10); }
int main(void) {
  pthread_t thread;
  void *made = 0, *result = 0;
  sigset_t none;
  sigemptyset(&none);
  GC_INIT();
  if (strcmp(TEXT(pthread_create), "GC_pthread_create") || strcmp(TEXT(dlopen), "GC_dlopen")) return 1;
  if (pthread_sigmask(SIG_SETMASK, &none, 0) || pthread_create(&thread, 0, work, &made) || pthread_join(thread, &result)) return 2;
  return result != made || !GC_base(made);
}
END
ok "without the redirects they are the C library's" runs plain "$CC" "-std=gnu11 -DGC_THREADS -DGC_NO_THREAD_REDIRECTS" c <<'END' || note "$work/compiled"
#include <gc.h>
int main(void) { return pthread_create == GC_pthread_create; }
END
if [ -n "$CXX" ]; then
  ok "macros that allocate do so in C++" runs cxx "$CXX" "-std=c++11 -DGC_THREADS" cc <<'END' || note "$work/compiled"
#include <gc/gc.h>
#include <gc/gc_inline.h>
#include <gc/gc_typed.h>
struct pair { pair *left, *right; };
static void *lists[GC_TINY_FREELISTS];
int main() {
  GC_INIT();
  pair *a = GC_NEW(pair), *b = GC_NEW_UNCOLLECTABLE(pair);
  void *c;
  a->left = b;
  b->right = GC_NEW_ATOMIC(pair);
  GC_CONS(c, a, b, lists);
  GC_PTR_STORE_AND_DIRTY(&b->left, a);
  GC_END_STUBBORN_CHANGE(b);
  GC_word map[GC_BITMAP_SIZE(pair)] = {0};
  GC_set_bit(map, GC_WORD_OFFSET(pair, left));
  void *d = GC_MALLOC_EXPLICITLY_TYPED(sizeof(pair), GC_make_descriptor(map, GC_WORD_LEN(pair)));
  GC_reachable_here(c);
  bool good = a && b && c && d && ((void **)c)[1] == b && b->left == a && GC_get_stop_func()() == 0;
  GC_FREE(b);
  return !good;
}
END
fi
finish
