#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of roots.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check roots
