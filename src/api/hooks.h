/* SPDX-License-Identifier: MIT
 * What the interposed functions of preload/ ask of the rest. The only header of src that preload/ includes.
 *
 * Any of these may be the first call of the process, before any constructor; each keeps errno unless it says otherwise. */
#ifndef GLEANER_HOOKS_H
#define GLEANER_HOOKS_H

/* Around the real dlclose: note what is loaded, then see what is gone, so that stacks can still be named. Nothing in
 * modes that record no sites. Neither is called with a lock of ours held; both may take the loader's lock. */
void hook_before_dlclose(void);
void hook_after_dlclose(void);

/* The program calls _exit or _Exit: perhaps in a signal handler, in a vfork child (which must do nothing here: it
 * shares the memory of its parent), or in one of several threads. Reports if that was asked for; returns the status to
 * end with. */
int hook__exit(int status);

/* The reserved signal; 0 as long as there is none (none in this mode, or not yet). Async-signal-safe. */
int hook_world_signal(void);

#endif
