#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of stacks.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check stacks
