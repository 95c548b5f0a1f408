/* SPDX-License-Identifier: MIT
 * A module with a place in its data and one in its thread-local storage. */
void *volatile *places_module(int local);

static void *volatile places_data = (void *)1;
static __thread void *volatile places_local[200];

void *volatile *places_module(int local) { return local ? &places_local[150] : &places_data; }
