/* SPDX-License-Identifier: MIT
 * Write tracking: every page written is told, whoever wrote it and whatever became of its mapping; and nothing more, as long as
 * the mapping is the same. Each way that this kernel has. */
#include "config.h"

#include "os/track.h"

#include "os/call.h"
#include "os/memory.h"
#include "tap.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { page = 4096, pages = 1024, reserved = 64 << 20, huge = 2 << 20 };

static char *heap;           /* `reserved` bytes, of which `pages` pages are committed */
static bool told[pages], told_absent[pages];
static size_t told_count;

static void note(uintptr_t lo, uintptr_t hi, bool present, void *arg) {
  (void)arg;
  for (; lo < hi; lo += page) {
    size_t i = (lo - (uintptr_t)heap) / page;
    if (i >= pages || told[i]) abort(); /* twice */
    told[i] = true;
    told_absent[i] = !present;
    told_count++;
  }
}

static bool ask(void) {
  memset(told, 0, sizeof told);
  told_count = 0;
  return track_written((uintptr_t)heap, (uintptr_t)heap + (size_t)pages * page, note, NULL);
}

/* Exactly these are told, and they are in memory. */
static bool tells(const size_t *want, size_t count) {
  if (!ask() || told_count != count) return false;
  for (size_t i = 0; i < count; i++)
    if (!told[want[i]] || told_absent[want[i]]) return false;
  return true;
}

#define TELLS(...) tells((const size_t[]){__VA_ARGS__}, sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))
#define TELLS_NOTHING() tells(NULL, 0)

static char *at(size_t i) { return heap + i * page; }

/* What was written before is told now, as track_settle demands. */
static bool protect(size_t first, size_t count) {
  ask();
  int error = track_protect((uintptr_t)at(first), (uintptr_t)at(first + count));
  track_settle();
  return error == 0;
}

static void make_heap(void) {
  heap = os_memory_reserve(reserved);
  if (!heap || os_memory_commit(heap, (size_t)pages * page) != 0) abort();
  madvise(heap, reserved, MADV_NOHUGEPAGE);
}

/* --- one way --- */

static void test_stores(void) {
  OK(TELLS_NOTHING(), "pages never touched are not told");
  *at(3) = *at(4) = *at(900) = 1;
  OK(TELLS(3, 4, 900), "pages written are told");
  OK(TELLS(3, 4, 900), "and told again, as long as they are not protected");
  OK(protect(3, 1) && protect(4, 1) && protect(900, 1) && TELLS_NOTHING(), "protected ones are not");
  char read = *at(3);
  OK(read == 1 && TELLS_NOTHING(), "reading is not writing");
  *at(4) = 2;
  OK(TELLS(4), "a page written again is told, and no other");
  *at(5) = *at(899) = 1;
  OK(TELLS(4, 5, 899), "its neighbours when they are written for the first time");
  OK(protect(4, 2) && TELLS(899), "protecting some concerns no other");
  OK(protect(899, 1) && TELLS_NOTHING(), "all are protected");
  int error = track_release((uintptr_t)at(3), (uintptr_t)at(5));
  OK(error == ENOSYS ? TELLS_NOTHING() : error == 0 && TELLS(3, 4), "released ones count as written, where that can be done");
  OK(protect(3, 2) && TELLS_NOTHING(), "and can be protected again");
}

static void *store(void *arg) {
  *at(900) = 3;
  return arg;
}

static void test_writers(void) {
  int pipes[2];
  pthread_t thread;
  if (pipe(pipes) != 0 || write(pipes[1], "contents", 8) != 8) abort();
  OK(read(pipes[0], at(3) + 8, 8) == 8 && !memcmp(at(3) + 8, "contents", 8), "read(2) into a protected page works");
  OK(TELLS(3), "and is told");
  close(pipes[0]);
  close(pipes[1]);
  if (pthread_create(&thread, NULL, store, NULL) != 0) abort();
  pthread_join(thread, NULL);
  OK(TELLS(3, 900), "another thread's writing is told");
  OK(protect(0, pages) && TELLS_NOTHING(), "a range with pages never touched can be protected");
  *at(1) = 1;
  OK(TELLS(1), "and such a page is told when it is written");
  protect(0, pages);
}

static void test_mappings(void) {
  os_memory_purge(at(4), page);
  OK(TELLS_NOTHING() && *at(4) == 0, "a page given back is not told, and is empty");
  *at(4) = 1;
  OK(TELLS(4), "and is told when it is written");
  protect(0, pages);
  mprotect(at(4), page, PROT_NONE);
  OK(TELLS_NOTHING(), "taking away access is no writing");
  mprotect(at(4), page, PROT_READ | PROT_WRITE);
  *at(4) = 5;
  OK(TELLS(4), "what is written after it was given back is told");
  *at(10) = *at(11) = 6;
  *at(20) = *at(21) = 7;
  protect(0, pages);
  OK(os_memory_move(at(10), at(20), 2 * page) == 0 && *at(21) == 6 && *at(11) == 0, "pages can be moved");
  ask();
  OK(told[20] && told[21] && !told[4] && !told[3], "moved pages count as written where they are now");
  *at(20) = 8;
  ask();
  OK(told[20] && told[21], "also after they are written");
  int error = track_protect((uintptr_t)at(20), (uintptr_t)at(22));
  track_settle();
  ask();
  OK(error == ENOENT ? told[20] && told[21] : error == 0 && !told[20] && !told[21],
     "protecting them does so, or says that it does not");
  OK(track_add((uintptr_t)at(20), (uintptr_t)at(22)) == 0 && ask() && told[20] && told[21], "they can be added again, as written");
  OK(protect(0, pages) && TELLS_NOTHING(), "and protected");
  *at(21) = 9;
  OK(TELLS(21), "and are told then");
  if (mmap(at(30), page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at(30)) abort();
  *at(30) = 1;
  ask();
  OK(told[30], "what is written to a mapping in their place is told");
  protect(0, 30);
  *at(40) = 1;
  if (mmap(at(40), page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at(40)) abort();
  OK(track_add((uintptr_t)at(40), (uintptr_t)at(41)) == EINVAL, "memory that others may write to is not tracked");
  *at(40) = 1;
  ask();
  OK(told[40], "and counts as written");
  munmap(at(40), page);
  if (mmap(at(40), page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at(40)) abort();
  OK(track_add((uintptr_t)heap, (uintptr_t)heap + reserved) == 0 && protect(0, pages), "a range with all of this can be added again");
  *at(40) = 1;
  OK(TELLS(40), "which begins to track what has come");
}

static bool child_says(bool (*child)(enum track_way way), enum track_way way) {
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(child(way) ? 0 : 1);
  *at(3) = 30; /* the pages are shared with the child now */
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool child_tells(enum track_way way) {
  const char *why;
  track_fork_child();
  if (track_written((uintptr_t)heap, (uintptr_t)at(pages), note, NULL)) return false;
  if (track_begin(way, &why) != way || track_add((uintptr_t)heap, (uintptr_t)heap + reserved) != 0) return false;
  *at(6) = 1;
  if (!ask() || !told[1] || !told[3] || !told[4] || !told[6]) return false;
  if (!protect(0, pages) || !TELLS_NOTHING()) return false;
  *at(6) = *at(4) = 2;
  return TELLS(4, 6);
}

/* Nobody told us that this is a child. */
static bool child_is_safe(enum track_way way) {
  (void)way;
  *at(6) = 2;
  if (!ask()) return true; /* all count as written */
  if (!told[6]) return false;
  return track_protect((uintptr_t)at(6), (uintptr_t)at(7)) != 0 || ask();
}

static void test_fork(enum track_way way) {
  *at(6) = 1;
  protect(0, pages);
  OK(child_says(child_tells, way), "in a child nothing is tracked, and all can be begun anew");
  OK(TELLS(3), "its writing is not ours; ours is told while pages are shared with it");
  protect(0, pages);
  OK(child_says(child_is_safe, way), "a child that was not announced misses nothing");
  OK(TELLS(3), "and changes nothing here");
  protect(0, pages);
}

static void test_growth(void) {
  os_memory_commit(at(pages), page); /* told[] ends before it */
  *at(pages) = 1;
  OK(protect(pages, 1) && TELLS_NOTHING(), "what is committed later is tracked as well");
}

static void test_random(void) {
  uint64_t seed = tap_seed();
  bool shadow[pages] = {false}, good = true;
  protect(0, pages);
  for (int round = 0; round < 300 && good; round++) {
    for (int i = (int)(tap_random(&seed) % 40); i > 0; i--) {
      size_t where = tap_random(&seed) % pages;
      at(where)[tap_random(&seed) % page] = (char)round;
      shadow[where] = true;
    }
    good = ask() && !memcmp(told, shadow, sizeof told);
    size_t first = tap_random(&seed) % pages, count = tap_random(&seed) % 60;
    if (first + count > pages || count == 0) continue;
    good = good && track_protect((uintptr_t)at(first), (uintptr_t)at(first + count)) == 0;
    track_settle();
    memset(shadow + first, 0, count);
  }
  OK(good, "300 random rounds of writing and protecting are told exactly");
}

/* Two of them. */
static void test_huge(enum track_way way) {
  char *old = heap, *there = os_memory_reserve(4 * huge);
  heap = (char *)(((uintptr_t)there + huge - 1) & ~(uintptr_t)(huge - 1));
  os_memory_commit(heap, 2 * huge);
  os_memory_huge(heap, 2 * huge);
  for (size_t i = 0; i < pages; i++) *at(i) = 1;
  OK(track_add((uintptr_t)heap, (uintptr_t)heap + 2 * huge) == 0 && ask() && told_count == pages, "huge pages are told");
  OK(protect(0, pages) && TELLS_NOTHING(), "and protected");
  *at(512 + 77) = 2;
  ask();
  OK(told[512 + 77] && told_count <= (way == TRACK_UFFD ? 1 : 512), "a write tells a page of one");
  protect(0, pages);
  *at(600) = 2;
  OK(protect(0, 100) && ask() && told[600] && !told[0], "parts of them can be protected");
  *at(2) = *at(400) = 2;
  ask();
  OK(told[2] && told[400] && told[600], "and are told");
  os_memory_unmap(there, 4 * huge);
  heap = old;
}

/* The descriptor, found as the program would. */
static int find_descriptor(void) {
  char path[64], name[64];
  for (int fd = 0; fd < 2048; fd++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, name, sizeof name - 1);
    if (n <= 0) continue;
    name[n] = 0;
    if (strstr(name, "userfaultfd")) return fd;
  }
  return -1;
}

static void test_descriptor(void) {
  const char *why;
  int fd = find_descriptor(), null;
  OK(fd >= 1000 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "the descriptor lies high and is closed by exec");
  *at(3) = 1;
  close(fd);
  OK(!ask() && track_protect((uintptr_t)heap, (uintptr_t)at(1)) == EBADF, "a program that closes it is noticed");
  OK(track_begin(TRACK_UFFD, &why) == TRACK_UFFD && track_add((uintptr_t)heap, (uintptr_t)heap + reserved) == 0 && ask() && told[3],
     "all can be begun anew");
  protect(0, pages);
  *at(3) = 2;
  OK(TELLS(3), "as if nothing had been");
  fd = find_descriptor();
  null = open("/dev/null", O_RDWR);
  OK(null < 100 && dup2(null, fd) == fd && !ask(), "a program that puts another file there is noticed");
  OK(track_begin(TRACK_UFFD, &why) == TRACK_UFFD && fcntl(fd, F_GETFD) == 0, "whose file is left alone");
  close(fd);
  close(null);
  track_add((uintptr_t)heap, (uintptr_t)heap + reserved);
}

static void test_way(enum track_way way, const char *name) {
  const char *why;
  enum track_way got = track_begin(way, &why);
  tap_note("%s: %s; a page costs %u ns to protect, %u ns to write to", name, why, track_costs.protect_ns, track_costs.fault_ns);
  if (got != way) {
    OK(got == TRACK_SCAN && strlen(why) > 10, "%s is refused with a reason", name);
    tap_skip("all behaviours of it", why);
    return;
  }
  OK(track_costs.fault_ns > 0, "%s is there", name);
  make_heap();
  errno = 77;
  OK(track_add((uintptr_t)heap, (uintptr_t)heap + reserved) == 0, "a range that is mostly reserved can be tracked");
  test_stores();
  test_writers();
  test_mappings();
  test_fork(way);
  test_growth();
  test_random();
  test_huge(way);
  OK(errno == 77, "errno is kept");
  if (way == TRACK_UFFD) test_descriptor();
  track_begin(TRACK_SCAN, &why);
  OK(!ask(), "without a way nothing can be told");
  os_memory_unmap(heap, reserved);
}

/* --- refusals, each in a child --- */

static bool refused(const char *expected) {
  const char *why;
  enum track_way way = track_begin(TRACK_UFFD, &why);
  bool good = way == TRACK_SCAN && strstr(why, expected);
  if (!good) tap_note("got %d: %s", way, why);
  return good && track_written(0, page, note, NULL) == false && track_protect(0, page) != 0;
}

static bool filtered(unsigned action) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return true;
  return refused("filtered");
}

static bool child_refused(enum track_way way) {
  (void)way;
  return filtered(SECCOMP_RET_ERRNO | EPERM);
}

static bool child_killed(enum track_way way) {
  (void)way;
  return filtered(SECCOMP_RET_KILL_PROCESS);
}

static bool child_without_descriptors(enum track_way way) {
  (void)way;
  struct rlimit limit = {64, 64};
  setrlimit(RLIMIT_NOFILE, &limit);
  return refused("no descriptor") || refused("too old") || refused("not in this kernel");
}

static bool child_with_few_descriptors(enum track_way way) {
  const char *why;
  struct rlimit limit = {256, 256};
  setrlimit(RLIMIT_NOFILE, &limit);
  enum track_way got = track_begin(way, &why);
  return got == TRACK_SCAN || find_descriptor() >= 200;
}

static void test_refusals(void) {
  make_heap();
  OK(child_says(child_refused, TRACK_UFFD), "where calls are filtered, nothing is tracked, with the reason");
  OK(child_says(child_killed, TRACK_UFFD), "nor is it tried, which might end the process");
  OK(child_says(child_without_descriptors, TRACK_UFFD), "nor where descriptors are few");
  OK(child_says(child_with_few_descriptors, TRACK_UFFD), "below a low limit it lies near the limit");
}

int main(void) {
  const char *why;
  os_memory_init();
  test_way(TRACK_UFFD, "userfaultfd");
  test_way(TRACK_SOFT_DIRTY, "soft-dirty");
  test_refusals();
  enum track_way way = track_begin(TRACK_AUTO, &why);
  OK(way != TRACK_AUTO && strlen(why) > 10, "some way is always chosen: %s", why);
  return tap_end();
}
