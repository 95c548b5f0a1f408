/* SPDX-License-Identifier: MIT
 * What threads leave behind: a result that waits to be joined is alive; their arguments, stacks and variables are not. */
#include "leaky_threads.h"

static __thread void *volatile tls_place;

static void *returner(void *arg) {
  (void)arg;
  return block_or_null();
}

/* @ result root=64 -- the result of a thread that nobody has joined yet */
static void result(void) {
  start(returner, NULL);
  wait_alone();
}

/* @ results -- of many */
static void results(void) {
  for (int i = 0; i < 30; i++) start(returner, NULL);
  wait_alone();
}

/* @ result_joined definite 1 64 frame=returner -- joined and forgotten it is lost */
static void result_joined(void) {
  pthread_t thread = start(returner, NULL);
  wait_alone();
  void *result_of_it;
  if (pthread_join(thread, &result_of_it)) abort();
}

/* @ result_detached definite 1 64 frame=returner -- the result of a detached thread is lost at once */
static void result_detached(void) {
  start_detached(returner, NULL);
  wait_alone();
}

static void *nothing(void *arg) {
  (void)arg;
  return NULL;
}

/* @ argument_joined definite 1 64 -- an argument that a joined thread did not free is lost */
static void argument_joined(void) {
  if (pthread_join(start(nothing, make(size)), NULL)) abort();
}

/* @ argument_gone definite 1 64 -- also when the thread was detached */
static void argument_gone(void) {
  start_detached(nothing, make(size));
  wait_alone();
}

static void *litterer(void *arg) {
  litter(size);
  return arg;
}

/* @ stack_joined definite 1 64 frame=litter -- the stack of a thread that was joined keeps nothing */
static void stack_joined(void) {
  if (pthread_join(start(litterer, NULL), NULL)) abort();
}

/* @ stack_gone definite 1 64 frame=litter -- nor that of a detached thread */
static void stack_gone(void) {
  start_detached(litterer, NULL);
  wait_alone();
}

/* @ stack_unjoined definite 1 64 frame=litter -- of a thread that waits to be joined only the result counts */
static void stack_unjoined(void) {
  start(litterer, make(size));
  wait_alone();
}

/* @ stack_reused definite 1 64 frame=litter -- what a thread left on a stack that another uses now is lost */
static void stack_reused(void) {
  if (pthread_join(start(litterer, NULL), NULL)) abort();
  start(sleeper, NULL);
  wait_ready(1);
}

static void *litter_and_sleep(void *arg) {
  (void)arg;
  litter(size);
  sleep_forever();
}

/* @ stack_below definite 1 64 frame=litter -- so is what a sleeping thread left below its stack pointer */
static void stack_below(void) {
  start(litter_and_sleep, NULL);
  wait_ready(1);
}

static void *tls_leaver(void *arg) {
  tls_place = make(size);
  return arg;
}

/* @ tls_joined definite 1 64 frame=tls_leaver -- thread-local variables die with their thread */
static void tls_joined(void) {
  if (pthread_join(start(tls_leaver, NULL), NULL)) abort();
}

static void *key_leaver(void *arg) {
  for (int i = 0; i < 64; i++) {
    pthread_key_t key;
    if (pthread_key_create(&key, NULL) || pthread_setspecific(key, make(size))) abort();
  }
  return arg;
}

/* @ key_joined definite 64 4096 -- so do thread-specific values without a destructor */
static void key_joined(void) {
  if (pthread_join(start(key_leaver, NULL), NULL)) abort();
}

/* @ dying -- threads in the middle of their end, with libc's own buffers */
static void dying(void) {
  for (int i = 0; i < 100; i++) start_detached(clean, make(size));
}

/* @ dead -- the same, all of them gone */
static void dead(void) {
  dying();
  wait_alone();
}

/* @ joined_many -- two hundred threads one after the other */
static void joined_many(void) {
  for (int i = 0; i < 200; i++)
    if (pthread_join(start(clean, make(size)), NULL)) abort();
}

static const struct scenario table[] = {
    SCENARIO(result), SCENARIO(results), SCENARIO(result_joined), SCENARIO(result_detached),
    SCENARIO(argument_joined), SCENARIO(argument_gone), SCENARIO(stack_joined), SCENARIO(stack_gone),
    SCENARIO(stack_unjoined), SCENARIO(stack_reused), SCENARIO(stack_below), SCENARIO(tls_joined),
    SCENARIO(key_joined), SCENARIO(dying), SCENARIO(dead), SCENARIO(joined_many),
};

SCENARIO_MAIN(table)
