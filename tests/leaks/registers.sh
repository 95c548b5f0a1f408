#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of registers.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check registers
