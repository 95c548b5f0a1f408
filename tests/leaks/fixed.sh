#!/bin/sh
# SPDX-License-Identifier: MIT
# A program that is linked to a fixed address.
. "$srcdir/tests/leaks/common.sh"
leaks_directory
leaks_compile "$leaks_work/fixed" -g -no-pie -fno-pie
python3 "$leaks_source/check.py" --only=$leaks_some "$leaks_work/fixed" "$leaks_source/shapes.c"
