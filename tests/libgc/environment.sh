#!/bin/sh
# SPDX-License-Identifier: MIT
# The environment variables that libgc documents: each is set, and seen to have been read, in a program that is linked with the library.
. "$srcdir/tests/preload/common.sh"
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
program=$top_builddir/tests/libgc/environment
unset $(env | sed -n 's/^\(GC_[A-Z_]*\)=.*/\1/p') nothing

# with VARIABLE=VALUE... [-- OBJECTS]: runs the program, output in $work/out and $work/err.
with() {
  settings=
  while [ $# -gt 0 ] && [ "$1" != -- ]; do settings="$settings $1" && shift; done
  [ $# -gt 0 ] && shift
  env $settings timeout 60 "$program" "$@" >"$work/out" 2>"$work/err"
}
# tells NAME: what the program told under it. says TEXT: it told exactly that.
tells() { sed -n "s/^$1=//p" "$work/out"; }
says() { grep -qx "$1" "$work/out"; }
# check SENTENCE LINE VARIABLE=VALUE...: with these set the program tells that line.
check() {
  check_sentence=$1 check_line=$2
  shift 2
  with "$@"
  ok "$check_sentence" says "$check_line" || note "$work/out"
}

check "nothing is set" divisor=3 NOTHING=1
check "collections are enabled" disabled=0 NOTHING=1
check "GC_FREE_SPACE_DIVISOR" divisor=9 GC_FREE_SPACE_DIVISOR=9
check "a value that makes no sense is not heeded" divisor=3 GC_FREE_SPACE_DIVISOR=0
ok "and the variable is named in a warning" grep -q 'GC Warning: GC_FREE_SPACE_DIVISOR' "$work/err"
check "nor is one that is no number" frequency=19 GC_FULL_FREQUENCY=often
check "GC_FULL_FREQUENCY" frequency=4 GC_FULL_FREQUENCY=4
check "GC_PAUSE_TIME_TARGET" limit=20 GC_PAUSE_TIME_TARGET=20
check "GC_ENABLE_INCREMENTAL, whatever its value" incremental=1 GC_ENABLE_INCREMENTAL=0
check "GC_DISABLE_INCREMENTAL" incremental=0 GC_ENABLE_INCREMENTAL=1 GC_DISABLE_INCREMENTAL=1
ok "which the program cannot change" says enabled=0
check "GC_DONT_GC" disabled=1 GC_DONT_GC=1 -- 100000
ok "and nothing is collected" says collections=0
check "GC_MARKERS" parallel=4 GC_MARKERS=5
check "GC_NPROCS" parallel=2 GC_NPROCS=3
check "of which the first decides" parallel=4 GC_MARKERS=5 GC_NPROCS=3
check "GC_USE_ENTIRE_HEAP" entire=1 GC_USE_ENTIRE_HEAP=1
check "and its value counts" entire=0 GC_USE_ENTIRE_HEAP=0
check "GC_FORCE_UNMAP_ON_GCOLLECT" unmaps=1 GC_FORCE_UNMAP_ON_GCOLLECT=1
check "GC_UNMAP_THRESHOLD=0 keeps all pages" unmapped=0 GC_UNMAP_THRESHOLD=0 -- 100000
check "GC_ALL_INTERIOR_POINTERS" interior=1 GC_ALL_INTERIOR_POINTERS=1
check "without it the program decides" interior=0 NOTHING=1
check "GC_FIND_LEAK" leaks=1 GC_FIND_LEAK=1
check "without a limit a large object is there" large=1 NOTHING=1
check "GC_MAXIMUM_HEAP_SIZE" large=0 GC_MAXIMUM_HEAP_SIZE=16M
ok "by way of the out-of-memory function" says refused=67108864
check "GC_INITIAL_HEAP_SIZE: nothing is collected before" collections=0 GC_INITIAL_HEAP_SIZE=200000k -- 100000
with NOTHING=1 -- 100000
ok "which it is otherwise" test "$(tells collections)" -gt 0
before=$(tells collections)
with GC_FREE_SPACE_DIVISOR=60 -- 100000
ok "a larger divisor makes more collections" test "$(tells collections)" -gt "$before"

# What is told where.
with GC_PRINT_STATS=1
ok "GC_PRINT_STATS tells collections on standard error" grep -q 'collection [0-9]* of generation 2' "$work/err"
with GC_PRINT_STATS=1 GC_LOG_FILE="$work/log"
ok "GC_LOG_FILE has them there" grep -q 'collection [0-9]* of generation 2' "$work/log"
ok "and not on standard error" test ! -s "$work/err"
rm -f "$work/log"
with GC_LOG_FILE="$work/log" GC_FREE_SPACE_DIVISOR=0
ok "it has warnings, too" grep -q 'GC Warning' "$work/log"
ok "and no collections where no statistics are asked for" sh -c '! grep -q "of generation" "$0"' "$work/log"
rm -f "$work/log"
with GC_LOG_FILE="$work/log" GC_ONLY_LOG_TO_FILE=1 GC_FREE_SPACE_DIVISOR=0
ok "GC_ONLY_LOG_TO_FILE leaves warnings on standard error" grep -q 'GC Warning' "$work/err"
with GC_PRINT_VERBOSE_STATS=1
ok "GC_PRINT_VERBOSE_STATS tells collections" grep -q 'collection [0-9]* of generation 2' "$work/err"
with GC_DUMP_REGULARLY=1
ok "GC_DUMP_REGULARLY dumps at the beginning and with each collection" test "$(grep -c '^\*\*\* end of GC dump' "$work/out")" -ge 2
rm -f "$work/log"
with GC_DUMP_REGULARLY=1 GC_LOG_FILE="$work/log"
ok "to the log, if there is one" grep -q '^\*\*\* end of GC dump' "$work/log"
with GC_PRINT_ADDRESS_MAP=1
ok "GC_PRINT_ADDRESS_MAP shows mappings with each collection" grep -q '\[stack\]' "$work/err"

# A misuse, which ends the process, or would.
env timeout 60 "$program" misuse >"$work/out" 2>&1
ok "an error ends the process" test $? = 134
env GC_LOOP_ON_ABORT=1 timeout 1 "$program" misuse >"$work/out" 2>&1
ok "GC_LOOP_ON_ABORT: it waits" test $? = 124

# Read and without effect, as the manual says.
check "what makes no sense here does no harm" divisor=3 GC_RETRY_SIGNALS=0 GC_TRACE=7f0000000000 GC_NO_BLACKLIST_WARNING=1 GC_BACKTRACES=3 GC_IGNORE_GCJ_INFO=1 \
  GC_LARGE_ALLOC_WARN_INTERVAL=1 GC_PRINT_BACK_HEIGHT=1 GC_COLLECT_AT_MALLOC=100 GC_USE_GETWRITEWATCH=1
check "GC_USE_GETWRITEWATCH=0" divisor=3 GC_USE_GETWRITEWATCH=0

# Who wins.
check "GLEANER_OPTIONS wins" parallel=2 GLEANER_OPTIONS=markers=3 GC_MARKERS=7
ok "with the preloaded library the variables are not read" sh -c 'env LD_PRELOAD="$0" GC_FREE_SPACE_DIVISOR=9 "$1" | grep -qx divisor=3' \
  "$library" "$program"

# Each that the manual names is tested here, or by the tests of what it belongs to.
sed -n '/^\.SH ENVIRONMENT/,/^\.SH [^E]/s/^\.BR* \(GC_[A-Z_]*\).*/\1/p; /^\.SH ENVIRONMENT/,/^\.SH [^E]/s/^\.BR .*/&/p' "$srcdir/man/gc_libgc.3" |
  grep -o 'GC_[A-Z_]*' | sort -u >"$work/documented"
ok "the manual names variables" test "$(wc -l <"$work/documented")" -gt 25
while read -r name; do
  ok "$name is in a test" grep -rqw "$name" "$srcdir/tests/libgc"
done <"$work/documented"
finish
