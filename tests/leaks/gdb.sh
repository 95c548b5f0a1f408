#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that run in a debugger.
. "$srcdir/tests/leaks/common.sh"
command -v gdb >/dev/null && gdb -q -batch -nx -ex run --args true >/dev/null 2>&1 || leaks_skip "no gdb"
python3 "$leaks_source/check.py" --only=direct,cycle,tree,huge_kept,guarded_lost \
  --under="gdb -q -batch -nx -ex run --args" "$leaks_build/shapes" "$leaks_source/shapes.c"
