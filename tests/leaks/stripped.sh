#!/bin/sh
# SPDX-License-Identifier: MIT
# A stripped program: its leaks are named by module and offset, which a twin that was not stripped can explain.
. "$srcdir/tests/leaks/common.sh"
command -v strip >/dev/null && command -v nm >/dev/null || leaks_skip "no binutils"
leaks_directory
leaks_compile "$leaks_work/twin/shapes" -g0 -fomit-frame-pointer
strip -o "$leaks_work/shapes" "$leaks_work/twin/shapes" || leaks_skip "strip failed"
python3 "$leaks_source/check.py" --only=$leaks_some --twin="$leaks_work/twin/shapes" "$leaks_work/shapes" \
  "$leaks_source/shapes.c"
