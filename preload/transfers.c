/* SPDX-License-Identifier: MIT
 * Reading, writing and connecting: calls that the kernel restarts after a handled signal, but not always.
 *
 * - On a socket with a time limit (SO_RCVTIMEO, SO_SNDTIMEO) they fail with EINTR. When our signal alone did that, the rest of the
 *   time is spent in a poll, and then the call is made again. The limit begins where the call began, which is why setsockopt is
 *   looked at: the clock is read before a call once some socket of this process has been given a limit.
 * - Where bytes have already moved they return how many: a write to a pipe, a terminal or a stream socket, recv with MSG_WAITALL,
 *   getrandom of more than a page. Without signals of its own a program never sees that, so the rest is moved, too.
 *
 * The real functions do the work; whether our signal came is told by os_wait_cuts, which counts only where no signal of the
 * program's was pending beside it, and that no handler ran is seen with signals blocked before the poll lets them in. In modes that never stop the program the real function is jumped to. */
#include "config.h"

#include "waits.h"

#include "real.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t __read_chk(int fd, void *buffer, size_t size, size_t buffer_size);
ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t buffer_size, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buffer, size_t size, size_t buffer_size, int flags,
                       struct sockaddr *restrict from, socklen_t *restrict from_size);

static _Atomic bool transfers_limited; /* some socket was given a time limit */

PUBLIC int setsockopt(int fd, int level, int option, const void *value, socklen_t size) {
  bool limit = option == SO_RCVTIMEO || option == SO_SNDTIMEO;
  if (level == SOL_SOCKET && limit) atomic_store_explicit(&transfers_limited, true, memory_order_relaxed);
  return REAL(setsockopt)(fd, level, option, value, size);
}

/* --- what came of a try --- */

struct transfers {
  struct os_wait_cuts before;
  int error;      /* errno */
  uint64_t began; /* 0: unknown */
};

static inline struct transfers transfers_begin(void) {
  bool timed = unlikely(atomic_load_explicit(&transfers_limited, memory_order_relaxed));
  return (struct transfers){os_wait_cuts, errno, timed ? os_clock() : 0};
}

static inline bool transfers_were_cut(const struct transfers *t, ssize_t result) {
  return unlikely(result == -1) && os_wait_cuts.failed != t->before.failed && errno == EINTR;
}

static inline bool transfers_in_part(const struct transfers *t, ssize_t result) {
  return result > 0 && unlikely(os_wait_cuts.part != t->before.part) && os_wait_cuts.handled == t->before.handled;
}

/* What is left of the socket's time limit: false when there is none. */
static bool transfers_limit(struct transfers *t, int fd, int option, struct timespec *left) {
  struct timeval limit = {0};
  socklen_t size = sizeof limit;
  if (getsockopt(fd, SOL_SOCKET, option, &limit, &size) != 0 || (limit.tv_sec == 0 && limit.tv_usec == 0)) return false;
  uint64_t now = os_clock();
  if (!t->began) t->began = now;
  uint64_t all = (uint64_t)limit.tv_sec * 1000000000u + (uint64_t)limit.tv_usec * 1000u, past = now - t->began;
  uint64_t rest = all > past ? all - past : 0;
  *left = (struct timespec){(time_t)(rest / 1000000000u), (long)(rest % 1000000000u)};
  return true;
}

/* It seems that our signal alone ended the call. Waits for the socket as long as its limit lets the call: true when it is to be made
 * again, otherwise errno tells why not. */
static bool transfers_again(struct transfers *t, int fd, int option, int too_late) {
  struct pollfd poll = {.fd = fd, .events = option == SO_RCVTIMEO ? POLLIN : POLLOUT};
  struct timespec left;
  struct waits w;
  waits_begin(&w, true);
  bool limited = transfers_limit(t, fd, option, &left);
  if (!waits_passed(&w, true, &t->before)) return errno = EINTR, false;
  long ready = limited ? waits_ppoll(&w, &poll, 1, &left, NULL) : waits_end(&w, 1);
  t->before = os_wait_cuts;
  errno = ready > 0 ? t->error : ready < 0 ? (int)-ready : too_late;
  return ready > 0;
}

#define TRANSFER(fd, option, too_late, call)                                                                 \
  if (likely(!waits_armed())) return (call);                                                                 \
  struct transfers t = transfers_begin();                                                                    \
  __typeof__(call) result = (call);                                                                          \
  while (transfers_were_cut(&t, result) && transfers_again(&t, fd, option, too_late)) result = (call);
#define TRANSFER_IN(fd, call) TRANSFER(fd, SO_RCVTIMEO, EAGAIN, call)
#define TRANSFER_OUT(fd, call) TRANSFER(fd, SO_SNDTIMEO, EAGAIN, call)

/* --- the rest of what was moved in part --- */

/* Where a call that moved a part would have moved all. What is written to a device or as datagrams is taken as it is. */
static bool transfers_is_stream(int fd) {
  struct stat file;
  int type = 0;
  socklen_t size = sizeof type;
  if (fstat(fd, &file) != 0) return false;
  if (S_ISSOCK(file.st_mode)) return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
  return S_ISFIFO(file.st_mode) || (S_ISCHR(file.st_mode) && isatty(fd));
}

static ssize_t transfers_bytes(const struct iovec *pieces, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += pieces[i].iov_len;
  return (ssize_t)bytes;
}

enum transfers_way { TRANSFERS_WRITE, TRANSFERS_SEND, TRANSFERS_RECEIVE };

static ssize_t transfers_move(enum transfers_way way, int fd, char *at, size_t size, int flags) {
  switch (way) {
    case TRANSFERS_WRITE: return write(fd, at, size);
    case TRANSFERS_SEND: return send(fd, at, size, flags);
    default: return recv(fd, at, size, flags);
  }
}

/* Our signal came when so many bytes had moved. Moves the rest, piece by piece, until something else stands in the way; by the public
 * names, which go on in their turn. */
static ssize_t transfers_rest_slow(const struct transfers *t, enum transfers_way way, int fd, const struct iovec *pieces,
                                   size_t count, int flags, ssize_t moved) {
  size_t skip = (size_t)moved;
  for (size_t i = transfers_is_stream(fd) ? 0 : count; i < count; i++) {
    size_t done = skip < pieces[i].iov_len ? skip : pieces[i].iov_len, size = pieces[i].iov_len - done;
    skip -= done;
    if (size == 0) continue;
    ssize_t more = transfers_move(way, fd, (char *)pieces[i].iov_base + done, size, flags);
    if (more > 0) moved += more;
    if (more != (ssize_t)size) break;
  }
  errno = t->error;
  return moved;
}

static inline ssize_t transfers_rest(const struct transfers *t, enum transfers_way way, int fd, const struct iovec *pieces,
                                     size_t count, int flags, ssize_t result) {
  if (likely(!transfers_in_part(t, result)) || result >= transfers_bytes(pieces, count)) return result;
  return transfers_rest_slow(t, way, fd, pieces, count, flags, result);
}

/* --- before the C library's names can be looked up --- */

/* The core itself reads and writes, and before our constructor has run a look at the loader's tables could allocate. */
static bool transfers_is_known(enum real_index index) {
  return likely(atomic_load_explicit(&real_functions[index], memory_order_relaxed) != NULL);
}

/* --- in --- */

PUBLIC ssize_t read(int fd, void *buffer, size_t size) {
  if (!transfers_is_known(real_index_read)) return syscall(SYS_read, fd, buffer, size);
  TRANSFER_IN(fd, REAL(read)(fd, buffer, size))
  return result;
}
PUBLIC extern __typeof__(read) __read __attribute__((alias("read")));

PUBLIC ssize_t __read_chk(int fd, void *buffer, size_t size, size_t buffer_size) {
  TRANSFER_IN(fd, REAL(__read_chk)(fd, buffer, size, buffer_size))
  return result;
}

PUBLIC ssize_t readv(int fd, const struct iovec *pieces, int count) {
  TRANSFER_IN(fd, REAL(readv)(fd, pieces, count))
  return result;
}

static ssize_t transfers_received(const struct transfers *t, int fd, const struct iovec *pieces, size_t count, int flags,
                                  ssize_t result) {
  if (likely(!(flags & MSG_WAITALL)) || flags & MSG_PEEK) return result;
  return transfers_rest(t, TRANSFERS_RECEIVE, fd, pieces, count, flags, result);
}

PUBLIC ssize_t recv(int fd, void *buffer, size_t size, int flags) {
  TRANSFER_IN(fd, REAL(recv)(fd, buffer, size, flags))
  return transfers_received(&t, fd, &(struct iovec){buffer, size}, 1, flags, result);
}

PUBLIC ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t buffer_size, int flags) {
  TRANSFER_IN(fd, REAL(__recv_chk)(fd, buffer, size, buffer_size, flags))
  return transfers_received(&t, fd, &(struct iovec){buffer, size}, 1, flags, result);
}

PUBLIC ssize_t recvfrom(int fd, void *restrict buffer, size_t size, int flags, struct sockaddr *restrict from,
                        socklen_t *restrict from_size) {
  TRANSFER_IN(fd, REAL(recvfrom)(fd, buffer, size, flags, from, from_size))
  return transfers_received(&t, fd, &(struct iovec){buffer, size}, 1, flags, result);
}

PUBLIC ssize_t __recvfrom_chk(int fd, void *restrict buffer, size_t size, size_t buffer_size, int flags,
                              struct sockaddr *restrict from, socklen_t *restrict from_size) {
  TRANSFER_IN(fd, REAL(__recvfrom_chk)(fd, buffer, size, buffer_size, flags, from, from_size))
  return transfers_received(&t, fd, &(struct iovec){buffer, size}, 1, flags, result);
}

PUBLIC ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  TRANSFER_IN(fd, REAL(recvmsg)(fd, message, flags))
  return transfers_received(&t, fd, message->msg_iov, message->msg_iovlen, flags, result);
}

/* Several messages: it may also return with fewer than it waits for. */
PUBLIC int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
  TRANSFER_IN(fd, REAL(recvmmsg)(fd, messages, count, flags, timeout))
  if (likely(!transfers_in_part(&t, result)) || (unsigned)result >= count || flags & (MSG_WAITFORONE | MSG_DONTWAIT))
    return result;
  if (timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0) return result;
  /* the kernel noted EINTR as the socket's error, to be told by the next call */
  int noted = 0;
  socklen_t size = sizeof noted;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &noted, &size);
  int more = noted == EINTR ? recvmmsg(fd, messages + result, count - (unsigned)result, flags, timeout) : 0;
  errno = t.error;
  return more > 0 ? result + more : result;
}

PUBLIC int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict size) {
  TRANSFER_IN(fd, REAL(accept)(fd, address, size))
  return result;
}

PUBLIC int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict size, int flags) {
  TRANSFER_IN(fd, REAL(accept4)(fd, address, size, flags))
  return result;
}

PUBLIC ssize_t getrandom(void *buffer, size_t size, unsigned flags) {
  if (likely(!waits_armed())) return REAL(getrandom)(buffer, size, flags);
  struct transfers t = transfers_begin();
  ssize_t result = REAL(getrandom)(buffer, size, flags);
  if (likely(!transfers_in_part(&t, result)) || (size_t)result >= size || flags & (GRND_RANDOM | GRND_NONBLOCK)) return result;
  ssize_t more = getrandom((char *)buffer + result, size - (size_t)result, flags);
  errno = t.error;
  return more > 0 ? result + more : result;
}

/* --- out --- */

/* A connection goes on being made; asked again, the kernel waits for it once more. */
PUBLIC int connect(int fd, const struct sockaddr *address, socklen_t size) {
  TRANSFER(fd, SO_SNDTIMEO, EINPROGRESS, REAL(connect)(fd, address, size))
  return result;
}
PUBLIC extern __typeof__(connect) __connect __attribute__((alias("connect")));

PUBLIC ssize_t write(int fd, const void *buffer, size_t size) {
  if (!transfers_is_known(real_index_write)) return syscall(SYS_write, fd, buffer, size);
  TRANSFER_OUT(fd, REAL(write)(fd, buffer, size))
  return transfers_rest(&t, TRANSFERS_WRITE, fd, &(struct iovec){(void *)buffer, size}, 1, 0, result);
}
PUBLIC extern __typeof__(write) __write __attribute__((alias("write")));

PUBLIC ssize_t writev(int fd, const struct iovec *pieces, int count) {
  TRANSFER_OUT(fd, REAL(writev)(fd, pieces, count))
  return transfers_rest(&t, TRANSFERS_WRITE, fd, pieces, (size_t)count, 0, result);
}

PUBLIC ssize_t send(int fd, const void *buffer, size_t size, int flags) {
  TRANSFER_OUT(fd, REAL(send)(fd, buffer, size, flags))
  return transfers_rest(&t, TRANSFERS_SEND, fd, &(struct iovec){(void *)buffer, size}, 1, flags, result);
}
PUBLIC extern __typeof__(send) __send __attribute__((alias("send")));

PUBLIC ssize_t sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *to, socklen_t to_size) {
  TRANSFER_OUT(fd, REAL(sendto)(fd, buffer, size, flags, to, to_size))
  return transfers_rest(&t, TRANSFERS_SEND, fd, &(struct iovec){(void *)buffer, size}, 1, flags, result);
}

/* Descriptors and the like go with the first part. */
PUBLIC ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  TRANSFER_OUT(fd, REAL(sendmsg)(fd, message, flags))
  return transfers_rest(&t, TRANSFERS_SEND, fd, message->msg_iov, message->msg_iovlen, flags, result);
}

PUBLIC int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  TRANSFER_OUT(fd, REAL(sendmmsg)(fd, messages, count, flags))
  return result;
}
