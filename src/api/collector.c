/* SPDX-License-Identifier: MIT
 * Whether there is a collector, when it runs, and who is told. Must not know how it collects.
 *
 * Longer than other files: who is at it, and who is in a callback, is known here alone, and all that begins a collection asks for it. */
#include "config.h"

#include "api/collector.h"

#include "api/gc_dump.h"
#include "api/gc_errands.h"
#include "api/hooks.h"
#include "gc/remember.h"
#include "gc/roots.h"
#include "gc/suspend.h"
#include "gc/workers.h"
#include "heap/heap.h"
#include "os/spawn.h"
#include "os/threads.h"

#include <errno.h>
#include <string.h>

enum {
  collector_sweep_units = 4,  /* at each slow path, after a full collection */
  collector_sweep_share = 16, /* units for each that a large object takes: most units of large ones cost nothing */
  collector_stress_every = 64,
};

bool collector_is_armed;
void (*collector_other_roots)(void);
bool (*collector_wants_exact)(void);

static _Atomic int collector_arming; /* 0, or 1 while one thread arms, 2 afterwards */
static _Atomic int collector_refused; /* why it cannot be armed */
static bool collector_declared_roots; /* malloc is not ours: libgc's roots */
static _Atomic bool collector_busy; /* a thread collects, or tells of it: before and after come in pairs */
static _Atomic bool collector_finishing; /* a thread ends a concurrent one */
static _Atomic ptrdiff_t collector_began_with; /* bytes in use when a concurrent one had its first pause */
static _Atomic bool collector_telling; /* a callback may be running meanwhile, */
static _Atomic uint32_t collector_turns; /* in this turn of being busy */

/* This thread is in a callback of a collection, or about to begin one; and what it has to give back then. */
static THREAD_LOCAL struct {
  bool inside, busy, finishing;
  volatile bool near; /* of one of these: it may be so already */
} collector_mine;

/* In a signal handler: others wait for this thread. */
static bool collector_is_at_it(void) { return collector_mine.near || collector_mine.inside || sweep_is_mine(); }

/* --- arming --- */

bool collector_is_exact(void) {
  bool exact = !hook_serves_malloc && collector_wants_exact && collector_wants_exact();
  region.collected_extra = !exact;
  return exact;
}

static void collector_settle(void) {
  struct pace_settings settings = {
      .threshold = {birth_options.threshold0, (size_t)birth_options.threshold1, (size_t)birth_options.threshold2},
      .cpu_percent = (unsigned)birth_options.gc_cpu,
      .initial_heap = birth_options.initial_heap,
  };
  if (birth_options.mode == MODE_COLLECT && hook_serves_malloc) sweep_policies[KIND_SCANNED] = SWEEP_SUSPECT;
  collector_declared_roots = !hook_serves_malloc;
  sweep_poison = birth_options.poison;
  remember_init((enum track_way)birth_options.write_tracking);
  pace_init(&settings);
  collector_is_exact();
}

static int collector_arm_first(void) {
  int error = world_signal ? 0 : world_init();
  if (error) return error;
  os_spawn_init();
  collector_consult(COLLECTOR_ARMING);
  suspend_not_now = collector_is_at_it;
  collector_settle();
  collector_is_armed = true;
  collector_consult(COLLECTOR_ARMED);
  atomic_store(&heap_alarm, true);
  return 0;
}

int collector_arm(void) {
  if (likely(collector_is_armed)) return 0;
  if (!birth_ensure()) return ENOMEM;
  if (birth_options.mode == MODE_LEAKS) return ENOTSUP;
  int begun = 0;
  if (atomic_compare_exchange_strong(&collector_arming, &begun, 1)) {
    atomic_store(&collector_refused, collector_arm_first());
    atomic_store(&collector_arming, 2);
  }
  while (atomic_load(&collector_arming) == 1) os_thread_sleep(10 * 1000);
  return atomic_load(&collector_refused);
}

void collector_begin(void) {
  if (birth_options.mode == MODE_COLLECT) collector_arm();
}

/* --- who is at it --- */

static bool collector_take(void) {
  bool busy = false;
  collector_mine.near = true;
  if (!atomic_compare_exchange_strong(&collector_busy, &busy, true)) return collector_mine.near = false;
  atomic_fetch_add(&collector_turns, 1);
  return collector_mine.busy = collector_mine.inside = true;
}

static void collector_give_back(void) {
  collector_mine.inside = false;
  if (collector_mine.finishing) atomic_store(&collector_finishing, false);
  if (collector_mine.busy) {
    atomic_store(&collector_telling, false);
    atomic_store(&collector_busy, false);
  }
  collector_mine.busy = collector_mine.finishing = collector_mine.near = false;
}

/* A callback was left by longjmp, an exception or the end of its thread. What is given back too early, because it was not left but
 * lies on another stack, is not given back again when it returns. */
static void collector_abandon(void) {
  gc_events_leave();
  collector_give_back();
  atomic_store(&heap_alarm, true);
}

static THREAD_LOCAL bool collector_out; /* this thread has a lock that collections take */

bool collector_is_inside(void) {
  if (likely(!collector_mine.inside)) return collector_out;
  if (!gc_events_are_left()) return true;
  collector_abandon();
  return false;
}

void collector_thread_end(void) {
  if (collector_mine.inside) collector_abandon();
}

/* --- collecting --- */

/* What lies below the stack pointer is a root, for a coroutine's stack may be carved out of a thread's. So no value of the
 * program's that we saved there may be left: it would stay until something overwrites it, and a queue to whose middle it leads grows
 * for ever. A program has room for this: the loader takes more when it binds a name. */
static __attribute__((noinline)) void collector_wipe(void) {
  char below[2048];
  memset(below, 0, sizeof below);
  __asm__ volatile("" : : "r"(below) : "memory");
}

/* All that the caller keeps in registers, and its stack from here up. */
struct collector_registers {
  uintptr_t saved[8];
};

/* The callee-saved registers are in an array of ours, which is told as if it were a signal frame; all others the callers
 * have saved on the stack. */
static __attribute__((noinline)) bool collector_collect(struct collect_request *request, struct collection *facts,
                                                        bool (*act)(const struct collect_request *, struct collection *)) {
  struct collector_registers registers = {0};
  collector_wipe();
  __asm__ volatile("movq %%rbx, 0(%0)\n\tmovq %%rbp, 8(%0)\n\tmovq %%r12, 16(%0)\n\tmovq %%r13, 24(%0)\n\t"
                   "movq %%r14, 32(%0)\n\tmovq %%r15, 40(%0)\n\tmovq %%rsp, 48(%0)"
                   :
                   : "r"(registers.saved)
                   : "memory");
  request->self = (struct world_thread){
      .tid = os_thread_id(),
      .stopped = true,
      .sp = (uintptr_t)&registers,
      .frame_lo = (uintptr_t)&registers,
      .frame_hi = (uintptr_t)(&registers + 1),
  };
  return act(request, facts);
}

/* Marking while the program runs takes longer: it pays where the pause would be felt, and a processor is free for it. */
static bool collector_wants_concurrent(unsigned generation, enum collect_reason reason) {
  enum { least = 64 << 20 };
  bool asked = reason == COLLECT_ASKED || reason == COLLECT_MEMORY; /* somebody waits for it */
  if (generation < 2 || asked || birth_options.concurrent == CONCURRENT_OFF) return false;
  return birth_options.concurrent == CONCURRENT_ON || collector_wishes.concurrent || (heap_in_use_sum() >= least && workers_best((size_t)least << 10) > 1);
}

static struct collect_request collector_request(unsigned generation, enum collect_reason reason) {
  bool by_itself = reason == COLLECT_YOUNG || reason == COLLECT_OLD || reason == COLLECT_GROWN;
  return (struct collect_request){
      .generation = generation,
      .reason = reason,
      .off = reason == COLLECT_ASKED ? collector_is_forbidden : collector_is_disabled,
      .stop = by_itself ? collector_wishes.stop : NULL,
      .markers = (unsigned)birth_options.markers,
      .concurrent = collector_wants_concurrent(generation, reason),
      .declared_roots = collector_declared_roots,
      .used = birth_knows,
      .no_libraries = collector_wishes.no_libraries,
      .segment = collector_wishes.segment,
      .unaligned = birth_options.unaligned,
      .exact = collector_is_exact(),
      .other_roots = collector_other_roots,
      .stopped = gc_events_stopped(),
  };
}

static void collector_tidy(void) {
  cache_tidy(birth_cache_if_any());
  heap_purge(false);
}

static void collector_tell_swept(void) {
  struct sweep_counts counts;
  if (collector_is_inside() || !collect_swept(&counts)) return;
  collector_mine.inside = true;
  pace_swept(&counts);
  gc_events_swept(&counts);
  collector_tidy();
  collector_mine.inside = false;
}

static void collector_tell(const struct collection *facts) {
  pace_collected(facts);
  atomic_store(&collector_telling, true);
  gc_events_after(facts);
  gc_errands_tell_awaited();
  if (facts->swept.bytes) collector_tidy();
  atomic_store(&heap_alarm, true); /* there may be something to sweep */
}

/* Not in a callback of a collection; nor in a vfork child, which shares the memory of threads that it cannot stop. */
static bool collector_may(void) { return collector_is_armed && !collector_is_inside() && birth_is_mine(); }

/* The second half of a concurrent collection, by whoever comes first. Waits for its marking. While collections are disabled it is given up
 * instead, without a stop: all that is newer than its first stop would live on, and be older. */
static void collector_finish(void) {
  struct collection facts;
  struct collect_request request = collector_request(2, COLLECT_OLD);
  bool finishing = false;
  if (collector_is_inside()) return;
  collector_mine.near = true;
  if (!atomic_compare_exchange_strong(&collector_finishing, &finishing, true)) {
    collector_mine.near = false;
    return;
  }
  int saved = errno;
  collector_mine.inside = collector_mine.finishing = true;
  if (collector_collect(&request, &facts, collector_is_disabled() ? collect_give_up : collect_finish)) {
    collector_mine.busy = true; /* as it has been since the collection began */
    collector_tell(&facts);
  }
  collector_give_back();
  errno = saved;
}

/* The program may run ahead of the marking for a while, then it has to wait. Disabled, it stays as it is so long: collections may come back soon. */
static void collector_attend(void) {
  bool ahead = pace_is_ahead((size_t)atomic_load(&collector_began_with));
  if (collector_is_disabled() && !ahead) {
    atomic_store(&heap_alarm, birth_options.stress);
    pace_later();
    if (!collector_is_disabled()) atomic_store(&heap_alarm, true); /* it was enabled just now, which rang in vain */
  } else if (ahead || collect_progress() == COLLECT_MARKED) {
    collector_finish();
  }
}

static void collector_tell_before(const struct collect_request *request) {
  struct collection before = {.generation = request->generation, .reason = request->reason, .began = os_clock()};
  atomic_store(&collector_telling, true);
  gc_events_before(&before);
  gc_finalize_ask();
  if (collector_mine.busy) atomic_store(&collector_telling, false);
}

/* False: another thread is at it, or collections are disabled. */
static bool collector_once(struct collect_request *request, struct collection *facts) {
  if (request->off() || !collector_take()) return false;
  int saved = errno;
  gc_region_break();
  collector_tell_before(request);
  if (!collector_mine.busy && !collector_take()) {
    errno = saved;
    return false;
  }
  bool done = collector_collect(request, facts, collect);
  if (done && facts->concurrent && !facts->error) {
    collector_began_with = heap_in_use_sum(); /* it stays busy until collector_finish */
    collector_mine.busy = false;
    atomic_store(&heap_alarm, true);
  } else if (done) {
    collector_tell(facts);
  }
  collector_give_back();
  errno = saved;
  return done;
}

struct collector_patience {
  uint32_t turn;
  uint64_t last, waited; /* ns */
};

/* For another thread, whose callback may not come to an end, or wait for this one. False: long enough. A time in which this thread did not run
 * does not count: nor may the other have. */
static bool collector_wait(struct collector_patience *patience) {
  const uint64_t most = (uint64_t)1 << 30, lap_most = (uint64_t)10 << 20; /* a second, in a callback */
  uint64_t lap = os_clock_lap(&patience->last);
  uint32_t turns = atomic_load(&collector_turns);
  bool callback = atomic_load(&collector_telling) && turns == patience->turn;
  patience->waited = callback ? patience->waited + (lap < lap_most ? lap : lap_most) : 0;
  patience->turn = turns;
  if (patience->waited > most) return false;
  os_thread_sleep(50 * 1000);
  return true;
}

static void collector_sweep_all(void) {
  while (collect_sweep(64)) continue;
  collector_tell_swept();
}

static void collector_add_swept(struct collection *facts) {
  struct sweep_counts swept;
  sweep_totals(&swept);
  swept.suspects = facts->swept.suspects;
  swept.suspect_bytes = facts->swept.suspect_bytes;
  facts->swept = swept;
  facts->heap_after = facts->heap_before > swept.bytes ? facts->heap_before - swept.bytes : 0;
}

/* Whatever else is under way comes to its end first, or is given up. */
static bool collector_run_request(struct collect_request *request, struct collection *facts) {
  *facts = (struct collection){.error = EBUSY};
  if (!collector_may()) return false;
  birth_cache(); /* so that the thread's end is noticed, should it come in a callback */
  struct collector_patience patience = {.last = os_clock()};
  while (!collector_once(request, facts)) { /* another one first */
    if (request->off()) {
      facts->error = EPERM;
      return false;
    }
    if (collect_progress() != COLLECT_IDLE) collector_finish();
    else if (!collector_wait(&patience)) return false;
  }
  if (request->generation == 2) {
    while (!sweep_is_done()) {
      collector_sweep_all();
      if (!sweep_is_done()) os_thread_sleep(20 * 1000);
    }
    collector_tell_swept();
    collector_add_swept(facts);
  }
  return facts->error == 0;
}

bool collector_run(unsigned generation, enum collect_reason reason, struct collection *facts) {
  collector_consult(COLLECTOR_DECIDING);
  struct collect_request request = collector_request(generation, reason);
  return collector_run_request(&request, facts);
}

bool collector_run_until(int (*stop)(void), struct collection *facts) {
  collector_consult(COLLECTOR_DECIDING);
  struct collect_request request = collector_request(collect_generations - 1, COLLECT_ASKED);
  request.stop = stop;
  request.off = collector_is_disabled;
  return collector_run_request(&request, facts);
}

static void collector_stress(void) {
  static _Atomic unsigned count;
  unsigned n = atomic_fetch_add(&count, 1);
  struct collection facts;
  if (n % collector_stress_every || !collector_may()) return;
  struct collect_request request = collector_request(n / collector_stress_every % collect_generations, COLLECT_STRESS);
  collector_once(&request, &facts);
}

void collector_sweep_for(size_t bytes) {
  if (likely(!atomic_load_explicit(&heap_alarm, memory_order_relaxed)) || !collector_is_armed || collector_mine.inside) return;
  size_t units = (bytes >> block_unit_shift) * collector_sweep_share;
  collect_sweep(units < UINT32_MAX ? (unsigned)units : UINT32_MAX);
}

/* True: one was begun, or tried. */
static bool collector_begin_due(void) {
  unsigned generation;
  enum collect_reason reason;
  struct collection facts;
  collector_consult(COLLECTOR_DECIDING);
  if (collector_is_disabled() || collector_wishes.by_hand || gc_region_holds()) {
    pace_later(); /* a variable may be set without a call */
    return false;
  }
  if (birth_options.stress) collector_stress();
  if (!pace_is_due(&generation, &reason) || !collector_may()) return false;
  struct collect_request request = collector_request(generation, reason);
  collector_once(&request, &facts);
  return true;
}

static __attribute__((noinline)) void collector_poll_now(void) {
  gc_dump_poll();
  if (!collector_is_armed || collector_is_inside() || collect_sweep(collector_sweep_units)) return;
  if (collect_progress() != COLLECT_IDLE && birth_is_mine()) {
    collector_attend();
    return;
  }
  collector_tell_swept();
  atomic_store(&heap_alarm, birth_options.stress); /* before looking: what rings it later is seen to later */
  collector_begin_due();
}

void collector_poll_slow(void) {
  collector_poll_now();
  collector_wipe();
}

void collector_rest(void) {
  if (collect_progress() != COLLECT_IDLE && birth_is_mine()) collector_finish();
}

bool collector_step(unsigned blocks) {
  if (collector_arm() != 0 || collector_is_inside() || !birth_is_mine() || collector_is_disabled()) return false;
  if (collect_sweep(blocks)) return true;
  if (collect_progress() == COLLECT_MARKED) {
    collector_finish();
    return true;
  }
  if (collect_progress() == COLLECT_MARKING) { /* by others */
    os_thread_sleep(50 * 1000);
    return true;
  }
  collector_tell_swept();
  return collector_begin_due();
}

void collector_start(void) {
  struct collection facts;
  if (collector_arm() != 0 || !collector_may() || collector_is_disabled() || collect_progress() != COLLECT_IDLE) return;
  struct collect_request request = collector_request(2, COLLECT_OLD);
  request.concurrent = birth_options.concurrent != CONCURRENT_OFF;
  collector_sweep_all();
  collector_once(&request, &facts);
}

/* Twice where something was spared the first time, and as often as the program wants besides. */
bool collector_make_room(size_t bytes) {
  struct collection facts = {0};
  size_t found = 0;
  (void)bytes;
  collector_consult(COLLECTOR_DECIDING);
  if (!collector_run(2, COLLECT_MEMORY, &facts)) return false;
  found = facts.swept.bytes;
  for (unsigned more = collector_wishes.retries + (facts.swept.suspect_bytes > 0); more > 0; more--)
    if (collector_run(2, COLLECT_MEMORY, &facts)) found += facts.swept.bytes;
  return found > 0;
}

/* --- control --- */

static bool collector_act_freeze(const struct collect_request *request, struct collection *facts) {
  facts->error = collect_freeze(request);
  return true;
}

static bool collector_act_unfreeze(const struct collect_request *request, struct collection *facts) {
  facts->error = collect_unfreeze(request);
  return true;
}

int collector_freeze(bool freeze) {
  struct collection facts;
  int error = collector_arm();
  if (error) return error;
  if (collector_is_inside()) return EBUSY;
  struct collect_request request = collector_request(2, COLLECT_ASKED);
  collector_rest();
  collector_sweep_all();
  collector_mine.inside = true; /* a handler that interrupts this must not collect */
  collector_collect(&request, &facts, freeze ? collector_act_freeze : collector_act_unfreeze);
  collector_mine.inside = false;
  return facts.error;
}

struct collector_looking {
  struct collect_request request; /* first: collector_act_look finds the rest by it */
  void (*look)(void *arg);
  void *arg;
};

static bool collector_act_look(const struct collect_request *request, struct collection *facts) {
  const struct collector_looking *looking = (const struct collector_looking *)request;
  facts->error = collect_look(request, looking->look, looking->arg);
  return true;
}

/* A concurrent collection may begin again and again before this thread has its turn. */
int collector_look(void (*look)(void *arg), void *arg) {
  struct collection facts = {.error = EBUSY};
  int saved = errno, error = collector_arm();
  if (error) return error;
  if (!collector_may()) return EBUSY;
  struct collector_looking looking = {collector_request(2, COLLECT_ASKED), look, arg};
  while (facts.error == EBUSY) {
    collector_rest();
    collector_sweep_all();
    collector_mine.inside = true; /* a handler that interrupts this must not collect */
    collector_collect(&looking.request, &facts, collector_act_look);
    collector_mine.inside = false;
    if (facts.error == EBUSY) os_thread_sleep(2 * 1000 * 1000); /* so that who waits for the world has it once */
  }
  errno = saved;
  return facts.error;
}

bool collector_stay_out(bool out) {
  bool before = collector_out;
  collector_out = out;
  return before;
}

void collector_fork_child(void) {
  if (atomic_load(&collector_arming) == 1) atomic_store(&collector_arming, 0); /* who was at it is gone */
  if (!collector_mine.busy) {
    atomic_store(&collector_busy, false);
    atomic_store(&collector_telling, false);
  }
  if (!collector_mine.finishing) atomic_store(&collector_finishing, false);
  if (!collector_is_armed) return;
  collect_fork_child(birth_cache_if_any());
  remember_fork_child();
  pace_fork_child();
  gc_events_fork_child();
  gc_errands_fork_child();
}
