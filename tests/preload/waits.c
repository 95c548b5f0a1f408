/* SPDX-License-Identifier: MIT
 * Calls that wait, in a process whose world is stopped every few milliseconds: each ends when its time is over, when what it waits
 * for comes, when a signal of the program's is handled, and when its thread is cancelled; by nothing else. Without us
 * nothing stops the world, and the outcome is the same. */
#include "config.h"

#include "tap.h"

#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <math.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t fds_size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t fds_size);

enum {
  late_ms = 120,  /* a time limit */
  event_ms = 70,  /* when something comes */
  slack_ms = 800, /* a loaded machine; a call that starts anew each time lasts for ever */
  again_ms = 900,
  attempts = 5,
};

/* --- stopping the world --- */

static _Atomic bool stopper_on = true, stopper_hold;
static _Atomic unsigned stopper_stops;
static long (*stopper_check)(void);
static void (*stopper_collect)(void);

static double clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* By a system call of its own, which is cut short, so again and again. */
static void raw_sleep(long microseconds) {
  double end = clock_ms() + (double)microseconds / 1e3;
  for (double left; (left = end - clock_ms()) > 0;) {
    struct timespec time = {0, (long)(left * 1e6)};
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_nanosleep), "D"(&time), "S"(0) : "rcx", "r11", "memory");
  }
}

static void *stopper(void *arg) {
  while (stopper_on) {
    raw_sleep(1500);
    if (stopper_hold) continue;
    if (stopper_collect && stopper_check() < 0)
      stopper_collect();
    else if (!stopper_check || stopper_check() < 0)
      continue;
    stopper_stops++;
  }
  return arg;
}

/* --- what a call came to --- */

enum outcome { EVENT, LATE, INTERRUPTED, OTHER };
static const char *const outcome_names[] = {"event", "late", "interrupted", "something else"};

static enum outcome outcome(bool event, bool late, bool interrupted) {
  return event ? EVENT : late ? LATE : interrupted ? INTERRUPTED : OTHER;
}
/* -1 and errno, late being this one. */
static enum outcome outcome_errno(long result, int late) {
  return outcome(result >= 0, result < 0 && errno == late, result < 0 && errno == EINTR);
}
/* Of those that return 0 when they are late. */
static enum outcome outcome_count(long result) { return outcome(result > 0, result == 0, result < 0 && errno == EINTR); }

static struct timespec *time_of(int ms, struct timespec *time) {
  *time = (struct timespec){ms / 1000, ms % 1000 * 1000000L};
  return ms < 0 ? NULL : time;
}
static struct timespec *time_from(clockid_t clock, int ms, struct timespec *time) {
  struct timespec now;
  clock_gettime(clock, &now);
  if (ms < 0) ms = 100000;
  now.tv_sec += ms / 1000;
  now.tv_nsec += ms % 1000 * 1000000L;
  if (now.tv_nsec >= 1000000000) now.tv_sec++, now.tv_nsec -= 1000000000;
  *time = now;
  return time;
}

/* --- what there is to wait for --- */

static int pipe_fd[2], aio_pipe[2], pair[2], full[2], datagrams[2], listener, epoll_fd, sem_id, queue_id, full_queue_id;
static struct sockaddr_un listener_name;
static sem_t semaphore;
static _Atomic int futex_word;
static pthread_t waiter;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

struct message {
  long type;
  char text[64];
};

static void set_limit(int fd, int option, int ms) {
  struct timeval limit = {ms < 0 ? 0 : ms / 1000, ms < 0 ? 0 : ms % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit);
}
static void drain(int fd) {
  char buffer[65536];
  while (recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0) continue;
}
static void fill(int fd) {
  static char buffer[65536];
  while (send(fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0) continue;
}
static void fill_queue(void) {
  struct message message = {1, ""};
  while (msgsnd(full_queue_id, &message, sizeof message.text, IPC_NOWAIT) == 0) continue;
}

/* How each comes. */
static void come_pipe(void) { (void)!write(pipe_fd[1], "x", 1); }
static void come_aio(void) { (void)!write(aio_pipe[1], "x", 1); }
static void come_pair(void) { (void)!write(pair[1], "x", 1); }
static void come_room(void) { drain(full[1]); }
static void come_peer(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  connect(fd, (struct sockaddr *)&listener_name, sizeof listener_name);
  close(fd);
}
static void come_datagrams(void) {
  (void)!write(datagrams[1], "x", 1);
  raw_sleep(20000);
  (void)!write(datagrams[1], "y", 1);
}
static void come_post(void) { sem_post(&semaphore); }
static void come_up(void) { semop(sem_id, &(struct sembuf){0, 1, IPC_NOWAIT}, 1); }
static void come_message(void) { msgsnd(queue_id, &(struct message){1, "x"}, 1, 0); }
static void come_message_room(void) {
  struct message message;
  msgrcv(full_queue_id, &message, sizeof message.text, 0, IPC_NOWAIT);
}
static void come_signal(void) { pthread_kill(waiter, SIGUSR1); }
static void come_handled(void) { pthread_kill(waiter, SIGALRM); }
static void come_wake(void) {
  futex_word = 1;
  syscall(SYS_futex, &futex_word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
static void come_condition(void) {
  pthread_mutex_lock(&mutex);
  pthread_cond_signal(&condition);
  pthread_mutex_unlock(&mutex);
}

static void take_pipe(void) {
  char byte;
  (void)!read(pipe_fd[0], &byte, 1);
}

/* --- the calls: each waits for so many milliseconds, below 0 for ever --- */

static struct pollfd poll_fd;
static struct pollfd *polled(void) {
  poll_fd = (struct pollfd){.fd = pipe_fd[0], .events = POLLIN};
  return &poll_fd;
}
static enum outcome taken(long result) {
  enum outcome came = outcome_count(result);
  if (came == EVENT) take_pipe();
  return came;
}
static struct timespec t;
static sigset_t no_signal; /* masks nothing */
static fd_set *selected(void) {
  static fd_set set;
  FD_ZERO(&set);
  FD_SET(pipe_fd[0], &set);
  return &set;
}
static enum outcome call_poll(int ms) { return taken(poll(polled(), 1, ms)); }
static enum outcome call_poll_chk(int ms) { return taken(__poll_chk(polled(), 1, ms, sizeof poll_fd)); }
static enum outcome call_ppoll(int ms) { return taken(ppoll(polled(), 1, time_of(ms, &t), &no_signal)); }
static enum outcome call_ppoll_chk(int ms) {
  return taken(__ppoll_chk(polled(), 1, time_of(ms, &t), NULL, sizeof poll_fd));
}
static enum outcome call_select(int ms) {
  struct timeval limit = {ms / 1000, ms % 1000 * 1000};
  return taken(select(pipe_fd[0] + 1, selected(), NULL, NULL, ms < 0 ? NULL : &limit));
}
static enum outcome call_pselect(int ms) {
  return taken(pselect(pipe_fd[0] + 1, selected(), NULL, NULL, time_of(ms, &t), &no_signal));
}
static struct epoll_event epoll_event;
static enum outcome call_epoll_wait(int ms) { return taken(epoll_wait(epoll_fd, &epoll_event, 1, ms)); }
static enum outcome call_epoll_pwait(int ms) { return taken(epoll_pwait(epoll_fd, &epoll_event, 1, ms, &no_signal)); }
static enum outcome call_epoll_pwait2(int ms) {
  return taken(epoll_pwait2(epoll_fd, &epoll_event, 1, time_of(ms, &t), NULL));
}
static enum outcome call_raw_poll(int ms) { return taken(syscall(SYS_poll, polled(), 1, ms)); }
static enum outcome call_raw_ppoll(int ms) {
  return taken(syscall(SYS_ppoll, polled(), 1, time_of(ms, &t), &no_signal, 8));
}
static enum outcome call_raw_select(int ms) {
  struct timeval limit = {ms / 1000, ms % 1000 * 1000};
  return taken(syscall(SYS_select, pipe_fd[0] + 1, selected(), NULL, NULL, ms < 0 ? NULL : &limit));
}
static enum outcome call_raw_epoll_wait(int ms) { return taken(syscall(SYS_epoll_wait, epoll_fd, &epoll_event, 1, ms)); }

/* Sleeps: what is left is checked, too. */
static enum outcome slept(int result, int ms, double began, const struct timespec *left) {
  if (result != EINTR) return outcome(false, result == 0, false);
  double got = (double)left->tv_sec * 1e3 + (double)left->tv_nsec / 1e6, want = began + ms - clock_ms();
  return got - want > -1 && got - want < 60 ? INTERRUPTED : OTHER;
}
static enum outcome call_nanosleep(int ms) {
  struct timespec left;
  double began = clock_ms();
  int result = nanosleep(time_of(ms, &t), &left);
  return slept(result < 0 ? errno : 0, ms, began, &left);
}
static enum outcome call_nanosleep_itself(int ms) {
  double began = clock_ms();
  int result = nanosleep(time_of(ms, &t), &t);
  return slept(result < 0 ? errno : 0, ms, began, &t);
}
static enum outcome call_clock_nanosleep(int ms) {
  struct timespec left;
  double began = clock_ms();
  return slept(clock_nanosleep(CLOCK_MONOTONIC, 0, time_of(ms, &t), &left), ms, began, &left);
}
static enum outcome call_clock_nanosleep_boot(int ms) {
  struct timespec left;
  double began = clock_ms();
  return slept(clock_nanosleep(CLOCK_BOOTTIME, 0, time_of(ms, &t), &left), ms, began, &left);
}
static enum outcome call_clock_nanosleep_until(int ms) {
  int result = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, time_from(CLOCK_REALTIME, ms, &t), NULL);
  return outcome(false, result == 0, result == EINTR);
}
static enum outcome call_usleep(int ms) { return outcome_count(usleep((useconds_t)ms * 1000)); }
static enum outcome call_raw_nanosleep(int ms) {
  struct timespec left;
  double began = clock_ms();
  long result = syscall(SYS_nanosleep, time_of(ms, &t), &left);
  return slept(result < 0 ? errno : 0, ms, began, &left);
}
static enum outcome call_thrd_sleep(int ms) {
  struct timespec left;
  double began = clock_ms();
  int result = thrd_sleep(time_of(ms, &t), &left);
  return slept(result == -1 ? EINTR : result, ms, began, &left);
}
static enum outcome call_sleep(int ms) {
  unsigned left = sleep(ms > late_ms ? 3 : 1);
  return outcome(false, left == 0, left > 0);
}

/* Signals. */
static sigset_t user1;
static enum outcome call_pause(int ms) { return (void)ms, outcome_errno(pause(), 0); }
static enum outcome call_sigsuspend(int ms) { return (void)ms, outcome_errno(sigsuspend(&no_signal), 0); }
static enum outcome call_sigpause(int ms) { return (void)ms, outcome_errno(sigpause(SIGUSR2), 0); }
static enum outcome call_raw_pause(int ms) { return (void)ms, outcome_errno(syscall(SYS_pause), 0); }
static enum outcome call_sigtimedwait(int ms) {
  siginfo_t info = {0};
  int result = sigtimedwait(&user1, &info, time_of(ms, &t));
  if (result == SIGUSR1 && (info.si_signo != SIGUSR1 || info.si_code != SI_USER || info.si_pid != getpid())) return OTHER;
  return outcome_errno(result, EAGAIN);
}
static enum outcome call_sigwaitinfo(int ms) { return (void)ms, outcome_errno(sigwaitinfo(&user1, NULL), EAGAIN); }
static enum outcome call_sigwait(int ms) {
  int number = 0;
  return (void)ms, outcome(sigwait(&user1, &number) == 0 && number == SIGUSR1, false, false);
}

/* Semaphores, messages, futexes. */
static enum outcome call_sem_timedwait(int ms) {
  return outcome_errno(sem_timedwait(&semaphore, time_from(CLOCK_REALTIME, ms, &t)), ETIMEDOUT);
}
static enum outcome call_sem_clockwait(int ms) {
  return outcome_errno(sem_clockwait(&semaphore, CLOCK_MONOTONIC, time_from(CLOCK_MONOTONIC, ms, &t)), ETIMEDOUT);
}
static enum outcome call_sem_wait(int ms) { return (void)ms, outcome_errno(sem_wait(&semaphore), 0); }
static struct sembuf down = {0, -1, 0};
static enum outcome call_semop(int ms) { return (void)ms, outcome_errno(semop(sem_id, &down, 1), EAGAIN); }
static enum outcome call_semtimedop(int ms) {
  return outcome_errno(semtimedop(sem_id, &down, 1, time_of(ms, &t)), EAGAIN);
}
static enum outcome call_msgrcv(int ms) {
  struct message message;
  return (void)ms, outcome_errno(msgrcv(queue_id, &message, sizeof message.text, 0, 0), 0);
}
static enum outcome call_msgsnd(int ms) {
  struct message message = {1, ""};
  fill_queue();
  return (void)ms, outcome_errno(msgsnd(full_queue_id, &message, sizeof message.text, 0), 0);
}
static enum outcome call_futex(int ms) {
  futex_word = 0;
  long result = syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, time_of(ms < 0 ? 100000 : ms, &t), NULL, 0);
  return result < 0 && errno == EAGAIN ? EVENT : outcome_errno(result, ETIMEDOUT); /* the word had changed before */
}
static enum outcome call_futex_until(int ms) {
  futex_word = 0;
  long result = syscall(SYS_futex, &futex_word, FUTEX_WAIT_BITSET, 0, time_from(CLOCK_MONOTONIC, ms, &t), NULL,
                        FUTEX_BITSET_MATCH_ANY);
  return result < 0 && errno == EAGAIN ? EVENT : outcome_errno(result, ETIMEDOUT);
}
static enum outcome call_cond_timedwait(int ms) {
  pthread_mutex_lock(&mutex);
  int result = pthread_cond_timedwait(&condition, &mutex, time_from(CLOCK_REALTIME, ms, &t));
  pthread_mutex_unlock(&mutex);
  return outcome(result == 0, result == ETIMEDOUT, result == EINTR);
}
static aio_context_t aio;
static enum outcome call_io_getevents(int ms) {
  struct io_event events[2];
  return outcome_count(syscall(SYS_io_getevents, aio, 1, 2, events, time_of(ms, &t)));
}
static struct aiocb aio_request;
static char aio_byte;
static enum outcome call_aio_suspend(int ms) {
  static bool asked;
  if (!asked) {
    aio_request = (struct aiocb){.aio_fildes = aio_pipe[0], .aio_buf = &aio_byte, .aio_nbytes = 1};
    asked = aio_read(&aio_request) == 0;
  }
  int result = aio_suspend((const struct aiocb *[]){&aio_request}, 1, time_of(ms < 0 ? 100000 : ms, &t));
  if (result == 0) asked = false;
  return outcome_errno(result, EAGAIN);
}

/* Sockets with a time limit. */
static char byte[4096];
static enum outcome call_read(int ms) {
  set_limit(pair[0], SO_RCVTIMEO, ms < 0 ? 100000 : ms);
  return outcome_errno(read(pair[0], byte, sizeof byte), EAGAIN);
}
static enum outcome call_recv(int ms) {
  set_limit(pair[0], SO_RCVTIMEO, ms < 0 ? 100000 : ms);
  return outcome_errno(recv(pair[0], byte, sizeof byte, 0), EAGAIN);
}
static enum outcome call_recvfrom(int ms) {
  set_limit(pair[0], SO_RCVTIMEO, ms < 0 ? 100000 : ms);
  return outcome_errno(recvfrom(pair[0], byte, sizeof byte, 0, NULL, NULL), EAGAIN);
}
static struct iovec pieces[2] = {{byte, 10}, {byte + 10, 10}};
static enum outcome call_readv(int ms) {
  set_limit(pair[0], SO_RCVTIMEO, ms < 0 ? 100000 : ms);
  return outcome_errno(readv(pair[0], pieces, 2), EAGAIN);
}
static enum outcome call_recvmsg(int ms) {
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
  set_limit(pair[0], SO_RCVTIMEO, ms < 0 ? 100000 : ms);
  return outcome_errno(recvmsg(pair[0], &message, 0), EAGAIN);
}
static enum outcome call_recvmmsg(int ms) {
  struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = pieces, .msg_iovlen = 1}},
                                {.msg_hdr = {.msg_iov = pieces + 1, .msg_iovlen = 1}}};
  set_limit(datagrams[0], SO_RCVTIMEO, ms < 0 ? 100000 : ms);
  int result = recvmmsg(datagrams[0], messages, 2, 0, NULL);
  return result == 1 ? OTHER : outcome_errno(result, EAGAIN);
}
static enum outcome call_accept(int ms) {
  set_limit(listener, SO_RCVTIMEO, ms < 0 ? 100000 : ms);
  int fd = accept(listener, NULL, NULL);
  if (fd >= 0) close(fd);
  return outcome_errno(fd, EAGAIN);
}
static enum outcome call_accept4(int ms) {
  set_limit(listener, SO_RCVTIMEO, ms < 0 ? 100000 : ms);
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0) close(fd);
  return outcome_errno(fd, EAGAIN);
}
static enum outcome call_send(int ms) {
  fill(full[0]);
  set_limit(full[0], SO_SNDTIMEO, ms < 0 ? 100000 : ms);
  return outcome_errno(send(full[0], byte, sizeof byte, 0), EAGAIN);
}
static enum outcome call_write(int ms) {
  fill(full[0]);
  set_limit(full[0], SO_SNDTIMEO, ms < 0 ? 100000 : ms);
  return outcome_errno(write(full[0], byte, sizeof byte), EAGAIN);
}
static enum outcome call_sendmsg(int ms) {
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
  fill(full[0]);
  set_limit(full[0], SO_SNDTIMEO, ms < 0 ? 100000 : ms);
  return outcome_errno(sendmsg(full[0], &message, 0), EAGAIN);
}

enum {
  TIMED = 1,   /* there is a time limit */
  ENDS = 2,    /* a handled signal ends it */
  CANCELS = 4, /* a cancellation point */
  SECONDS = 8,
  ALONE = 16, /* leaves a thread of the C library's behind that blocks all signals, and the world is slow to stop then */
};
#define ALL (TIMED | ENDS | CANCELS)

static const struct row {
  const char *name;
  enum outcome (*call)(int ms);
  void (*come)(void); /* the event; NULL: there is none */
  unsigned traits;
} rows[] = {
    {"poll", call_poll, come_pipe, ALL},
    {"__poll_chk", call_poll_chk, come_pipe, ALL},
    {"ppoll", call_ppoll, come_pipe, ALL},
    {"__ppoll_chk", call_ppoll_chk, come_pipe, ALL},
    {"select", call_select, come_pipe, ALL},
    {"pselect", call_pselect, come_pipe, ALL},
    {"epoll_wait", call_epoll_wait, come_pipe, ALL},
    {"epoll_pwait", call_epoll_pwait, come_pipe, ALL},
    {"epoll_pwait2", call_epoll_pwait2, come_pipe, ALL},
    {"syscall(SYS_poll)", call_raw_poll, come_pipe, TIMED | ENDS},
    {"syscall(SYS_ppoll)", call_raw_ppoll, come_pipe, TIMED | ENDS},
    {"syscall(SYS_select)", call_raw_select, come_pipe, TIMED | ENDS},
    {"syscall(SYS_epoll_wait)", call_raw_epoll_wait, come_pipe, TIMED | ENDS},
    {"nanosleep", call_nanosleep, NULL, ALL},
    {"nanosleep into its own argument", call_nanosleep_itself, NULL, ALL},
    {"clock_nanosleep", call_clock_nanosleep, NULL, ALL},
    {"clock_nanosleep by another clock", call_clock_nanosleep_boot, NULL, ALL},
    {"clock_nanosleep until a time", call_clock_nanosleep_until, NULL, ALL},
    {"usleep", call_usleep, NULL, ALL},
    {"thrd_sleep", call_thrd_sleep, NULL, ALL},
    {"sleep", call_sleep, NULL, ALL | SECONDS},
    {"syscall(SYS_nanosleep)", call_raw_nanosleep, NULL, TIMED | ENDS},
    {"pause", call_pause, NULL, ENDS | CANCELS},
    {"sigsuspend", call_sigsuspend, NULL, ENDS | CANCELS},
    {"sigpause", call_sigpause, NULL, ENDS | CANCELS},
    {"syscall(SYS_pause)", call_raw_pause, NULL, ENDS},
    {"sigtimedwait", call_sigtimedwait, come_signal, ALL},
    {"sigwaitinfo", call_sigwaitinfo, come_signal, ENDS | CANCELS},
    {"sigwait", call_sigwait, come_signal, CANCELS},
    {"sem_timedwait", call_sem_timedwait, come_post, ALL},
    {"sem_clockwait", call_sem_clockwait, come_post, ALL},
    {"sem_wait", call_sem_wait, come_post, ENDS | CANCELS},
    {"semop", call_semop, come_up, ENDS},
    {"semtimedop", call_semtimedop, come_up, TIMED | ENDS},
    {"msgrcv", call_msgrcv, come_message, ENDS | CANCELS},
    {"msgsnd", call_msgsnd, come_message_room, ENDS | CANCELS},
    {"syscall(SYS_futex), a wait for a time", call_futex, come_wake, TIMED | ENDS},
    {"syscall(SYS_futex), a wait until a time", call_futex_until, come_wake, TIMED | ENDS},
    {"syscall(SYS_io_getevents)", call_io_getevents, NULL, TIMED | ENDS},
    {"aio_suspend", call_aio_suspend, come_aio, ALL | ALONE},
    {"pthread_cond_timedwait", call_cond_timedwait, come_condition, TIMED},
    {"read with SO_RCVTIMEO", call_read, come_pair, ALL},
    {"readv with SO_RCVTIMEO", call_readv, come_pair, ALL},
    {"recv with SO_RCVTIMEO", call_recv, come_pair, ALL},
    {"recvfrom with SO_RCVTIMEO", call_recvfrom, come_pair, ALL},
    {"recvmsg with SO_RCVTIMEO", call_recvmsg, come_pair, ALL},
    {"recvmmsg with SO_RCVTIMEO", call_recvmmsg, come_datagrams, ALL},
    {"accept with SO_RCVTIMEO", call_accept, come_peer, ALL},
    {"accept4 with SO_RCVTIMEO", call_accept4, come_peer, ALL},
    {"write with SO_SNDTIMEO", call_write, come_room, ALL},
    {"send with SO_SNDTIMEO", call_send, come_room, ALL},
    {"sendmsg with SO_SNDTIMEO", call_sendmsg, come_room, ALL},
};
enum { row_count = sizeof rows / sizeof rows[0] };

/* --- the tests --- */

static _Atomic unsigned handled;
static void handler(int number) { (void)number, handled++; }

/* What is lost when nobody waits for it yet: it comes again, too late for that to pass. */
static bool come_is_lost(void (*come)(void)) {
  return come == come_handled || come == come_wake || come == come_condition || come == come_room || come == come_message_room;
}

static _Atomic bool come_over;
static void *come_later(void *arg) {
  raw_sleep(event_ms * 1000);
  do {
    ((void (*)(void))arg)();
    for (int i = 0; i < again_ms && !come_over; i++) raw_sleep(1000);
  } while (!come_over && come_is_lost((void (*)(void))arg));
  return NULL;
}

static bool in_time(double took, double want) { return took > want - 2 && took < want + slack_ms; }

static bool try_ends(const struct row *row, enum outcome want, int ms, double at, void (*come)(void)) {
  pthread_t comer;
  waiter = pthread_self();
  come_over = false;
  double began = clock_ms();
  if (come) pthread_create(&comer, NULL, come_later, (void *)come);
  enum outcome got = row->call(ms);
  double took = clock_ms() - began;
  int error = errno;
  come_over = true;
  if (come) pthread_join(comer, NULL);
  bool good = got == want && in_time(took, at);
  if (!good)
    tap_note("%s: %s after %.1f ms, wanted %s after %.0f (errno %d)", row->name, outcome_names[got], took, outcome_names[want],
             at, error);
  return good;
}

/* Where the machine is loaded the thread may come to its call too late, and gets another chance. */
static void test_ends(const struct row *row, const char *what, enum outcome want, int ms, double at, void (*come)(void)) {
  bool good = false;
  for (int i = 0; i < attempts && !good; i++) good = try_ends(row, want, ms, at, come);
  OK(good, "%s %s", row->name, what);
}

enum { cancelled_ms = 100000, tick_waits = 60 };

static void *cancelled(void *arg) {
  const struct row *row = arg;
  row->call(cancelled_ms);
  return NULL;
}

static void test_cancel(const struct row *row) {
  pthread_t thread;
  void *result = NULL;
  double began = clock_ms();
  pthread_create(&thread, NULL, cancelled, (void *)row);
  raw_sleep(30000);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  OK(result == PTHREAD_CANCELED && clock_ms() - began < cancelled_ms / 2, "%s is a cancellation point", row->name);
}

static void test_row(const struct row *row) {
  int late = row->traits & SECONDS ? 1000 : late_ms;
  if (row->traits & TIMED) test_ends(row, "lasts as long as it should", LATE, late_ms, late, NULL);
  if (row->come) test_ends(row, "ends when what it waits for comes", EVENT, -1, event_ms, row->come);
  if (row->traits & ENDS)
    test_ends(row, "ends when a signal is handled", INTERRUPTED, row->come ? -1 : 100000, event_ms, come_handled);
  if (row->traits & CANCELS) test_cancel(row);
}

struct ticks {
  unsigned lost, unseen;
};

static struct ticks try_ticks(int (*wait)(void), bool masked) {
  enum { tick_us = 10000 };
  struct ticks ticks = {0, 0};
  sigset_t alarm, old;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  if (masked) sigprocmask(SIG_BLOCK, &alarm, &old);
  handled = 0;
  struct itimerval every = {{0, tick_us}, {0, tick_us}}, off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &every, NULL);
  for (int i = 0; i < tick_waits; i++) {
    unsigned before = handled;
    double began = clock_ms();
    int result = wait();
    unsigned seen = handled - before;
    if (result != -1 || errno != EINTR || seen == 0) ticks.unseen++;
    if (seen > 1 && clock_ms() - began < 2.5 * tick_us / 1e3) ticks.lost++;
  }
  setitimer(ITIMER_REAL, &off, NULL);
  if (masked) sigprocmask(SIG_SETMASK, &old, NULL);
  return ticks;
}

/* Each pause is ended by the next tick, not by a later one: a tick that comes while the world stands still counts. Some may come before the
 * call, and on a loaded machine between the handler and the call's end: there is another chance. */
static void test_ticks(const char *name, int (*wait)(void), bool masked) {
  unsigned lost = UINT_MAX, most = masked ? 0 : 3, unseen = 0;
  for (int i = 0; i < (masked ? 1 : attempts) && lost > most; i++) {
    struct ticks ticks = try_ticks(wait, masked);
    lost = ticks.lost;
    unseen += ticks.unseen;
    if (ticks.lost || ticks.unseen) tap_note("of %d: %u lost, %u without a tick", tick_waits, ticks.lost, ticks.unseen);
  }
  OK(unseen == 0, "%s never ends without a signal of the program's", name);
  OK(lost <= most, "%s misses no tick of a timer", name);
}
static int tick_pause(void) { return pause(); }
static int tick_sigsuspend(void) { return sigsuspend(&no_signal); }
static int tick_ppoll(void) { return ppoll(NULL, 0, NULL, &no_signal); }
static int tick_pselect(void) { return pselect(0, NULL, NULL, NULL, NULL, &no_signal); }
static int tick_epoll(void) { return epoll_pwait(epoll_fd, &epoll_event, 1, -1, &no_signal); }
static int tick_poll(void) { return poll(NULL, 0, -1); }
static int tick_semop(void) { return semop(sem_id, &down, 1); }
static int tick_sem_wait(void) { return sem_wait(&semaphore); }
static int tick_read(void) { return (int)read(pipe_fd[0], byte, 1); }
static pid_t child;
static int tick_waitpid(void) { return waitpid(child, NULL, 0); }

static bool try_left(void) {
  struct timeval limit = {5, 0};
  waiter = pthread_self();
  pthread_t comer;
  pthread_create(&comer, NULL, come_later, (void *)come_pipe);
  double began = clock_ms();
  int result = select(pipe_fd[0] + 1, selected(), NULL, NULL, &limit);
  double want = 5000 - (clock_ms() - began), got = (double)limit.tv_sec * 1e3 + (double)limit.tv_usec / 1e3;
  pthread_join(comer, NULL);
  take_pipe();
  return result == 1 && fabs(got - want) < 60;
}

/* select tells what is left, nanosleep only when it was interrupted. */
static void test_left(void) {
  bool good = false;
  for (int i = 0; i < attempts && !good; i++) good = try_left();
  OK(good, "select tells the time that is left");
  struct timeval limit = {0, late_ms * 1000};
  OK(select(pipe_fd[0] + 1, selected(), NULL, NULL, &limit) == 0 && limit.tv_sec == 0 && limit.tv_usec == 0,
     "none when it was late");
  struct timespec left = {7, 7};
  OK(nanosleep(time_of(late_ms, &t), &left) == 0 && left.tv_sec == 7 && left.tv_nsec == 7,
     "nanosleep tells nothing when it slept to the end");
  struct timespec limit_of_ppoll = {0, late_ms * 1000000L}, limit_of_pselect = limit_of_ppoll;
  OK(ppoll(polled(), 1, &limit_of_ppoll, NULL) == 0 && pselect(0, NULL, NULL, NULL, &limit_of_pselect, NULL) == 0 &&
         limit_of_ppoll.tv_nsec == late_ms * 1000000L && limit_of_pselect.tv_nsec == late_ms * 1000000L,
     "ppoll and pselect leave their time limits alone");
  errno = 77;
  OK(sleep(0) == 0 && usleep(1000) == 0 && poll(polled(), 1, 10) == 0 && errno == 77, "errno is kept on success");
}

/* What a blocking descriptor is given is moved as a whole. */
static void *slow_reader(void *arg) {
  int fd = *(int *)arg;
  static char sink[30000];
  size_t total = 0;
  for (ssize_t got; (got = read(fd, sink, sizeof sink)) > 0; total += (size_t)got) raw_sleep(3000);
  return (void *)total;
}

static void test_whole(void) {
  enum { bytes = 2 << 20 };
  static char buffer[bytes];
  int fd[2];
  pthread_t reader;
  void *total;
  (void)!pipe(fd);
  pthread_create(&reader, NULL, slow_reader, &fd[0]);
  OK(write(fd[1], buffer, bytes) == bytes, "write to a pipe writes everything");
  struct iovec parts[3] = {{buffer, bytes / 2}, {buffer, 0}, {buffer, bytes / 2}};
  OK(writev(fd[1], parts, 3) == bytes, "so does writev");
  close(fd[1]);
  pthread_join(reader, &total);
  OK((size_t)total == 2 * bytes, "and everything arrives once");
  close(fd[0]);
  (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
  pthread_create(&reader, NULL, slow_reader, &fd[0]);
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
  OK(send(fd[1], buffer, bytes, 0) == bytes && sendmsg(fd[1], &message, 0) == bytes, "send and sendmsg, too");
  close(fd[1]);
  pthread_join(reader, &total);
  OK((size_t)total == 2 * bytes, "and that arrives once");
  close(fd[0]);
}

static void *slow_writer(void *arg) {
  static char source[20000];
  for (int i = 0; i < 20; i++) {
    (void)!write(*(int *)arg, source, sizeof source);
    raw_sleep(4000);
  }
  return arg;
}

static void test_waitall(void) {
  enum { bytes = 400000 };
  static char buffer[bytes];
  int fd[2];
  pthread_t writer;
  (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
  pthread_create(&writer, NULL, slow_writer, &fd[1]);
  OK(recv(fd[0], buffer, bytes, MSG_WAITALL) == bytes, "recv with MSG_WAITALL waits for all");
  pthread_join(writer, NULL);
  OK(getrandom(buffer, bytes, 0) == bytes, "getrandom fills everything");
  close(fd[0]), close(fd[1]);
}

/* Waiting inside the C library. */
static void test_inside(void) {
  double began = clock_ms();
  OK(system("sleep 0.3; exit 7") == 7 << 8 && clock_ms() - began > 295, "system waits for its command");
  FILE *stream = popen("sleep 0.2; echo done", "r");
  char line[20] = "";
  OK(stream && fgets(line, sizeof line, stream) && strcmp(line, "done\n") == 0 && pclose(stream) == 0, "popen reads its command");
  mqd_t queue = mq_open("/gleaner-waits", O_RDWR | O_CREAT, 0600, NULL);
  if (queue == (mqd_t)-1) return tap_skip("mq_timedreceive is late in time", "no message queues here");
  static char message[65536];
  mq_unlink("/gleaner-waits");
  bool good = false;
  for (int i = 0; i < attempts && !good; i++) {
    began = clock_ms();
    good = mq_timedreceive(queue, message, sizeof message, NULL, time_from(CLOCK_REALTIME, late_ms, &t)) == -1 && errno == ETIMEDOUT &&
           in_time(clock_ms() - began, late_ms);
  }
  OK(good, "mq_timedreceive is late in time");
  mq_close(queue);
}

/* A handler that leaves the call by a jump leaves nothing behind. */
static sigjmp_buf jump;
static void jumper(int number) { (void)number, siglongjmp(jump, 1); }
static void test_jump(void) {
  signal(SIGALRM, jumper);
  volatile unsigned jumps = 0;
  for (volatile int i = 0; i < 40; i++) {
    struct itimerval once = {{0, 0}, {0, 3000}};
    if (sigsetjmp(jump, 1) == 0) {
      setitimer(ITIMER_REAL, &once, NULL);
      for (;;) i % 2 ? poll(NULL, 0, -1) : pause();
    }
    jumps++;
  }
  uint64_t mask = 0;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask);
  OK(jumps == 40 && mask == 1 << (SIGUSR1 - 1), "a handler may jump out of a call that waits");
  signal(SIGALRM, handler);
}

static void prepare(void) {
  (void)!pipe(pipe_fd), (void)!pipe(aio_pipe);
  (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, full);
  (void)!socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams);
  listener = socket(AF_UNIX, SOCK_STREAM, 0);
  listener_name.sun_family = AF_UNIX;
  snprintf(listener_name.sun_path + 1, sizeof listener_name.sun_path - 1, "gleaner-waits-%d", (int)getpid());
  bind(listener, (struct sockaddr *)&listener_name, sizeof listener_name);
  listen(listener, 5);
  epoll_fd = epoll_create1(0);
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipe_fd[0], &(struct epoll_event){.events = EPOLLIN});
  sem_id = semget(IPC_PRIVATE, 1, 0600);
  queue_id = msgget(IPC_PRIVATE, 0600);
  full_queue_id = msgget(IPC_PRIVATE, 0600);
  sem_init(&semaphore, 0, 0);
  syscall(SYS_io_setup, 4, &aio);
  sigemptyset(&user1);
  sigaddset(&user1, SIGUSR1);
  sigprocmask(SIG_BLOCK, &user1, NULL);
}

static void clean(void) {
  semctl(sem_id, 0, IPC_RMID);
  msgctl(queue_id, IPC_RMID, NULL);
  msgctl(full_queue_id, IPC_RMID, NULL);
}

/* "part I N": every Nth row from I on, the last with all the rest; other arguments: rows by their names, for those to be run
 * alone, too. */
static bool is_asked(int argc, char **argv, unsigned row) {
  if (argc == 4 && strcmp(argv[1], "part") == 0)
    return !(rows[row].traits & ALONE) && row % (unsigned)atoi(argv[3]) == (unsigned)atoi(argv[2]);
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], rows[row].name) == 0) return true;
  return argc == 1 && !(rows[row].traits & ALONE);
}

static void test_rest(void) {
  test_ticks("pause", tick_pause, false);
  test_ticks("poll", tick_poll, false);
  test_ticks("sigsuspend", tick_sigsuspend, true);
  test_ticks("ppoll", tick_ppoll, true);
  test_ticks("pselect", tick_pselect, true);
  test_ticks("epoll_pwait", tick_epoll, true);
  test_ticks("semop", tick_semop, false);
  test_ticks("sem_wait", tick_sem_wait, false);
  test_ticks("read", tick_read, false);
  if (!(child = fork()))
    for (;;) pause();
  test_ticks("waitpid", tick_waitpid, false);
  kill(child, SIGKILL);
  test_left();
  test_whole();
  test_waitall();
  test_inside();
  test_jump();
}

int main(int argc, char **argv) {
  pthread_t thread;
  sigset_t all, old;
  prepare();
  stopper_check = (long (*)(void))dlsym(RTLD_DEFAULT, "GC_leak_check");
  stopper_collect = (void (*)(void))dlsym(RTLD_DEFAULT, "GC_gcollect");
  if (stopper_collect) stopper_collect(); /* it is armed before anybody waits */
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &old); /* signals for the process are for this thread */
  pthread_create(&thread, NULL, stopper, NULL);
  sigprocmask(SIG_SETMASK, &old, NULL);
  sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler}, NULL);
  struct sigaction told;
  OK(sigaction(SIGALRM, NULL, &told) == 0 && told.sa_handler == handler, "sigaction tells the handler that was set");
  for (unsigned i = 0; i < row_count; i++)
    if (is_asked(argc, argv, i)) test_row(&rows[i]);
  if (argc == 1 || (argc == 4 && atoi(argv[2]) == atoi(argv[3]) - 1)) test_rest();
  stopper_on = false;
  pthread_join(thread, NULL);
  tap_note("the world was stopped %u times", stopper_stops);
  if (stopper_check) OK(stopper_stops > 0, "the world was stopped meanwhile");
  clean();
  return tap_end();
}
