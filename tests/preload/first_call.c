/* SPDX-License-Identifier: MIT
 * Each interposed function as the very first thing that a process does: before the constructors of all libraries, the
 * preloaded one's included. The argument names the function; without one, all names are listed. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { first_exit_status = 44 };

static sigset_t first_set;
static const struct timespec first_no_time;

static bool first_block(void *p) {
  bool good = p && (uintptr_t)p % 16 == 0;
  free(p);
  return good;
}
static bool first_aligned(void *p, size_t align) { return p && (uintptr_t)p % align == 0; }

static bool first_malloc(void) { return first_block(malloc(100)); }
static bool first_malloc_large(void) { return first_block(malloc(50 << 20)); }
static bool first_calloc(void) { return first_block(calloc(10, 10)); }
static bool first_realloc(void) { return first_block(realloc(NULL, 100)); }
static bool first_reallocarray(void) { return first_block(reallocarray(NULL, 10, 10)); }
static bool first_free(void) { return free(NULL), true; }
static bool first_memalign(void) { return first_aligned(memalign(4096, 10), 4096); }
static bool first_aligned_alloc(void) { return first_aligned(aligned_alloc(64, 64), 64); }
static bool first_valloc(void) { return first_aligned(valloc(10), 4096); }
static bool first_pvalloc(void) { return first_aligned(pvalloc(10), 4096); }
static bool first_posix_memalign(void) {
  void *p = NULL;
  return posix_memalign(&p, 1 << 20, 10) == 0 && first_aligned(p, 1 << 20);
}
static bool first_usable(void) { return malloc_usable_size(NULL) == 0; }
static bool first_trim(void) { return malloc_trim(0) >= 0; }
static bool first_mallopt(void) { return mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1; }
static bool first_mallinfo2(void) { return mallinfo2().uordblks < (1 << 30); }
static bool first_dlopen(void) { return dlopen("libm.so.6", RTLD_NOW | RTLD_DEEPBIND) != NULL; }
static bool first_dlmopen(void) { return dlmopen(LM_ID_BASE, "libm.so.6", RTLD_NOW) != NULL; }
static bool first_dlclose(void) { return dlclose(dlopen(NULL, RTLD_NOW)) == 0; }
static bool first_dlsym(void) { return dlsym(RTLD_DEFAULT, "no such name") == NULL && dlerror(); }
static bool first__exit(void) { _exit(first_exit_status); }
static bool first__Exit(void) { _Exit(first_exit_status); }
static bool first_sigaction(void) {
  struct sigaction old;
  return sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL;
}
static bool first_signal(void) { return signal(SIGUSR1, SIG_IGN) == SIG_DFL; }
static bool first_sigprocmask(void) { return sigprocmask(SIG_BLOCK, &first_set, NULL) == 0; }
static bool first_sigmask(void) { return pthread_sigmask(SIG_BLOCK, &first_set, NULL) == 0; }
static bool first_sigtimedwait(void) { return sigtimedwait(&first_set, NULL, &first_no_time) < 0 && errno == EAGAIN; }
static bool first_signalfd(void) { return signalfd(-1, &first_set, 0) >= 0; }
static bool first_ppoll(void) { return ppoll(NULL, 0, &first_no_time, &first_set) == 0; }
static bool first_pselect(void) { return pselect(0, NULL, NULL, NULL, &first_no_time, &first_set) == 0; }
static bool first_epoll_pwait(void) {
  struct epoll_event event;
  return epoll_pwait(epoll_create1(0), &event, 1, 0, &first_set) == 0;
}
static bool first_poll(void) { return poll(NULL, 0, 1) == 0; }
static bool first_select(void) { return select(0, NULL, NULL, NULL, &(struct timeval){0, 1000}) == 0; }
static bool first_epoll_wait(void) { return epoll_wait(epoll_create1(0), &(struct epoll_event){0}, 1, 1) == 0; }
static bool first_epoll_ctl(void) {
  int fds[2];
  return pipe(fds) == 0 && epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, fds[0], &(struct epoll_event){.data.ptr = fds}) == 0;
}
static bool first_nanosleep(void) { return nanosleep(&(struct timespec){0, 1000}, NULL) == 0; }
static bool first_clock_nanosleep(void) { return clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, 1}, NULL) == 0; }
static bool first_usleep(void) { return usleep(1) == 0; }
static bool first_sleep(void) { return sleep(0) == 0; }
static bool first_read(void) { return read(-1, &first_set, 1) == -1 && errno == EBADF; }
static bool first_write(void) { return write(-1, &first_set, 1) == -1 && errno == EBADF; }
static bool first_writev(void) { return writev(-1, &(struct iovec){&first_set, 1}, 1) == -1 && errno == EBADF; }
static bool first_recv(void) { return recv(-1, &first_set, 1, 0) == -1 && errno == EBADF; }
static bool first_send(void) { return send(-1, &first_set, 1, 0) == -1 && errno == EBADF; }
static bool first_accept(void) { return accept(-1, NULL, NULL) == -1 && errno == EBADF; }
static bool first_setsockopt(void) { return setsockopt(-1, 0, 0, NULL, 0) == -1 && errno == EBADF; }
static bool first_getrandom(void) { return getrandom(&first_set, 4, GRND_NONBLOCK) != 0; }
static bool first_syscall(void) { return syscall(SYS_getpid) == getpid() && syscall(SYS_close, -1) == -1 && errno == EBADF; }
static bool first_raw_poll(void) { return syscall(SYS_poll, NULL, 0, 1) == 0; }
static bool first_sem_timedwait(void) {
  sem_t semaphore;
  return sem_init(&semaphore, 0, 0) == 0 && sem_timedwait(&semaphore, &first_no_time) == -1 && errno == ETIMEDOUT;
}
static bool first_semop(void) { return semop(-1, &(struct sembuf){0}, 1) == -1 && (errno == EINVAL || errno == ENOSYS); }
static bool first_timer_create(void) {
  timer_t timer;
  return timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0 && timer_delete(timer) == 0;
}
static bool first_sigqueue(void) {
  sigaddset(&first_set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &first_set, NULL);
  return sigqueue(getpid(), SIGUSR1, (union sigval){.sival_ptr = &first_set}) == 0;
}
static bool first_pthread(void) {
  pthread_key_t key;
  return pthread_key_create(&key, free) == 0 && pthread_setspecific(key, malloc(10)) == 0;
}

static const struct first_row {
  const char *name;
  bool (*call)(void);
} first_rows[] = {
    {"malloc", first_malloc},           {"malloc-large", first_malloc_large},
    {"calloc", first_calloc},           {"realloc", first_realloc},
    {"reallocarray", first_reallocarray}, {"free", first_free},
    {"memalign", first_memalign},       {"aligned_alloc", first_aligned_alloc},
    {"valloc", first_valloc},           {"pvalloc", first_pvalloc},
    {"posix_memalign", first_posix_memalign}, {"malloc_usable_size", first_usable},
    {"malloc_trim", first_trim},        {"mallopt", first_mallopt},
    {"mallinfo2", first_mallinfo2},     {"dlopen", first_dlopen},
    {"dlmopen", first_dlmopen},         {"dlclose", first_dlclose},
    {"dlsym", first_dlsym},             {"_exit", first__exit},
    {"_Exit", first__Exit},             {"sigaction", first_sigaction},
    {"signal", first_signal},           {"sigprocmask", first_sigprocmask},
    {"pthread_sigmask", first_sigmask}, {"sigtimedwait", first_sigtimedwait},
    {"signalfd", first_signalfd},       {"ppoll", first_ppoll},
    {"pselect", first_pselect},         {"epoll_pwait", first_epoll_pwait},
    {"poll", first_poll},               {"select", first_select},
    {"epoll_wait", first_epoll_wait},   {"epoll_ctl", first_epoll_ctl},
    {"nanosleep", first_nanosleep},     {"clock_nanosleep", first_clock_nanosleep},
    {"usleep", first_usleep},           {"sleep", first_sleep},
    {"read", first_read},               {"write", first_write},
    {"writev", first_writev},           {"recv", first_recv},
    {"send", first_send},               {"accept", first_accept},
    {"setsockopt", first_setsockopt},   {"getrandom", first_getrandom},
    {"syscall", first_syscall},         {"syscall-poll", first_raw_poll},
    {"sem_timedwait", first_sem_timedwait}, {"semop", first_semop},
    {"timer_create", first_timer_create}, {"sigqueue", first_sigqueue},
    {"pthread_setspecific", first_pthread},
};
enum { first_count = sizeof first_rows / sizeof first_rows[0] };

static bool first_good;

static void first_preinit(int argc, char **argv, char **env) {
  (void)env;
  for (unsigned i = 0; argc > 1 && i < first_count; i++)
    if (strcmp(argv[1], first_rows[i].name) == 0) first_good = first_rows[i].call();
}
__attribute__((section(".preinit_array"), used)) static void (*first_entry)(int, char **, char **) = first_preinit;

int main(int argc, char **argv) {
  (void)argv;
  if (argc == 1)
    for (unsigned i = 0; i < first_count; i++) puts(first_rows[i].name);
  /* The rest of the family works afterwards. */
  for (unsigned i = 0; i < 2000; i++) free(realloc(calloc(1, i), i * 2));
  return argc == 1 ? 0 : first_good ? first_exit_status : 1;
}
