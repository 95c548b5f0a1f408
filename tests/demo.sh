#!/bin/sh
# SPDX-License-Identifier: MIT
# What `./bootstrap demo` shows: leak reports of programs of this machine, and of one that is written here.
# Usage: demo.sh GLEANER
tool=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/gleaner-demo.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

show() {
  printf '\n$ gleaner leaks %s\n' "$*"
  "$tool" leaks "$@" </dev/null 2>&1
}

echo "Programs of this machine, as they are:"
printf 'c\na\nb\n' >letters
show date
show sort letters
show tar cf letters.tar letters

cat >tree.c <<'END'
#include <stdlib.h>

struct node {
  struct node *left, *right, *parent;
};

static struct node *make_node(struct node *parent, int depth) {
  struct node *node = calloc(1, sizeof *node);
  node->parent = parent;
  if (depth > 0) {
    node->left = make_node(node, depth - 1);
    node->right = make_node(node, depth - 1);
  }
  return node;
}

int main(void) {
  static struct node *tree;
  tree = make_node(NULL, 1); /* lost: three blocks that point to each other */
  tree = make_node(NULL, 2); /* kept */
  return tree == NULL;
}
END
printf '\n\nA program with debug information, which loses a tree:\n\n$ cc -g tree.c -o tree'
"${CC:-gcc}" -g tree.c -o tree || exit 1
show ./tree
printf '\nThe same for programs:\n'
show --format=json --report=report.json ./tree
cut -c 1-110 report.json
