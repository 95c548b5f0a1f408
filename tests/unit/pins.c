/* SPDX-License-Identifier: MIT
 * What the kernel holds: the table against a model of it, several threads at once, and queued signals. */
#include "config.h"

#include "gc/pins.h"

#include "tap.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { pins_keys = 20000, pins_steps = 200000, pins_threads = 4 };

static uintptr_t model[pins_keys]; /* 0: not pinned */

static struct pin pin_of(uint64_t id, uintptr_t value) {
  struct pin pin = pins_of(PIN_EPOLL, id);
  pin.value[0] = value;
  pin.value[1] = value + 1;
  return pin;
}

/* Which of the values that are marked so are told. */
#define MARK ((uintptr_t)0x7177 << 40)

static void tell(uintptr_t lo, uintptr_t hi, void *arg) {
  uint32_t *seen = arg;
  for (const uintptr_t *word = (const uintptr_t *)lo; (uintptr_t)word < hi; word++)
    if (*word >> 40 == MARK >> 40 && (*word & 1) == 0) seen[(*word & 0xffffffff) >> 1]++;
}

static size_t count_told(uint32_t *seen) {
  memset(seen, 0, pins_keys * sizeof *seen);
  size_t count = 0;
  pins_each(tell, seen);
  for (size_t i = 0; i < pins_keys; i++) count += seen[i];
  return count;
}

static bool equals_model(void) {
  static uint32_t seen[pins_keys];
  size_t want = 0;
  for (size_t i = 0; i < pins_keys; i++) want += model[i] != 0;
  if (count_told(seen) != want) return false;
  for (size_t i = 0; i < pins_keys; i++)
    if (model[i] && !seen[(model[i] & 0xffffffff) >> 1]) return false;
  return true;
}

static void test_model(void) {
  uint64_t seed = tap_seed();
  bool good = true;
  for (int step = 0; step < pins_steps && good; step++) {
    uint64_t random = tap_random(&seed), id = random % pins_keys;
    struct pin taken;
    if (random >> 32 & 1) {
      /* each key's values are its own, or that of the other half, so that a change shows */
      model[id] = MARK | (id % (pins_keys / 2) + (random >> 33 & 1) * (pins_keys / 2)) << 1;
      struct pin pin = pin_of(id, model[id]);
      pins_set(&pin);
    } else {
      bool there = pins_take(pin_of(id, 0).key, &taken);
      good = there == (model[id] != 0) && (!there || (taken.value[0] == model[id] && taken.value[1] == model[id] + 1));
      model[id] = 0;
    }
    if (step % 20000 == 0) good = good && equals_model();
  }
  OK(good && equals_model(), "pins come and go as a model says");
  OK(pins_complete(), "none was lost");
  for (uint64_t id = 0; id < pins_keys; id++) {
    struct pin taken;
    pins_take(pin_of(id, 0).key, &taken);
    model[id] = 0;
  }
  OK(equals_model(), "and all can be let go");
}

/* Each with keys of its own. */
static void *churn(void *arg) {
  uintptr_t self = (uintptr_t)arg, bad = 0;
  for (uintptr_t round = 0; round < 40; round++) {
    for (uintptr_t i = self; i < pins_keys; i += pins_threads) {
      struct pin pin = pin_of(i, MARK | i << 1);
      pins_set(&pin);
    }
    for (uintptr_t i = self; i < pins_keys; i += pins_threads) {
      struct pin taken;
      if (i % 3 == round % 3) continue;
      bad += !pins_take(pin_of(i, 0).key, &taken) || taken.value[0] != (MARK | i << 1);
    }
  }
  return (void *)bad;
}

static void test_threads(void) {
  pthread_t threads[pins_threads];
  uintptr_t bad = 0;
  for (uintptr_t i = 0; i < pins_threads; i++) pthread_create(&threads[i], NULL, churn, (void *)i);
  for (int i = 0; i < pins_threads; i++) {
    void *result;
    pthread_join(threads[i], &result);
    bad += (uintptr_t)result;
  }
  OK(bad == 0, "threads that pin at once do not get into each other's way");
  for (uint64_t i = 0; i < pins_keys; i++) model[i] = i % 3 == 39 % 3 ? MARK | i << 1 : 0;
  OK(equals_model(), "and what they pinned is there, once");
  for (uint64_t i = 0; i < pins_keys; i++) {
    struct pin taken;
    pins_take(pin_of(i, 0).key, &taken);
    model[i] = 0;
  }
}

static void add_bytes(uintptr_t lo, uintptr_t hi, void *arg) { *(size_t *)arg += hi - lo; }

static void test_signals(void) {
  static uint32_t seen[pins_keys];
  sigset_t set;
  sigfillset(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);
  sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1});
  for (uintptr_t i = 1; i <= 3; i++) {
    struct pin pin = pins_of(i < 3 ? PIN_SIGNAL : PIN_THREAD_SIGNAL, (uint64_t)(i < 3 ? SIGRTMIN : SIGRTMIN + 1));
    pin.value[0] = MARK | i << 1;
    pins_set(&pin);
  }
  OK(count_told(seen) == 2 && seen[1] && seen[2], "values of a signal that is pending are told, of one that is not they are gone");
  siginfo_t info;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigwaitinfo(&set, &info);
  OK(count_told(seen) == 0, "once it is delivered, none");
  for (uintptr_t i = 0; i < 100000; i++) {
    struct pin pin = pins_of(PIN_SIGNAL, SIGUSR1);
    pins_set(&pin);
  }
  size_t bytes = 0;
  pins_each(add_bytes, &bytes);
  OK(bytes < 4 << 20, "signals that are queued and delivered without end take no more memory (%zu bytes)", bytes);
}

int main(void) {
  test_signals();
  test_model();
  test_threads();
  return tap_end();
}
