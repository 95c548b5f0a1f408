/* SPDX-License-Identifier: MIT
 * The environment variables that libgc documents. */
#ifndef GLEANER_LIBGC_ENVIRONMENT_H
#define GLEANER_LIBGC_ENVIRONMENT_H

/* While the collector is armed: those that decide how it begins; when it is: those that want to be told of collections. */
void environment_before(void);
void environment_after(void);

#endif
