/* SPDX-License-Identifier: MIT
 * gleaner why, gleaner top: what a heap dump tells. */
#include "config.h"

#include "command.h"

#include "report/dumped.h"
#include "report/heap_text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool heap_read(struct dumped *dumped, const char *name) {
  int fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    command_say("%s: %s", name, strerror(errno));
    return false;
  }
  bool good = dumped_read(dumped, fd);
  if (!good) command_say("%s: %s", name, dumped->error);
  if (fd != STDIN_FILENO) close(fd);
  return good;
}

/* The reader may have seen enough. */
static int heap_printed(int status) {
  bool good = fflush(stdout) == 0 && !ferror(stdout);
  return good || errno == EPIPE ? status : status_failed;
}

int heap_why(char **argv) {
  static struct dumped dumped;
  char *end;
  if (!argv[0] || !argv[1] || argv[2]) {
    command_say("a dump and an address are wanted: gleaner why DUMP ADDRESS");
    return status_usage;
  }
  uint64_t address = strtoull(argv[1], &end, 16);
  if (*end || end == argv[1]) {
    command_say("'%s' is no address: 0x and hex digits are", argv[1]);
    return status_usage;
  }
  signal(SIGPIPE, SIG_IGN);
  if (!heap_read(&dumped, argv[0])) return status_failed;
  uint32_t object = dumped_find(&dumped, address);
  if (object == dumped_none) {
    command_say("%s: there is no object alive at %s", argv[0], argv[1]);
    return status_failed;
  }
  bool reached = heap_text_why(stdout, &dumped, object);
  return heap_printed(reached ? status_good : status_failed);
}

struct heap_choice {
  enum heap_by by;
  unsigned limit;
};

/* One of --by=WHAT and --limit=N. */
static bool heap_option(const char *text, struct heap_choice *choice) {
  static const char *const names[] = {"site", "size", "generation", "retained"};
  if (strncmp(text, "--limit=", 8) == 0) {
    char *end;
    unsigned long n = strtoul(text + 8, &end, 10);
    choice->limit = (unsigned)n;
    if (!*end && end != text + 8 && n <= 1000000 && text[8] != '-') return true;
    command_say("option 'limit': '%s' is not a number from 0 to 1000000", text + 8);
    return false;
  }
  for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strncmp(text, "--by=", 5) == 0 && strcmp(text + 5, names[i]) == 0) {
      choice->by = (enum heap_by)i;
      return true;
    }
  if (strncmp(text, "--by=", 5) == 0) command_say("option 'by': '%s' is not one of site|size|generation|retained", text + 5);
  else command_say("unknown option '%s'; the options of gleaner top are --by and --limit", text);
  return false;
}

int heap_top(char **argv) {
  static struct dumped dumped;
  struct heap_choice choice = {HEAP_BY_SITE, 20};
  const char *name = NULL;
  for (; *argv; argv++) {
    if (argv[0][0] == '-' && argv[0][1]) {
      if (!heap_option(*argv, &choice)) return status_usage;
    } else if (name) {
      name = NULL;
      break;
    } else
      name = *argv;
  }
  if (!name) {
    command_say("one dump is wanted: gleaner top [--by=site|size|generation|retained] [--limit=N] DUMP");
    return status_usage;
  }
  signal(SIGPIPE, SIG_IGN);
  if (!heap_read(&dumped, name)) return status_failed;
  heap_text_top(stdout, &dumped, choice.by, choice.limit);
  return heap_printed(status_good);
}
