#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that strace traces already.
. "$srcdir/tests/leaks/common.sh"
command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null || leaks_skip "no strace"
python3 "$leaks_source/check.py" --only=argument,on_stack,in_keys,ten,storm,raw_thread \
  --under="strace -f -o /dev/null" "$leaks_build/threads" "$leaks_source/threads.c"
