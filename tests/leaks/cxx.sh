#!/bin/sh
# SPDX-License-Identifier: MIT
# The scenarios of cxx.cc, which is compiled here, since nothing else needs a C++ compiler.
. "$srcdir/tests/leaks/common.sh"
for leaks_cxx in "$CXX" c++ g++ clang++; do
  command -v "${leaks_cxx:-/nonexistent}" >/dev/null && break
done
command -v "$leaks_cxx" >/dev/null || leaks_skip "no C++ compiler"
leaks_directory
"$leaks_cxx" -D_GNU_SOURCE -g -O2 -fno-optimize-sibling-calls -pthread -o "$leaks_work/cxx" \
  "$leaks_source/cxx.cc" 2>"$leaks_work/log" || leaks_skip "cannot compile C++"
python3 "$leaks_source/check.py" "$leaks_work/cxx" "$leaks_source/cxx.cc"
