/* SPDX-License-Identifier: MIT
 * Random cords against plain strings: a table of both, in which random ones are joined, cut and looked at. Arguments: the
 * number of steps, and of threads, which share the first cords. */
#include "cords.h"

#include <pthread.h>

enum { ENTRIES = 24, LONGEST = 60000, SHARED = 8 };

struct entry {
  CORD cord;
  char *text; /* len characters, NULs maybe */
  size_t len;
};

static struct entry shared[SHARED];
static int steps = 20000;

static char *plain(size_t len) {
  char *text = GC_malloc_atomic(len + 1);
  text[len] = '\0';
  return text;
}

static size_t below(uint64_t *state, size_t n) { return n ? tap_random(state) % n : 0; }

static char told(size_t i, void *text) { return ((char *)text)[i]; }

static struct entry fresh(uint64_t *state) {
  struct entry e = {.len = below(state, 4) ? below(state, 50) : below(state, 2000)};
  bool nuls = below(state, 4) == 0;
  e.text = plain(e.len);
  for (size_t i = 0; i < e.len; i++) e.text[i] = nuls && !below(state, 5) ? '\0' : (char)('a' + below(state, 3));
  switch (nuls ? 0 : below(state, 3)) {
    case 0: e.cord = CORD_from_fn(told, e.text, e.len); break;
    case 1: e.cord = CORD_from_char_star(e.text); break;
    default:
      for (size_t i = 0; i < e.len; i++) e.cord = CORD_cat_char(e.cord, e.text[i]);
  }
  return e;
}

static struct entry joined(const struct entry *a, const struct entry *b) {
  struct entry e = {CORD_cat(a->cord, b->cord), plain(a->len + b->len), a->len + b->len};
  memcpy(e.text, a->text, a->len);
  memcpy(e.text + a->len, b->text, b->len);
  return e;
}

static struct entry cut(const struct entry *a, uint64_t *state) {
  size_t i = below(state, a->len + 1), n = below(state, 2) ? below(state, a->len + 1) : below(state, 40);
  struct entry e = {.len = n < a->len - i ? n : a->len - i};
  e.cord = CORD_substr(a->cord, i, n);
  e.text = plain(e.len);
  memcpy(e.text, a->text + i, e.len);
  return e;
}

static int order(const struct entry *a, const struct entry *b) {
  int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
  return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int sign(int n) { return (n > 0) - (n < 0); }

/* One look in a random way. */
static bool is_right(const struct entry *a, const struct entry *b, uint64_t *state) {
  size_t i = below(state, a->len), from = below(state, a->len + 1);
  char c = (char)('a' + below(state, 3));
  char *found;
  if (CORD_len(a->cord) != a->len || (a->len == 0) != (a->cord == NULL)) return false;
  switch (below(state, 8)) {
    case 0: return !memcmp(CORD_to_char_star(a->cord), a->text, a->len + 1);
    case 1: return sign(CORD_cmp(a->cord, b->cord)) == sign(order(a, b));
    case 2: return !a->len || CORD_fetch(a->cord, i) == a->text[i];
    case 3: found = memchr(a->text + from, c, a->len - from);
      return CORD_chr(a->cord, from, c) == (found ? (size_t)(found - a->text) : CORD_NOT_FOUND);
    case 4: found = a->len ? memrchr(a->text, c, i + 1) : NULL;
      return CORD_rchr(a->cord, i, c) == (found ? (size_t)(found - a->text) : CORD_NOT_FOUND);
    case 5: found = b->len && a->len >= from ? memmem(a->text + from, a->len - from, b->text, b->len) : a->text + from;
      return CORD_str(a->cord, from, b->cord) == (found ? (size_t)(found - a->text) : CORD_NOT_FOUND);
    case 6: return !a->len || CORD_ncmp(a->cord, i, CORD_from_char_star(a->text + i), 0, strlen(a->text + i)) == 0;
    default: return cord_is_text(a->cord, a->text, a->len);
  }
}

static bool step(struct entry *table, uint64_t *state) {
  struct entry *to = &table[SHARED + below(state, ENTRIES - SHARED)];
  const struct entry *a = &table[below(state, ENTRIES)], *b = &table[below(state, ENTRIES)];
  struct entry e;
  switch (below(state, 8)) {
    case 0: e = fresh(state); break;
    case 1: case 2: e = joined(a, b); break;
    case 3: case 4: e = cut(a, state); break;
    case 5: e = *a, e.cord = CORD_balance(a->cord); break;
    default: return is_right(a, b, state);
  }
  if (e.len <= LONGEST) *to = e;
  return is_right(to, b, state);
}

static void *run(void *seed) {
  uint64_t state = (uintptr_t)seed;
  struct entry *table = GC_malloc(ENTRIES * sizeof *table);
  for (int i = 0; i < ENTRIES; i++) table[i].text = plain(0);
  memcpy(table, shared, sizeof shared);
  for (int i = 0; i < steps; i++)
    if (!step(table, &state)) return (void *)(uintptr_t)(i + 1);
  return NULL;
}

int main(int argc, char **argv) {
  enum { MOST = 16 };
  pthread_t threads[MOST];
  int count = argc > 2 ? atoi(argv[2]) : 1;
  if (argc > 1) steps = atoi(argv[1]);
  GC_INIT();
  uint64_t state = tap_seed();
  for (int i = 0; i < SHARED; i++) shared[i] = fresh(&state);
  for (int i = 0; i < 4; i++) shared[i] = joined(&shared[i], &shared[i + 1]);
  for (int i = 0; i < count; i++) pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)tap_random(&state));
  uintptr_t wrong = 0;
  for (int i = 0; i < count; i++) {
    void *result;
    pthread_join(threads[i], &result);
    if (result) wrong = (uintptr_t)result;
  }
  OK(!wrong, "cords and strings stay the same");
  if (wrong) tap_note("step %zu", (size_t)wrong);
  return tap_end();
}
