/* SPDX-License-Identifier: MIT
 * Links. Must not know what finalizers do: but they are chosen by what objects point to after links have become zero, so a link is zeroed when its
 * end is noted, and put back should the collection fail.
 *
 * A link that lies in an object of the heap is forgotten with it: that object is watched as well. */
#include "config.h"

#include "gc/links.h"

#include "os/memory.h"

#include <string.h>

struct link {
  struct watch target; /* while aimed */
  struct watch holder; /* the object that it lies in, while held */
  uintptr_t at, was;   /* was: before it became zero */
  struct table_link by_place;
  struct link *next;   /* among those that end now, or that are not in use */
  uint8_t kind;
  bool aimed, held;
};

static struct link *links_of_place(const struct table_link *link) {
  return (struct link *)((uintptr_t)link - offsetof(struct link, by_place));
}
static uintptr_t links_key_of(uintptr_t at, unsigned kind) { return (at >> 3) + kind; }
static uintptr_t links_key(const struct table_link *link) {
  return links_key_of(links_of_place(link)->at, links_of_place(link)->kind);
}

static struct {
  struct table table; /* by where they are */
  struct link *spare, *ended;
} links = {.table = {.key = links_key}};

static struct link *links_of_holder(struct watch *watch) { return (struct link *)((char *)watch - offsetof(struct link, holder)); }

/* --- by address --- */

static struct link *links_find(uintptr_t at, unsigned kind) {
  for (struct table_link *place = table_chain(&links.table, links_key_of(at, kind)); place; place = place->same) {
    struct link *link = links_of_place(place);
    if (link->at == at && link->kind == kind) return link;
  }
  return NULL;
}

bool links_is(uintptr_t at) { return links_find(at, WATCH_LINK) || links_find(at, WATCH_LONG_LINK); }

/* --- entries --- */

static void links_recycle(struct link *link) {
  link->next = links.spare;
  links.spare = link;
}

static struct link *links_new(void) {
  struct link *link = links.spare;
  if (link) links.spare = link->next;
  else link = os_arena_alloc(sizeof *link, _Alignof(struct link));
  return link;
}

static void links_let_go(struct link *link) {
  if (link->aimed) watch_remove(&link->target);
  if (link->held) watch_remove(&link->holder);
  link->aimed = link->held = false;
}

static void links_drop(struct link *link) {
  links_let_go(link);
  table_remove(&links.table, &link->by_place);
  links_recycle(link);
}

static bool links_aim(struct link *link, uintptr_t object) {
  uintptr_t target = watch_object(object);
  if (link->aimed) watch_remove(&link->target);
  link->aimed = target && watch_add(&link->target, (enum watch_kind)link->kind, target);
  return link->aimed || !target;
}

static bool links_hold(struct link *link) {
  uintptr_t holder = watch_object(link->at);
  if (link->held) watch_remove(&link->holder);
  link->held = holder && watch_add(&link->holder, WATCH_HOLDER, holder);
  return link->held || !holder;
}

enum links_result links_add(uintptr_t at, enum watch_kind kind, uintptr_t object) {
  struct link *link = links_find(at, kind);
  if (link) {
    if (links_aim(link, object)) return LINKS_TWICE;
    links_drop(link);
    return LINKS_NO_MEMORY;
  }
  if (!table_make_room(&links.table) || !(link = links_new())) return LINKS_NO_MEMORY;
  *link = (struct link){.at = at, .kind = (uint8_t)kind};
  if (!links_hold(link) || !links_aim(link, object)) {
    links_let_go(link);
    links_recycle(link);
    return LINKS_NO_MEMORY;
  }
  table_put(&links.table, &link->by_place);
  return LINKS_DONE;
}

enum links_result links_remove(uintptr_t at, enum watch_kind kind) {
  struct link *link = links_find(at, kind);
  if (!link) return LINKS_NONE;
  links_drop(link);
  return LINKS_DONE;
}

enum links_result links_move(uintptr_t at, uintptr_t to, enum watch_kind kind) {
  struct link *link = links_find(at, kind);
  if (!link) return LINKS_NONE;
  if (at == to) return LINKS_DONE;
  if (links_find(to, kind)) return LINKS_TWICE;
  table_remove(&links.table, &link->by_place);
  link->at = to;
  table_put(&links.table, &link->by_place);
  if (links_hold(link)) return LINKS_DONE;
  links_drop(link);
  return LINKS_NO_MEMORY;
}

size_t links_count(void) { return links.table.count; }

/* --- the end of an object --- */

/* Exactly these bytes, wherever they lie. */
static uintptr_t links_exchange(const struct link *link, uintptr_t word) {
  uintptr_t old;
  memcpy(&old, (void *)link->at, sizeof old);
  if (old != word) memcpy((void *)link->at, &word, sizeof word);
  return old;
}

static void links_note_end(struct link *link) {
  link->was = links_exchange(link, 0);
  link->next = links.ended;
  links.ended = link;
}

static void links_drop_ended(void) {
  for (struct link *link = links.ended, *next; link; link = next) {
    next = link->next;
    links_drop(link);
  }
  links.ended = NULL;
}

static void links_note_one(struct watch *watch, void *arg) {
  if (!watch_lives(watch->object, *(const unsigned *)arg)) links_note_end((struct link *)watch);
}

void links_note(enum watch_kind kind, unsigned generation) { watch_each(kind, generation, links_note_one, &generation); }

static void links_commit_holder(struct watch *watch, void *arg) {
  if (!watch_lives(watch->object, *(const unsigned *)arg)) links_drop(links_of_holder(watch));
}

void links_commit(unsigned generation) {
  links_drop_ended();
  watch_each(WATCH_HOLDER, generation, links_commit_holder, &generation);
}

void links_forget(void) {
  for (struct link *link = links.ended; link; link = link->next) links_exchange(link, link->was);
  links.ended = NULL;
}

/* --- with the program running --- */

static struct watch *links_in(uintptr_t object) {
  struct watch *watch = watch_first(object);
  while (watch && watch->kind != WATCH_HOLDER) watch = watch_after(watch);
  return watch;
}

/* A link that lies in the object itself is seen by its finalizer. */
void links_freed(uintptr_t object, bool all) {
  for (struct watch *watch = watch_first(object); watch; watch = watch_after(watch))
    if (watch->kind == WATCH_LINK || (all && watch->kind == WATCH_LONG_LINK)) links_note_end((struct link *)watch);
  links_drop_ended();
  for (struct watch *watch; all && (watch = links_in(object)) != NULL;) links_drop(links_of_holder(watch));
}
