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

cat >leak.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
  struct request *next, *previous;
  char text[240];
};

/* Two requests that point to each other, and are forgotten. */
static void serve(int number) {
  struct request *a = malloc(sizeof *a), *b = malloc(sizeof *b);
  *a = (struct request){.next = b, .previous = b};
  *b = (struct request){.next = a, .previous = a};
  snprintf(a->text, sizeof a->text, "request %d", number);
}

int main(void) {
  char line[128];
  for (int i = 0; i < 1000000; i++) serve(i);
  FILE *status = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, status))
    if (strncmp(line, "VmHWM", 5) == 0) printf("most memory used: %s", line + 6);
  fclose(status);
  return fflush(stdout);
}
END
printf '\n\nA program that leaks 500 MB as it runs; without Gleaner, and with its leaks taken back:\n\n$ cc leak.c -o leak\n$ ./leak\n'
"${CC:-gcc}" -O1 leak.c -o leak || exit 1
./leak
printf '\n$ gleaner collect --stats ./leak\n'
"$tool" collect --stats ./leak 2>&1
