# SPDX-License-Identifier: MIT
# Sourced by the tests of this folder: runs check.py on one of the programs.

leaks_skip() {
  echo "1..0 # SKIP $1"
  exit 0
}

command -v python3 >/dev/null || leaks_skip "no python3"
leaks_source=$srcdir/tests/leaks
leaks_build=$top_builddir/tests/leaks

# leaks_check PROGRAM: the program of that name that make has built.
leaks_check() {
  exec python3 "$leaks_source/check.py" "$leaks_build/$1" "$leaks_source/$1.c"
}

# A directory for programs that a test compiles itself; it is removed at the end.
leaks_directory() {
  leaks_work=$(mktemp -d "${TMPDIR:-/tmp}/gleaner-leaks-XXXXXX") || exit 99
  trap 'rm -rf "$leaks_work"' EXIT
}

# leaks_compile OUTPUT FLAG...: shapes.c as a program of another kind.
leaks_compile() {
  leaks_output=$1
  shift
  mkdir -p "$(dirname "$leaks_output")"
  ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -fno-builtin -fno-optimize-sibling-calls "$@" -o "$leaks_output" \
    "$leaks_source/shapes.c" 2>"$leaks_work/log" || leaks_skip "cannot compile with $*"
}

leaks_some=direct,sizes,merged,largest,indirect,tree,cycle,zero,callocated,strings,grown,front_length
