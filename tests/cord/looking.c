/* SPDX-License-Identifier: MIT
 * Looking at cords: comparing, searching, taking out, going through with functions and with positions. */
#include "cords.h"

/* The same characters, made in all ways. */
enum { FORMS = 7 };
static CORD form(int how, const char *text) {
  size_t len = strlen(text);
  CORD x = CORD_EMPTY;
  switch (how) {
    case 0: return CORD_from_char_star(text);
    case 1:
      for (; *text; text++) x = CORD_cat_char(x, *text);
      return x;
    case 2:
      for (size_t i = 0; i < len; i += 40) x = CORD_cat(x, CORD_substr(CORD_from_char_star(text), i, 40));
      return x;
    case 3: return CORD_balance(form(2, text));
    case 4: return CORD_substr(CORD_catn(3, "before", text, "behind"), 6, len);
    case 5: return CORD_substr(CORD_cat(text, CORD_nul(50)), 0, len);
    default: return CORD_cat(CORD_substr(text, 0, len / 2), form(2, text + len / 2));
  }
}

static int sign(int n) { return (n > 0) - (n < 0); }

static const char *const texts[] = {"a", "b", "ab", "\xff", "the quick brown fox jumps over the lazy dog",
                                    "the quick brown fox jumps over the lazy cat",
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"};
enum { TEXTS = sizeof texts / sizeof texts[0] };

static void test_compare(void) {
  bool good = true, limited = true;
  for (int a = 0; a < TEXTS; a++)
    for (int b = 0; b < TEXTS; b++)
      for (int how = 0; how < FORMS * FORMS; how++) {
        CORD x = form(how % FORMS, texts[a]), y = form(how / FORMS, texts[b]);
        good = good && sign(CORD_cmp(x, y)) == sign(strcmp(texts[a], texts[b]));
        for (size_t n = 0; n < 50; n += 7)
          limited = limited && sign(CORD_ncmp(x, 0, y, 0, n)) == sign(strncmp(texts[a], texts[b], n));
      }
  OK(good, "cords are compared as strcmp does, whatever they are made of");
  OK(limited, "and as strncmp does");
  OK(CORD_cmp(CORD_EMPTY, CORD_EMPTY) == 0 && CORD_cmp(CORD_EMPTY, "a") < 0 && CORD_cmp("a", CORD_EMPTY) > 0,
     "the empty cord comes first");
  OK(CORD_cmp(CORD_nul(3), CORD_nul(4)) < 0 && CORD_cmp(CORD_cat(CORD_nul(40), "b"), CORD_cat(CORD_nul(40), "a")) > 0,
     "NULs are compared, too");
  CORD x = letters_joined(500, 45);
  OK(CORD_ncmp(x, 26, x, 52, 400) == 0 && CORD_ncmp(x, 26, x, 27, 1) < 0, "CORD_ncmp compares from positions on");
  OK(CORD_ncmp(x, 26, x, 52, 1000) > 0 && CORD_ncmp(x, 600, x, 700, 5) == 0 && CORD_ncmp(x, 600, x, 499, 5) < 0,
     "beyond the end there is nothing");
}

static void test_search(void) {
  const char *text = texts[4];
  bool good = true;
  for (int how = 0; how < FORMS; how++) {
    CORD x = form(how, text);
    for (size_t i = 0; i < strlen(text); i++)
      for (const char *c = "tgo.z"; *c; c++) {
        const char *next = strchr(text + i, *c), *last = memrchr(text, *c, i + 1);
        good = good && CORD_chr(x, i, *c) == (next ? (size_t)(next - text) : CORD_NOT_FOUND) &&
               CORD_rchr(x, i, *c) == (last ? (size_t)(last - text) : CORD_NOT_FOUND);
      }
  }
  OK(good, "characters are found in both directions");
  OK(CORD_chr("abc", 3, 'a') == CORD_NOT_FOUND && CORD_chr(CORD_EMPTY, 0, 'a') == CORD_NOT_FOUND &&
         CORD_rchr(CORD_EMPTY, 0, 'a') == CORD_NOT_FOUND,
     "where there is nothing, none");
  OK(CORD_rchr("abcb", 99, 'b') == 3, "the last one is sought from the end, when told to begin behind it");
  CORD nuls = CORD_cat("abc", CORD_nul(100));
  OK(CORD_chr(nuls, 0, '\0') == 3 && CORD_rchr(nuls, 102, '\0') == 102 && CORD_rchr(nuls, 102, 'c') == 2, "NUL is found");
  OK(CORD_chr("a\xe9", 0, 0xe9) == 1 && CORD_chr("a\xe9", 0, (char)0xe9) == 1, "the character is taken as a char");
}

static void test_find(const char *text, const char *sought) {
  bool good = true;
  for (int how = 0; how < FORMS * FORMS; how++) {
    CORD x = form(how % FORMS, text), s = *sought ? form(how / FORMS, sought) : CORD_EMPTY;
    for (size_t i = 0; i <= strlen(text); i++) {
      const char *found = strstr(text + i, sought);
      good = good && CORD_str(x, i, s) == (found ? (size_t)(found - text) : CORD_NOT_FOUND);
    }
  }
  OK(good, "\"%s\" is found in \"%s\" as strstr does", sought, text);
}

static void test_finds(void) {
  test_find("abababcababac", "ababac");
  test_find("aaaaaaaaab", "aaab");
  test_find("mississippi", "issip");
  test_find(texts[4], "the");
  test_find(texts[4], "dogs");
  test_find("abc", "");
  test_find("abc", "abcd");
  test_find(texts[7], texts[6]);
  OK(CORD_str(CORD_EMPTY, 0, CORD_EMPTY) == 0 && CORD_str(CORD_EMPTY, 0, "a") == CORD_NOT_FOUND &&
         CORD_str("abc", 4, "a") == CORD_NOT_FOUND,
     "nothing is found in nothing, and nothing else is");
  OK(CORD_str(CORD_cat("ab", CORD_nul(50)), 0, CORD_cat("b", CORD_nul(50))) == 1, "with NULs as well");
}

static void test_take(void) {
  char *copy = CORD_to_char_star("abc");
  copy[0] = 'x';
  OK(strcmp(copy, "xbc") == 0, "what is taken out may be changed");
  OK(strcmp(CORD_to_char_star(CORD_EMPTY), "") == 0 && strcmp(CORD_to_const_char_star(CORD_EMPTY), "") == 0,
     "of the empty cord it is an empty C string");
  const char *text = "abc";
  OK(CORD_to_const_char_star(text) == text, "a C string is taken as it lies there");
  bool good = true;
  for (int how = 0; how < FORMS; how++) good = good && !strcmp(CORD_to_char_star(form(how, texts[4])), texts[4]);
  OK(good, "all cords are taken out");
  OK(!memcmp(CORD_to_char_star(CORD_cat("a", CORD_nul(3))), "a\0\0\0", 5), "NULs too");
}

static void test_put(void) {
  char *out = NULL;
  size_t len = 0;
  FILE *f = open_memstream(&out, &len);
  fputs("first ", f);
  CORD x = CORD_catn(4, letters_joined(1000, 45), CORD_from_fn(letter, NULL, 1000), CORD_nul(100), "end");
  OK(CORD_put(x, f) == 1 && CORD_put(CORD_EMPTY, f) == 1, "a cord is written, and an empty one");
  fclose(f);
  OK(len == 2109 && !memcmp(out, "first ", 6) && cord_is_text(x, out + 6, 2103), "where the file stands, all of it");
  free(out);
  f = fopen("/dev/full", "w");
  if (f) setvbuf(f, NULL, _IONBF, 0);
  OK(f && CORD_put(x, f) == EOF, "EOF tells that a file is full");
  if (f) fclose(f);
}

/* --- going through with functions --- */

struct seen {
  char text[4000];
  size_t len, stop, batches;
};

static int see(char c, void *seen_) {
  struct seen *seen = seen_;
  seen->text[seen->len++] = c;
  return seen->len == seen->stop ? 42 : 0;
}

static int see_batch(const char *s, void *seen_) {
  struct seen *seen = seen_;
  memcpy(seen->text + seen->len, s, strlen(s));
  seen->len += strlen(s);
  seen->batches++;
  return seen->len >= seen->stop ? 43 : 0;
}

static struct seen *fresh(size_t stop) {
  static struct seen seen;
  memset(&seen, 0, sizeof seen);
  seen.stop = stop;
  return &seen;
}

static void test_iter(void) {
  const char *text = letters(0, 900);
  CORD x = CORD_catn(3, letters_joined(300, 45), CORD_from_fn(letter, NULL, 0), CORD_substr(CORD_from_fn(letter, NULL, 900), 300, 600));
  struct seen *seen = fresh(0);
  OK(CORD_iter(x, see, seen) == 0 && seen->len == 900 && !memcmp(seen->text, text, 900), "CORD_iter sees each character");
  seen = fresh(0);
  OK((CORD_iter)(x, see, seen) == 0 && seen->len == 900, "the function does as the macro");
  seen = fresh(17);
  OK(CORD_iter5(x, 95, see, CORD_NO_FN, seen) == 42 && seen->len == 17 && !memcmp(seen->text, text + 95, 17),
     "CORD_iter5 begins anywhere, and ends when it is told to");
  seen = fresh(SIZE_MAX);
  OK(CORD_iter5(x, 50, see, see_batch, seen) == 0 && seen->len == 850 && !memcmp(seen->text, text + 50, 850) && seen->batches,
     "it gives strings whole");
  seen = fresh(1);
  OK(CORD_iter5(x, 50, see, see_batch, seen) == 43 && seen->len <= 45, "and ends after one if told to");
  OK(CORD_iter5(x, 900, see, see_batch, seen) == 0 && CORD_iter5(CORD_EMPTY, 0, see, see_batch, seen) == 0 &&
         CORD_riter(CORD_EMPTY, see, seen) == 0 && seen->batches == 1,
     "where there is nothing nothing is called");
  seen = fresh(0);
  bool good = CORD_riter(x, see, seen) == 0 && seen->len == 900;
  for (size_t i = 0; good && i < 900; i++) good = seen->text[i] == text[899 - i];
  OK(good, "CORD_riter sees each character from the end");
  seen = fresh(31);
  good = CORD_riter4(x, 310, see, seen) == 42 && seen->len == 31;
  for (size_t i = 0; good && i < 31; i++) good = seen->text[i] == text[310 - i];
  OK(good, "CORD_riter4 begins anywhere");
  seen = fresh(0);
  OK(CORD_riter4(x, 0, see, seen) == 0 && seen->len == 1 && CORD_riter4(x, 5000, see, seen) == 0 && seen->len == 901,
     "at the beginning, or at the end if told to begin behind it");
}

/* --- positions --- */

/* Goes back and forth by the functions and by the macros. */
static void test_positions_in(CORD x, const char *text, const char *name) {
  size_t len = strlen(text), i = len / 3;
  uint64_t state = 4711;
  bool good = true;
  CORD_pos p;
  CORD_set_pos(p, x, i);
  for (int step = 0; step < 20000 && good; step++) {
    bool forward = tap_random(&state) % 1000 < (step / 2000 % 2 ? 400 : 600);
    if (!(forward ? i + 1 < len : i > 0)) continue;
    i += forward ? 1 : -1;
    switch (tap_random(&state) % 2 + 2 * forward) {
      case 0: CORD_prev(p); break;
      case 1: (CORD_prev)(p); break;
      case 2: CORD_next(p); break;
      default: (CORD_next)(p); break;
    }
    good = CORD_pos_valid(p) && (CORD_pos_valid)(p) && CORD_pos_to_index(p) == i && (CORD_pos_to_index)(p) == i &&
           CORD_pos_fetch(p) == text[i] && (CORD_pos_fetch)(p) == text[i];
  }
  OK(good && CORD_pos_to_cord(p) == x && (CORD_pos_to_cord)(p) == x, "a position walks about in %s", name);
  CORD_set_pos(p, x, len - 1);
  CORD_next(p);
  OK(!CORD_pos_valid(p) && !(CORD_pos_valid)(p), "and leaves it at the end");
  CORD_set_pos(p, x, 0);
  CORD_prev(p);
  OK(!CORD_pos_valid(p), "and at the beginning");
  CORD_next(p);
  OK(!CORD_pos_valid(p), "to stay outside");
  size_t seen = 0;
  good = true;
  for (CORD_set_pos(p, x, 0); CORD_pos_valid(p) && good;) {
    long n = CORD_pos_chars_left(p);
    if (n <= 0) {
      good = CORD_pos_fetch(p) == text[seen++];
      CORD_next(p);
      continue;
    }
    good = !memcmp(CORD_pos_cur_char_addr(p), text + seen, (size_t)n);
    seen += (size_t)n;
    CORD_pos_advance(p, (size_t)n);
  }
  OK(good && seen == len, "a position goes through it in pieces");
}

static void test_positions(void) {
  const char *text = letters(0, 500);
  CORD_pos p;
  test_positions_in(text, text, "a string");
  test_positions_in(letters_joined(500, 45), text, "a cord of pieces");
  test_positions_in(CORD_balance(letters_joined(500, 1)), text, "a balanced cord");
  test_positions_in(CORD_from_fn(letter, NULL, 500), text, "a function");
  test_positions_in(CORD_cat(CORD_substr(text, 0, 100), CORD_substr(CORD_from_fn(letter, NULL, 600), 100, 400)), text,
                    "text and a function");
  CORD_set_pos(p, text, 500);
  OK(!CORD_pos_valid(p), "the end is outside");
  CORD_set_pos(p, CORD_EMPTY, 0);
  OK(!CORD_pos_valid(p), "and in an empty cord everything is");
  OK(CORD_fetch(letters_joined(500, 45), 499) == text[499], "CORD_fetch tells one character");
}

int main(void) {
  GC_INIT();
  test_compare();
  test_search();
  test_finds();
  test_take();
  test_put();
  test_iter();
  test_positions();
  return tap_end();
}
