/* SPDX-License-Identifier: MIT
 * Cords: strings that are never changed, of any length, joined and cut in time that does not grow with what they hold. Names,
 * types and meaning are those of libgc's cord.h (8.2). Link with -lcord -lgc. cord(3) has each of them.
 *
 * What a client may count on:
 * - NULL is the empty cord, and the only one.
 * - A C string that is not empty is a cord of its characters, at no cost. Who makes it one promises not to change it from
 *   then on, and that it lasts as long as the cord: a literal, or memory that is collected.
 * - Any other cord is a pointer to memory that begins with a NUL, and nothing may be assumed of what follows. "" is no cord.
 * - Cords share their parts. Nothing ever changes a cord, so any number of threads may use one at once.
 * - A character may be any char, NUL too: CORD_chars, CORD_from_fn, CORD_cat_char and files make such cords.
 * - All memory is collected. When there is none, CORD_oom_fn is called, and must not return; without it the program is told of
 *   it and aborts.
 * Positions and lengths count chars. What is asked for beyond the end of a cord is told at each function. */
#ifndef CORD_H
#define CORD_H

#include <stddef.h>
#include <stdio.h>

#ifndef CORD_API
#define CORD_API extern
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef const char *CORD;

#define CORD_EMPTY 0

/* Of a cord that is not empty: is it a C string? */
#define CORD_IS_STRING(s) (*(s) != '\0')

/* Nowhere: what the searching functions return. */
#define CORD_NOT_FOUND ((size_t)(-1))

/* --- Making --- */

/* x, and then y. */
CORD_API CORD CORD_cat(CORD x, CORD y);

/* The same where y is a C string of leny characters, which need not be counted again. leny 0: x. */
CORD_API CORD CORD_cat_char_star(CORD x, const char *y, size_t leny);

/* x, and then c, which may be NUL. */
CORD_API CORD CORD_cat_char(CORD x, char c);

/* n cords, one after the other. */
CORD_API CORD CORD_catn(int n, /* CORD */...);

/* The characters of x from position i on, n of them at most. Beyond the end there are none. */
CORD_API CORD CORD_substr(CORD x, size_t i, size_t n);

/* The same characters, so arranged that each is reached in a number of steps that grows as the logarithm of the length. Cords
 * that become too deep are arranged so by themselves. */
CORD_API CORD CORD_balance(CORD x);

/* A cord of len characters, of which fn tells the one at position i whenever it is wanted, maybe more than once, or never,
 * by any thread that uses the cord. It must always tell the same. The functions that go through cords may ask for some
 * characters ahead. Of few characters the cord is made at once. */
typedef char (*CORD_fn)(size_t i, void *client_data);
CORD_API CORD CORD_from_fn(CORD_fn fn, void *client_data, size_t len);

/* i times c, in space that does not grow with i. */
CORD_API CORD CORD_chars(char c, size_t i);
#define CORD_nul(i) CORD_chars('\0', (i))

/* A copy of s, so that s may be changed afterwards. */
CORD_API CORD CORD_from_char_star(const char *s);

/* The contents of a file, of which f is closed once it is not needed; f is not to be used otherwise from now on. lazy: the
 * whole file, which must be one that can be mapped and must not change; what is not looked at is not read. eager: everything
 * from where f stands, read and closed at once; any stream will do. CORD_from_file chooses: lazy for large files. When it
 * cannot be read, the program is told of it and aborts. */
CORD_API CORD CORD_from_file(FILE *f);
CORD_API CORD CORD_from_file_eager(FILE *f);
CORD_API CORD CORD_from_file_lazy(FILE *f);

/* --- Looking --- */

CORD_API size_t CORD_len(CORD x);

/* The character at position i, which must be below the length, or the program is told of it and aborts. */
CORD_API char CORD_fetch(CORD x, size_t i);

/* Below 0, 0, or above 0 as x comes before y, equals it, or comes after. Characters are compared as unsigned char. ncmp
 * compares len characters at most, from the positions on. */
CORD_API int CORD_cmp(CORD x, CORD y);
CORD_API int CORD_ncmp(CORD x, size_t x_start, CORD y, size_t y_start, size_t len);

/* The first position of c from i on; the last one up to i; the first one from start on where s begins. Else CORD_NOT_FOUND. */
CORD_API size_t CORD_chr(CORD x, size_t i, int c);
CORD_API size_t CORD_rchr(CORD x, size_t i, int c);
CORD_API size_t CORD_str(CORD x, size_t start, CORD s);

/* The characters as a C string: in new memory that the caller may change, or as they lie there if x is one already. NULs
 * among them are kept. */
CORD_API char *CORD_to_char_star(CORD x);
CORD_API const char *CORD_to_const_char_star(CORD x);

/* Writes the characters where f stands. 1, or EOF when that failed. */
CORD_API int CORD_put(CORD x, FILE *f);

/* Prints how x is made, for human eyes, to stdout. */
CORD_API void CORD_dump(CORD x);

/* --- Going through with functions --- */

typedef int (*CORD_iter_fn)(char c, void *client_data);
typedef int (*CORD_batched_iter_fn)(const char *s, void *client_data);
#define CORD_NO_FN ((CORD_batched_iter_fn)0)

/* Calls f1 with each character from position i on, until it does not return 0. f2, if it is not CORD_NO_FN, may be called
 * with a C string instead of f1 with each of its characters. Returns what the last call returned, 0 when there was none. */
CORD_API int CORD_iter5(CORD x, size_t i, CORD_iter_fn f1, CORD_batched_iter_fn f2, void *client_data);
CORD_API int CORD_iter(CORD x, CORD_iter_fn f1, void *client_data);
#define CORD_iter(x, f1, cd) CORD_iter5(x, 0, f1, CORD_NO_FN, cd)

/* The same from position i down to 0; from the last on if i is not below the length. */
CORD_API int CORD_riter4(CORD x, size_t i, CORD_iter_fn f1, void *client_data);
CORD_API int CORD_riter(CORD x, CORD_iter_fn f1, void *client_data);

/* --- Going through with positions: CORD_pos p; CORD_FOR (p, x) { ... CORD_pos_fetch(p) ... } --- */

#ifdef __cplusplus
}
#endif
#include "cord_pos.h"
#ifdef __cplusplus
extern "C" {
#endif

#define CORD_FOR(pos, cord) for (CORD_set_pos(pos, cord, 0); CORD_pos_valid(pos); CORD_next(pos))

/* --- When there is no memory --- */

/* NULL until the client sets it. */
CORD_API void (*CORD_oom_fn)(void);

/* --- Printing: as the functions of stdio, but that the format is a cord, that the result may have any length (out is set
 * to it), and that %r takes a CORD, with width and precision as for %s. What %r puts in is shared, not copied. All return
 * the number of characters, or -1: EINVAL for a conversion that is unknown (those of the form %n$ are), EOVERFLOW for more
 * than INT_MAX characters, or what writing failed with. --- */
#ifndef CORD_NO_IO
#ifdef __cplusplus
}
#endif
#include <stdarg.h>
#ifdef __cplusplus
extern "C" {
#endif

CORD_API int CORD_sprintf(CORD *out, CORD format, ...);
CORD_API int CORD_vsprintf(CORD *out, CORD format, va_list args);
CORD_API int CORD_fprintf(FILE *f, CORD format, ...);
CORD_API int CORD_vfprintf(FILE *f, CORD format, va_list args);
CORD_API int CORD_printf(CORD format, ...);
CORD_API int CORD_vprintf(CORD format, va_list args);
#endif

#ifdef __cplusplus
}
#endif

#endif
