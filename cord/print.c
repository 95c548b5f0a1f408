/* SPDX-License-Identifier: MIT
 * Printing into cords. Each conversion but %r, %n and %% is left to vsnprintf; what is known of it here is only which
 * arguments it takes. */
#include "config.h"

#include "node.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>

#include "ec.h"

/* How the argument of a conversion is modified. */
enum print_size { print_plain, print_hh, print_h, print_l, print_ll, print_j, print_z, print_t, print_L };

enum { PRINT_SPEC = 64 }; /* longer than any conversion with sense, its numbers included */

struct print_spec {
  char text[PRINT_SPEC]; /* all of it, % included */
  size_t text_len;
  char conversion;
  enum print_size size;
  bool left, star_width, star_precision, has_precision;
  size_t width, precision; /* unless they are arguments */
};

struct print {
  CORD_ec out;
  size_t count; /* characters until now */
  int error;    /* errno as the caller has it, for %m */
  va_list args;
  CORD_pos at; /* in the format */
};

/* --- reading a conversion; each reads on from the current position. --- */

/* The current character, NUL at the end. */
static char print_peek(struct print *print) { return CORD_pos_valid(print->at) ? CORD_pos_fetch(print->at) : '\0'; }

static bool print_read(struct print *print, struct print_spec *spec) {
  if (!CORD_pos_valid(print->at) || spec->text_len == PRINT_SPEC - 1) return false;
  spec->text[spec->text_len++] = print_peek(print);
  CORD_next(print->at);
  return true;
}

static bool print_read_if(struct print *print, struct print_spec *spec, const char *any_of) {
  char c = print_peek(print);
  return c && strchr(any_of, c) && print_read(print, spec);
}

/* A number or a star. False if the number is larger than an int, or has no room. */
static bool print_read_number(struct print *print, struct print_spec *spec, size_t *number, bool *star) {
  *star = print_read_if(print, spec, "*");
  if (*star) return true;
  while (print_read_if(print, spec, "0123456789")) {
    *number = *number * 10 + (size_t)(spec->text[spec->text_len - 1] - '0');
    if (*number > INT_MAX) return false;
  }
  return true;
}

static enum print_size print_read_size(struct print *print, struct print_spec *spec) {
  if (print_read_if(print, spec, "h")) return print_read_if(print, spec, "h") ? print_hh : print_h;
  if (print_read_if(print, spec, "l")) return print_read_if(print, spec, "l") ? print_ll : print_l;
  if (print_read_if(print, spec, "q")) return print_ll;
  if (print_read_if(print, spec, "j")) return print_j;
  if (print_read_if(print, spec, "zZ")) return print_z;
  if (print_read_if(print, spec, "t")) return print_t;
  return print_read_if(print, spec, "L") ? print_L : print_plain;
}

/* From the % on; false if it is none that is known. */
static bool print_read_spec(struct print *print, struct print_spec *spec) {
  *spec = (struct print_spec){.text_len = 0};
  print_read(print, spec);
  while (print_read_if(print, spec, "-+ #0'I"))
    if (spec->text[spec->text_len - 1] == '-') spec->left = true;
  if (!print_read_number(print, spec, &spec->width, &spec->star_width)) return false;
  spec->has_precision = print_read_if(print, spec, ".");
  if (spec->has_precision && !print_read_number(print, spec, &spec->precision, &spec->star_precision)) return false;
  spec->size = print_read_size(print, spec);
  if (!print_read_if(print, spec, "diouxXcspfFeEgGaACSmnr%")) return false;
  spec->conversion = spec->text[spec->text_len - 1];
  return true;
}

/* --- the arguments --- */

static void print_drop_integer(struct print *print, enum print_size size) {
  if (size == print_l) (void)va_arg(print->args, long);
  else if (size == print_ll || size == print_L) (void)va_arg(print->args, long long);
  else if (size == print_j) (void)va_arg(print->args, intmax_t);
  else if (size == print_z) (void)va_arg(print->args, size_t);
  else if (size == print_t) (void)va_arg(print->args, ptrdiff_t);
  else (void)va_arg(print->args, int);
}

/* Takes the arguments of a conversion that vsnprintf was given a copy of. */
static void print_drop_arguments(struct print *print, const struct print_spec *spec) {
  if (spec->star_width) (void)va_arg(print->args, int);
  if (spec->star_precision) (void)va_arg(print->args, int);
  if (strchr("diouxX", spec->conversion)) print_drop_integer(print, spec->size);
  else if (strchr("spS", spec->conversion)) (void)va_arg(print->args, void *);
  else if (spec->conversion == 'C' || (spec->conversion == 'c' && spec->size == print_l)) (void)va_arg(print->args, wint_t);
  else if (spec->conversion == 'c') (void)va_arg(print->args, int);
  else if (spec->conversion == 'm') return;
  else if (spec->size == print_L) (void)va_arg(print->args, long double);
  else (void)va_arg(print->args, double);
}

/* Width and precision that are arguments take their places. */
static void print_take_stars(struct print *print, struct print_spec *spec) {
  if (spec->star_width) {
    long width = va_arg(print->args, int);
    if (width < 0) spec->left = true;
    spec->width = (size_t)(width < 0 ? -width : width);
  }
  if (spec->star_precision) {
    int precision = va_arg(print->args, int);
    spec->has_precision = precision >= 0;
    spec->precision = precision >= 0 ? (size_t)precision : 0;
  }
}

/* --- writing --- */

static void print_cord(struct print *print, CORD x) {
  CORD_ec_append_cord(print->out, x);
  print->count = cord_sum(print->count, CORD_len(x));
}

static bool print_r(struct print *print, struct print_spec *spec) {
  print_take_stars(print, spec);
  CORD x = va_arg(print->args, CORD);
  if (spec->has_precision) x = CORD_substr(x, 0, spec->precision);
  size_t len = CORD_len(x);
  CORD padding = CORD_chars(' ', spec->width > len ? spec->width - len : 0);
  print_cord(print, spec->left ? CORD_cat(x, padding) : CORD_cat(padding, x));
  return true;
}

static bool print_n(struct print *print, struct print_spec *spec) {
  print_take_stars(print, spec);
  void *out = va_arg(print->args, void *);
  switch (spec->size) {
    case print_hh: *(signed char *)out = (signed char)print->count; break;
    case print_h: *(short *)out = (short)print->count; break;
    case print_l: *(long *)out = (long)print->count; break;
    case print_ll: case print_L: *(long long *)out = (long long)print->count; break;
    case print_j: *(intmax_t *)out = (intmax_t)print->count; break;
    case print_z: *(size_t *)out = print->count; break;
    case print_t: *(ptrdiff_t *)out = (ptrdiff_t)print->count; break;
    default: *(int *)out = (int)print->count; break;
  }
  return true;
}

static int print_formatted(struct print *print, const struct print_spec *spec, char *out, size_t size) {
  va_list args;
  va_copy(args, print->args);
  errno = print->error;
  int len = vsnprintf(out, size, spec->text, args);
  va_end(args);
  return len;
}

static bool print_native(struct print *print, const struct print_spec *spec) {
  char near[128], *text = near;
  int len = print_formatted(print, spec, near, sizeof near);
  if (len < 0) return false;
  if ((size_t)len >= sizeof near) {
    text = cord_new_chars((size_t)len + 1);
    print_formatted(print, spec, text, (size_t)len + 1);
    print_cord(print, cord_of_chars(text, (size_t)len));
  } else if (len) {
    print_cord(print, cord_of_copy(text, (size_t)len));
  }
  print_drop_arguments(print, spec);
  return true;
}

static bool print_conversion(struct print *print) {
  struct print_spec spec;
  if (!print_read_spec(print, &spec)) {
    errno = EINVAL;
    return false;
  }
  switch (spec.conversion) {
    case 'r': return print_r(print, &spec);
    case 'n': return print_n(print, &spec);
    case '%': print_cord(print, "%"); return true;
    default: return print_native(print, &spec);
  }
}

static bool print_format(struct print *print, CORD format) {
  for (CORD_set_pos(print->at, format, 0); CORD_pos_valid(print->at);) {
    char c = CORD_pos_fetch(print->at);
    if (c == '%') {
      if (!print_conversion(print)) return false;
      continue;
    }
    CORD_ec_append(print->out, c);
    print->count = cord_sum(print->count, 1);
    CORD_next(print->at);
  }
  return true;
}

int CORD_vsprintf(CORD *out, CORD format, va_list args) {
  struct print print;
  CORD_ec_init(print.out);
  print.count = 0;
  print.error = errno;
  va_copy(print.args, args);
  bool good = print_format(&print, format);
  va_end(print.args);
  if (!good) return -1;
  if (print.count > INT_MAX) {
    errno = EOVERFLOW;
    return -1;
  }
  *out = CORD_ec_to_cord(print.out);
  return (int)print.count;
}

int CORD_vfprintf(FILE *f, CORD format, va_list args) {
  CORD out;
  int count = CORD_vsprintf(&out, format, args);
  return count < 0 || CORD_put(out, f) == EOF ? -1 : count;
}

int CORD_vprintf(CORD format, va_list args) { return CORD_vfprintf(stdout, format, args); }

int CORD_sprintf(CORD *out, CORD format, ...) {
  va_list args;
  va_start(args, format);
  int count = CORD_vsprintf(out, format, args);
  va_end(args);
  return count;
}

int CORD_fprintf(FILE *f, CORD format, ...) {
  va_list args;
  va_start(args, format);
  int count = CORD_vfprintf(f, format, args);
  va_end(args);
  return count;
}

int CORD_printf(CORD format, ...) {
  va_list args;
  va_start(args, format);
  int count = CORD_vfprintf(stdout, format, args);
  va_end(args);
  return count;
}
