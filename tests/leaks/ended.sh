#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of ended.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check ended
