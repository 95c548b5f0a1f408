/* SPDX-License-Identifier: MIT
 * Tests of src/site/depot.c. */
#include "config.h"

#include "site/depot.h"
#include "tap.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { many = 20000, threads = 4 };

static bool is(const struct site_stack *stack, const uintptr_t *pc, uint32_t count, uint32_t epoch) {
  return stack && stack->count == count && stack->epoch == epoch &&
         memcmp(stack->pc, pc, count * sizeof *pc) == 0;
}

/* The stack of a number: 1 to 40 addresses, many of which stacks share. */
static uint32_t stack_of(unsigned number, uintptr_t *pc) {
  uint64_t state = number * 77 + 1;
  uint32_t count = 1 + number % 40;
  for (uint32_t i = 0; i < count; i++) pc[i] = 0x400000 + (i > 5 ? i : tap_random(&state) % 1000);
  pc[0] = 0x400000 + number; /* so that each is another */
  return count;
}

static void test_few(void) {
  uintptr_t pc[] = {1, 2, 3, 4};
  uint32_t a = depot_enter(pc, 4, 0);
  OK(a != 0, "a stack gets an id");
  OK(depot_enter(pc, 4, 0) == a, "the same stack has the same id");
  OK(depot_enter(pc, 3, 0) != a, "a part of it is another stack");
  OK(depot_enter(pc, 4, 1) != a, "and so is the same in another epoch");
  OK(is(depot_stack(a), pc, 4, 0), "an id names its stack");
  uintptr_t back[] = {4, 3, 2, 1};
  OK(depot_enter(back, 4, 0) != a, "the order counts");
  OK(!depot_stack(0), "0 is no stack");
  OK(!depot_stack(depot_count() + 1), "nor is an id that was never given");
}

static uint32_t ids[threads][many];

static void *enter_all(void *arg) {
  uint32_t *out = arg;
  uintptr_t pc[64];
  for (unsigned i = 0; i < many; i++) {
    unsigned n = out == ids[0] ? i : (i * 7919u + (unsigned)(out - ids[0]) / many * 13) % many;
    out[n] = depot_enter(pc, stack_of(n, pc), 7);
  }
  return NULL;
}

static void test_threads(void) {
  pthread_t thread[threads];
  for (int i = 0; i < threads; i++) pthread_create(&thread[i], NULL, enter_all, ids[i]);
  for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  unsigned same = 0, right = 0;
  for (unsigned n = 0; n < many; n++) {
    uintptr_t pc[64];
    uint32_t count = stack_of(n, pc);
    bool agree = true;
    for (int i = 1; i < threads; i++) agree &= ids[i][n] == ids[0][n];
    same += agree;
    right += is(depot_stack(ids[0][n]), pc, count, 7);
  }
  OK(same == many, "threads that enter the same stacks at once agree on the ids (%u of %d)", same, many);
  OK(right == many, "and each id names the right stack");
  OK(depot_count() >= many && depot_count() < many * 41, "ids are dense");
}

static void test_fork(void) {
  uint32_t first = ids[0][0];
  pid_t child = fork();
  if (child == 0) {
    uintptr_t pc[64] = {9, 9, 9};
    bool good = depot_enter(pc, stack_of(0, pc), 7) == first;
    pc[0] = 12345;
    uint32_t id = depot_enter(pc, 3, 7);
    _exit(good && is(depot_stack(id), pc, 3, 7) ? 0 : 1);
  }
  int status;
  waitpid(child, &status, 0);
  OK(status == 0, "a fork child finds the stacks and enters more");
}

int main(void) {
  test_few();
  test_threads();
  test_fork();
  return tap_end();
}
