/* SPDX-License-Identifier: MIT
 * The inside of the search for roots, shared by the files roots*.c alone. */
#ifndef GLEANER_ROOTING_H
#define GLEANER_ROOTING_H

#include "gc/roots.h"
#include "os/maps.h"

struct roots_range {
  uintptr_t lo, hi;
};

/* Ranges in rising order that neither overlap nor touch; but what was added is in the order of that. */
struct roots_set {
  struct roots_list {
    size_t count, most;
    struct roots_range at[];
  } *_Atomic list, *spare; /* list NULL: none */
};
extern struct roots_set roots_added, roots_excluded, roots_kept; /* roots_sets.c; under the heap lock */

static inline size_t roots_count(const struct roots_set *set) { return set->list ? set->list->count : 0; }

struct roots {
  const struct roots_request *request;
  void (*range)(uintptr_t lo, uintptr_t hi, void *arg);
  void *arg;
  struct os_maps *maps;
  struct roots_range *cuts; /* sorted, not overlapping: taken out */
  size_t ncuts, most_cuts;
  uintptr_t own;   /* from here to the stack pointer of this thread lie our own frames */
  bool maps_read;
  size_t at;       /* the mapping at which the last page was found */
  const struct os_mapping *shared; /* the one that is looked at */
  char *piece;     /* a copy of what cannot be read in place */
  size_t doubtful; /* bytes of shared memory that were read although they may be nowhere */
  int swap;        /* above 0: in use; below: not; 0: not asked yet */
  int error;       /* a root could not be read */
};

/* Is to be taken out; words that are not whole stay. Before roots_sort_cuts. */
void roots_cut(struct roots *roots, uintptr_t lo, uintptr_t hi);
void roots_cut_excluded(struct roots *roots);
void roots_sort_cuts(struct roots *roots);
/* The first that ends above lo. */
bool roots_next_cut(const struct roots *roots, uintptr_t lo, struct roots_range *cut);

/* Tells what may be read in place, cuts or not. */
void roots_tell(struct roots *roots, uintptr_t lo, uintptr_t hi);
/* Tells it by copies. What cannot be copied is told in place if it can be read so (not for a report); else it is left
 * out, or an error if it must be there. */
void roots_copy(struct roots *roots, uintptr_t lo, uintptr_t hi, bool must);
/* Tells it in place if all of it can be read, else as much as is mapped by copies. */
void roots_checked(struct roots *roots, uintptr_t lo, uintptr_t hi);
/* Calls part for [lo, hi) without the cuts. */
typedef void roots_part(struct roots *roots, uintptr_t lo, uintptr_t hi, bool present);
void roots_uncut(struct roots *roots, uintptr_t lo, uintptr_t hi, bool present, roots_part *part);
/* The list of mappings, read once. */
void roots_read_maps(struct roots *roots);
/* All that the mappings in [lo, hi) may hold, but for what is cut. */
void roots_mapped(struct roots *roots, uintptr_t lo, uintptr_t hi);

/* What a report takes out besides; in roots_dead.c. */
void roots_cut_dead(struct roots *roots);

/* In roots_declared.c. ENOTSUP: not everything could be found in this way; all memory must be taken instead. */
int roots_declared(struct roots *roots);

#endif
