/* SPDX-License-Identifier: MIT
 * The one option table. `GLEANER_OPTIONS=name=value:...` and the command line of `gleaner` are both read through
 * it; the manual is checked against it by a test.
 *
 * Parsing allocates nothing: string values are copied into a fixed store in struct options. */
#ifndef GLEANER_OPTIONS_H
#define GLEANER_OPTIONS_H

#include "base/base.h"

enum mode { MODE_MALLOC, MODE_LEAKS, MODE_COLLECT };
enum misuse { MISUSE_ABORT, MISUSE_REPORT };
enum format { FORMAT_TEXT, FORMAT_JSON };
enum concurrent { CONCURRENT_AUTO, CONCURRENT_ON, CONCURRENT_OFF };

enum { options_text_size = 4096, options_max_frames = 256, options_max_markers = 64 };

struct options {
  int mode;                /* enum mode */
  int misuse;              /* enum misuse */
  int format;              /* enum format */
  int error_exitcode;      /* 0: keep the program's */
  int max_frames;          /* 1 to options_max_frames */
  int show_reachable;      /* flags: 0 or 1 */
  int verbose;
  int unaligned;           /* look for pointers at every byte, not every word */
  int report_at__exit;     /* _exit(2) reports, too */
  int report_at_signal;    /* so do fatal signals */
  int stress;              /* check the heap, and search for leaks, at every slow path */
  int gc_cpu;              /* percent of the time that collections may take, 1 to 100 */
  int write_tracking;      /* enum track_way of os/track.h */
  int stats;               /* a summary of the collections at exit */
  int markers;             /* threads that mark; 0: as is best */
  int concurrent;          /* enum concurrent */
  int poison;              /* what is reclaimed is filled, and held back for a while */
  int finalize_at_exit;    /* run all finalizers that are registered then */
  int sites;               /* record allocation stacks also in mode collect */
  int threshold1, threshold2; /* collections of the younger generation */
  size_t threshold0;       /* bytes; 0: as is best */
  size_t max_heap;         /* bytes; 0: no limit */
  size_t initial_heap;     /* bytes up to which nothing is collected */
  const char *dump_at_exit; /* file name, %p is the pid; NULL: no heap dump */
  const char *gc_log;      /* file name, or "stderr"; %p is the pid; NULL: no log */
  const char *report;      /* file name, %p is the pid; NULL: standard error */
  const char *suppressions; /* file of suppressions; NULL: none */
  const char *tool;        /* the gleaner command that draws the report; NULL: the installed one */
  uint64_t given;          /* by rows of the table: which were set */
  size_t text_used;
  char text[options_text_size];
};

enum option_type {
  OPTION_CHOICE,
  OPTION_NUMBER,
  OPTION_FLAG,
  OPTION_TEXT,
  OPTION_SIZE, /* bytes; K, M and G stand for powers of 1024 */
};

struct option_row {
  const char *name;
  enum option_type type;
  size_t offset;            /* of the field in struct options */
  const char *const *choices; /* OPTION_CHOICE: names, NULL at the end, in the order of the enum */
  int least, most;          /* OPTION_NUMBER; a size is at most half of the address space */
  int initial;
  const char *argument;     /* how the manual calls the value */
  const char *help;         /* one sentence, without a full stop */
};

extern const struct option_row options_table[];
extern const size_t options_count;

void options_init(struct options *options); /* the defaults */

/* Sets one option. On a bad name or value nothing is changed, and one line that names it and what would be
 * right (without a newline) is put into error. A flag's value may be NULL: 1. */
bool options_set(struct options *options, const char *name, size_t name_length, const char *value,
                 size_t value_length, char *error, size_t error_size);

/* The option of this name was set. */
bool options_are_given(const struct options *options, const char *name);

/* Reads name=value:name=value. A value may be quoted ('a:b'). Calls complain(line, arg) for each bad part and
 * goes on. Returns how many were bad. */
int options_parse(struct options *options, const char *text, void (*complain)(const char *line, void *arg),
                  void *arg);

#endif
