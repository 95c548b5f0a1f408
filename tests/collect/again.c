/* SPDX-License-Identifier: MIT
 * Ways to hold malloc'ed memory that leave no trace where a collector looks first:
 *   again    an old object names an address that was freed; the program is handed it again, compares, and writes nothing
 *   jump     a coroutine's jmp_buf, itself malloc'ed, has the only pointer in the register that setjmp mangles
 *   plain    memory without pointers, of GC_malloc_atomic, has the only pointer, as under libgc it may; a finalizer frees half of it
 * Prints how many objects were lost. Without a collector in the process: none, of course. */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern long GC_collect(int generation, void *collected) __attribute__((weak));
extern void *GC_malloc(size_t size) __attribute__((weak));
extern void *GC_malloc_atomic(size_t size) __attribute__((weak));
extern void GC_register_finalizer(void *object, void (*function)(void *, void *), void *data, void *old, void *old_data) __attribute__((weak));

static void collect(int generation, int times) {
  for (int i = 0; GC_collect && i < times; i++) GC_collect(generation, NULL);
}

static __attribute__((noinline)) void clear_stack(void) {
  volatile char dead[16384];
  memset((void *)dead, 0, sizeof dead);
}

/* --- again --- */

enum { holders = 2048, value = 0x1234 };

struct holder {
  long *held;
  char padding[56];
};
static struct holder *holder[holders];
static uintptr_t hidden[holders];
static char *filling[2 * holders];

static __attribute__((noinline)) void free_and_take_again(void) {
  for (int i = 0; i < holders; i++) hidden[i] = ~(uintptr_t)holder[i]->held;
  for (int i = 0; i < holders; i++) free(holder[i]->held);
  for (int n = 0; n < holders + holders / 2; n++) {
    long *p = malloc(400);
    *p = value;
    for (int i = 0; i < holders; i++)
      if (hidden[i] == ~(uintptr_t)p) {
        if (holder[i]->held != p) holder[i]->held = p;
        hidden[i] = 0;
        break;
      }
  }
  for (int i = 0; i < holders; i++)
    if (hidden[i]) holder[i]->held = NULL;
}

static int again(void) {
  int lost = 0;
  for (int i = 0; i < holders; i++) holder[i] = calloc(1, sizeof *holder[i]);
  for (int i = 0; i < 2 * holders; i++) filling[i] = memset(malloc(5000), 1, 5000); /* a heap that is worth tracking */
  for (int i = 0; i < holders; i++) *(holder[i]->held = malloc(400)) = value;
  collect(2, 3);
  collect(1, 40); /* pages that are left alone are closed by and by */
  free_and_take_again();
  clear_stack();
  collect(1, 3);
  for (int i = 0; i < 2 * holders; i++) filling[i] = memset(malloc(400), 0x55, 400);
  for (int i = 0; i < holders; i++) lost += holder[i]->held && *holder[i]->held != value;
  return lost;
}

/* --- jump --- */

enum { links = 200 };
static jmp_buf *coroutine;

static __attribute__((noinline)) void **chain(void) {
  void **first = NULL;
  for (int i = 0; i < links; i++) {
    void **link = malloc(48);
    link[0] = first;
    link[1] = (void *)(intptr_t)(i ^ 77);
    first = link;
  }
  return first;
}

void jump_elsewhere(void);
void jump_elsewhere(void) {
  clear_stack();
  collect(2, 3);
  for (int i = 0; i < 100000; i++) memset(malloc(16 + (size_t)i % 64), 0x11, 16);
  longjmp(*coroutine, 1);
}

/* Calls _setjmp with p in the frame pointer and nowhere else; returns what is there when the coroutine goes on. */
void **jump_with(void **p, jmp_buf buffer);
__asm__(".text\n"
        ".type jump_with,@function\n"
        "jump_with:\n"
        "  push %rbp\n"
        "  push %rbx\n"
        "  sub $8, %rsp\n"
        "  mov %rdi, %rbp\n"
        "  mov %rsi, %rdi\n"
        "  call _setjmp@plt\n"
        "  test %eax, %eax\n"
        "  jnz 1f\n"
        "  xor %ebp, %ebp\n"
        "  call jump_elsewhere\n"
        "1: mov %rbp, %rax\n"
        "  add $8, %rsp\n"
        "  pop %rbx\n"
        "  pop %rbp\n"
        "  ret\n"
        ".size jump_with, .-jump_with\n");

static int jump(void) {
  int left = links;
  coroutine = malloc(sizeof *coroutine);
  for (void **link = jump_with(chain(), *coroutine); link && left > 0; link = link[0])
    if (link[1] == (void *)(intptr_t)((left - 1) ^ 77)) left--;
    else break;
  return left;
}

/* --- plain --- */

enum { plain_holders = 500 };
static long **plain_kept[plain_holders];
static void **plain_ended[plain_holders];
static int plain_lost, plain_freed;

static __attribute__((noinline)) long **plain_hold(void) {
  long **plain = GC_malloc_atomic(3 * sizeof *plain);
  long **second = malloc(64);
  *plain = malloc(400);
  **plain = value;
  memset(second, 0, 64);
  second[1] = malloc(400);
  *second[1] = value;
  plain[1] = (long *)second; /* and what that leads to */
  return plain;
}

static void plain_look(long **plain) {
  long **second = (long **)plain[1];
  plain_lost += *plain[0] != value || *second[1] != value;
}

static void plain_end(void *object, void *data) {
  long **plain = *(long ***)object;
  (void)data;
  plain_look(plain);
  free(((long **)plain[1])[1]);
  free(plain[1]);
  free(plain[0]);
  plain_freed++;
}

static __attribute__((noinline)) void plain_make(void) {
  for (int i = 0; i < plain_holders; i++) {
    plain_kept[i] = plain_hold();
    plain_ended[i] = GC_malloc(sizeof **plain_ended);
    *plain_ended[i] = plain_hold();
    GC_register_finalizer(plain_ended[i], plain_end, NULL, NULL, NULL);
  }
}

static void plain_overwrite(void) {
  for (int i = 0; i < 20 * plain_holders; i++) memset(malloc(i % 2 ? 400 : 64), 0x55, 64);
}

static int plain(void) {
  if (!GC_malloc) return 0;
  plain_make();
  clear_stack();
  for (int i = 0; i < 4; i++) collect(i % 2 + 1, 2), plain_overwrite();
  memset(plain_ended, 0, sizeof plain_ended);
  clear_stack();
  for (int i = 0; i < 4; i++) collect(2, 2), plain_overwrite();
  for (int i = 0; i < plain_holders; i++) plain_look(plain_kept[i]);
  return plain_lost + (plain_freed < plain_holders / 2 ? plain_holders : 0);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  printf("%d lost\n", strcmp(argv[1], "again") == 0 ? again() : strcmp(argv[1], "plain") == 0 ? plain() : jump());
  return 0;
}
