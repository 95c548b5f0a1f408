/* SPDX-License-Identifier: MIT
 * Pointers that only the kernel holds: what a program gives away with epoll_ctl, timers, queued signals, notifications of message
 * queues and libaio's requests, and gets back from it later. No scan of memory finds them, so they are pinned.
 *
 * - epoll: by the numbers of both descriptors, until EPOLL_CTL_DEL or the next registration of that pair. close alone ends a
 *   registration only if the file has no other descriptor, also in another process, so it ends no pin: the number comes again, and until
 *   then one object is kept. (Left: a file whose other descriptor lives on, its registered number closed and registered anew:
 *   the old registration lives on, too, without its pin.)
 * - timer_create: until timer_delete. sigqueue and pthread_sigqueue to this process: until the kernel has no such signal any more.
 * - mq_notify: until the next one for that queue, or mq_close. libaio: until the event is fetched by system call, or the
 *   request is submitted again.
 *
 * A value is pinned when the call has been done; until then the caller's registers or stack, or this frame, have it. It is let go of
 * before the call that ends it, for the number may be given again right after; this frame holds it meanwhile.
 *
 * Not here: aio_read and its likes, SIGEV_THREAD, getaddrinfo_a (the C library's own memory holds those); setitimer, timerfd,
 * signalfd, inotify, eventfd (no pointers); alternate signal stacks (told in every signal frame). Out of reach: io_uring (liburing calls the
 * kernel itself; requests stay readable in the shared ring until it wraps); pointers written into pipes and sockets. */
#include "config.h"

#include "pins.h"

#include "real.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

bool pins_is_number(long number) {
  switch (number) {
    case SYS_epoll_ctl: case SYS_timer_create: case SYS_timer_delete: case SYS_mq_notify:
    case SYS_rt_sigqueueinfo: case SYS_rt_tgsigqueueinfo: case SYS_io_submit: case SYS_io_getevents:
      return true;
    default: return false;
  }
}

static struct pin pins_epoll(const long *a) { return hook_pin_of(PIN_EPOLL, (uint64_t)a[0] << 32 | (uint32_t)a[2]); }

static struct pin pins_event(const struct sigevent *event, struct pin pin) {
  if (event && event->sigev_notify != SIGEV_NONE) pin.value[0] = (uintptr_t)event->sigev_value.sival_ptr;
  return pin;
}

static struct pin pins_request(const struct iocb *request) {
  struct pin pin = hook_pin_of(PIN_REQUEST, (uint64_t)(uintptr_t)request);
  pin.value[0] = (uintptr_t)request;
  pin.value[1] = request->aio_data;
  pin.value[2] = request->aio_buf;
  return pin;
}

void pins_before(struct pins_call *call, long number, const long arguments[]) {
  call->number = likely(!pins_is_number(number)) || !hook_pins() ? 0 : number;
  call->arguments = arguments;
  call->held = (struct pin){0};
  switch (call->number) {
    case SYS_epoll_ctl:
      if (arguments[1] == EPOLL_CTL_DEL) hook_pin_take(pins_epoll(arguments), &call->held);
      break;
    case SYS_timer_delete: hook_pin_take(hook_pin_of(PIN_TIMER, (uint64_t)arguments[0]), &call->held); break;
    case SYS_io_submit: /* may be fetched by another thread, and freed, before the call returns */
      for (long i = 0; i < arguments[1]; i++) hook_pin(pins_request(((struct iocb **)arguments[2])[i]));
      break;
    default: break;
  }
}

static void pins_submitted(const long *arguments, long count) {
  struct pin none;
  for (long i = count > 0 ? count : 0; i < arguments[1]; i++)
    hook_pin_take(hook_pin_of(PIN_REQUEST, (uint64_t)(uintptr_t)((struct iocb **)arguments[2])[i]), &none);
}

static void pins_fetched(const long *arguments, long count) {
  struct pin none;
  const struct io_event *events = (const struct io_event *)arguments[3];
  for (long i = 0; i < count; i++) hook_pin_take(hook_pin_of(PIN_REQUEST, events[i].obj), &none);
}

/* A signal to this process; of another the value is no pointer here. */
static void pins_queued(enum pin_kind kind, long pid, long signal, const void *value) {
  if (pid != getpid()) return;
  struct pin pin = hook_pin_of(kind, (uint64_t)signal);
  pin.value[0] = (uintptr_t)value;
  hook_pin(pin);
}

static void pins_done(const struct pins_call *call, long result) {
  const long *a = call->arguments;
  switch (call->number) {
    case SYS_epoll_ctl:
      if (a[1] == EPOLL_CTL_DEL) break;
      struct pin pin = pins_epoll(a);
      pin.value[0] = (uintptr_t)((const struct epoll_event *)a[3])->data.ptr;
      hook_pin(pin);
      break;
    case SYS_timer_create: hook_pin(pins_event((void *)a[1], hook_pin_of(PIN_TIMER, (uint64_t) * (int *)a[2]))); break;
    case SYS_mq_notify: hook_pin(pins_event((void *)a[1], hook_pin_of(PIN_QUEUE, (uint64_t)a[0]))); break;
    case SYS_rt_sigqueueinfo: pins_queued(PIN_SIGNAL, a[0], a[1], ((siginfo_t *)a[2])->si_value.sival_ptr); break;
    case SYS_rt_tgsigqueueinfo:
      pins_queued(PIN_THREAD_SIGNAL, a[0], a[2], ((siginfo_t *)a[3])->si_value.sival_ptr);
      break;
    case SYS_io_submit: pins_submitted(a, result); break;
    case SYS_io_getevents: pins_fetched(a, result); break;
    default: break;
  }
}

void pins_after(struct pins_call *call, long result) {
  if (likely(!call->number)) return;
  if (result < 0 && call->held.key) hook_pin(call->held); /* nothing ended */
  if (result >= 0) pins_done(call, result);
  if (result < 0 && call->number == SYS_io_submit) pins_submitted(call->arguments, 0);
  keep_alive(call);
}

/* --- the C library's names for them --- */

#define PINS_AROUND(number, call, ...)                                                                       \
  const long arguments[] = {__VA_ARGS__};                                                                    \
  struct pins_call pins;                                                                                     \
  pins_before(&pins, number, arguments);                                                                     \
  int result = (call);                                                                                       \
  pins_after(&pins, result);                                                                                 \
  return result;

PUBLIC int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
  PINS_AROUND(SYS_epoll_ctl, REAL(epoll_ctl)(epoll, operation, fd, event), epoll, operation, fd, (long)event)
}

PUBLIC int timer_delete(timer_t timer) {
  PINS_AROUND(SYS_timer_delete, REAL(timer_delete)(timer), (long)timer)
}

/* The C library's timers have names of its own. */
PUBLIC int timer_create(clockid_t clock, struct sigevent *restrict event, timer_t *restrict timer) {
  int result = REAL(timer_create)(clock, event, timer);
  if (result == 0 && hook_pins()) hook_pin(pins_event(event, hook_pin_of(PIN_TIMER, (uint64_t)(uintptr_t)*timer)));
  return result;
}

PUBLIC int mq_notify(mqd_t queue, const struct sigevent *event) {
  PINS_AROUND(SYS_mq_notify, REAL(mq_notify)(queue, event), queue, (long)event)
}

PUBLIC int mq_close(mqd_t queue) {
  struct pin held = {0};
  if (hook_pins()) hook_pin_take(hook_pin_of(PIN_QUEUE, (uint64_t)queue), &held);
  int result = REAL(mq_close)(queue);
  if (result < 0 && held.key) hook_pin(held);
  return result;
}

PUBLIC int sigqueue(pid_t pid, int signal_number, const union sigval value) {
  int result = REAL(sigqueue)(pid, signal_number, value);
  if (result == 0 && hook_pins()) pins_queued(PIN_SIGNAL, pid, signal_number, value.sival_ptr);
  return result;
}

PUBLIC int pthread_sigqueue(pthread_t thread, int signal_number, const union sigval value) {
  int error = REAL(pthread_sigqueue)(thread, signal_number, value);
  if (error == 0 && hook_pins()) pins_queued(PIN_THREAD_SIGNAL, getpid(), signal_number, value.sival_ptr);
  return error;
}
