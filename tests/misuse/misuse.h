/* SPDX-License-Identifier: MIT
 * For the tiny programs of this folder: malloc's family through pointers that the compiler cannot see through, and the
 * end of a program that lived on. */
#ifndef MISUSE_H
#define MISUSE_H

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void (*volatile do_free)(void *) = free;

/* The heap still serves: blocks of many sizes, none handed out twice. Says so, and is main's result. */
static inline int survived(void) {
  enum { count = 3000 };
  static unsigned char *p[count];
  for (unsigned round = 0; round < 3; round++) {
    for (unsigned i = 0; i < count; i++) memset(p[i] = do_malloc(i % 900 + 1), (int)(i % 251), i % 900 + 1);
    for (unsigned i = 0; i < count; i++)
      if (p[i][0] != i % 251 || p[i][i % 900] != i % 251) return 3;
    for (unsigned i = 0; i < count; i++) do_free(p[i]);
  }
  do_free(do_realloc(NULL, 100));
  puts("survived");
  return 0;
}

#endif
