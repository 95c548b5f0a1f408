#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of shapes.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check shapes
