/* SPDX-License-Identifier: MIT
 * Links. Must not know what finalizers do: but they are chosen by what objects point to after links have become zero, so a link is zeroed when its
 * end is noted, and put back should the collection fail.
 *
 * A link that lies in an object of the heap is forgotten with it: that object is watched as well. */
#include "config.h"

#include "gc/links.h"

#include "os/memory.h"

#include <string.h>

enum { links_buckets_first = 1024 };

struct link {
  struct watch target; /* while aimed */
  struct watch holder; /* the object that it lies in, while held */
  uintptr_t at, was;   /* was: before it became zero */
  struct link *same;   /* with this hash */
  struct link *next;   /* among those that end now, or that are not in use */
  uint8_t kind;
  bool aimed, held;
};

static struct {
  struct link **bucket;
  size_t buckets, count; /* buckets: a power of two */
  struct link *spare, *ended;
} links;

static struct link *links_of_holder(struct watch *watch) { return (struct link *)((char *)watch - offsetof(struct link, holder)); }

/* --- by address --- */

static struct link **links_bucket(uintptr_t at, unsigned kind) {
  return &links.bucket[((at >> 3) + kind) * 0x9e3779b97f4a7c15u >> 20 & (links.buckets - 1)];
}

static void links_hash(struct link *link) {
  struct link **bucket = links_bucket(link->at, link->kind);
  link->same = *bucket;
  *bucket = link;
}

static struct link **links_place(uintptr_t at, unsigned kind) {
  struct link **place = links_bucket(at, kind);
  while (*place && ((*place)->at != at || (*place)->kind != kind)) place = &(*place)->same;
  return place;
}

static struct link *links_find(uintptr_t at, unsigned kind) { return links.buckets ? *links_place(at, kind) : NULL; }

/* The old table is lost: all of them together are as large as the last one. */
static bool links_make_room(void) {
  if (links.count < links.buckets) return true;
  size_t old = links.buckets, buckets = old ? 2 * old : links_buckets_first;
  struct link **before = links.bucket, **table = os_arena_alloc(buckets * sizeof(struct link *), 64);
  if (!table) return old > 0; /* longer chains */
  links.bucket = table;
  links.buckets = buckets;
  for (size_t i = 0; i < old; i++)
    for (struct link *link = before[i], *next; link; link = next) {
      next = link->same;
      links_hash(link);
    }
  return true;
}

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
  *links_place(link->at, link->kind) = link->same;
  links.count--;
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
  if (!links_make_room() || !(link = links_new())) return LINKS_NO_MEMORY;
  *link = (struct link){.at = at, .kind = (uint8_t)kind};
  if (!links_hold(link) || !links_aim(link, object)) {
    links_let_go(link);
    links_recycle(link);
    return LINKS_NO_MEMORY;
  }
  links_hash(link);
  links.count++;
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
  *links_place(at, kind) = link->same;
  link->at = to;
  links_hash(link);
  if (links_hold(link)) return LINKS_DONE;
  links_drop(link);
  return LINKS_NO_MEMORY;
}

size_t links_count(void) { return links.count; }

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
