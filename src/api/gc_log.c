/* SPDX-License-Identifier: MIT
 * The log: a line for each collection, by one write.
 *
 * The descriptor is so high that no program stumbles over it, and is looked at before each line: a program that closes all
 * descriptors closes this one as well, and perhaps has another file under its number. */
#include "config.h"

#include "api/gc_events.h"

#include "api/report_out.h"
#include "base/print.h"
#include "gc.h"
#include "os/call.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int gc_log_fd = -1;
static struct stat gc_log_file;   /* what it is */
static bool gc_log_failed;        /* which is said once */
static _Atomic int gc_log_given = -1; /* the program's own, instead */

static _Atomic bool gc_log_all; /* also without a log: then on standard error */
static _Atomic bool gc_log_shared;              /* the log is not for collections alone: */
static _Atomic bool gc_log_quiet, gc_log_apart; /* not for them at all; for them alone after all */

struct gc_line {
  size_t length;
  char text[768];
};

static void gc_line_add(struct gc_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void gc_line_add(struct gc_line *line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t room = sizeof line->text - line->length;
  size_t length = print_buffer_v(line->text + line->length, room, format, args);
  va_end(args);
  line->length += length < room ? length : room - 1;
}

/* A number of millionths as one with three decimals. */
static void gc_line_thousandths(struct gc_line *line, const char *before, uint64_t millionths, const char *after) {
  uint64_t n = millionths / 1000;
  gc_line_add(line, "%s%lu.%s%lu%s", before, n / 1000, n % 1000 < 10 ? "00" : n % 1000 < 100 ? "0" : "", n % 1000, after);
}

static void gc_line_start(struct gc_line *line) {
  line->length = 0;
  gc_line_add(line, "gleaner %d: ", (int)getpid());
  gc_line_thousandths(line, "", (os_clock() - gc_events_started()) / 1000, " s: ");
}

static void gc_line_begin(struct gc_line *line, uint64_t number, unsigned generation) {
  gc_line_start(line);
  gc_line_add(line, "collection %lu of generation %u", number, generation);
}

static bool gc_log_is_ours(void) {
  struct stat now;
  return gc_log_fd >= 0 && fstat(gc_log_fd, &now) == 0 && now.st_dev == gc_log_file.st_dev && now.st_ino == gc_log_file.st_ino;
}

static bool gc_log_open(void) {
  char path[4096];
  report_out_name(path, sizeof path, birth_options.gc_log);
  bool standard = strcmp(path, "stderr") == 0;
  int fd = standard ? STDERR_FILENO : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0 && !gc_log_failed)
    print_fd(report_out_stderr(), "gleaner: cannot write the log to '%s': %s\n", path, strerrordesc_np(errno));
  gc_log_failed = fd < 0;
  if (fd < 0) return false;
  gc_log_fd = report_out_high(fd);
  if (!standard) close(fd);
  return gc_log_fd >= 0 && fstat(gc_log_fd, &gc_log_file) == 0;
}

/* A reader that has gone must not be the end of the program: no SIGPIPE comes of it. The calls are the kernel's, since the
 * C library's may be interposed by ourselves. */
static void gc_log_write(const char *text, size_t length) {
  uint64_t pipe = (uint64_t)1 << (SIGPIPE - 1), before = 0, pending = 0;
  bool may_break = !S_ISREG(gc_log_file.st_mode);
  if (may_break) {
    os_call(SYS_rt_sigpending, &pending, sizeof pending);
    os_call(SYS_rt_sigprocmask, SIG_BLOCK, &pipe, &before, sizeof before);
  }
  long written;
  do written = os_call(SYS_write, gc_log_fd, text, length);
  while (written == -EINTR);
  if (!may_break) return;
  struct timespec now = {0};
  if (written == -EPIPE && !(pending & pipe)) os_call(SYS_rt_sigtimedwait, &pipe, NULL, &now, sizeof pipe);
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
}

static void gc_log_line(struct gc_line *line, bool note) {
  int saved = errno;
  gc_line_add(line, "\n");
  int given = atomic_load(&gc_log_given);
  if (given >= 0) print_fd(given, "%s", line->text);
  else if (!birth_options.gc_log || (note && atomic_load(&gc_log_apart))) print_fd(report_out_stderr(), "%s", line->text);
  else if (gc_log_is_ours() || gc_log_open()) gc_log_write(line->text, line->length);
  errno = saved;
}

static void gc_log_times(struct gc_line *line, const struct collection *facts) {
  if (facts->concurrent) gc_line_thousandths(line, "pauses ", facts->first_pause_ns, " and ");
  gc_line_thousandths(line, facts->concurrent ? "" : "pause ", facts->pause_ns, " ms");
  gc_line_thousandths(line, " (stop ", facts->stop_ns, ", ");
  gc_line_thousandths(line, "roots ", facts->roots_ns, ", ");
  gc_line_thousandths(line, "old ", facts->old_ns, ", ");
  gc_line_thousandths(line, "mark ", facts->mark_ns, facts->concurrent ? " while the program ran, " : ", ");
  gc_line_thousandths(line, "weak ", facts->weak_ns, ", ");
  gc_line_thousandths(line, "sweep ", facts->sweep_ns, ")");
}

static bool gc_log_tells(void) { return atomic_load(&gc_log_all) || (birth_options.gc_log && !atomic_load(&gc_log_quiet)); }

void gc_log_collection(const struct collection *facts) {
  static const char *const whys[] = {"asked for", "enough was allocated", "the oldest generation has grown by a quarter",
                                     "the heap has grown by as much as is live", "memory is short", "stress"};
  struct gc_line line;
  if (!gc_log_tells()) return;
  gc_line_begin(&line, facts->number, facts->generation);
  gc_line_add(&line, " (%s): ", whys[facts->reason]);
  if (facts->error) {
    gc_line_add(&line, "given up, ");
    if (facts->deaf) gc_line_add(&line, "%u of %u threads could not be stopped, ", facts->deaf, facts->threads);
    else gc_line_add(&line, "%s, ", gc_events_error(facts->error));
  }
  gc_log_times(&line, facts);
  gc_line_add(&line, ", heap %zuK -> %zuK", facts->heap_before >> 10, facts->heap_after >> 10);
  if (facts->generation == collect_generations - 1) gc_line_add(&line, facts->error ? "" : " before the sweep");
  else gc_line_add(&line, ", reclaimed %lu objects of %lu bytes", facts->swept.objects, facts->swept.bytes);
  gc_line_add(&line, ", pages %zu scanned and %zu skipped, roots %zuK, threads %u, markers %u", facts->pages_scanned,
              facts->pages_skipped, facts->root_bytes >> 10, facts->threads, facts->markers);
  gc_log_line(&line, false);
}

void gc_log_swept(uint64_t number, size_t heap_after, const struct sweep_counts *counts) {
  struct gc_line line;
  if (!gc_log_tells()) return;
  gc_line_begin(&line, number, collect_generations - 1);
  gc_line_add(&line, " is swept: heap %zuK, reclaimed %lu objects of %lu bytes", heap_after >> 10, counts->objects,
              counts->bytes);
  if (counts->suspects) gc_line_add(&line, ", spared once %lu of %lu bytes", counts->suspects, counts->suspect_bytes);
  gc_log_line(&line, false);
}

__attribute__((visibility("default"), noinline)) void GC_set_log_fd(int fd) { atomic_store(&gc_log_given, fd); }

void gc_log_always(bool on) { atomic_store(&gc_log_all, on); }

void gc_log_share(bool quiet, bool apart) {
  atomic_store(&gc_log_shared, true);
  atomic_store(&gc_log_quiet, quiet);
  atomic_store(&gc_log_apart, apart);
}

int gc_log_descriptor(void) {
  bool shared = birth_options.gc_log && !atomic_load(&gc_log_apart) && atomic_load(&gc_log_shared);
  return shared && (gc_log_is_ours() || gc_log_open()) ? gc_log_fd : -1;
}

void gc_log_note(const char *format, ...) {
  struct gc_line line;
  va_list args;
  gc_line_start(&line);
  va_start(args, format);
  size_t room = sizeof line.text - line.length, length = print_buffer_v(line.text + line.length, room, format, args);
  va_end(args);
  line.length += length < room ? length : room - 1;
  gc_log_line(&line, true);
}

/* Opened at once, while the program still may, and so that a file that cannot be written is told of early. */
void gc_log_init(void) {
  if (birth_options.gc_log) gc_log_open();
}

/* A child with a file of its own makes it when it has something to tell. */
void gc_log_fork_child(void) {
  if (!birth_options.gc_log || !strstr(birth_options.gc_log, "%p") || gc_log_fd < 0) return;
  if (gc_log_is_ours()) close(gc_log_fd);
  gc_log_fd = -1;
}
