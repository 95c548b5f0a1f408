/* SPDX-License-Identifier: MIT
 * Printing into cords, against libc's printf. */
#include "cords.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <wchar.h>

/* Both take the same arguments. */
static bool prints_same(const char *format, ...) {
  char expected[5000];
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  CORD x = "untouched";
  int expected_len = vsnprintf(expected, sizeof expected, format, args), len = CORD_vsprintf(&x, format, again);
  va_end(args);
  va_end(again);
  bool same = len == expected_len && cord_is_text(x, expected, (size_t)len);
  if (!same) tap_note("%s: %d characters, %s", format, len, CORD_to_const_char_star(x));
  return same;
}

/* The characters of a text, and blanks after them. */
static char format_char(size_t i, void *text) {
  errno = EINTR;
  return i < strlen(text) ? ((char *)text)[i] : ' ';
}

static void test_native(void) {
  OK(prints_same("plain") && prints_same("100%% of it %% "), "text");
  OK(prints_same("%d %i %5d|%-5d|%05d|%+d|% d|%.3d|%'d", 1, -2, 3, 4, 5, 6, 7, 8, 1234567), "integers, with flags");
  OK(prints_same("%hhd %hd %ld %lld %jd %zd %td %qd %Ld", 300, 70000, LONG_MIN, LLONG_MAX, INTMAX_MIN, (ssize_t)-5,
                 (ptrdiff_t)-6, 7LL, 8LL),
     "integers of all sizes");
  OK(prints_same("%u %x %X %#x %o %#o %hhu %hu %lu %llx %ju %zx %tx", 1U, 255U, 255U, 255U, 8U, 8U, 300U, 70000U, ULONG_MAX,
                 ULLONG_MAX, UINTMAX_MAX, SIZE_MAX, (ptrdiff_t)77),
     "integers without a sign");
  OK(prints_same("%f %e %g %a %F %E %G %A %.2f|%10.3f|%-10.1f|%010f", 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5, 11.5,
                 12.5),
     "numbers");
  OK(prints_same("%Lf %Le %Lg %La %f", 1.5L, 2.5L, 3.5L, 4.5L, 5.5), "long numbers");
  OK(prints_same("%c%c%5c|%-5c|", 'a', 'b', 'c', 'd'), "characters");
  OK(prints_same("%s|%5s|%-5s|%.2s|%10.3s|", "one", "two", "three", "four", "five!"), "strings");
  OK(prints_same("%p %p %s", (void *)test_native, (void *)NULL, "x"), "pointers");
  OK(prints_same("%*d|%-*d|%.*f|%*.*s|%*s|", 7, 1, 7, 2, 3, 1.23456, 10, 2, "text", -6, "l"), "width and precision as arguments");
  OK(prints_same("%ls %lc %S %C|", L"wide", (wint_t)L'w', L"also", (wint_t)L'x'), "wide characters");
  OK(prints_same("%s%s", letters(0, 1000), letters(0, 3000)), "long strings");
  OK(prints_same("%d%s%d%f%Lf%ld%s", 1, "two", 3, 4.0, 5.0L, 6L, "seven"), "all of them in one");
  errno = ENOENT;
  OK(prints_same("%d %s %m", 5, letters(0, 900)), "the error");
  CORD x, y;
  const char *error = strerror(ENOENT);
  errno = ENOENT;
  OK(CORD_sprintf(&x, CORD_from_fn(format_char, (void *)"%d %m", 40), 5) > 0 && CORD_sprintf(&y, "5 %s", error) > 0 &&
         CORD_ncmp(x, 0, y, 0, CORD_len(y)) == 0,
     "which is that of before, whatever happens meanwhile");
  OK(CORD_sprintf(&x, "a%cb%c", 0, 0) == 4 && cord_is_text(x, "a\0b", 4), "NULs");
}

static bool prints_r(const char *expected, const char *format, ...) {
  va_list args;
  va_start(args, format);
  CORD x;
  int len = CORD_vsprintf(&x, format, args);
  va_end(args);
  return len == (int)strlen(expected) && cord_is(x, expected);
}

static void test_cords(void) {
  CORD joined = letters_joined(60, 25);
  OK(prints_r("abc|", "%r|", "abc") && prints_r("|", "%r|", CORD_EMPTY), "a cord, and an empty one");
  OK(prints_r("  abc|abc  |", "%5r|%-5r|", "abc", "abc"), "with width");
  OK(prints_r("ab|   ab||abc|", "%.2r|%5.2r|%.0r|%.9r|", "abc", "abc", "abc", "abc"), "and precision");
  OK(prints_r("  abc|abc  |ab|abc|", "%*r|%*r|%.*r|%.*r|", 5, "abc", -5, "abc", 2, "abc", -1, "abc"), "as arguments");
  OK(prints_r("1 abcdefghij 2.500000", "%d %.10r %f", 1, joined, 2.5), "among others");
  CORD x;
  CORD large = CORD_chars('x', 1000000000);
  OK(CORD_sprintf(&x, "%r%r", large, large) == 2000000000 && CORD_len(x) == 2000000000, "it is shared, not copied");
  errno = 0;
  OK(CORD_sprintf(&x, "%r%r%r", large, large, large) == -1 && errno == EOVERFLOW, "more than an int can tell is an error");
  OK(CORD_sprintf(&x, CORD_catn(3, letters_joined(200, 40), "%d", letters_joined(100, 9)), 42) == 302 &&
         CORD_ncmp(x, 198, "qr42abcd", 0, 8) == 0,
     "the format is a cord");
}

static void test_counts(void) {
  signed char hh;
  short h;
  int n;
  long l;
  long long ll;
  intmax_t j;
  size_t z;
  ptrdiff_t t;
  CORD x;
  int len = CORD_sprintf(&x, "%r%hhn%d%hn%r%n-%ln-%lln%%%jn-%zn-%tn", "abc", &hh, 12, &h, letters_joined(90, 45), &n, &l, &ll, &j, &z, &t);
  OK(len == 100 && hh == 3 && h == 5 && n == 95 && l == 96 && ll == 97 && j == 98 && z == 99 && t == 100,
     "%%n counts the characters until there, into all sizes");
}

static void test_errors(void) {
  static const char *const wrong[] = {"%", "abc%", "%y", "%5", "%.", "%1$d", "%99999999999d", "%l", "%hhhd", "%-", "%*"};
  bool good = true;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    CORD x = "untouched";
    errno = 0;
    good = good && CORD_sprintf(&x, wrong[i], 1, 1) == -1 && errno == EINVAL && !strcmp(x, "untouched");
  }
  OK(good, "what is no conversion is an error, and nothing is printed");
  char many[300];
  memset(many, '0', sizeof many);
  memcpy(many, "%", 1);
  strcpy(many + 250, "d");
  CORD x;
  OK(CORD_sprintf(&x, many, 1) == -1, "nor is one longer than any has a use for");
}

static void test_files(void) {
  char *out = NULL;
  size_t len = 0;
  FILE *f = open_memstream(&out, &len);
  int count = CORD_fprintf(f, "%d %r", 1, letters_joined(100, 30));
  fclose(f);
  OK(count == 102 && len == 102 && !strncmp(out, "1 abc", 5), "CORD_fprintf prints to a file");
  free(out);
  OK(CORD_printf("# %r %s\n", "printed by", "CORD_printf") == 25, "CORD_printf to stdout");
  f = fopen("/dev/full", "w");
  if (f) setvbuf(f, NULL, _IONBF, 0);
  OK(f && CORD_fprintf(f, "x") == -1, "-1 tells that a file is full");
  if (f) fclose(f);
}

/* The v-functions leave the list to the caller. */
static int print_v(FILE *f, CORD format, ...) {
  va_list args;
  va_start(args, format);
  int count = f ? CORD_vfprintf(f, format, args) : CORD_vprintf(format, args);
  va_end(args);
  return count;
}

int main(void) {
  GC_INIT();
  test_native();
  test_cords();
  test_counts();
  test_errors();
  test_files();
  OK(print_v(NULL, "# %s\n", "CORD_vprintf") == 15 && print_v(stdout, "# %r\n", "CORD_vfprintf") == 16, "and those that take a list");
  return tap_end();
}
