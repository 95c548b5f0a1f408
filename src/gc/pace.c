/* SPDX-License-Identifier: MIT
 * When a collection is due. Must not know how one goes. */
#include "config.h"

#include "gc/pace.h"

#include "heap/heap.h"
#include "os/threads.h"

enum {
  pace_nursery_least = 4 << 20, /* stays in the caches; twice as much each time that minor collections take a quarter of the time, */
  pace_nursery_doublings = 4,
  pace_nursery_as_live = 32 << 20, /* up to here where the last collection left as much, */
  pace_nursery_most = 64 << 20,    /* and here where it is an eighth of what is old; half as much when they take a sixteenth */
  pace_grow_share = 3, pace_shrink_share = 15, /* of the program's time to theirs */
  pace_owned_ahead = 24 << 20,   /* that it may grow by, whatever collections cost; or by what is live, */
  pace_owned_doublings = 2,      /* up to four times that where collections found little */
  pace_owned_least = 16 << 20,   /* the program frees most itself */
  pace_old_share = 4,          /* CPython's quarter */
  pace_much = 8 << 20,         /* promoted: reason enough, however few collections there were */
  pace_old_least = 32 << 20,   /* promoted: less is not worth a full collection */
  pace_little_share = 8,       /* less than an eighth of the new bytes reclaimed: back off */
  pace_back_off_most = 20,     /* doublings */
  pace_look_again = 256 << 10, /* bytes; when what was due by bytes was not due otherwise */
  pace_failure_ns = 1000 * 1000 * 1000,
  pace_failure_dear_ns = 10 * 1000 * 1000, /* of a pause: each time on end the next is due twice as late */
  pace_failures_most = 10,
  pace_first_ns = 200 * 1000 * 1000, /* a program that ends sooner is left alone, unless it grows fast */
  pace_run_ahead = 64 << 20,   /* and half of what there was: of a concurrent marking */
  pace_owned_run_ahead = 12 << 20, /* or half of what is live */
  pace_divisor = 3,            /* libgc's own, for which our room is as is best */
  pace_nursery_bottom = 256 << 10, /* however little is wanted */
  pace_stay_share = 8, pace_stay_least = 1 << 20,
};

static struct {
  struct pace_settings settings;
  /* at the end of the last collection */
  _Atomic ptrdiff_t collected, owned; /* bytes in use, of collected kinds and pressure, and of the program's own */
  _Atomic size_t nursery;       /* bytes until the next is due */
  _Atomic uint64_t not_before;  /* process time, ns: for owned memory */
  size_t counts[collect_generations]; /* [0] not used */
  size_t promoted_1, promoted_2; /* bytes since generation 1, 2 was collected */
  unsigned grown;               /* doublings of the nursery */
  unsigned shorter;             /* halvings, for the sake of short pauses */
  unsigned minors;              /* collections since the last full one */
  size_t heap_most;             /* bytes that the blocks had when a collection was begun, at most */
  size_t stay_at;               /* and had when the heap was to stay as it is */
  uint64_t ended;               /* the last collection, in process time */
  _Atomic ptrdiff_t pressure;   /* bytes beside the heap, now */
  ptrdiff_t old_pressure;       /* and when the last full collection began */
  size_t old;                   /* bytes that the last full collection left, without what it did not prove to be alive: */
  size_t doubtful;              /* suspects, and what is newer than the marking */
  size_t live;                  /* old; before the first full collection what a minor one left */
  bool swept;                   /* a full one has been done */
  unsigned back_off;
  unsigned failed;              /* collections on end that were given up after a long pause */
} pace;

static ptrdiff_t pace_in_use(unsigned kind) { return atomic_load_explicit(&heap_in_use[kind], memory_order_relaxed); }

static bool pace_owns(void) { return sweep_policies[KIND_SCANNED] == SWEEP_SUSPECT; }
static ptrdiff_t pace_owned(void) { return pace_owns() ? pace_in_use(KIND_SCANNED) : 0; }
static ptrdiff_t pace_collected_kinds(void) { return pace_in_use(KIND_COLLECTED) + pace_in_use(KIND_POINTER_FREE) + pace_in_use(KIND_TYPED); }

static ptrdiff_t pace_pressed(void) { return atomic_load_explicit(&pace.pressure, memory_order_relaxed); }

static size_t pace_heap(void) {
  size_t bytes = 0;
  for (unsigned kind = 0; kind < kind_count; kind++) bytes += atomic_load_explicit(&heap_bytes[kind], memory_order_relaxed);
  return bytes;
}

/* By what they grew. */
static size_t pace_new_collected(void) {
  ptrdiff_t new = pace_collected_kinds() + pace_pressed() - atomic_load_explicit(&pace.collected, memory_order_relaxed);
  return new > 0 ? (size_t)new : 0;
}

static size_t pace_new_owned(void) {
  ptrdiff_t new = pace_owned() - atomic_load_explicit(&pace.owned, memory_order_relaxed);
  return new > 0 ? (size_t)new : 0;
}

static void pace_note(void) {
  atomic_store(&pace.owned, pace_owned());
  atomic_store(&pace.collected, pace_collected_kinds() + pace_pressed());
}

/* So much less of what is in use is not new. Nearly always there is but one of the two. */
static void pace_note_less(size_t bytes) {
  atomic_fetch_sub(pace_owned() > pace_collected_kinds() ? &pace.owned : &pace.collected, (ptrdiff_t)bytes);
}

/* A threshold that was set counts for both. */
static size_t pace_owned_nursery(void) {
  return pace.settings.threshold[0] ? pace.settings.threshold[0] : pace_owned_least;
}

/* When so much more is in use, something may be due. */
static void pace_set_alarm(size_t more) {
  atomic_store(&heap_alarm_at, heap_in_use_sum() + (ptrdiff_t)more);
}

/* So much of what the program owns may be new, whatever a collection costs: this bounds the heap by what is live. */
static size_t pace_owned_most(void) {
  size_t live = pace.live << (pace.back_off < pace_owned_doublings ? pace.back_off : pace_owned_doublings);
  return (live > pace_owned_ahead ? live : pace_owned_ahead) << pace.failed;
}

static void pace_expect(void) {
  size_t owned = pace_owned_nursery() << pace.back_off, most = pace_owned_most(), collected = atomic_load(&pace.nursery) << pace.failed;
  bool only_owned = pace_owns() && pace_collected_kinds() == 0;
  if (owned > most) owned = most;
  pace_set_alarm(only_owned ? owned : collected);
}

/* Room for garbage, as the program wants it by libgc's divisor. */
static size_t pace_room(size_t bytes) {
  return pace.settings.divisor ? bytes / pace.settings.divisor * pace_divisor : bytes;
}

static size_t pace_at_most(size_t bytes, size_t most) { return bytes < most ? bytes : most; }

static size_t pace_best_nursery(void) {
  ptrdiff_t left = atomic_load_explicit(&pace.collected, memory_order_relaxed);
  size_t most = pace_at_most(pace.old / 8, pace_nursery_most), as_live = pace_at_most(left > 0 ? (size_t)left : 0, pace_nursery_as_live);
  if (most < as_live) most = as_live;
  if (most < pace_nursery_least) most = pace_nursery_least;
  size_t nursery = (size_t)pace_nursery_least << pace.grown;
  nursery = pace_room(nursery > most ? most : nursery) >> pace.shorter;
  return nursery > pace_nursery_bottom ? nursery : pace_nursery_bottom;
}

static void pace_choose_nursery(void) {
  size_t nursery = pace.settings.threshold[0];
  if (!nursery) nursery = pace_best_nursery();
  if (nursery < pace.settings.nursery_least) nursery = pace.settings.nursery_least;
  atomic_store(&pace.nursery, nursery);
}

void pace_set(const struct pace_settings *settings) {
  if (settings->stay && !pace.settings.stay) pace.stay_at = pace_heap();
  if (!settings->pause_ns) pace.shorter = 0;
  pace.settings = *settings;
  pace_choose_nursery();
  pace_expect();
}

void pace_get(struct pace_settings *settings) { *settings = pace.settings; }

void pace_init(const struct pace_settings *settings) {
  pace_set(settings);
  pace_note();
  atomic_store(&pace.not_before, pace_first_ns);
}

/* What grew old since the last full collection, and how much of that makes one due. */
static size_t pace_promoted(void) {
  ptrdiff_t pressed = pace_pressed() - pace.old_pressure;
  return pace.promoted_2 + (pressed > 0 ? (size_t)pressed : 0);
}

static size_t pace_promoted_due(void) {
  size_t share = (pace.old + (size_t)pace.old_pressure) / pace_old_share, least = pace_owns() ? 0 : pace_old_least;
  return pace_room(share > least ? share : least);
}

/* Which generation it is to be, when one is due. */
static unsigned pace_generation(enum collect_reason *reason) {
  size_t nursery = atomic_load(&pace.nursery), promoted = pace_promoted();
  bool enough_1 = pace.counts[1] + 1 >= pace.settings.threshold[1] || pace.promoted_1 >= nursery / 2;
  bool enough_2 = pace.counts[2] + 1 >= pace.settings.threshold[2] || promoted >= pace_much;
  *reason = COLLECT_YOUNG;
  if (pace.settings.full_every && pace.minors + 1 >= pace.settings.full_every) return 2;
  if (enough_2 && promoted > pace_promoted_due()) {
    *reason = COLLECT_OLD;
    return 2;
  }
  return enough_1 || pace_owns() ? 1 : 0;
}

unsigned pace_full_progress(void) {
  enum { all = 100 };
  size_t promoted = pace_promoted(), due = pace_promoted_due() + 1;
  return promoted >= due ? all : (unsigned)(promoted * all / due);
}

/* Owned memory is looked at only as often as the program can afford. */
static bool pace_may_afford(void) { return os_process_clock() >= atomic_load(&pace.not_before); }

void pace_later(void) { pace_set_alarm(pace_look_again); }

/* The heap is to stay as it is, and has grown all the same since it was looked at. */
static bool pace_stays(size_t new) {
  size_t heap = pace_heap(), least = heap / pace_stay_share;
  if (least < pace_stay_least) least = pace_stay_least;
  return pace.settings.stay && heap > pace.stay_at && heap > pace.settings.initial_heap && new >= least;
}

/* There is room in the heap as it is, and all of it is to be used first. */
static bool pace_has_room(void) {
  return pace.settings.entire && heap_in_use_sum() < (ptrdiff_t)(pace.heap_most - pace.heap_most / pace_stay_share);
}

bool pace_is_due(unsigned *generation, enum collect_reason *reason) {
  size_t nursery = atomic_load(&pace.nursery), collected = pace_new_collected(), owned = pace_new_owned();
  bool due = collected >= nursery << pace.failed || ((owned >> pace.back_off) >= pace_owned_nursery() && pace_may_afford());
  bool much = owned >= pace_owned_most();
  if (pace_heap() < pace.settings.initial_heap || nursery == PACE_NEVER || pace_has_room()) due = much = false;
  if (!due && !much && pace_stays(collected)) {
    *generation = 2;
    *reason = COLLECT_GROWN;
    return true;
  }
  if (!due && !much) {
    pace_later();
    return false;
  }
  *generation = pace_generation(reason);
  if (!due && *generation < 2 && pace.counts[2] > 0) { /* what was promoted may be garbage, and keep what is new */
    *generation = 2;
    *reason = COLLECT_GROWN;
  }
  return true;
}

bool pace_is_ahead(size_t began_with) {
  size_t owned = pace.live / 2 > pace_owned_run_ahead ? pace.live / 2 : pace_owned_run_ahead;
  size_t most = pace_owned() > pace_collected_kinds() ? owned : began_with / 2 + pace_run_ahead;
  return heap_in_use_sum() > (ptrdiff_t)(began_with + most);
}

void pace_press(ptrdiff_t bytes) {
  ptrdiff_t most = PTRDIFF_MAX / 4, old = pace_pressed(), new;
  do {
    new = bytes > most - old ? most : old + bytes;
    if (new < 0) new = 0;
  } while (!atomic_compare_exchange_weak(&pace.pressure, &old, new));
  if (bytes > 0 && pace_new_collected() >= atomic_load(&pace.nursery)) atomic_store(&heap_alarm, true);
}

void pace_count(ptrdiff_t bytes) {
  atomic_fetch_sub(&pace.collected, bytes);
  if (bytes > 0 && pace_new_collected() >= atomic_load(&pace.nursery)) atomic_store(&heap_alarm, true);
}

size_t pace_pressure(void) { return (size_t)pace_pressed(); }

void pace_counts(size_t counts[collect_generations]) {
  counts[0] = pace_new_collected() + pace_new_owned();
  counts[1] = pace.counts[1];
  counts[2] = pace.counts[2];
}

/* Little of what is new was found to be garbage: the next is due twice as late. Counts what is spared this once. */
static void pace_back_off(const struct sweep_counts *swept, size_t new) {
  size_t found = swept->bytes + swept->suspect_bytes;
  if (!pace_owns()) return;
  if (found >= new / pace_little_share) pace.back_off = 0;
  else if (pace.back_off < pace_back_off_most) pace.back_off++;
}

static void pace_set_pause(uint64_t cost) {
  unsigned percent = pace.settings.cpu_percent ? pace.settings.cpu_percent : 1;
  atomic_store(&pace.not_before, os_process_clock() + cost * (100 - percent) / percent);
}

/* Half as much for the nursery when one took too long, as far as that helps. */
static void pace_learn_pause(uint64_t pause) {
  enum { most = 6, easily = 4 };
  if (!pace.settings.pause_ns) return;
  if (pause > pace.settings.pause_ns && pace.shorter < most) pace.shorter++;
  if (pause < pace.settings.pause_ns / easily && pace.shorter > 0) pace.shorter--;
}

/* What minor collections cost beside the program: the nursery follows. */
static void pace_learn_cost(uint64_t cost) {
  uint64_t all = os_process_clock() - pace.ended, own = all > cost ? all - cost : 0;
  if (own < cost * pace_grow_share && pace.grown < pace_nursery_doublings) pace.grown++;
  if (own > cost * pace_shrink_share && pace.grown > 0) pace.grown--;
}

/* How much is young by now, and how much grew old. */
static void pace_count_minor(const struct collection *facts, size_t new) {
  size_t promoted_1 = facts->swept.survived_bytes - facts->swept.promoted_bytes;
  pace_learn_cost(facts->cost_ns);
  pace_learn_pause(facts->pause_ns);
  pace_choose_nursery();
  pace_back_off(&facts->swept, new);
  ptrdiff_t kept = pace_owned() - (ptrdiff_t)facts->swept.suspect_bytes;
  if (!pace.swept) pace.live = kept > 0 ? (size_t)kept : 0;
  pace.promoted_1 = facts->generation == 0 ? pace.promoted_1 + promoted_1 : promoted_1;
  pace.promoted_2 += facts->swept.promoted_bytes;
  pace.counts[1] = facts->generation == 0 ? pace.counts[1] + 1 : 0;
  if (facts->generation == 1) pace.counts[2]++;
  pace.minors++;
}

/* What was allocated while it was marked, as far as it was not freed. */
static size_t pace_newer(const struct collection *facts) {
  ptrdiff_t newer = facts->concurrent ? heap_in_use_sum() - (ptrdiff_t)facts->heap_before : 0;
  return newer > 0 ? (size_t)newer : 0;
}

/* The rest when it is swept. The suspects are old now, and garbage: much of it is worth another one. */
static void pace_count_full(const struct collection *facts, size_t new) {
  size_t newer = pace_newer(facts);
  pace_back_off(&facts->swept, new);
  pace_note_less(newer);
  pace.doubtful = facts->swept.suspect_bytes + newer;
  pace.promoted_1 = 0;
  pace.old_pressure = pace_pressed();
  pace.promoted_2 = facts->swept.suspect_bytes;
  pace.counts[1] = pace.counts[2] = 0;
  pace.minors = 0;
}

void pace_collected(const struct collection *facts) {
  size_t new = pace_new_collected() + pace_new_owned(), heap = pace_heap();
  if (heap > pace.heap_most) pace.heap_most = heap;
  pace_note();
  if (!facts->error) pace.failed = 0;
  else if (facts->pause_ns >= pace_failure_dear_ns && pace.failed < pace_failures_most) pace.failed++;
  if (facts->error) {
    atomic_store(&pace.not_before, os_process_clock() + pace_failure_ns);
  } else {
    pace_set_pause(facts->cost_ns + (facts->concurrent ? facts->mark_ns : 0));
    if (facts->generation == 2) pace_count_full(facts, new);
    else pace_count_minor(facts, new);
  }
  pace.ended = os_process_clock();
  pace_expect();
}

void pace_swept(const struct sweep_counts *counts) {
  pace.old = counts->survived_bytes > pace.doubtful ? counts->survived_bytes - pace.doubtful : 0;
  pace.live = pace.old;
  pace.swept = true;
  pace_note_less(counts->bytes);
  pace_choose_nursery();
  pace_expect();
}

void pace_fork_child(void) {
  atomic_store(&pace.not_before, 0);
  pace_note();
  pace_expect();
}
