/* SPDX-License-Identifier: MIT
 * See shadow.h. */
#include "config.h"

#include "shadow.h"

#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { shadow_whole = 2048, shadow_told = 12 };

struct shadow_seat *shadow_seats[shadow_most_seats];
unsigned shadow_seat_count;
_Atomic unsigned shadow_errors;
unsigned shadow_checkpoint = 1;
static _Atomic uint64_t shadow_serial;
struct shadow_shared shadow_table[shadow_shared_places];

/* The nodes still to be looked into by a trace. */
static uint32_t *shadow_pending;
static size_t shadow_pending_count;

/* Which node has an address, by its complement: open addressing, cleared for each use. */
static uint32_t *shadow_by_address;
static size_t shadow_by_address_size;

void *shadow_map(size_t bytes) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

void shadow_begin(unsigned seats) {
  size_t nodes = (size_t)seats * shadow_seat_nodes;
  shadow_seat_count = seats;
  for (unsigned i = 0; i < seats; i++) {
    shadow_seats[i] = shadow_map(sizeof *shadow_seats[i]);
    shadow_seats[i]->number = i;
  }
  shadow_pending = shadow_map(nodes * sizeof *shadow_pending);
  for (shadow_by_address_size = 1024; shadow_by_address_size < 2 * nodes;) shadow_by_address_size *= 2;
  shadow_by_address = shadow_map(shadow_by_address_size * sizeof *shadow_by_address);
}

struct shadow_node *shadow_node(uint32_t ref) {
  if (ref == 0) return NULL;
  return &shadow_seats[(ref - 1) / shadow_seat_nodes]->node[(ref - 1) % shadow_seat_nodes];
}

unsigned shadow_owner(uint32_t ref) { return (ref - 1) / shadow_seat_nodes; }

/* --- what objects hold --- */

static uint64_t shadow_mix(uint64_t id, uint64_t i) {
  uint64_t x = id * 0x9e3779b97f4a7c15u + i * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 29)) * 0x94d049bb133111ebu;
  return x ^ (x >> 32);
}

/* Words of this form are no address of any program. */
static uint64_t shadow_pattern(const struct shadow_node *n, size_t i) {
  return (shadow_mix(n->id, i) & 0x00ffffffffffffffu) | 0xa500000000000000u;
}

/* A quarter of all objects is known to places by pointers inside alone. */
uintptr_t shadow_root_word(const struct shadow_node *n) {
  return shadow_address(n) + (n->id % 4 ? 0 : shadow_mix(n->id, 77) % (n->size + 1));
}

uintptr_t shadow_link_word(const struct shadow_node *from, unsigned i, const struct shadow_node *to) {
  uint64_t how = shadow_mix(from->id, i) ^ to->id;
  return shadow_address(to) + (how % 3 ? 0 : how / 4 % (to->size + 1));
}

/* The words that are always the same begin behind the links or the decoy. */
static size_t shadow_first(const struct shadow_node *n) {
  return 1 + (size_t)n->links + (n->kind == SHADOW_POINTER_FREE && n->size >= 16);
}

/* Of a large object both ends, and a few words a page; the others are zero, since what lay there before would be taken for pointers. */
static size_t shadow_next(const struct shadow_node *n, size_t i) {
  size_t words = n->size / 8;
  if (n->size <= shadow_whole || i < 16 || i + 17 > words) return i + 1;
  size_t next = i + 509;
  return next < words - 16 ? next : words - 16;
}

static uint64_t *shadow_words(const struct shadow_node *n) { return (uint64_t *)shadow_address(n); }

void shadow_fill(struct shadow_node *n) {
  uint64_t *word = shadow_words(n);
  size_t first = shadow_first(n) * sizeof *word;
  if (n->size > shadow_whole) memset((char *)word + first, 0, n->size - first);
  if (n->size >= 8) word[0] = shadow_pattern(n, 0);
  for (size_t i = shadow_first(n); i < n->size / 8; i = shadow_next(n, i)) word[i] = shadow_pattern(n, i);
  uint64_t last = shadow_pattern(n, n->size / 8);
  memcpy(word + n->size / 8, &last, n->size % 8);
}

void shadow_tell(const char *what, const struct shadow_node *n) {
  tap_note("%s: object %#lx of %zu bytes, kind %u, %u links, id %#llx, born at checkpoint %u", what,
           (unsigned long)shadow_address(n), n->size, n->kind, n->links, (unsigned long long)n->id, n->born);
}

void shadow_error(const char *what, const struct shadow_node *n) {
  if (++shadow_errors > shadow_told) return;
  if (n) shadow_tell(what, n);
  else tap_note("%s", what);
}

static bool shadow_pattern_intact(const struct shadow_node *n) {
  const uint64_t *word = shadow_words(n);
  uint64_t last = shadow_pattern(n, n->size / 8);
  if (n->size >= 8 && word[0] != shadow_pattern(n, 0)) return false;
  for (size_t i = shadow_first(n); i < n->size / 8; i = shadow_next(n, i))
    if (word[i] != shadow_pattern(n, i)) return false;
  return memcmp(word + n->size / 8, &last, n->size % 8) == 0;
}

static bool shadow_links_intact(const struct shadow_node *n) {
  const uint64_t *word = shadow_words(n);
  for (unsigned i = 0; i < n->links; i++) {
    const struct shadow_node *to = shadow_node(n->link[i]);
    if (word[1 + i] != (to ? shadow_link_word(n, i, to) : 0)) return false;
  }
  return n->kind != SHADOW_POINTER_FREE || n->size < 16 || word[1] == (n->decoy ? ~n->decoy : 0);
}

bool shadow_intact(const struct shadow_node *n, bool links, const char *when) {
  if (shadow_pattern_intact(n) && (!links || shadow_links_intact(n))) return true;
  shadow_error(when, n);
  return false;
}

bool shadow_place_intact(const struct shadow_seat *seat, unsigned place, const char *when) {
  const struct shadow_node *n = shadow_node(seat->root[place]);
  if ((uintptr_t)*seat->place[place] == (n ? shadow_root_word(n) : 0)) return true;
  if (++shadow_errors <= shadow_told) tap_note("%s: place %u of seat %u changed", when, place, seat->number);
  return false;
}

/* --- changes --- */

uint32_t shadow_new(struct shadow_seat *seat, void *p, size_t size, enum shadow_kind kind, unsigned links, uint64_t id) {
  uint32_t index;
  if (seat->spares) index = seat->spare[--seat->spares];
  else if (seat->used < shadow_seat_nodes) index = seat->used++;
  else return 0;
  struct shadow_node *n = &seat->node[index];
  memset(n, 0, sizeof *n);
  n->hidden = ~(uintptr_t)p;
  n->size = size;
  n->kind = (uint8_t)kind;
  n->links = (uint8_t)links;
  n->id = id;
  n->serial = ++shadow_serial;
  n->born = shadow_checkpoint;
  shadow_fill(n);
  if (kind == SHADOW_POINTER_FREE && size >= 16) shadow_words(n)[1] = 0;
  return seat->number * shadow_seat_nodes + index + 1;
}

bool shadow_is_full(const struct shadow_seat *seat) {
  return seat->used - seat->spares > shadow_seat_nodes - shadow_seat_nodes / 8;
}

void shadow_forget(uint32_t ref) {
  struct shadow_seat *seat = shadow_seats[shadow_owner(ref)];
  struct shadow_node *n = shadow_node(ref);
  n->hidden = 0;
  seat->spare[seat->spares++] = (ref - 1) % shadow_seat_nodes;
}

/* A use counts only within the seat. */
static void shadow_use(unsigned seat, uint32_t ref, int by) {
  if (ref && shadow_owner(ref) == seat) shadow_node(ref)->uses += (unsigned)by;
}

void shadow_set_root(struct shadow_seat *seat, unsigned place, uint32_t ref) {
  const struct shadow_node *n = shadow_node(ref);
  *seat->place[place] = n ? (void *)shadow_root_word(n) : NULL;
  shadow_use(seat->number, ref, 1);
  shadow_use(seat->number, seat->root[place], -1);
  seat->root[place] = ref;
}

void shadow_set_link(uint32_t from_ref, unsigned i, uint32_t ref) {
  struct shadow_node *from = shadow_node(from_ref);
  const struct shadow_node *to = shadow_node(ref);
  ((uint64_t volatile *)shadow_words(from))[1 + i] = to ? shadow_link_word(from, i, to) : 0;
  shadow_use(shadow_owner(from_ref), ref, 1);
  shadow_use(shadow_owner(from_ref), from->link[i], -1);
  from->link[i] = ref;
}

void shadow_set_decoy(struct shadow_node *from, uint32_t ref) {
  const struct shadow_node *to = shadow_node(ref);
  shadow_words(from)[1] = to ? shadow_address(to) : 0;
  from->decoy = to ? to->hidden : 0;
}

/* --- what must be there --- */

static void shadow_clear(void) {
  for (unsigned s = 0; s < shadow_seat_count; s++)
    for (uint32_t i = 0; i < shadow_seats[s]->used; i++) shadow_seats[s]->node[i].reached = false;
}

static size_t shadow_reach(uint32_t ref) {
  struct shadow_node *n = shadow_node(ref);
  if (!n || n->reached) return 0;
  if (!n->hidden) abort();
  n->reached = true;
  shadow_pending[shadow_pending_count++] = ref;
  return n->size;
}

/* only: the seat whose links are followed, or all. */
static size_t shadow_spread(unsigned only) {
  size_t bytes = 0;
  while (shadow_pending_count) {
    uint32_t ref = shadow_pending[--shadow_pending_count];
    const struct shadow_node *n = shadow_node(ref);
    if (only < shadow_most_seats && shadow_owner(ref) != only) continue;
    for (unsigned i = 0; i < n->links; i++) bytes += shadow_reach(n->link[i]);
  }
  return bytes;
}

static size_t shadow_reach_seat(const struct shadow_seat *seat) {
  size_t bytes = 0;
  for (unsigned k = 0; k < shadow_places; k++) bytes += shadow_reach(seat->root[k]);
  for (uint32_t i = 0; i < seat->used; i++)
    if (seat->node[i].hidden && seat->node[i].kind == SHADOW_UNCOLLECTABLE)
      bytes += shadow_reach(seat->number * shadow_seat_nodes + i + 1);
  return bytes;
}

size_t shadow_trace(void) {
  size_t bytes = 0;
  shadow_clear();
  for (unsigned s = 0; s < shadow_seat_count; s++) bytes += shadow_reach_seat(shadow_seats[s]);
  for (unsigned k = 0; k < shadow_shared_places; k++) bytes += shadow_reach(shadow_table[k].root);
  return bytes + shadow_spread(shadow_most_seats);
}

size_t shadow_trace_seat(struct shadow_seat *seat) {
  shadow_clear();
  size_t bytes = shadow_reach_seat(seat);
  return bytes + shadow_spread(seat->number);
}

static void shadow_check_seat(const struct shadow_seat *seat, bool links, const char *when) {
  for (uint32_t i = 0; i < seat->used; i++)
    if (seat->node[i].reached) shadow_intact(&seat->node[i], links, when);
}

static void shadow_check_places(const struct shadow_seat *seat, const char *when) {
  for (unsigned k = 0; k < shadow_places; k++)
    if (seat->place[k]) shadow_place_intact(seat, k, when);
}

void shadow_check(const char *when) {
  for (unsigned s = 0; s < shadow_seat_count; s++) {
    shadow_check_places(shadow_seats[s], when);
    shadow_check_seat(shadow_seats[s], true, when);
  }
  for (unsigned k = 0; k < shadow_shared_places; k++) {
    const struct shadow_node *n = shadow_node(shadow_table[k].root);
    if ((uintptr_t)shadow_table[k].place != (n ? shadow_root_word(n) : 0)) shadow_error("a shared place changed", n);
  }
}

void shadow_check_mine(const struct shadow_seat *seat, const char *when) {
  shadow_check_places(seat, when);
  for (unsigned s = 0; s < shadow_seat_count; s++) shadow_check_seat(shadow_seats[s], s == seat->number, when);
}

/* --- what must be gone --- */

static uint32_t *shadow_slot(uintptr_t hidden) {
  size_t at = shadow_mix(hidden, 1) & (shadow_by_address_size - 1);
  while (shadow_by_address[at] && shadow_node(shadow_by_address[at])->hidden != hidden)
    at = (at + 1) & (shadow_by_address_size - 1);
  return &shadow_by_address[at];
}

/* Of two nodes at one address the one reached counts, else the younger: the other is gone and was used again. */
static void shadow_enter(uint32_t ref) {
  const struct shadow_node *n = shadow_node(ref);
  uint32_t *slot = shadow_slot(n->hidden);
  const struct shadow_node *other = shadow_node(*slot);
  if (other && other->reached && n->reached) shadow_error("two live objects at one address", n);
  if (!other || (!other->reached && other->serial < n->serial)) *slot = ref;
}

static void shadow_enter_all(bool reached) {
  for (unsigned s = 0; s < shadow_seat_count; s++)
    for (uint32_t i = 0; i < shadow_seats[s]->used; i++) {
      struct shadow_node *n = &shadow_seats[s]->node[i];
      if (n->hidden && n->reached == reached) shadow_enter(s * shadow_seat_nodes + i + 1);
    }
}

/* All that the node leads to, of what is left. */
static void shadow_paint(uint32_t ref) {
  shadow_pending[shadow_pending_count++] = ref;
  while (shadow_pending_count) {
    const struct shadow_node *n = shadow_node(shadow_pending[--shadow_pending_count]);
    for (unsigned i = 0; i < n->links; i++) {
      struct shadow_node *to = shadow_node(n->link[i]);
      if (!to || !to->left || to->reached) continue;
      to->reached = true; /* which has no other meaning among what is left */
      shadow_pending[shadow_pending_count++] = n->link[i];
    }
  }
}

struct shadow_burial {
  bool (*is_object)(void *p);
  unsigned since;
  struct shadow_left counts;
};

typedef void shadow_each(uint32_t ref, struct shadow_node *n, struct shadow_burial *burial);

static void shadow_each_node(shadow_each *each, struct shadow_burial *burial, bool backwards) {
  uint32_t total = shadow_seat_count * shadow_seat_nodes;
  for (uint32_t k = 0; k < total; k++) {
    uint32_t ref = backwards ? total - k : k + 1;
    struct shadow_node *n = shadow_node(ref);
    if (n->hidden) each(ref, n, burial);
  }
}

static void shadow_find_left(uint32_t ref, struct shadow_node *n, struct shadow_burial *burial) {
  n->left = n->entry = false;
  if (n->reached) return;
  burial->counts.dead++;
  burial->counts.dead_bytes += n->size;
  n->left = *shadow_slot(n->hidden) == ref && burial->is_object((void *)shadow_address(n));
  if (n->left) burial->counts.left++;
}

/* Every object that is left is a candidate or is reached from one. */
static void shadow_find_candidate(uint32_t ref, struct shadow_node *n, struct shadow_burial *burial) {
  (void)burial;
  if (!n->left || n->reached) return;
  n->entry = true;
  shadow_paint(ref);
}

static void shadow_unreach(uint32_t ref, struct shadow_node *n, struct shadow_burial *burial) {
  (void)ref;
  (void)burial;
  if (n->left) n->reached = false;
}

/* Backwards: a candidate that no later one reaches is an entry. (An earlier one would have reached it the first time.) */
static void shadow_find_entry(uint32_t ref, struct shadow_node *n, struct shadow_burial *burial) {
  if (!n->left || !n->entry) return;
  n->entry = !n->reached;
  if (n->entry && n->born >= burial->since && burial->counts.entries++ < shadow_told_left)
    burial->counts.told[burial->counts.entries - 1] = *n;
  if (n->entry) shadow_paint(ref);
}

/* What is left keeps nothing that dies later. */
static void shadow_forget_dead(uint32_t ref, struct shadow_node *n, struct shadow_burial *burial) {
  (void)burial;
  bool dead = n->left || !n->reached;
  if (n->left) memset(shadow_words(n) + 1, 0, n->links * sizeof(uint64_t));
  if (dead) shadow_forget(ref);
}

struct shadow_left shadow_bury(bool (*is_object)(void *p), unsigned since) {
  struct shadow_burial burial = {.is_object = is_object, .since = since};
  memset(shadow_by_address, 0, shadow_by_address_size * sizeof *shadow_by_address);
  shadow_enter_all(true);
  shadow_enter_all(false);
  shadow_each_node(shadow_find_left, &burial, false);
  shadow_each_node(shadow_find_candidate, &burial, false);
  shadow_each_node(shadow_unreach, &burial, false);
  shadow_each_node(shadow_find_entry, &burial, true);
  if (since == 0) shadow_each_node(shadow_forget_dead, &burial, false);
  else shadow_each_node(shadow_unreach, &burial, false);
  return burial.counts;
}

static void shadow_count_uses(uint32_t ref, struct shadow_node *n, struct shadow_burial *burial) {
  (void)burial;
  if (!n->reached) return;
  shadow_seats[shadow_owner(ref)]->live++;
  for (unsigned i = 0; i < n->links; i++) {
    if (n->link[i] && shadow_owner(n->link[i]) != shadow_owner(ref)) shadow_node(n->link[i])->shared = true;
    shadow_use(shadow_owner(ref), n->link[i], 1);
  }
}

static void shadow_forget_uses(uint32_t ref, struct shadow_node *n, struct shadow_burial *burial) {
  (void)ref;
  (void)burial;
  n->uses = 0;
  n->shared = false;
}

void shadow_recount(void) {
  shadow_each_node(shadow_forget_uses, NULL, false);
  for (unsigned s = 0; s < shadow_seat_count; s++) shadow_seats[s]->live = 0;
  shadow_each_node(shadow_count_uses, NULL, false);
  for (unsigned s = 0; s < shadow_seat_count; s++)
    for (unsigned k = 0; k < shadow_places; k++) {
      uint32_t ref = shadow_seats[s]->root[k];
      shadow_use(s, ref, 1);
      if (ref && shadow_owner(ref) != s) shadow_node(ref)->shared = true;
    }
  for (unsigned k = 0; k < shadow_shared_places; k++)
    if (shadow_table[k].root) shadow_node(shadow_table[k].root)->shared = true;
}
