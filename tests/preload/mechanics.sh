#!/bin/sh
# SPDX-License-Identifier: MIT
# What breaks preloaded allocators, a hazard at a time: see the programs beside this file. Each runs as it does without
# us, with us, and with a leak report.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/preload
ulimit -c 0

# same MODE NAME COMMAND...: output, errors and status are those of a run without us. Never with a file on our side.
same() {
  same_mode=$1 same_name=$2
  shift 2
  under_patiently 60 glibc "$@" >"$work/want.out" 2>"$work/want.err" </dev/null
  same_want=$?
  under_patiently 60 "$same_mode" "$@" >"$work/out" 2>"$work/err" </dev/null
  same_got=$?
  ok "$same_mode: $same_name" same_equal || {
    echo "#   status $same_got instead of $same_want"
    diff "$work/want.out" "$work/out" >"$work/diff" || note "$work/diff"
    diff "$work/want.err" "$work/err" >"$work/diff" || note "$work/diff"
  }
}
same_equal() {
  [ "$same_got" = "$same_want" ] && cmp -s "$work/want.out" "$work/out" && cmp -s "$work/want.err" "$work/err"
}

# ends STATUS MODE NAME COMMAND...: the status alone is prescribed; 77 from the program skips.
ends() {
  ends_want=$1 ends_mode=$2 ends_name=$3
  shift 3
  under_patiently 60 "$ends_mode" "$@" >"$work/out" 2>"$work/err" </dev/null
  ends_got=$?
  if [ $ends_got = 77 ]; then
    skip "$ends_mode: $ends_name" "not possible here"
    return
  fi
  ok "$ends_mode: $ends_name" [ $ends_got = "$ends_want" ] || {
    echo "#   status $ends_got instead of $ends_want"
    note "$work/out"
    note "$work/err"
  }
}

can_be_stopped() {
  deliverable=$("$here/signals" start "$here/signals" inherited)
  [ "$1" = glibc ] || deliverable=$((deliverable + 1))
  [ "$1" != glibc ] && inject=$library || inject=
  [ "$("$here/signals" start env LD_PRELOAD="$inject" GLEANER_OPTIONS="$(options "$1")" "$here/signals" inherited)" = \
    "$deliverable" ]
}

mkdir "$work/hidden"
cp "$here/plugin.so" "$here/opener.so" "$work"
cp "$here/plugin.so" "$work/hidden/hidden.so"

for mode in ${GLEANER_TEST_MODES:-glibc malloc leaks}; do
  # RTLD_DEEPBIND, RUNPATH, modules that come and go, foreign pointers.
  merge $mode "$here/modules" "$work"
  # Descriptors and threads counted.
  merge $mode "$here/descriptors"
  ends 42 $mode "a program that closes all its descriptors" "$here/descriptors" closed
  # The reserved signal.
  merge $mode "$here/signals"
  ends 42 $mode "a thread that blocks every signal does not keep the process from ending" "$here/signals" deaf
  # A mask that is inherited: one more signal is deliverable where one is reserved.
  ok "$mode: a process that inherits a full signal mask can still be stopped" can_be_stopped $mode
  # Each interposed function as the first call of the process.
  for call in $("$here/first_call"); do
    ends 44 $mode "$call as the first call of the process" "$here/first_call" "$call"
  done
  # System calls that are refused, and those that kill: a report needs more of them than a malloc.
  ends 42 $mode "unusual system calls are refused" "$here/seccomp" refuse
  [ $mode = leaks ] || ends 42 $mode "unusual system calls kill" "$here/seccomp" kill
  ends 42 $mode "a process that gave up its identity" "$here/seccomp" no-dump
done

# With names and a malloc of its own the program goes before us.
for mode in ${GLEANER_TEST_MODES:-malloc leaks}; do
  same $mode "a program with its own malloc" "$here/own_malloc"
  same $mode "a program that exports names which are also ours" "$here/own_names"
  # Not a word, not even to a child that cannot be preloaded.
  same $mode "true says nothing" true
  same $mode "false says nothing" false
  same $mode "a shell and its children say nothing" sh -c 'true; ls / | sort | head -n 2; (exit 7)'
  if "$top_builddir/tests/preload/static" >/dev/null 2>&1; then
    same $mode "a static program says what it says" sh -c "'$here/static'"
  else
    skip "$mode: a static program says what it says" "none could be linked"
  fi
  same $mode "standard input closed" sh -c 'exec <&-; cat /etc/hostname; ls /etc | head -n 3'
  same $mode "standard output closed" sh -c 'exec >&-; ls /etc; cat /etc/hostname'
  same $mode "standard error closed" sh -c 'exec 2>&-; ls /nonexistent; ls /etc | head -n 3'
  same $mode "all three closed" sh -c 'exec <&- >&- 2>&-; ls /etc; sort /etc/passwd; exit 9'
  # Little memory: the reservation of address space has to do with what there is.
  for limit in 100000 300000 2000000; do
    same $mode "ulimit -v $limit" sh -c "ulimit -v $limit; sort /etc/passwd | md5sum; ls /etc | wc -l"
  done
  same $mode "ulimit -d 50000" sh -c "ulimit -d 50000; sort /etc/passwd | md5sum; ls /etc | wc -l"
  same $mode "a small stack" sh -c "ulimit -s 256; sort /etc/passwd | md5sum; ls /etc | wc -l"
  # An empty environment but for us, and a name of no file.
  same $mode "argv[0] empty" sh -c 'exec env -- true'
  # No /proc, or one that shows nothing.
  if unshare -m sh -c 'mount -t tmpfs none /proc' 2>/dev/null; then
    same $mode "without /proc" \
      unshare -m sh -c 'mount -t tmpfs none /proc && sort /etc/passwd | md5sum && ls /etc | wc -l; exit 5'
  else
    skip "$mode: without /proc" "no mount namespace can be made"
  fi
  # Watched by others, ptrace being taken.
  if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    same $mode "under strace" strace -f -o /dev/null sh -c 'ls /etc | sort | head -n 4; exit 3'
  else
    skip "$mode: under strace" "strace is missing or not permitted"
  fi
  # The library asked for twice, and by name in a running process.
  same $mode "the library preloaded twice" sh -c 'LD_PRELOAD="$LD_PRELOAD $LD_PRELOAD" ls /etc | head -n 4'
done
ok "the library's thread-local storage is static" \
  eval 'readelf -d "$library" | grep -q STATIC_TLS && ! readelf -r "$library" | grep -q TLSDESC'
ends 42 glibc "the library can be loaded into a running process, whose heap stays its own" "$here/late" "$library"
finish
