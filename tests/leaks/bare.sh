#!/bin/sh
# SPDX-License-Identifier: MIT
# A program without frame pointers and without debug information.
. "$srcdir/tests/leaks/common.sh"
leaks_directory
leaks_compile "$leaks_work/bare" -g0 -fomit-frame-pointer
python3 "$leaks_source/check.py" --only=$leaks_some "$leaks_work/bare" "$leaks_source/shapes.c"
