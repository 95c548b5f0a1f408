#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of threads.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check threads
