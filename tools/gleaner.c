/* SPDX-License-Identifier: MIT
 * The gleaner command: reads its command line and hands over to launch.c or draw.c. Everything it knows of
 * the options it knows from the one table. */
#include "config.h"

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void command_say(const char *format, ...) {
  va_list args;
  va_start(args, format);
  flockfile(stderr);
  fputs("gleaner: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  funlockfile(stderr);
  va_end(args);
}

char *command_absolute(const char *path) {
  char *whole = NULL, *directory;
  if (!path || !*path || *path == '/') return path ? strdup(path) : NULL;
  directory = getcwd(NULL, 0);
  if (!directory || asprintf(&whole, "%s/%s", directory, path) < 0) whole = strdup(path);
  free(directory);
  return whole;
}

static void command_help(void) {
  fputs("Usage: gleaner leaks [OPTION]... PROGRAM [ARGUMENT]...   report at exit the memory that PROGRAM lost\n"
        "       gleaner collect [OPTION]... PROGRAM [ARGUMENT]... take back what PROGRAM leaks, while it runs\n"
        "       gleaner run [OPTION]... PROGRAM [ARGUMENT]...     run PROGRAM with Gleaner's malloc only\n"
        "       gleaner report [OPTION]... FILE                   draw the report of a saved record\n"
        "       gleaner dump PID [-o FILE]                        write a heap dump of a running process\n"
        "       gleaner dump --at-exit [-o FILE] [OPTION]... PROGRAM [ARGUMENT]...   and of PROGRAM when it ends\n"
        "       gleaner why DUMP ADDRESS                          show what keeps the object at ADDRESS alive\n"
        "       gleaner top [--by=site|size|generation|retained] [--limit=N] DUMP    show what the heap consists of\n"
        "       gleaner --help | --version\n"
        "\n"
        "PROGRAM needs no recompiling. The options; GLEANER_OPTIONS=name=value:name=value sets them, too:\n",
        stdout);
  for (size_t i = 0; i < options_count; i++) {
    const struct option_row *row = &options_table[i];
    if (row->type == OPTION_FLAG) printf("\n  --%s, --no-%s\n      %s", row->name, row->name, row->help);
    else printf("\n  --%s=%s\n      %s", row->name, row->argument, row->help);
    if (row->type == OPTION_NUMBER) printf(" (%d to %d; %d)", row->least, row->most, row->initial);
    if (row->type == OPTION_SIZE) printf(" (%d)", row->initial);
    if (row->type == OPTION_CHOICE) printf(" (%s)", row->choices[row->initial]);
  }
  fputs("\n\nThe word in brackets is the default. -- ends the options. See gleaner(1).\n", stdout);
}

static const struct option_row *command_row(const char *name, size_t length) {
  for (size_t i = 0; i < options_count; i++)
    if (strlen(options_table[i].name) == length && strncmp(options_table[i].name, name, length) == 0)
      return &options_table[i];
  return NULL;
}

/* --name=value, --name value, --flag, --no-flag. Returns the arguments used up, 0 when the option is bad. */
static int command_option(struct options *options, char **argv) {
  const char *name = argv[0] + 2, *equals = strchr(name, '='), *value = equals ? equals + 1 : NULL;
  size_t length = equals ? (size_t)(equals - name) : strlen(name);
  const struct option_row *row = command_row(name, length);
  int used = 1;
  char error[1024];
  if (!row && !equals && strncmp(name, "no-", 3) == 0) {
    const struct option_row *flag = command_row(name + 3, length - 3);
    if (flag && flag->type == OPTION_FLAG) {
      name += 3;
      length -= 3;
      value = "0";
    }
  } else if (row && !value && row->type != OPTION_FLAG && argv[1]) {
    value = argv[1];
    used = 2;
  }
  if (options_set(options, name, length, value, value ? strlen(value) : 0, error, sizeof error)) return used;
  command_say("%s", error);
  return 0;
}

/* Reads options up to the first other argument; *argv is moved to it. */
static bool command_options(struct options *options, char ***argv) {
  char **at = *argv;
  while (*at && (*at)[0] == '-' && (*at)[1] != '\0') {
    if (strcmp(*at, "--") == 0) {
      at++;
      break;
    }
    if ((*at)[1] != '-') {
      command_say("unknown option '%s'; options are written --name=value, see gleaner --help", *at);
      return false;
    }
    int used = command_option(options, at);
    if (used == 0) return false;
    at += used;
  }
  *argv = at;
  return true;
}

static void command_bad_environment(const char *line, void *arg) {
  (void)arg;
  command_say("GLEANER_OPTIONS: %s", line);
}

static bool command_environment(struct options *options) {
  const char *text = getenv("GLEANER_OPTIONS");
  return !text || options_parse(options, text, command_bad_environment, NULL) == 0;
}

static int command_launch(struct options *options, int mode, char **argv) {
  const char *command = argv[-1];
  if (!command_environment(options)) return status_usage;
  options->mode = mode;
  if (!command_options(options, &argv)) return status_usage;
  if (!*argv) {
    command_say("no program is given: gleaner %s [OPTION]... PROGRAM [ARGUMENT]...", command);
    return status_usage;
  }
  return launch(options, argv);
}

static int command_report(struct options *options, char **argv) {
  if (!command_options(options, &argv)) return status_usage;
  if (!argv[0] || argv[1]) {
    command_say("one file is wanted: gleaner report [OPTION]... FILE");
    return status_usage;
  }
  int fd = strcmp(argv[0], "-") == 0 ? STDIN_FILENO : open(argv[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    command_say("%s: %s", argv[0], strerror(errno));
    return status_failed;
  }
  return draw(options, fd, argv[0]);
}

/* How a runtime has its record drawn: record in, report out. Its options stand on the command line. */
static int command_draw(struct options *options, char **argv) {
  if (!command_options(options, &argv)) return status_usage;
  options->report = NULL; /* standard output is it */
  return draw(options, STDIN_FILENO, "the record");
}

/* -o FILE at *argv is gone over; NULL: there is none. */
static const char *command_output(char ***argv) {
  char **at = *argv;
  if (!at[0] || strcmp(at[0], "-o") != 0 || !at[1]) return NULL;
  *argv += 2;
  return at[1];
}

static int command_dump_at_exit(struct options *options, char **argv) {
  const char *file = command_output(&argv);
  options->dump_at_exit = file ? file : "gleaner.%p.dump";
  options->sites = 1; /* that a table by site may have something to show */
  return command_launch(options, MODE_MALLOC, argv);
}

/* The file may come before the process or behind it. */
static int command_dump(struct options *options, char **argv) {
  if (argv[0] && strcmp(argv[0], "--at-exit") == 0) return command_dump_at_exit(options, argv + 1);
  const char *file = command_output(&argv), *pid = *argv;
  if (pid) argv++;
  if (pid && !file) file = command_output(&argv);
  if (pid && *pid != '-' && !*argv) return dump_pid(pid, file);
  command_say("one process is wanted: gleaner dump PID [-o FILE], or gleaner dump --at-exit [-o FILE] [OPTION]... PROGRAM [ARGUMENT]...");
  return status_usage;
}

static int command_printed(void) {
  return fflush(stdout) == 0 && !ferror(stdout) ? status_good : status_failed;
}

int main(int argc, char **argv) {
  static struct options options;
  const char *command = argc > 1 ? argv[1] : "";
  options_init(&options);
  if (strcmp(command, "leaks") == 0) return command_launch(&options, MODE_LEAKS, argv + 2);
  if (strcmp(command, "collect") == 0) return command_launch(&options, MODE_COLLECT, argv + 2);
  if (strcmp(command, "run") == 0) return command_launch(&options, MODE_MALLOC, argv + 2);
  if (strcmp(command, "report") == 0) return command_report(&options, argv + 2);
  if (strcmp(command, "dump") == 0) return command_dump(&options, argv + 2);
  if (strcmp(command, "why") == 0) return heap_why(argv + 2);
  if (strcmp(command, "top") == 0) return heap_top(argv + 2);
  if (strcmp(command, "--draw-record") == 0) return command_draw(&options, argv + 2);
  if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) return command_help(), command_printed();
  if (strcmp(command, "--version") == 0) return puts("gleaner " PACKAGE_VERSION), command_printed();
  if (*command)
    command_say("unknown command '%s'; the commands are leaks, collect, run, report, dump, why, top, --help and --version", command);
  else command_say("no command is given; the commands are leaks, collect, run, report, dump, why, top, --help and --version");
  return status_usage;
}
