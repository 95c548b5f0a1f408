/* SPDX-License-Identifier: MIT
 * A module that comes and goes, with a place for a pointer in its data and one in its thread-local storage. */
void **holding_place(int local);

static void *holding_data = &holding_data;
static _Thread_local void *holding_local[100];

__attribute__((visibility("default"))) void **holding_place(int local) { return local ? &holding_local[99] : &holding_data; }
