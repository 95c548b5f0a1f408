/* SPDX-License-Identifier: MIT
 * The shapes that lost memory has: what is definite, what is indirect, how much it is, and what is no leak at all. */
#include "leaky.h"

#include <malloc.h>
#include <sys/mman.h>

static void *volatile held; /* what the program still knows */

struct node {
  struct node *left, *right;
  long value;
};

APART static struct node *new_node(struct node *left, struct node *right) {
  struct node *n = make(sizeof *n);
  n->left = left;
  n->right = right;
  return n;
}

/* @ nothing rows=0 -- what is freed is not lost */
static void nothing(void) { free(make(100)); }

/* @ direct definite 1 100 rows=1 top=make frame=direct cycle=0 -- a block that nothing points to is definite */
APART static void direct(void) { make(100); }

/* @ sizes definite 5000 12502500 frame=sizes -- bytes are counted as they were requested */
APART static void sizes(void) {
  for (size_t size = 1; size <= 5000; size++) make(size);
}

/* @ merged definite 1000 24000 rows=1 -- a thousand leaks of one stack are one row */
APART static void merged(void) {
  for (int i = 0; i < 1000; i++) make(24);
}

/* @ largest definite 3 111100 rows=3 row=definite:1:100000:largest -- different stacks are different rows */
APART static void largest(void) {
  make(1100);
  make(100000);
  make(10000);
}

/* @ indirect definite 1 24 indirect 1 24 cycle=0 -- what only lost memory points to is indirect */
APART static void indirect(void) { new_node(new_node(NULL, NULL), NULL); }

/* @ chain definite 1 24 indirect 9 216 -- the head of a lost list is definite, the rest is indirect */
APART static void chain(void) {
  struct node *list = NULL;
  for (int i = 0; i < 10; i++) list = new_node(list, NULL);
}

APART static struct node *new_tree(int depth) {
  if (depth == 0) return NULL;
  struct node *left = new_tree(depth - 1);
  return new_node(left, new_tree(depth - 1));
}

/* @ tree definite 1 24 indirect 1022 24528 -- the root of a lost tree is definite, all below it indirect */
APART static void tree(void) { new_tree(10); }

/* @ kept_tree rows=0 -- a tree whose root is known is no leak */
static void kept_tree(void) { held = new_tree(10); }

/* @ shared definite 2 48 indirect 1 24 -- what two lost blocks share is counted once */
APART static void shared(void) {
  struct node *child = new_node(NULL, NULL);
  new_node(child, NULL);
  new_node(NULL, child);
}

/* @ half_kept definite 1 24 indirect 1 24 -- what a known block points to, too, is not lost */
APART static void half_kept(void) {
  struct node *child = new_node(NULL, NULL);
  held = child;
  new_node(child, new_node(NULL, NULL));
}

APART static struct node *new_ring(int length) {
  struct node *first = new_node(NULL, NULL), *last = first;
  for (int i = 1; i < length; i++) last = last->left = new_node(NULL, NULL);
  last->left = first;
  return first;
}

/* @ cycle definite 1 24 indirect 1 24 cycle=1 -- of two blocks that point to each other one is the entry */
APART static void cycle(void) { new_ring(2); }

/* @ self definite 1 24 cycle=1 -- a block that points to itself is definite */
APART static void self(void) { new_ring(1); }

/* @ ring definite 1 24 indirect 999 23976 cycle=1 -- a long cycle has one entry */
APART static void ring(void) { new_ring(1000); }

/* @ two_cycles definite 2 48 indirect 2 48 -- two cycles have two entries */
APART static void two_cycles(void) {
  new_ring(2);
  new_ring(2);
}

/* @ linked_cycles definite 1 24 indirect 3 72 cycle=1 -- of a cycle that leads to another only the first has an entry */
APART static void linked_cycles(void) {
  struct node *b = new_ring(2);
  new_ring(2)->right = b;
}

/* @ linked_backwards definite 1 24 indirect 3 72 cycle=1 -- whichever of the two was made first */
APART static void linked_backwards(void) {
  struct node *a = new_ring(2);
  a->right = new_ring(2);
}

/* @ cycle_chain definite 1 24 indirect 59 1416 cycle=1 -- of a chain of thirty cycles only the first has an entry */
APART static void cycle_chain(void) {
  struct node *next = NULL;
  for (int i = 0; i < 30; i++) {
    struct node *r = new_ring(2);
    r->left->right = next;
    next = r;
  }
}

/* @ tailed_cycle definite 1 24 indirect 2 48 cycle=0 -- a block that leads into a cycle is its entry */
APART static void tailed_cycle(void) { new_node(NULL, new_ring(2)); }

/* @ cycle_with_tail definite 1 24 indirect 2 48 cycle=1 -- what hangs on a cycle is indirect */
APART static void cycle_with_tail(void) { new_ring(2)->right = new_node(NULL, NULL); }

/* @ eight definite 1 24 indirect 4 96 cycle=1 -- two cycles with a block in common have one entry */
APART static void eight(void) {
  struct node *a = new_ring(3);
  a->right = new_node(new_node(a, NULL), NULL);
}

/* @ double_list definite 1 24 indirect 99 2376 cycle=1 -- a doubly linked list is one cycle */
APART static void double_list(void) {
  struct node *first = new_node(NULL, NULL), *last = first;
  for (int i = 1; i < 100; i++) last = last->right = new_node(last, NULL);
}

/* @ kept_ring rows=0 -- a cycle that something points to is no leak */
static void kept_ring(void) { held = new_ring(10); }

/* @ interior rows=0 -- a pointer into a block keeps it */
static void interior(void) { held = (char *)make(1000) + 500; }

/* @ last_byte rows=0 -- so does one to its last byte */
static void last_byte(void) { held = (char *)make(64) + 63; }

/* @ odd rows=0 -- and one that is not aligned itself */
static void odd(void) { held = (char *)make(64) + 3; }

/* @ large_interior rows=0 -- also into the middle of a large block */
static void large_interior(void) { held = (char *)make(10000000) + 7654321; }

/* @ past definite 1 64 -- a pointer just behind a block does not */
APART static void past(void) {
  char *p = make(64);
  held = p + malloc_usable_size(p);
}

/* @ before definite 1 64 -- nor one just before it */
APART static void before(void) {
  char *p = make(64);
  held = p - 1;
}

/* @ interior_chain definite 1 24 indirect 1 500 -- interior pointers lead from lost memory to lost memory, too */
APART static void interior_chain(void) { new_node((void *)((char *)make(500) + 250), NULL); }

/* @ front_length rows=0 -- a string with its length in front, known by its text */
static void front_length(void) {
  char *p = make(sizeof(size_t) + 12);
  *(size_t *)(void *)p = 12;
  held = strcpy(p + sizeof(size_t), "hello world");
}

static struct {
  char odd[3];
  void *pointer;
} __attribute__((packed, aligned(16))) packed;

/* @ unaligned definite 1 40 -- a pointer that is not aligned is not looked for ...
 * @ unaligned opt=--unaligned -- ... unless asked for
 * @ unaligned gopt=unaligned=1 -- ... in the environment, too */
APART static void unaligned(void) {
  packed.pointer = make(40);
  __asm__ volatile("" : : "r"(&packed) : "memory");
}

/* @ unaligned_heap opt=--unaligned definite 1 24 indirect 1 40 -- also inside the heap */
APART static void unaligned_heap(void) {
  void *child = make(40);
  memcpy((char *)new_node(NULL, NULL) + 13, &child, sizeof child);
}

/* @ zero definite 1 0 rows=1 frame=zero -- a block of size 0 has 0 bytes, and is lost like any other */
APART static void zero(void) { make(0); }

/* @ zeros definite 500 0 rows=1 -- and many of them */
APART static void zeros(void) {
  for (int i = 0; i < 500; i++) make(0);
}

/* @ kept_zero rows=0 -- a block of size 0 can be kept */
static void kept_zero(void) { held = make(0); }

/* @ callocated definite 1 120 top=callocated -- calloc's bytes are the product */
APART static void callocated(void) {
  void *p = calloc(10, 12);
  KEEP(p);
}

/* @ aligned definite 3 600 frame=aligned -- aligned blocks have the size asked for */
APART static void aligned(void) {
  void *p = NULL;
  if (posix_memalign(&p, 4096, 100)) abort();
  KEEP(p);
  p = aligned_alloc(64, 200);
  KEEP(p);
  p = memalign(1 << 20, 300);
  KEEP(p);
}

/* @ strings definite 1 6 frame=strings -- an allocation inside libc is named with its caller */
APART static void strings(void) {
  char *p = strdup("hello");
  KEEP(p);
}

/* @ failed_realloc definite 1 100 frame=make -- a failed realloc leaves the block, which can be lost */
APART static void failed_realloc(void) {
  volatile size_t absurd = SIZE_MAX / 2 - 4096;
  void *p = make(100);
  void *q = realloc(p, absurd);
  if (q) abort();
}

/* @ failed_realloc_kept rows=0 -- or kept */
static void failed_realloc_kept(void) {
  volatile size_t absurd = SIZE_MAX / 2 - 4096;
  held = make(100);
  if (realloc(held, absurd)) abort();
}

/* @ grown definite 1 5000 rows=1 top=grown -- after realloc there is one block, of the new size and the new stack */
APART static void grown(void) {
  void *p = realloc(make(100), 5000);
  KEEP(p);
}

/* @ regrown definite 3 1100033 frame=regrown -- also when it did not move */
APART static void regrown(void) {
  void *p = realloc(make(32), 33);
  KEEP(p);
  p = realloc(make(1000000), 1000000);
  KEEP(p);
  p = realloc(make(200000), 100000);
  KEEP(p);
}

/* @ freed_parent definite 1 40 -- free memory holds nothing */
APART static void freed_parent(void) {
  struct node *parent = new_node(NULL, NULL);
  held = parent;
  parent->right = make(40);
  free(parent);
}

/* @ slack rows=0 -- a pointer behind the requested size, in what malloc_usable_size allows, is one */
static void slack(void) {
  for (size_t size = 8; size < 5000; size += 8) {
    char *p = make(size);
    if (malloc_usable_size(p) >= size + 8) {
      held = p;
      *(void **)(void *)(p + size) = make(64);
      return;
    }
    free(p);
  }
}

/* @ huge definite 1 1073741824 heavy -- a block of 1 GiB */
APART static void huge(void) {
  char *p = malloc((size_t)1 << 30);
  if (!p) abort();
  p[0] = p[(1 << 30) - 1] = 1;
}

/* @ huge_kept heavy rows=0 -- what only the last word of such a block points to is kept */
static void huge_kept(void) {
  char *p = malloc((size_t)1 << 30);
  if (!p) abort();
  *(void **)(void *)(p + ((size_t)1 << 30) - 8) = make(64);
  held = p;
}

APART static void *new_list(size_t length) {
  void **list = NULL;
  while (length--) {
    void **node = malloc(16);
    if (!node) abort();
    node[0] = list;
    list = node;
  }
  return list;
}

/* @ long_list definite 1 16 indirect 9999999 159999984 frame=new_list heavy -- a list of ten million nodes */
APART static void long_list(void) { new_list(10000000); }

/* @ long_list_kept rows=0 heavy -- and one that is kept */
static void long_list_kept(void) { held = new_list(3000000); }

/* @ reachable opt=--show-reachable row=reachable:2:80:reachable_make -- what is still reachable is listed on request */
APART static void reachable_make(void) {
  volatile int count = 2;
  for (int i = 0; i < count; i++) {
    void **p = make(40);
    p[0] = held;
    held = p;
  }
}
static void reachable(void) { reachable_make(); }

enum { page = 4096, guarded = 1 << 20 };

APART static void *new_guarded(void) {
  char *p = NULL;
  if (posix_memalign((void **)&p, page, guarded)) abort();
  memset(p, 0, guarded);
  *(void **)(void *)(p + 8) = make(64);
  *(void **)(void *)(p + guarded - 8) = make(64);
  if (mprotect(p + 16 * page, 32 * page, PROT_NONE)) abort();
  return p;
}

/* @ guarded_kept rows=0 -- pages of a block that cannot be read are skipped, the others are not */
static void guarded_kept(void) { held = new_guarded(); }

/* @ guarded_lost definite 1 1048576 indirect 2 128 -- also in a block that is lost */
APART static void guarded_lost(void) { new_guarded(); }

/* @ guarded_small rows=0 -- a small block that cannot be read is skipped, its neighbours are not */
static void guarded_small(void) {
  static void *volatile pages[4];
  for (int i = 0; i < 4; i++) {
    void **p = NULL;
    if (posix_memalign((void **)&p, page, page)) abort();
    memset(p, 0, page);
    if (i != 1) p[page / sizeof *p - 1] = make(64);
    pages[i] = p;
  }
  if (mprotect(pages[1], page, PROT_NONE)) abort();
}

static const struct scenario table[] = {
    SCENARIO(nothing), SCENARIO(direct), SCENARIO(sizes), SCENARIO(merged), SCENARIO(largest),
    SCENARIO(indirect), SCENARIO(chain), SCENARIO(tree), SCENARIO(kept_tree), SCENARIO(shared),
    SCENARIO(half_kept), SCENARIO(cycle), SCENARIO(self), SCENARIO(ring), SCENARIO(two_cycles),
    SCENARIO(linked_cycles), SCENARIO(linked_backwards), SCENARIO(cycle_chain), SCENARIO(tailed_cycle),
    SCENARIO(cycle_with_tail), SCENARIO(eight), SCENARIO(double_list), SCENARIO(kept_ring),
    SCENARIO(interior), SCENARIO(last_byte), SCENARIO(odd), SCENARIO(large_interior), SCENARIO(past),
    SCENARIO(before), SCENARIO(interior_chain), SCENARIO(front_length), SCENARIO(unaligned),
    SCENARIO(unaligned_heap), SCENARIO(zero), SCENARIO(zeros), SCENARIO(kept_zero), SCENARIO(callocated),
    SCENARIO(aligned), SCENARIO(strings), SCENARIO(failed_realloc), SCENARIO(failed_realloc_kept),
    SCENARIO(grown), SCENARIO(regrown), SCENARIO(freed_parent), SCENARIO(slack), SCENARIO(huge),
    SCENARIO(huge_kept), SCENARIO(long_list), SCENARIO(long_list_kept), SCENARIO(reachable),
    SCENARIO(guarded_kept), SCENARIO(guarded_lost), SCENARIO(guarded_small),
};

SCENARIO_MAIN(table)
