/* SPDX-License-Identifier: MIT
 * Objects to which only the kernel has a pointer: kept as long as it may give that back, and not for longer. Without us they are
 * simply there. */
#include "config.h"

#include "tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  objects = 32,
  few = 6, /* an old word somewhere may keep one, or hide a leak */
  object_words = 12,
};
static const uintptr_t hiding = (uintptr_t)0x5a5a5a5a5a5a5a5a;

static void *(*pins_malloc)(size_t size);
static void *(*pins_base)(void *p);
static void (*pins_collect)(void);
static long (*pins_check)(void);
static bool leaks; /* a leak search is all there is */
static long lost;  /* by the last search */

static uintptr_t hidden[objects];

static void *object(int i) { return (void *)(hidden[i] ^ hiding); }

/* Each call is inlined nowhere, so that what it leaves on the stack is wiped by the next. */
#define APART __attribute__((noinline, noclone))

APART static void make(int i) {
  uintptr_t *words = pins_malloc(object_words * sizeof *words);
  for (int j = 0; j < object_words; j++) words[j] = (uintptr_t)(i * 100 + j);
  hidden[i] = (uintptr_t)words ^ hiding;
}

APART static void wipe(void) {
  volatile char stack[16384];
  for (size_t i = 0; i < sizeof stack; i++) stack[i] = 0;
}

APART static bool is_intact(int i, void *p) {
  uintptr_t *words = p;
  if (p != object(i)) return false;
  for (int j = 0; j < object_words; j++)
    if (words[j] != (uintptr_t)(i * 100 + j)) return false;
  return true;
}

/* How many of them are there, after enough collections to take them all. */
APART static int alive(void) {
  wipe();
  if (leaks) {
    long before = lost;
    lost = pins_check();
    return objects - (int)(lost - before);
  }
  for (int i = 0; pins_collect && i < 4; i++) pins_collect();
  int count = 0;
  for (int i = 0; i < objects; i++) count += !pins_base || pins_base(object(i)) == object(i);
  return count;
}

static void kept(const char *what) {
  int count = alive();
  OK(count >= objects - (leaks ? few : 0), "%s: what the kernel points to is there", what);
  if (count < objects) tap_note("%d of %d", count, objects);
}

static void gone(const char *what) {
  int count = alive();
  if (!pins_base && !leaks) return;
  OK(count <= few, "%s: afterwards it is not kept", what);
  if (count > few) tap_note("%d of %d are still there", count, objects);
}

/* --- epoll --- */

static int epoll, files[objects];

APART static void epoll_change(int operation, int i) {
  make(i);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = object(i)};
  if (i % 2)
    epoll_ctl(epoll, operation, files[i], &event);
  else
    syscall(SYS_epoll_ctl, epoll, operation, files[i], &event);
}

APART static int epoll_intact(void) {
  struct epoll_event events[objects];
  int good = 0, count = epoll_wait(epoll, events, objects, 0);
  for (int i = 0; i < count; i++)
    for (int j = 0; j < objects; j++) good += is_intact(j, events[i].data.ptr);
  memset(events, 0, sizeof events);
  return good;
}

static void test_epoll(void) {
  epoll = epoll_create1(0);
  for (int i = 0; i < objects; i++) files[i] = eventfd(1, 0);
  for (int i = 0; i < objects; i++) epoll_change(EPOLL_CTL_ADD, i);
  kept("epoll, added");
  OK(epoll_intact() == objects, "epoll gives them back intact");
  uintptr_t old[objects];
  memcpy(old, hidden, sizeof old);
  for (int i = 0; i < objects; i++) epoll_change(EPOLL_CTL_MOD, i);
  if (pins_base) {
    kept("epoll, changed");
    int count = 0;
    for (int i = 0; i < objects; i++) count += pins_base((void *)(old[i] ^ hiding)) != NULL;
    OK(count <= few, "epoll: what it pointed to before is not kept");
  }
  if (leaks) {
    long before = lost;
    lost = pins_check();
    OK(lost - before >= objects - few && lost - before <= objects + few, "epoll: what it pointed to before is lost");
  }
  struct epoll_event other = {.events = EPOLLIN, .data.ptr = NULL};
  OK(epoll_ctl(epoll, EPOLL_CTL_ADD, files[0], &other) == -1 && errno == EEXIST && epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL) == -1,
     "errors are told as ever");
  kept("epoll, after a refusal");
  for (int i = 0; i < objects; i++) epoll_ctl(epoll, EPOLL_CTL_DEL, files[i], &other);
  gone("epoll, deleted");
  for (int i = 0; i < objects; i++) close(files[i]);
  close(epoll);
}

/* --- timers --- */

static timer_t timers[objects];

APART static void timer_make(int i) {
  make(i);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_ptr = object(i)};
  struct itimerspec later = {.it_value.tv_sec = 1000};
  if (timer_create(CLOCK_MONOTONIC, &event, &timers[i]) != 0) tap_note("timer_create failed: %d", errno);
  timer_settime(timers[i], 0, &later, NULL);
}

static void test_timers(void) {
  for (int i = 0; i < objects; i++) timer_make(i);
  kept("timers");
  for (int i = 0; i < objects; i++) timer_delete(timers[i]);
  gone("timers, deleted");
}

/* --- queued signals --- */

APART static bool queue(int i, int way) {
  make(i);
  union sigval value = {.sival_ptr = object(i)};
  if (way == 0) return sigqueue(getpid(), SIGRTMIN + 3, value) == 0;
  if (way == 1) return pthread_sigqueue(pthread_self(), SIGRTMIN + 3, value) == 0;
  siginfo_t info = {.si_signo = SIGRTMIN + 3, .si_code = SI_QUEUE};
  info.si_pid = getpid();
  info.si_value = value;
  return syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN + 3, &info) == 0;
}

APART static int fetch(void) {
  sigset_t set;
  siginfo_t info;
  int good = 0;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 3);
  for (int i = 0; i < objects; i++)
    if (sigtimedwait(&set, &info, &(struct timespec){0, 0}) > 0) good += is_intact(i, info.si_value.sival_ptr);
  memset(&info, 0, sizeof info);
  return good;
}

static void test_signals(int way, const char *what) {
  int queued = 0;
  for (int i = 0; i < objects; i++) queued += queue(i, way);
  OK(queued == objects, "%s queues them", what);
  kept(what);
  OK(fetch() == objects, "%s: they come back intact and in order", what);
  gone(what);
}

/* --- asynchronous requests --- */

static aio_context_t aio;
static int pipe_fd[2];

APART static bool submit(int i) {
  struct iocb *request = pins_malloc(sizeof *request);
  make(i); /* hidden, so that nothing may be allocated from here on */
  *request = (struct iocb){.aio_fildes = (uint32_t)pipe_fd[0], .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN,
                           .aio_data = (uint64_t)(uintptr_t)object(i)};
  return syscall(SYS_io_submit, aio, 1, &request) == 1;
}

APART static int complete(void) {
  struct io_event events[objects];
  int good = 0;
  (void)!write(pipe_fd[1], "x", 1);
  for (int got = 0, more; got < objects; got += more) {
    more = (int)syscall(SYS_io_getevents, aio, 1, objects, events, NULL);
    if (more <= 0) break;
    for (int i = 0; i < more; i++)
      for (int j = 0; j < objects; j++)
        if ((void *)(uintptr_t)events[i].data == object(j))
          good += is_intact(j, object(j)) && ((struct iocb *)(uintptr_t)events[i].obj)->aio_data == events[i].data;
  }
  memset(events, 0, sizeof events);
  return good;
}

static void test_requests(void) {
  int submitted = 0;
  (void)!pipe(pipe_fd);
  if (syscall(SYS_io_setup, objects, &aio) != 0) return tap_skip("io_submit", "not possible here");
  for (int i = 0; i < objects; i++) submitted += submit(i);
  if (submitted < objects) return tap_skip("io_submit", "not possible here");
  kept("io_submit");
  OK(complete() == objects, "io_getevents gives them back intact");
  syscall(SYS_io_destroy, aio); /* the ring, in memory of ours, has the last events */
  if (!leaks) gone("io_getevents");
}

/* --- notifications --- */

APART static bool notify(mqd_t queue) {
  make(0);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_ptr = object(0)};
  return mq_notify(queue, &event) == 0;
}

static void test_notification(void) {
  char name[40];
  snprintf(name, sizeof name, "/gleaner-pins-%d", (int)getpid());
  mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
  mq_unlink(name);
  if (queue == (mqd_t)-1 || leaks) return tap_skip("mq_notify keeps what it will tell", "no message queues here, or no collections");
  OK(notify(queue), "mq_notify takes a value");
  for (int i = 1; i < objects; i++) hidden[i] = hidden[0];
  kept("mq_notify");
  OK(mq_notify(queue, NULL) == 0 && mq_close(queue) == 0, "and gives it up");
}

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 2), sigaddset(&set, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &set, NULL);
  pins_malloc = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "GC_malloc");
  pins_base = (void *(*)(void *))dlsym(RTLD_DEFAULT, "GC_base");
  pins_collect = (void (*)(void))dlsym(RTLD_DEFAULT, "GC_gcollect");
  pins_check = (long (*)(void))dlsym(RTLD_DEFAULT, "GC_leak_check");
  if (!pins_malloc) pins_malloc = malloc;
  if (pins_check) lost = pins_check();
  leaks = pins_check && lost >= 0;
  if (leaks) pins_base = NULL;
  test_epoll();
  test_timers();
  test_signals(0, "sigqueue");
  test_signals(1, "pthread_sigqueue");
  test_signals(2, "rt_sigqueueinfo");
  test_requests();
  test_notification();
  return tap_end();
}
