/* SPDX-License-Identifier: MIT
 * Making cords: joining, cutting, balancing, functions, extensible cords; and what is promised of how they look. */
#include "cords.h"

static void test_form(void) {
  const char *text = "text";
  OK(CORD_EMPTY == (CORD)NULL && CORD_len(CORD_EMPTY) == 0, "NULL is the empty cord");
  OK(CORD_IS_STRING("text") && CORD_len("text") == 4 && cord_is("text", "text"), "a C string is a cord");
  OK(CORD_cat(text, CORD_EMPTY) == text && CORD_cat(CORD_EMPTY, text) == text, "joined with nothing it stays itself");
  CORD x = CORD_cat(letters(0, 100), letters(100, 100));
  OK(!CORD_IS_STRING(x) && *x == '\0', "any other cord begins with a NUL");
  OK(CORD_from_char_star("") == CORD_EMPTY, "the cord of an empty C string is NULL");
  OK(CORD_substr(x, 7, 0) == CORD_EMPTY && CORD_chars('x', 0) == CORD_EMPTY && CORD_catn(0) == CORD_EMPTY &&
         CORD_from_fn(letter, NULL, 0) == CORD_EMPTY && CORD_balance(CORD_EMPTY) == CORD_EMPTY,
     "every empty result is NULL");
  char changing[] = "before";
  x = CORD_from_char_star(changing);
  strcpy(changing, "after!");
  OK(cord_is(x, "before"), "CORD_from_char_star copies");
}

static void test_cat(void) {
  CORD x = CORD_EMPTY, y = CORD_EMPTY;
  for (size_t i = 0; i < 3000; i++) x = CORD_cat_char(x, letter(i, NULL));
  OK(cord_is(x, letters(0, 3000)), "characters are appended one by one");
  for (size_t i = 0; i < 3000; i++) y = CORD_cat(letters(2999 - i, 1), y);
  OK(cord_is(y, letters(0, 3000)), "and prepended");
  x = CORD_cat_char(CORD_cat_char(CORD_cat_char("a", '\0'), '\0'), 'b');
  OK(cord_is_text(x, "a\0\0b", 4), "NUL is a character like others");
  OK(cord_is_text(CORD_cat_char(CORD_EMPTY, '\0'), "", 1), "a cord may be of one NUL alone");
  OK(cord_is(CORD_cat_char(CORD_EMPTY, 'x'), "x"), "a character is appended to nothing");
  const char *text = letters(0, 200);
  OK(CORD_cat_char_star(text, "abc", 0) == text, "nothing of a C string is appended");
  OK(CORD_cat_char_star(CORD_EMPTY, text, 200) == text, "a C string is appended to nothing");
  OK(cord_is(CORD_cat_char_star(text, letters(200, 100), 100), letters(0, 300)), "and to something");
  OK(cord_is(CORD_catn(4, "one ", CORD_EMPTY, CORD_cat("two ", "three "), "four"), "one two three four"),
     "CORD_catn joins all of them");
  CORD shared = letters_joined(500, 50), twice = CORD_cat(shared, shared);
  OK(cord_is(CORD_substr(twice, 500, 500), letters(0, 500)) && cord_is(shared, letters(0, 500)),
     "parts are shared, and unchanged");
}

static void test_cut(CORD x, const char *name) {
  size_t len = CORD_len(x);
  const char *text = CORD_to_char_star(x);
  bool good = true;
  for (size_t i = 0; i <= len; i += i < 40 || i > len - 40 ? 1 : 17)
    for (size_t n = 0; n <= len - i; n += n < 40 || n > len - i - 20 ? 1 : 23) {
      CORD cut = CORD_substr(x, i, n);
      good = good && CORD_len(cut) == n && CORD_ncmp(cut, 0, x, i, n) == 0 && !memcmp(CORD_to_const_char_star(cut), text + i, n);
    }
  OK(good, "%s is cut anywhere", name);
  CORD cut = CORD_substr(CORD_substr(CORD_substr(x, 3, len), 4, len - 20), 5, 100);
  OK(cord_is_text(cut, text + 12, 100), "%s is cut again and again", name);
  OK(CORD_substr(x, 0, len) == x && CORD_substr(x, 0, SIZE_MAX) == x, "%s cut at its ends stays itself", name);
  OK(CORD_len(CORD_substr(x, 5, SIZE_MAX)) == len - 5, "%s has no more than it has", name);
  OK(CORD_substr(x, len, 1) == CORD_EMPTY && CORD_substr(x, len + 1, 1) == CORD_EMPTY &&
         CORD_substr(x, SIZE_MAX, SIZE_MAX) == CORD_EMPTY,
     "%s has nothing beyond its end", name);
}

static void test_cuts(void) {
  CORD nuls = CORD_catn(3, letters(0, 90), CORD_nul(40), letters(0, 90));
  OK(CORD_substr(CORD_EMPTY, 0, 9) == CORD_EMPTY, "nothing can be cut from nothing");
  test_cut(letters(0, 300), "a string");
  test_cut(CORD_from_fn(letter, NULL, 300), "a function");
  test_cut(letters_joined(300, 7), "a cord of short pieces");
  test_cut(letters_joined(300, 60), "a cord of pieces");
  test_cut(CORD_balance(letters_joined(300, 60)), "a balanced cord");
  test_cut(nuls, "a cord with NULs");
  test_cut(CORD_substr(CORD_cat(nuls, CORD_substr(nuls, 1, 150)), 10, 320), "a cord of cuts");
}

/* Only what a cut needs of a long string is kept, and the string by the cut. */
static void test_owner(void) {
  CORD cut = CORD_substr(letters(0, 100000), 50000, 1000);
  for (int i = 0; i < 3; i++) {
    GC_gcollect();
    for (int k = 0; k < 20; k++) memset(GC_malloc_atomic(100001), 'X', 100001);
  }
  OK(cord_is(cut, letters(50000, 1000)), "a cut keeps the string that it was cut from");
}

/* --- depth --- */

static void test_depth(void) {
  enum { N = 20000 };
  CORD left = CORD_EMPTY, right = CORD_EMPTY;
  for (size_t i = 0; i < N; i += 40) left = CORD_cat(left, letters(i, 40));
  for (size_t i = 0; i < N; i += 40) right = CORD_cat(letters(N - 40 - i, 40), right);
  const char *text = letters(0, N);
  OK(cord_is(left, text) && cord_is(right, text), "cords may be joined from one end without end");
  CORD_pos p;
  CORD_set_pos(p, left, N - 1);
  OK(p[0].path_len <= MAX_DEPTH, "and are no deeper than positions can tell");
  CORD_set_pos(p, left, 0);
  OK(p[0].path_len <= MAX_DEPTH && CORD_pos_chars_left(p) == 40, "in which the characters still lie there as they were given");
  CORD_set_pos(p, right, N - 40);
  OK(p[0].path_len <= MAX_DEPTH && CORD_pos_chars_left(p) == 40, "also those that were joined before the others");
  CORD_set_pos(p, CORD_balance(left), N - 1);
  OK(p[0].path_len <= 18, "a balanced one of 500 pieces is not deep");
  OK(cord_is(CORD_balance(left), text) && cord_is(CORD_balance(right), text), "balancing changes no character");
  CORD balanced = CORD_balance(left);
  OK(CORD_balance(balanced) == balanced || cord_is(CORD_balance(balanced), text), "it may be balanced again");
  OK(CORD_balance(text) == text, "a string is balanced");
}

/* More joins in a row than any depth tells apart. */
static void test_doubled(void) {
  CORD x = letters(0, 26);
  size_t len = 26;
  bool good = true;
  for (int i = 0; i < 55; i++) {
    x = CORD_cat(x, x);
    len *= 2;
    size_t at[] = {0, 25, 26, len / 2 - 1, len / 2, len / 3, len - 1};
    for (size_t k = 0; k < sizeof at / sizeof at[0]; k++) good = good && CORD_fetch(x, at[k]) == letter(at[k] % 26, NULL);
  }
  OK(good && CORD_len(x) == len, "a cord is doubled 55 times");
  OK(cord_is(CORD_substr(x, len / 2 - 13, 100), letters(13, 100)), "and cut in the middle");
  CORD_pos p;
  CORD_set_pos(p, x, len / 2 - 100);
  good = true;
  for (size_t i = len / 2 - 100; i < len / 2 + 100; i++, CORD_next(p)) good = good && CORD_pos_fetch(p) == letter(i % 26, NULL);
  OK(good && p[0].path_len <= MAX_DEPTH, "and gone through there");
}

/* --- functions --- */

static size_t asked;
static char counted(size_t i, void *data) {
  asked++;
  return letter(i + *(size_t *)data, NULL);
}

static void test_functions(void) {
  size_t *shift = GC_malloc_atomic(sizeof *shift);
  *shift = 3;
  CORD x = CORD_from_fn(counted, shift, 1000);
  OK(asked == 0, "a function of many characters is not asked beforehand");
  OK(CORD_fetch(x, 500) == letter(503, NULL) && asked == 1, "and for one if one is wanted");
  CORD_pos p;
  asked = 0;
  CORD_set_pos(p, x, 10);
  OK(asked == 0 && CORD_pos_fetch(p) == letter(13, NULL) && asked == 1, "by a position, too");
  OK(cord_is(x, letters(3, 1000)), "it tells all of them");
  CORD few = CORD_from_fn(counted, shift, 9);
  asked = 0;
  OK(cord_is(few, letters(3, 9)) && asked == 0, "one of few characters is asked at once");
  CORD cut = CORD_substr(CORD_substr(x, 100, 800), 50, 600);
  OK(cord_is(cut, letters(153, 600)), "a cut of a cut asks the same function");
  OK(cord_is(CORD_cat(x, cut), CORD_to_char_star(CORD_cat(letters(3, 1000), letters(153, 600)))), "functions are joined");
  x = CORD_chars('z', (size_t)1 << 60);
  OK(CORD_len(x) == (size_t)1 << 60 && CORD_fetch(x, ((size_t)1 << 60) - 1) == 'z', "CORD_chars takes no room");
  OK(CORD_fetch(CORD_chars('\xff', 100), 99) == '\xff' && CORD_fetch(CORD_nul(100), 50) == '\0', "of any character");
  OK(cord_is(CORD_chars('q', 5), "qqqqq"), "nor do few of them differ");
}

/* --- extensible cords --- */

static void test_extensible(void) {
  CORD_ec x;
  CORD_ec_init(x);
  OK(CORD_ec_to_cord(x) == CORD_EMPTY, "an extensible cord begins empty");
  for (size_t i = 0; i < 1000; i++) CORD_ec_append(x, letter(i, NULL));
  OK(cord_is(CORD_ec_to_cord(x), letters(0, 1000)), "characters are appended to it");
  CORD before = CORD_ec_to_cord(x);
  CORD_ec_append_cord(x, letters_joined(300, 33));
  CORD_ec_append(x, '!');
  CORD_ec_append_cord(x, CORD_EMPTY);
  CORD after = CORD_ec_to_cord(x);
  OK(cord_is(before, letters(0, 1000)) && CORD_len(after) == 1301 && CORD_fetch(after, 1300) == '!' &&
         CORD_ncmp(after, 1000, letters(0, 300), 0, 300) == 0,
     "and cords, and what it was before stays");
  CORD_ec_init(x);
  for (int i = 0; i < 300; i++) CORD_ec_append(x, i % 3 ? '\0' : 'n');
  after = CORD_ec_to_cord(x);
  OK(CORD_len(after) == 300 && CORD_fetch(after, 299) == '\0' && CORD_fetch(after, 297) == 'n' && CORD_fetch(after, 0) == 'n',
     "and NULs");
}

int main(void) {
  GC_INIT();
  test_form();
  test_cat();
  test_cuts();
  test_owner();
  test_depth();
  test_doubled();
  test_functions();
  test_extensible();
  return tap_end();
}
