/* SPDX-License-Identifier: MIT
 * Random programs against an exact model: objects that lead to each other, weak references of both kinds, links, maps, whose model says after each
 * full collection who must have died, been cleared, been called. Objects are known by numbers; the only pointers to them are in a table of ours and in
 * each other. Conservative: what the model calls dead may be there still, if some stale word leads to it, but never the reverse; and all that
 * is known of one object must tell the same. */
#include "collect.h"

#include <unistd.h>

enum { objects = 300, edges = 4, references = 400, maps = 6, entries = 500, steps = 400 };

struct node {
  struct node *edge[edges];
  uint64_t name; /* no two objects have the same */
};

static struct node *held[objects];      /* roots */
static uintptr_t hidden[objects];       /* complement of the address; 0: none */
static uint64_t name[objects];
static int edge[objects][edges];        /* -1: none */
static bool rooted[objects], lives[objects];

static struct {
  struct GC_weak *weak; /* NULL: none */
  int target;           /* -1: none */
  int calls, due;
} references_of[references];

static struct {
  uintptr_t *word;      /* in an object without pointers */
  int target;
} links[references];

static struct {
  struct GC_weak_map *map;
} map_of[maps];
static struct entry {
  int map, key, value; /* map -1: none */
} entry_of[entries];

static uint64_t seed;
static int wrong, stale, deaths;

static int any(int n) { return (int)(tap_random(&seed) % (uint64_t)n); }

static void complain(const char *what, int i) {
  if (wrong++ < 5) tap_note("%s %d", what, i);
}

__attribute__((noinline)) static struct node *node(int i) { return (struct node *)~hidden[i]; }

/* --- the model --- */

/* Nothing here recurses: passes until nothing changes. */
static void model_reach(void) {
  bool changed = true;
  for (int i = 0; i < objects; i++) lives[i] = rooted[i];
  while (changed) {
    changed = false;
    for (int i = 0; i < objects; i++)
      for (int j = 0; lives[i] && j < edges; j++)
        if (edge[i][j] >= 0 && !lives[edge[i][j]]) lives[edge[i][j]] = changed = true;
    for (int i = 0; i < entries; i++) {
      const struct entry *e = &entry_of[i];
      if (e->map >= 0 && lives[e->key] && e->value >= 0 && !lives[e->value]) lives[e->value] = changed = true;
    }
  }
}

/* --- what is done --- */

__attribute__((noinline)) static void born(int i) {
  struct node *p = GC_malloc(sizeof *p + (any(8) == 0 ? 5000 : 0));
  p->name = name[i] = tap_random(&seed);
  held[i] = p;
  hidden[i] = ~(uintptr_t)p;
  rooted[i] = true;
  for (int j = 0; j < edges; j++) edge[i][j] = -1;
}

static void call(struct GC_weak *weak, void *arg) {
  int i = (int)(intptr_t)arg - 1;
  if (references_of[i].weak == weak) references_of[i].calls++; /* else it was lost when this was on its way */
}

/* Only with what the program can reach. */
static int any_rooted(void) {
  for (int tries = 0; tries < 50; tries++) {
    int i = any(objects);
    if (rooted[i]) return i;
  }
  return -1;
}

__attribute__((noinline)) static void refer(int i) {
  int target = any_rooted();
  if (target < 0) return;
  if (!references_of[i].weak || any(3) == 0) {
    references_of[i].weak = GC_weak_new(held[target], any(2) ? GC_WEAK_SHORT : GC_WEAK_LONG, call, (void *)(intptr_t)(i + 1));
    references_of[i].calls = references_of[i].due = 0;
  } else {
    if (references_of[i].target >= 0 && !GC_weak_get(references_of[i].weak)) references_of[i].due++;
    if (GC_weak_set(references_of[i].weak, held[target]) != 0) complain("not set", i);
  }
  references_of[i].target = target;
}

__attribute__((noinline)) static void link_to(int i) {
  int target = any_rooted();
  if (target < 0) return;
  if (links[i].word) GC_unregister_disappearing_link((void **)links[i].word);
  if (!links[i].word || any(4) == 0) links[i].word = (uintptr_t *)GC_malloc_atomic(24) + 1;
  *links[i].word = hidden[target];
  if (GC_general_register_disappearing_link((void **)links[i].word, held[target]) != GC_SUCCESS) complain("not registered", i);
  links[i].target = target;
}

static struct entry *entry_find(int map, int key) {
  for (int i = 0; i < entries; i++)
    if (entry_of[i].map == map && entry_of[i].key == key) return &entry_of[i];
  return NULL;
}

__attribute__((noinline)) static void enter(void) {
  int map = any(maps), key = any_rooted(), value = any_rooted();
  if (key < 0) return;
  struct entry *e = entry_find(map, key);
  if (!e)
    for (int i = 0; i < entries && !e; i++)
      if (entry_of[i].map < 0) e = &entry_of[i];
  if (!e) return;
  if (GC_weak_map_set(map_of[map].map, held[key], value < 0 ? NULL : held[value]) != 0) complain("not entered", key);
  *e = (struct entry){map, key, value};
}

__attribute__((noinline)) static void leave(int i) {
  struct entry *e = &entry_of[i];
  if (e->map < 0 || !rooted[e->key]) return;
  if (GC_weak_map_remove(map_of[e->map].map, held[e->key]) != 1) complain("not removed", i);
  e->map = -1;
}

/* --- what must hold --- */

/* Another one may be in its place. */
static bool is_there(int i) {
  void *p = (void *)~hidden[i];
  return GC_base(p) == p && GC_size(p) >= sizeof(struct node) && node(i)->name == name[i];
}

/* The number's object is no more: all that is known of it says so, or nothing does. */
__attribute__((noinline)) static void look(void) {
  static bool there[objects];
  for (int i = 0; i < objects; i++) {
    there[i] = hidden[i] && is_there(i);
    if (lives[i] && !there[i]) complain("reclaimed too early:", i);
    if (hidden[i] && !lives[i]) there[i] ? stale++ : deaths++;
  }
  for (int i = 0; i < references; i++) {
    if (!references_of[i].weak) continue;
    int target = references_of[i].target;
    uintptr_t found = ~(uintptr_t)GC_weak_get(references_of[i].weak);
    if (target >= 0 && there[target] ? found != hidden[target] : found != ~(uintptr_t)0) complain("reference", i);
    if (target >= 0 && !there[target]) references_of[i].due++, references_of[i].target = -1;
    if (references_of[i].calls != references_of[i].due) complain("calls of reference", i);
  }
  for (int i = 0; i < references; i++) {
    if (!links[i].word || links[i].target < 0) continue;
    if (*links[i].word != (there[links[i].target] ? hidden[links[i].target] : 0)) complain("link", i);
    if (there[links[i].target]) continue;
    links[i].target = -1;
    if (GC_unregister_disappearing_link((void **)links[i].word)) complain("link is registered still:", i);
    links[i].word = NULL;
  }
  size_t count[maps] = {0};
  for (int i = 0; i < entries; i++) {
    struct entry *e = &entry_of[i];
    if (e->map >= 0 && !there[e->key]) e->map = -1;
    if (e->map < 0) continue;
    count[e->map]++;
    uintptr_t value = ~(uintptr_t)GC_weak_map_get(map_of[e->map].map, node(e->key));
    if (value != (e->value < 0 ? ~(uintptr_t)0 : hidden[e->value])) complain("value of", e->key);
  }
  for (int i = 0; i < maps; i++)
    if (GC_weak_map_count(map_of[i].map) != count[i]) complain("entries of map", i);
  for (int i = 0; i < objects; i++)
    if (hidden[i] && !there[i]) hidden[i] = 0;
}

/* Until what is stale is there no longer, or is forgotten by the model: it may be the target of something that is there. */
static void forget_stale(void) {
  for (int i = 0; i < objects; i++)
    if (hidden[i] && !lives[i] && !rooted[i]) {
      held[i] = node(i);
      rooted[i] = true;
    }
}

static void step(void) {
  int i = any(objects), j;
  switch (any(12)) {
  case 0:
  case 1:
    if (!hidden[i]) born(i);
    break;
  case 2:
  case 3:
    rooted[i] = false;
    held[i] = NULL;
    break;
  case 4:
  case 5:
    j = any_rooted();
    if (!rooted[i] || j < 0) break;
    int k = any(edges);
    held[i]->edge[k] = held[j];
    edge[i][k] = j;
    break;
  case 6: refer(any(references)); break;
  case 7: link_to(any(references)); break;
  case 8:
  case 9: enter(); break;
  case 10: leave(any(entries)); break;
  case 11:
    if (rooted[i] && any(4) == 0) {
      references_of[any(references)].weak = NULL; /* lost */
    }
    break;
  }
}

static void begin(void) {
  memset(held, 0, sizeof held);
  for (int i = 0; i < objects; i++) hidden[i] = 0, rooted[i] = lives[i] = false;
  for (int i = 0; i < references; i++) links[i].word = NULL, links[i].target = -1, references_of[i].weak = NULL, references_of[i].target = -1;
  for (int i = 0; i < entries; i++) entry_of[i].map = -1;
  for (int i = 0; i < maps; i++) map_of[i].map = GC_weak_map_new();
  for (int i = 0; i < objects / 2; i++) born(i);
}

/* What a collection of the young has reclaimed is dead for the model as well; what it left is looked at by a full one. */
static void round_of(int number) {
  for (int i = 0; i < steps; i++) {
    step();
    if (any(100) == 0) GC_collect(any(2), NULL);
  }
  model_reach();
  wipe();
  if (number % 3) GC_collect(any(2), NULL);
  GC_collect(2, NULL);
  GC_invoke_finalizers();
  look();
  forget_stale();
}

int main(void) {
  seed = tap_seed();
  for (int run = 0; run < 12; run++) {
    begin();
    for (int i = 0; i < 25; i++) round_of(i);
  }
  OK(wrong == 0, "300 rounds of random programs do as the model does");
  OK(deaths > 1000 && stale < deaths / 4, "in which %d objects died, and %d were there for longer", deaths, stale);
  return tap_end();
}
