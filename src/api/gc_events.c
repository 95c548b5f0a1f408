/* SPDX-License-Identifier: MIT
 * Who is told of collections. */
#include "config.h"

#include "api/collector.h"

void gc_events_before(const struct collection *facts) { (void)facts; }
void gc_events_after(const struct collection *facts) { (void)facts; }
void gc_events_swept(const struct sweep_counts *counts) { (void)counts; }
void gc_events_exit(void) {}
void gc_events_fork_child(void) {}
