/* SPDX-License-Identifier: MIT
 * The exact shadow of a graph of objects: what was allocated, what each object points to and must contain, and from
 * where the program reaches it. Knows nothing of how objects are allocated or what changes the graph.
 *
 * The shadow keeps no pointer: addresses are kept as their complements, in mappings of its own, so that whoever searches
 * all memory for pointers finds none here. Nor do the contents of objects hold any word that could be one, but for
 * the links.
 *
 *   object:  header | link 0 | ... | link n-1 | pattern ...          (a pointer-free one: header | decoy | pattern)
 *
 * A *seat* is the part of the graph that one thread at a time changes: its nodes, their links, its places. A link may lead to
 * a node of another seat, of which only header and pattern are looked at. A *place* is a word of the program from which
 * nodes are reached: a root. */
#ifndef SHADOW_H
#define SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_attribute) && __has_attribute(noipa)
#define SHADOW_APART __attribute__((noinline, noipa))
#else
#define SHADOW_APART __attribute__((noinline))
#endif

enum {
  shadow_most_seats = 32,
  shadow_most_links = 8,
  shadow_seat_nodes = 1 << 13,
  shadow_static_places = 64,
  shadow_mapped_places = 32,
  shadow_held_places = 32, /* in an object that is never collected */
  shadow_stack_places = 32,
  shadow_tls_places = 32,
  shadow_places = shadow_static_places + shadow_mapped_places + shadow_held_places + shadow_stack_places + shadow_tls_places,
  shadow_lasting_places = shadow_places - shadow_stack_places - shadow_tls_places, /* the first ones; the others go with a thread */
  shadow_shared_places = 256,
  shadow_told_left = 4,
};

/* A node is named by a *ref*: 0 is none, else seat * shadow_seat_nodes + index + 1. */

enum shadow_kind {
  SHADOW_SCANNED,
  SHADOW_POINTER_FREE,
  SHADOW_UNCOLLECTABLE, /* a root itself, until it is freed */
  shadow_kinds,
};

struct shadow_node {
  uintptr_t hidden; /* complement of the address; 0: there is no such node */
  uint64_t id;      /* what its contents derive from */
  uint64_t serial;  /* order of birth */
  size_t size;
  uintptr_t decoy;  /* complement of a pointer that must keep nothing; 0: none */
  uint32_t link[shadow_most_links];
  uint32_t uses;    /* places and links of its own seat that lead here, at least */
  uint8_t kind, links;
  bool shared;      /* other seats may know it: neither freed nor moved */
  bool reached;     /* by the last trace */
  bool left;        /* unreached, and there all the same */
  bool entry;       /* left, and no other that is left leads here */
  unsigned born;    /* number of the checkpoint before */
};

struct shadow_seat {
  unsigned number;
  uint32_t used;                  /* nodes from here on were never used */
  uint32_t spare[shadow_seat_nodes], spares; /* and these are free again */
  unsigned live;                  /* when last counted */
  void *volatile *place[shadow_places];
  uint32_t root[shadow_places];   /* what the places hold */
  struct shadow_node node[shadow_seat_nodes];
};

extern struct shadow_seat *shadow_seats[shadow_most_seats];
extern unsigned shadow_seat_count;
extern _Atomic unsigned shadow_errors;
extern unsigned shadow_checkpoint; /* its number, from 1 */

/* What all threads share: real places in static memory, each with a flag that says it is being looked at. */
struct shadow_shared {
  _Atomic bool busy;
  void *volatile place;
  uint32_t root;
};
extern struct shadow_shared shadow_table[shadow_shared_places];

void shadow_begin(unsigned seats);
/* Memory that is searched for no pointer because it holds none. */
void *shadow_map(size_t bytes);

struct shadow_node *shadow_node(uint32_t ref); /* NULL for 0 */
unsigned shadow_owner(uint32_t ref);
static inline uintptr_t shadow_address(const struct shadow_node *n) { return ~n->hidden; }

/* The word that a place, or that link i of the node from, holds for a node: often it points inside, or to its very end. */
uintptr_t shadow_root_word(const struct shadow_node *n);
uintptr_t shadow_link_word(const struct shadow_node *from, unsigned i, const struct shadow_node *to);

/* A new node without uses; 0 when the seat is full. The object is filled. */
uint32_t shadow_new(struct shadow_seat *seat, void *p, size_t size, enum shadow_kind kind, unsigned links, uint64_t id);
void shadow_forget(uint32_t ref);
bool shadow_is_full(const struct shadow_seat *seat); /* nearly */

/* These change the object or place, and the shadow. */
void shadow_set_root(struct shadow_seat *seat, unsigned place, uint32_t ref);
void shadow_set_link(uint32_t from, unsigned i, uint32_t ref);
void shadow_set_decoy(struct shadow_node *from, uint32_t ref);
void shadow_fill(struct shadow_node *n);

/* False, and the first few are told, when the object is not as it must be. links: they are looked at, too. */
bool shadow_intact(const struct shadow_node *n, bool links, const char *when);
bool shadow_place_intact(const struct shadow_seat *seat, unsigned place, const char *when);
void shadow_error(const char *what, const struct shadow_node *n);
void shadow_tell(const char *what, const struct shadow_node *n);

/* All threads stand still. Traces from all places; returns how many bytes are reached. */
size_t shadow_trace(void);
/* The same from the places of one seat, and only what it knows for certain. */
size_t shadow_trace_seat(struct shadow_seat *seat);
/* Checks all that was reached: from all places, or from those of one seat. */
void shadow_check(const char *when);
void shadow_check_mine(const struct shadow_seat *seat, const char *when);

/* After a trace: which nodes that were not reached are there all the same. is_object(p) tells whether an object begins
 * at p. An entry is one that is left though no other that is left leads to it (of a cycle, one): something else must have
 * kept it. Entries born before the checkpoint since are not counted. With since 0 the dead are forgotten, and what is
 * left of them is emptied of its links. */
struct shadow_left {
  size_t dead, dead_bytes, left, entries;
  struct shadow_node told[shadow_told_left]; /* the first entries */
};
struct shadow_left shadow_bury(bool (*is_object)(void *p), unsigned since);

/* Counts uses and sharing anew from what the last trace reached. */
void shadow_recount(void);

#endif
