/* SPDX-License-Identifier: MIT
 * Starts a program with Gleaner preloaded. It becomes the program: same process, no parent that lingers. */
#include "config.h"

#include "command.h"

#include "report/suppress.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LAUNCH_LIBRARY "libgleaner.so"

static bool launch_own_path(char *buffer) {
  ssize_t n = readlink("/proc/self/exe", buffer, PATH_MAX - 1);
  if (n <= 0) return false;
  buffer[n] = '\0';
  return true;
}

/* In a build tree the library lies beside the command; installed, where configure said, or where it lies when
 * the whole tree was moved. */
static char *launch_find_library(const char *own) {
  static const char *const places[] = {"/" LAUNCH_LIBRARY, "/../lib/" PACKAGE "/" LAUNCH_LIBRARY};
  char *copy = strdup(own), *directory = copy && *own ? dirname(copy) : NULL, *path = NULL;
  for (size_t i = 0; directory && i < sizeof places / sizeof places[0]; i++) {
    if (asprintf(&path, "%s%s", directory, places[i]) < 0) path = NULL;
    char *real = path && access(path, R_OK) == 0 ? realpath(path, NULL) : NULL;
    free(path);
    if (real) {
      free(copy);
      return real;
    }
  }
  free(copy);
  return access(PKGLIBDIR "/" LAUNCH_LIBRARY, R_OK) == 0 ? strdup(PKGLIBDIR "/" LAUNCH_LIBRARY) : NULL;
}

/* The file that execvp would run, or NULL with *status set and the reason said. */
static char *launch_find_program(const char *name, int *status) {
  const char *path = getenv("PATH");
  char *found = NULL, *denied = NULL;
  if (!path) path = "/bin:/usr/bin";
  for (bool more = true; more && !found;) {
    size_t length = strcspn(path, ":");
    char *file = NULL;
    struct stat st;
    if (strchr(name, '/')) more = false, file = strdup(name);
    else if (asprintf(&file, "%.*s%s%s", (int)length, path, length ? "/" : "", name) < 0) file = NULL;
    if (file && *name && stat(file, &st) == 0) {
      if (S_ISREG(st.st_mode) && access(file, X_OK) == 0) found = file;
      else denied = file;
    }
    more = more && path[length] == ':';
    path += length + (path[length] == ':');
  }
  if (found) return found;
  *status = denied ? status_not_runnable : status_not_found;
  command_say(denied ? "%s: is not executable" : "%s: not found", denied ? denied : name);
  return NULL;
}

/* The loader drops LD_PRELOAD when a program gains rights. */
static bool launch_gains_rights(const struct stat *st, const char *path) {
  if ((st->st_mode & S_ISUID) && st->st_uid != getuid()) return true;
  if ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP) && st->st_gid != getgid()) return true;
  return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static bool launch_has_interpreter(int fd, const Elf64_Ehdr *elf) {
  Elf64_Phdr segment;
  for (unsigned i = 0; i < elf->e_phnum; i++) {
    off_t at = (off_t)(elf->e_phoff + (size_t)i * elf->e_phentsize);
    if (pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment) break;
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

/* The loader itself has no interpreter, and runs the program that it is given with what is preloaded. */
static bool launch_is_loader(const char *path) {
  char *real = realpath(path, NULL);
  const char *name = real ? strrchr(real, '/') : NULL;
  bool is = name && (strncmp(name, "/ld-", 4) == 0 || strncmp(name, "/ld.so", 6) == 0);
  free(real);
  return is;
}

/* Why nothing can be preloaded into the file; NULL when something can be, or when that is not ours to judge
 * (a script). */
static const char *launch_obstacle(const char *path) {
  Elf64_Ehdr elf;
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL; /* may be run but not read */
  const char *obstacle = NULL;
  ssize_t n = pread(fd, &elf, sizeof elf, 0);
  if (n < (ssize_t)sizeof(Elf32_Ehdr) || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0) obstacle = NULL;
  else if (elf.e_ident[EI_CLASS] == ELFCLASS32 && elf.e_machine != EM_X86_64)
    obstacle = "is a 32-bit program: the library is 64-bit and cannot be preloaded into it";
  else if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != EM_X86_64)
    obstacle = "is for another kind of machine than x86-64: nothing can be preloaded into it";
  else if (fstat(fd, &st) == 0 && launch_gains_rights(&st, path))
    obstacle = "gains rights when it starts (setuid, setgid or capabilities): nothing can be preloaded into it";
  else if (!launch_has_interpreter(fd, &elf) && !launch_is_loader(path))
    obstacle = "is statically linked: nothing can be preloaded into it";
  close(fd);
  return obstacle;
}

static bool launch_preload(const char *library) {
  const char *before = getenv("LD_PRELOAD");
  char *value = NULL;
  if (strpbrk(library, ": ")) {
    command_say("%s: LD_PRELOAD cannot hold a path with a space or a colon", library);
    return false;
  }
  size_t length = strlen(library);
  if (before && strncmp(before, library, length) == 0 && (!before[length] || strchr(": ", before[length])))
    return true; /* from inside a run of ours */
  if (asprintf(&value, "%s%s%s", library, before && *before ? ":" : "", before ? before : "") < 0) return false;
  return setenv("LD_PRELOAD", value, 1) == 0;
}

static bool launch_put_text(FILE *out, const char *name, const char *value) {
  if (strchr(value, '\'') && (strchr(value, ':') || *value == '\'')) {
    command_say("option '%s': '%s' cannot be passed on: it holds both a colon and a quote", name, value);
    return false;
  }
  fprintf(out, strchr(value, ':') ? ":%s='%s'" : ":%s=%s", name, value);
  return true;
}

/* GLEANER_OPTIONS for the program and its children: what differs from the defaults. */
static bool launch_options(const struct options *options) {
  char *value = NULL;
  size_t size;
  bool good = true;
  FILE *out = open_memstream(&value, &size);
  if (!out) return false;
  fprintf(out, "mode=%s", options_table[0].choices[options->mode]);
  for (size_t i = 1; i < options_count && good; i++) {
    const struct option_row *row = &options_table[i];
    const void *field = (const char *)options + row->offset;
    if (row->type == OPTION_TEXT) {
      const char *text = *(const char *const *)field;
      if (text) good = launch_put_text(out, row->name, text);
    } else if (row->type == OPTION_SIZE) {
      size_t bytes = *(const size_t *)field;
      if (bytes != (size_t)row->initial) fprintf(out, ":%s=%zu", row->name, bytes);
    } else if (*(const int *)field != row->initial) {
      if (row->type == OPTION_CHOICE) fprintf(out, ":%s=%s", row->name, row->choices[*(const int *)field]);
      else fprintf(out, ":%s=%d", row->name, *(const int *)field);
    }
  }
  return fclose(out) == 0 && good && setenv("GLEANER_OPTIONS", value, 1) == 0;
}

static unsigned launch_bad_suppressions;

static void launch_complain(const char *line) {
  launch_bad_suppressions++;
  command_say("%s", line);
}

/* Better now than after hours, at exit. */
static bool launch_check_suppressions(const char *path) {
  struct suppressions suppressions = {0};
  if (!path) return true;
  if (suppress_read(&suppressions, path, launch_complain)) return launch_bad_suppressions == 0;
  command_say("option 'suppressions': %s: %s", path, strerror(errno));
  return false;
}

int launch(struct options *options, char **argv) {
  static char own[PATH_MAX];
  int status = status_usage;
  if (!launch_own_path(own)) own[0] = '\0';
  char *library = launch_find_library(own);
  if (!library) {
    command_say("%s is neither beside the gleaner command nor in %s", LAUNCH_LIBRARY, PKGLIBDIR);
    return status_usage;
  }
  char *program = launch_find_program(argv[0], &status);
  if (!program) return status;
  const char *obstacle = launch_obstacle(program);
  if (obstacle) {
    command_say("%s: %s", program, obstacle);
    return status_usage;
  }
  if (!launch_check_suppressions(options->suppressions)) return status_usage;
  options->report = command_absolute(options->report);
  if (options->gc_log && strcmp(options->gc_log, "stderr") != 0) options->gc_log = command_absolute(options->gc_log);
  options->dump_at_exit = command_absolute(options->dump_at_exit);
  options->suppressions = command_absolute(options->suppressions);
  options->tool = options->tool ? command_absolute(options->tool) : *own ? own : NULL;
  if (!launch_preload(library) || !launch_options(options)) return status_usage;
  execvp(argv[0], argv);
  status = errno == ENOENT ? status_not_found : status_not_runnable;
  command_say("%s: %s", program, strerror(errno));
  return status;
}
