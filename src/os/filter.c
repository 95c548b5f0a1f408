/* SPDX-License-Identifier: MIT
 * What a filter does to our system calls. Knows the filters' language; must not know what the calls are for.
 *
 * The program is followed for each call with the call's number as the only thing known: where it decides by an
 * argument both ways are taken. Jumps only lead forward, so that one pass is enough. */
#include "config.h"

#include "os/filter.h"

#include "base/bits.h"
#include "os/call.h"
#include "os/maps.h"
#include "os/memory.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>

enum { filter_most = BPF_MAXINSNS };

static const int filter_calls[] = {
    SYS_openat,       SYS_read,         SYS_close,         SYS_pread64,   SYS_ioctl,   SYS_getdents64,       SYS_newfstatat,
    SYS_tgkill,       SYS_futex,        SYS_mincore,       SYS_madvise,   SYS_mmap,    SYS_munmap,           SYS_mprotect,
    SYS_mremap,       SYS_gettid,       SYS_getpid,        SYS_sysinfo,   SYS_sched_yield, SYS_process_vm_readv, SYS_prlimit64,
    SYS_clock_gettime, SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_arch_prctl,
};

static _Atomic bool filter_deadly;

/* What is known of the accumulator before an instruction. */
struct filter_state {
  bool reached, known;
  uint32_t value;
};

struct filter {
  struct sock_filter code[filter_most];
  struct filter_state state[filter_most];
};

/* The two ways by which an instruction may be reached are one from then on. */
static void filter_reach(struct filter *filter, size_t at, size_t count, struct filter_state now) {
  struct filter_state *state = &filter->state[at];
  if (at >= count) return;
  now.reached = true;
  if (state->reached && (!state->known || !now.known || state->value != now.value)) now.known = false;
  *state = now;
}

static struct filter_state filter_load(const struct sock_filter *step, uint32_t number) {
  struct filter_state now = {.known = true};
  if (BPF_MODE(step->code) == BPF_IMM) now.value = step->k;
  else if (BPF_MODE(step->code) == BPF_ABS && step->k == offsetof(struct seccomp_data, nr)) now.value = number;
  else if (BPF_MODE(step->code) == BPF_ABS && step->k == offsetof(struct seccomp_data, arch)) now.value = AUDIT_ARCH_X86_64;
  else now.known = false;
  return now;
}

static bool filter_holds(const struct sock_filter *step, uint32_t value) {
  switch (BPF_OP(step->code)) {
    case BPF_JEQ: return value == step->k;
    case BPF_JGT: return value > step->k;
    case BPF_JGE: return value >= step->k;
    default: return value & step->k; /* BPF_JSET */
  }
}

static void filter_jump(struct filter *filter, size_t at, size_t count) {
  const struct sock_filter *step = &filter->code[at];
  struct filter_state now = filter->state[at];
  if (BPF_OP(step->code) == BPF_JA) {
    filter_reach(filter, at + 1 + step->k, count, now);
    return;
  }
  bool sure = now.known && BPF_SRC(step->code) == BPF_K, holds = sure && filter_holds(step, now.value);
  if (!sure || holds) filter_reach(filter, at + 1 + step->jt, count, now);
  if (!sure || !holds) filter_reach(filter, at + 1 + step->jf, count, now);
}

static bool filter_is_mild(uint32_t result) {
  uint32_t action = result & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_LOG;
}

/* False: the call may be punished. */
static bool filter_step(struct filter *filter, size_t at, size_t count, uint32_t number) {
  const struct sock_filter *step = &filter->code[at];
  struct filter_state now = filter->state[at];
  switch (BPF_CLASS(step->code)) {
    case BPF_RET: return BPF_RVAL(step->code) == BPF_K ? filter_is_mild(step->k) : now.known && filter_is_mild(now.value);
    case BPF_JMP: filter_jump(filter, at, count); return true;
    case BPF_LD: now = filter_load(step, number); break;
    case BPF_ALU: now.known = false; break;
    case BPF_MISC: now.known = now.known && BPF_MISCOP(step->code) == BPF_TAX; break;
    default: break; /* the index register and the scratch memory, of which nothing is known */
  }
  filter_reach(filter, at + 1, count, now);
  return true;
}

static bool filter_permits(struct filter *filter, size_t count, uint32_t number) {
  memset(filter->state, 0, count * sizeof filter->state[0]);
  filter->state[0].reached = true;
  for (size_t at = 0; at < count; at++)
    if (filter->state[at].reached && !filter_step(filter, at, count, number)) return false;
  return true;
}

static bool filter_is_deadly(struct filter *filter, const void *program) {
  struct sock_fprog given;
  if (!program) return true;
  if (os_maps_peek((uintptr_t)program, &given, sizeof given) != sizeof given) return false; /* it will be refused */
  size_t count = given.len, size = count * sizeof filter->code[0];
  if (!count || count > filter_most || os_maps_peek((uintptr_t)given.filter, filter->code, size) != size) return false;
  for (size_t i = 0; i < sizeof filter_calls / sizeof filter_calls[0]; i++)
    if (!filter_permits(filter, count, (uint32_t)filter_calls[i])) return true;
  return false;
}

void os_filter_add(const void *program) {
  size_t size = bits_align_up(sizeof(struct filter), os_page_size);
  struct filter *filter = os_memory_map(size);
  if (!filter || filter_is_deadly(filter, program)) atomic_store(&filter_deadly, true);
  if (filter) os_memory_unmap(filter, size);
}

bool os_filter_kills(void) { return atomic_load_explicit(&filter_deadly, memory_order_relaxed); }
