/* SPDX-License-Identifier: MIT
 * syscall(2): the calls of waits.c, pins.c, filters.c and spaces.c, made by number. libaio and others make theirs so.
 *
 * All other numbers go on to the C library's function by a jump, three instructions after a look into a table, with every register
 * and the caller's return address as they came. Before our constructor has found it (the core's locks use it too, on malloc's path)
 * the system call is made here. */
#include "config.h"

#include "waits.h"

#include "filters.h"
#include "pins.h"
#include "real.h"
#include "spaces.h"

#include <linux/futex.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { syscall_numbers = 512 };

long syscall_special(long number, long a, long b, long c, long d, long e, long f) WAITS_HIDDEN;
long syscall_plain(long number, long a, long b, long c, long d, long e, long f) WAITS_HIDDEN;

extern const unsigned char syscall_is_special[syscall_numbers] WAITS_HIDDEN;
const unsigned char syscall_is_special[syscall_numbers] = {
    [SYS_poll] = 1, [SYS_ppoll] = 1, [SYS_select] = 1, [SYS_pselect6] = 1, [SYS_epoll_wait] = 1, [SYS_epoll_pwait] = 1,
    [SYS_epoll_pwait2] = 1, [SYS_nanosleep] = 1, [SYS_clock_nanosleep] = 1, [SYS_pause] = 1, [SYS_rt_sigsuspend] = 1,
    [SYS_rt_sigtimedwait] = 1, [SYS_semop] = 1, [SYS_semtimedop] = 1, [SYS_msgrcv] = 1, [SYS_msgsnd] = 1, [SYS_futex] = 1,
    [SYS_io_getevents] = 1, [SYS_io_uring_enter] = 1,
    [SYS_epoll_ctl] = 1, [SYS_timer_create] = 1, [SYS_timer_delete] = 1, [SYS_rt_sigqueueinfo] = 1,
    [SYS_rt_tgsigqueueinfo] = 1, [SYS_mq_notify] = 1, [SYS_io_submit] = 1, [SYS_prctl] = 1, [SYS_seccomp] = 1,
    [SYS_mprotect] = 1, [SYS_pkey_mprotect] = 1, [SYS_mmap] = 1, [SYS_munmap] = 1, [SYS_mremap] = 1, [SYS_madvise] = 1,
    [SYS_unshare] = 1, [SYS_setns] = 1,
};

_Static_assert(real_index_syscall == 2, "the index below");
__asm__(".pushsection .text.syscall,\"ax\",@progbits\n"
        ".hidden real_functions\n.hidden syscall_is_special\n.hidden syscall_special\n.hidden syscall_plain\n"
        ".globl syscall\n"
        ".type syscall, @function\n"
        "syscall:\n"
        ".cfi_startproc\n"
        "  endbr64\n"
        "  cmpq $511, %rdi\n"
        "  ja 1f\n"
        "  leaq syscall_is_special(%rip), %rax\n"
        "  cmpb $0, (%rax,%rdi)\n"
        "  jne syscall_special\n"
        "1: movq real_functions+8*2(%rip), %rax\n"
        "  testq %rax, %rax\n"
        "  jz syscall_plain\n"
        "  jmp *%rax\n"
        ".cfi_endproc\n"
        ".size syscall, .-syscall\n"
        ".popsection\n");

long syscall_plain(long number, long a, long b, long c, long d, long e, long f) {
  struct os_wait call = {.number = number, .argument = {a, b, c, d, e, f}};
  long result = os_wait_call(&call);
  if (unlikely(call.stopped)) os_wait_unblock(call.mask);
  return waits_result(result);
}

static long syscall_real(long number, long a, long b, long c, long d, long e, long f) {
  void *real = atomic_load_explicit(&real_functions[real_index_syscall], memory_order_relaxed);
  return (real ? (__typeof__(&syscall_plain))real : syscall_plain)(number, a, b, c, d, e, f);
}

static long syscall_select(struct waits *w, long count, long in, long out, long except, struct timeval *timeout) {
  struct timespec time;
  void *const sets[3] = {(void *)in, (void *)out, (void *)except};
  if (timeout) time = (struct timespec){timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000};
  long result = waits_select(w, (int)count, sets, timeout ? &time : NULL, NULL);
  if (timeout) *timeout = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
  return result;
}

static long syscall_pselect(struct waits *w, long count, long in, long out, long except, struct timespec *timeout,
                            const void *const *mask) {
  void *const sets[3] = {(void *)in, (void *)out, (void *)except};
  return waits_select(w, (int)count, sets, timeout, mask ? *mask : NULL);
}

/* Whether the call is one that our signal would end, and that can be made again. */
static bool syscall_waits(long number, long b, long d) {
  if (!waits_armed()) return false;
  if (number == SYS_io_getevents) return true;
  if (number == SYS_io_uring_enter) return !(d & IORING_ENTER_EXT_ARG); /* in which there may be a time */
  if (number != SYS_futex) return syscall_is_special[number] && !pins_is_number(number);
  int operation = (int)b & FUTEX_CMD_MASK;
  return d && (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET);
}

/* In the kernel's form. */
static long syscall_wait(long number, long a, long b, long c, long d, long e, long f) {
  struct waits w = {.point = false};
  switch (number) {
    case SYS_poll: return waits_poll(&w, (void *)a, (unsigned long)b, (int)c);
    case SYS_ppoll: return waits_ppoll(&w, (void *)a, (unsigned long)b, (void *)c, (void *)d);
    case SYS_select: return syscall_select(&w, a, b, c, d, (void *)e);
    case SYS_pselect6: return syscall_pselect(&w, a, b, c, d, (void *)e, (void *)f);
    case SYS_epoll_wait: return waits_epoll(&w, (int)a, (void *)b, (int)c, (int)d, NULL);
    case SYS_epoll_pwait: return waits_epoll(&w, (int)a, (void *)b, (int)c, (int)d, (void *)e);
    case SYS_epoll_pwait2: return waits_epoll2(&w, (int)a, (void *)b, (int)c, (void *)d, (void *)e);
    case SYS_nanosleep: return waits_sleep(&w, CLOCK_REALTIME, 0, (void *)a, (void *)b);
    case SYS_clock_nanosleep: return waits_sleep(&w, (clockid_t)a, (int)b, (void *)c, (void *)d);
    case SYS_pause: return waits_pause(&w);
    case SYS_rt_sigsuspend: return waits_suspend(&w, (void *)a);
    case SYS_rt_sigtimedwait: return waits_signal(&w, (void *)a, (void *)b, (void *)c);
    case SYS_semop: return waits_semaphore(&w, number, (int)a, (void *)b, (size_t)c, NULL);
    case SYS_semtimedop: return waits_semaphore(&w, number, (int)a, (void *)b, (size_t)c, (void *)d);
    case SYS_futex: return waits_futex(&w, a, b, c, (void *)d, e, f);
    case SYS_io_getevents: return waits_events(&w, a, b, c, (void *)d, (void *)e);
    default: return waits_call(&w, number, a, b, c, d, e, f); /* nothing in it is a time that passes */
  }
}

static long syscall_space(long number, long a, long b, long c, long d, long e, long f) {
  const long arguments[] = {a, b, c, d, e, f};
  struct spaces_call spaces;
  if (spaces_refuses(number, arguments)) return waits_result(-EINVAL);
  spaces_before(&spaces, number, arguments);
  long result = syscall_real(number, a, b, c, d, e, f);
  spaces_after(&spaces);
  return result;
}

long syscall_special(long number, long a, long b, long c, long d, long e, long f) {
  const long arguments[] = {a, b, c, d, e, f};
  struct pins_call pins;
  if (spaces_is_number(number)) return syscall_space(number, a, b, c, d, e, f);
  if (filters_is_number(number)) {
    filters_before(number, arguments);
    return syscall_real(number, a, b, c, d, e, f);
  }
  pins_before(&pins, number, arguments);
  long result = syscall_waits(number, b, d) ? waits_result(syscall_wait(number, a, b, c, d, e, f))
                                            : syscall_real(number, a, b, c, d, e, f);
  pins_after(&pins, result);
  return result;
}
