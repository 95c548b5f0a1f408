#!/bin/sh
# SPDX-License-Identifier: MIT
# The core never calls libc's allocator, nor what uses it: stdio, and friends that allocate or lock. Exceptions stand here,
# each with its reason.
. "$srcdir/tests/preload/common.sh"

banned='malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|getline|getdelim|posix_memalign|aligned_alloc
memalign|valloc|pvalloc|printf|fprintf|vprintf|vfprintf|sprintf|vsprintf|snprintf|vsnprintf|dprintf|vdprintf|puts|fputs
putchar|fputc|putc|fopen|fdopen|fclose|fread|fwrite|fflush|fgets|fscanf|sscanf|popen|system|opendir|readdir|closedir|scandir
qsort|qsort_r|strerror|strerror_r|perror|setlocale|getpwuid|getenv_r|setenv|putenv|unsetenv|syslog|realpath|getcwd|tmpfile
pthread_create|pthread_mutex_lock|sem_open|dlopen|dlsym|dlvsym|dlclose|dl_iterate_phdr|dladdr|backtrace|abort_message
_Znwm|_ZdlPv|__sprintf_chk|__snprintf_chk|__printf_chk|__fprintf_chk|__vsnprintf_chk'

# OBJECT NAME -- reason.
cat >"$work/allowed" <<'END'
birth dlsym -- the constructor looks up libc's own functions, once, when malloc works already
leak_report dlsym -- the constructor, likewise: where exit and its like begin
report_out dladdr -- the constructor: where this library lies
capture dl_iterate_phdr -- the wrapped name, which is ours
modules dl_iterate_phdr -- outside of malloc: around dlclose, and for a C library without _dl_find_object
birth fflush -- at the very end, where a leak's exit status replaces the program's, as exit would
threads pthread_create -- GC_pthread_create, which is that call
threads dlopen -- GC_dlopen, likewise
gc_errands pthread_create -- the program asks for a thread, with no lock held
probe vfprintf -- only for calls that are not libunwind's, which are swallowed
END

if ! command -v nm >/dev/null; then
  skip "calls of the core" "nm is not installed"
  finish
fi

find "$top_builddir/src" -name 'libcore_a-*.o' | sort >"$work/objects"
ok "the core's objects are there" test -s "$work/objects"
pattern=$(echo "$banned" | tr '\n' '|' | sed 's/|$//')
while read -r object; do
  name=${object##*/libcore_a-}
  nm -u "$object" | awk '{ print $2 }' | sed 's/@.*//' | grep -xE "$pattern" |
    while read -r call; do
      grep -q "^${name%.o} $call -- " "$work/allowed" || echo "$object calls $call"
    done
done <"$work/objects" >"$work/calls"
ok "no object of the core calls libc's allocator, or what uses it" test ! -s "$work/calls" || note "$work/calls" 50
finish
