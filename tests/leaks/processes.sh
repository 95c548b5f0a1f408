#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of processes.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check processes
