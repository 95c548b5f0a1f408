#!/bin/sh
# SPDX-License-Identifier: MIT
# Safe or silent: where memory cannot be searched as a whole, nothing is reclaimed, the program is as it is without us, and
# only the log says why.
. "$srcdir/tests/collect/common.sh"
LEAKING_MIB=${LEAKING_MIB:-64}
export LEAKING_MIB
options="--gc-cpu=100 --threshold0=2M --gc-log=$work/log"

show_log() { tail -n 3 "$work/log" 2>/dev/null | cut -c 1-300 | sed 's/^/#   /'; }
# Of every collection once the program has begun to lose memory: those that were given up say so.
gave_up() { grep -q "$1" "$work/log"; }
reclaimed_nothing() { ! grep -q 'reclaimed [1-9]' "$work/log"; }

# same NAME WORDS COMMAND...: no difference, with the log or without; WORDS are what the log gives as the reason, none if
# collections succeed, - if they may or may not.
same() {
  same_name=$1 same_words=$2
  shift 2
  rm -f "$work/log"
  run glibc 60 "$@"
  if [ "$(tail -n 1 "$work/glibc.out")" = "status 77" ]; then
    skip "$same_name" "not possible here"
    return
  fi
  run_collect silent 60 "" "$@"
  ok "$same_name: no difference" unharmed glibc silent || show_difference glibc silent
  run_collect collect 60 "$options" "$@"
  ok "$same_name: no difference with a log" unharmed glibc collect || show_difference glibc collect
  if [ "$same_words" = - ]; then
    return
  elif [ "$same_words" ]; then
    ok "$same_name: the log says why" gave_up "$same_words" || show_log
    ok "$same_name: nothing was reclaimed" reclaimed_nothing || show_log
  else
    ok "$same_name: the log tells of collections" gave_up 'collection [0-9]' || show_log
  fi
}

same "a thread that blocks every signal" 'could not be stopped' "$here/refused" deaf
same "no file may be opened" '/proc' "$here/refused" no_open
same "no thread may be signalled" 'could not be stopped' "$here/refused" no_signals
same "nothing unusual may be called" "" "$here/refused" no_extras
same "a process that gave up its identity" "" "$here/refused" no_dump
same "all handlers are replaced" 'could not be stopped' "$here/refused" no_handler
same "no room for queued signals" "" "$here/refused" no_queue
all_stopped() { grep -q 'collection [0-9]' "$work/log" && ! grep -q 'could not be stopped' "$work/log"; }
ok "no room for queued signals: threads are stopped nevertheless" all_stopped || show_log
same "no memory is left" "" "$here/refused" no_memory
same "little address space" "" sh -c "ulimit -v 400000; '$here/refused' nothing"
if unshare -m sh -c 'mount -t tmpfs none /proc' 2>/dev/null; then
  same "no /proc" '/proc' unshare -m sh -c "mount -t tmpfs none /proc && '$here/refused' nothing"
else
  skip "no /proc" "no mount namespace can be made"
fi
if unshare --pid --fork --kill-child true 2>/dev/null; then
  same "/proc numbers threads otherwise" '/proc' unshare --pid --fork --kill-child "$here/refused" threads
else
  skip "/proc numbers threads otherwise" "no PID namespace can be made"
fi
same "all but a few system calls kill" - "$here/refused" killed
same "unusual system calls kill" - "$here/refused" killed_unusual
same "system calls are another system's" - "$here/refused" dispatched

# Said once, when it is asked for.
run_collect collect 60 "--gc-cpu=100 --threshold0=2M --verbose" "$here/refused" deaf
said_once() { [ "$(grep -c 'could not be stopped' "$work/collect.err")" = 1 ]; }
ok "verbose says it once" said_once || note "$work/collect.err"
finish
