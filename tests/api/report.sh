#!/bin/sh
# SPDX-License-Identifier: MIT
# From a lossy program to the report that a person or a program reads: names, suppressions, files, statuses.
. "$srcdir/tests/preload/common.sh"
[ -z "$stress" ] || export GLEANER_OPTIONS=stress=1

cat >"$work/lossy.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __attribute__((always_inline)) inline void *inlined_grab(size_t size) { return memset(malloc(size), 1, size); }
__attribute__((noinline)) void lose_small(void) { inlined_grab(10); puts("small"); }
__attribute__((noinline)) void lose_big(void) { for (int i = 0; i < 3; i++) inlined_grab(1000); puts("big"); }

int main(int argc, char **argv) {
  if (argc > 1 && chdir(argv[1]) != 0) return 1;
  if (argc > 2) {
    void *p = inlined_grab(33);
    free(p);
    free(p);
  }
  lose_small();
  lose_big();
  memset((char[4096]){0}, 0, 4096); /* what the calls left on the stack */
  return 5;
}
END
cat >"$work/clean.c" <<'END'
int main(void) { return 5; }
END
$CC -g -O1 -fno-builtin "$work/lossy.c" -o "$work/lossy" && $CC "$work/clean.c" -o "$work/clean" || exit 99

# leaks OPTION... PROGRAM...
leaks() {
  "$tool" leaks "$@" >"$work/out" 2>"$work/err" </dev/null
  status=$?
}
has() { grep -qE -e "$2" "$work/$1"; }
hasnot() { ! has "$@"; }
says() { ok "$@" || note "$work/err" 60; }
valid() { python3 -m json.tool "$1" >/dev/null 2>"$work/json.err"; }

# While a thread waits in a read of its standard input, and holds that stream's lock.
cat >"$work/reading.c" <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int ends[2];
static void *reads(void *arg) {
  if (write(ends[1], "x", 1) == 1) getchar();
  return getchar() ? arg : NULL;
}
int main(void) {
  pthread_t thread;
  if (pipe(ends) || dup2(ends[0], 0) || pthread_create(&thread, NULL, reads, NULL)) return 1;
  *(volatile char *)malloc(4321) = 1;
  usleep(200000);
  puts("unflushed");
  return 5;
}
END
$CC -O1 -fno-builtin "$work/reading.c" -o "$work/reading" -lpthread || exit 99
timeout 60 "$tool" leaks --error-exitcode=23 "$work/reading" >"$work/out" 2>"$work/err"
status=$?
says "the exit status is changed although a thread waits for input" test $status = 23
says "and what the program had not written yet is written" has out unflushed

leaks "$work/lossy"
says "the report is on standard error" has err '^3,000 bytes in 3 blocks are definitely lost, allocated at$'
says "the largest first" sh -c '[ "$(grep -c . "$0")" -gt 5 ] && grep -n "definitely lost," "$0" | head -n 1 | grep -q 3,000' "$work/err"
says "with functions, files and lines, also of what was inlined" has err '#0 +inlined_grab +([^ ]*/)?lossy\.c:6$'
says "and the functions around it" has err '#1 +lose_big +([^ ]*/)?lossy\.c:8$'
says "totals last" has err '^== definitely lost: 3,010 bytes in 4 blocks$'
ok "the program's output is its own" sh -c 'printf "small\nbig\n" | cmp -s - "$0"' "$work/out"
ok "and its status" test "$status" = 5
leaks "$work/clean"
says "a program that lost nothing is left in peace" test "$status:$(wc -c <"$work/err")" = 5:0
leaks --verbose "$work/clean"
says "unless it is asked for: one line" test "$(grep -c 'no memory was lost' "$work/err"):$(wc -l <"$work/err")" = 1:1

cd "$work" || exit 99
mkdir -p sub
leaks --format=json --report=report.%p "$work/lossy" "$work/sub"
report=$(ls "$work"/report.* 2>/dev/null)
ok "a report file is relative to where gleaner was called, with the process id" test -s "$report"
ok "and then nothing is on standard error" test ! -s "$work/err" || note "$work/err"
if command -v python3 >/dev/null; then
  ok "it is JSON" valid "$report" || note "$report"
  python3 - "$report" >"$work/lines" <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
print(report["version"], report["program"].rsplit("/", 1)[1], report["totals"]["definite"] == {"count": 4, "bytes": 3010})
big = report["leaks"][0]
print(big["kind"], big["count"], big["bytes"], big["cycle"], [f["function"] for f in big["frames"]][:3])
print(all(sorted(f) == ["address", "build_id", "file", "function", "inlined", "line", "module", "offset"]
          for leak in report["leaks"] for f in leak["frames"]))
END
  cat >"$work/expected" <<'END'
1 lossy True
definite 3 3000 False ['inlined_grab', 'lose_big', 'main']
True
END
  ok "with the members that were promised" cmp -s "$work/lines" "$work/expected" || note "$work/lines"
fi
rm -f report.*
leaks --report=report.%p "$work/clean"
ok "a report file is written even when nothing was lost" test -e "$(ls "$work"/report.*)"
rm -f report.*
leaks --format=json --report=report.%p "$work/clean"
ok "as JSON it has all members then, too" grep -q '"leaks":\[\]}' "$(ls "$work"/report.*)"

leaks --error-exitcode=9 "$work/lossy"
ok "--error-exitcode is the status when memory was lost" test "$status" = 9
leaks --error-exitcode=9 "$work/clean"
ok "and not when none was" test "$status" = 5

printf '# known\nleak:^lose_big$\n' >some.supp
leaks --suppressions=some.supp "$work/lossy"
says "a suppressed leak is not listed" hasnot err '3,000 bytes in 3 blocks are definitely'
says "but told" has err '^== suppressed: +3,000 bytes in 3 blocks$'
says "the others stay" has err '^10 bytes in 1 block is definitely lost'
printf 'leak:lossy\n' >all.supp
leaks --suppressions=all.supp --error-exitcode=9 "$work/lossy"
says "when all is suppressed nothing is printed" test ! -s "$work/err"
ok "and the status is the program's" test "$status" = 5
leaks --suppressions=some.supp --error-exitcode=9 "$work/lossy"
ok "but not when something is left" test "$status" = 9

leaks --show-reachable "$work/lossy"
says "what is reachable is listed on request" has err 'still reachable, allocated at'
leaks --misuse=report "$work/lossy" / twice
says "a double free is told with the stack of the free" has err '^  freed by$'
says "and that of the allocation" sh -c 'sed -n "/^  allocated by/,\$p" "$0" | grep -q "inlined_grab .*lossy.c:6"' "$work/err"
ok "and the program goes on when it is told to" test "$status" = 5

leaks --tool="$work/none" "$work/lossy"
says "without the command that draws, nothing is lost but names" has err '3000 bytes in 3 blocks are definitely lost'
"$tool" leaks "$work/lossy" 2>&1 >/dev/null | head -n 1 >"$work/out"
says "a reader that has seen enough does no harm" has out '^== gleaner: memory lost'
cd / || exit 99
finish
