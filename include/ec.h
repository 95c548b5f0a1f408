/* SPDX-License-Identifier: MIT
 * Extensible cords: a buffer in front of a cord, for who appends many characters one by one. Names and layout are those of
 * libgc's ec.h (8.2).
 *
 *   CORD_ec x;
 *   CORD_ec_init(x);
 *   while ((c = getc(f)) != EOF) CORD_ec_append(x, c);
 *   CORD text = CORD_balance(CORD_ec_to_cord(x));
 *
 * Unlike cords they change: one thread at a time uses one. The macros may evaluate their first argument more than once. */
#ifndef EC_H
#define EC_H

#ifndef CORD_H
#include "cord.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The characters of the buffer. A client may define it otherwise before. */
#ifndef CORD_BUFSZ
#define CORD_BUFSZ 128
#endif

/* It stands for ec_cord, and then the characters of ec_buf below ec_bufptr. */
typedef struct CORD_ec_struct {
  CORD ec_cord;
  char *ec_bufptr;
  char ec_buf[CORD_BUFSZ + 1];
} CORD_ec[1];

/* Makes x empty. To be done before all else. */
#define CORD_ec_init(x) ((x)[0].ec_cord = CORD_EMPTY, (void)((x)[0].ec_bufptr = (x)[0].ec_buf))

/* Appends a character, which may be NUL. */
#define CORD_ec_append(x, c) \
  ((void)((x)[0].ec_bufptr == (x)[0].ec_buf + CORD_BUFSZ ? (CORD_ec_flush_buf(x), 0) : 0), \
   (void)(*(x)[0].ec_bufptr++ = (c)))

/* Appends a cord, which is shared. */
CORD_API void CORD_ec_append_cord(CORD_ec x, CORD s);

/* Moves what is in the buffer into ec_cord. */
CORD_API void CORD_ec_flush_buf(CORD_ec x);

/* What was appended until now. x may be appended to afterwards. */
#define CORD_ec_to_cord(x) (CORD_ec_flush_buf(x), (x)[0].ec_cord)

#ifdef __cplusplus
}
#endif

#endif
