/* SPDX-License-Identifier: MIT
 * Running another program from inside one that must not notice. */
#ifndef GLEANER_OS_PROCESS_H
#define GLEANER_OS_PROCESS_H

#include "base/base.h"

#include <sys/types.h>

/* Starts path with standard input taken from in, standard error from err, standard output from out, every other
 * descriptor closed, default signal actions, an empty signal mask and the given environment; waits for its end.
 * The parent gets no SIGCHLD and its own wait calls never see this child. Costs no copy of page tables
 * (CLONE_VM). Returns its exit status, 128 + the signal, or -errno when it could not be started. Keeps
 * errno. */
int os_process_run(const char *path, char *const argv[], char *const envp[], int in, int out, int err);

/* A nameless temporary file in memory, close-on-exec; -errno when that is refused. */
int os_process_memory_file(void);

/* The command of this process as the kernel knows it (/proc/self/exe), terminated; "" when unknown. */
void os_process_path(char *buffer, size_t size);

#endif
