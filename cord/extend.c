/* SPDX-License-Identifier: MIT
 * Extensible cords: see ec.h. The size of the buffer is the client's, so nothing here may ask for it. */
#include "config.h"

#include "node.h"

#include "ec.h"

void CORD_ec_flush_buf(CORD_ec x) {
  size_t len = (size_t)(x[0].ec_bufptr - x[0].ec_buf);
  if (!len) return;
  x[0].ec_cord = CORD_cat(x[0].ec_cord, cord_of_copy(x[0].ec_buf, len));
  x[0].ec_bufptr = x[0].ec_buf;
}

void CORD_ec_append_cord(CORD_ec x, CORD s) {
  CORD_ec_flush_buf(x);
  x[0].ec_cord = CORD_cat(x[0].ec_cord, s);
}
