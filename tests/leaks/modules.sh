#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of modules.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check modules
