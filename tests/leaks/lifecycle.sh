#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of lifecycle.c.
. "$srcdir/tests/leaks/common.sh"
leaks_check lifecycle
