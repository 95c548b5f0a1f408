/* SPDX-License-Identifier: MIT
 * How much memory this process may have, and has, by what the kernel limits it with. Nothing allocates; errno is kept. */
#ifndef GLEANER_OS_LIMITS_H
#define GLEANER_OS_LIMITS_H

#include "base/base.h"

enum os_limit {
  OS_LIMIT_CONTROL_GROUP, /* memory.max of the control group and of those it is in; less what the kernel could take back at once */
  OS_LIMIT_ADDRESS_SPACE, /* RLIMIT_AS */
  OS_LIMIT_DATA,          /* RLIMIT_DATA */
  OS_LIMIT_MACHINE,       /* its memory, and what is not available of it */
  os_limits,
};

/* Bytes in use and bytes allowed. False when there is no such limit, or it cannot be known. A few system calls. */
bool os_limit_find(enum os_limit limit, size_t *used, size_t *most);

/* The same for control groups as they are told in the file (/proc/self/cgroup) and found below the directory (/sys/fs/cgroup). */
bool os_limit_group(const char *told, const char *root, size_t *used, size_t *most);

#endif
