/* SPDX-License-Identifier: MIT
 * src/base/options.c. */
#include "config.h"

#include "base/options.h"

#include "tap.h"

#include <string.h>

static char said[4096];
static int lines;

static void complain(const char *line, void *arg) {
  (void)arg;
  lines++;
  strncpy(said, line, sizeof said - 1);
}

static int parse(struct options *options, const char *text) {
  options_init(options);
  said[0] = '\0';
  lines = 0;
  return options_parse(options, text, complain, NULL);
}

static void test_good(struct options *o) {
  OK(parse(o, "") == 0 && o->mode == MODE_MALLOC && o->max_frames == 128 && o->report == NULL,
     "no options are the defaults");
  OK(parse(o, "mode=leaks:max-frames=7:verbose:report=/tmp/%p.txt") == 0 && o->mode == MODE_LEAKS &&
         o->max_frames == 7 && o->verbose == 1 && o->report && strcmp(o->report, "/tmp/%p.txt") == 0,
     "each type of option is read");
  OK(parse(o, "::mode=leaks::verbose=1:") == 0 && o->mode == MODE_LEAKS && o->verbose,
     "empty parts are passed over");
  OK(parse(o, "mode=leaks:mode=malloc") == 0 && o->mode == MODE_MALLOC, "the last one holds");
  OK(parse(o, "verbose:verbose=0") == 0 && !o->verbose, "a flag can be put out again");
  OK(parse(o, "report='/tmp/a:b':verbose") == 0 && strcmp(o->report, "/tmp/a:b") == 0 && o->verbose,
     "a quoted value may hold a colon");
}

static void test_sizes(struct options *o) {
  OK(parse(o, "") == 0 && o->max_heap == 0 && o->gc_cpu == 5 && o->threshold1 == 10 && !o->poison && !o->gc_log,
     "the collector's options have their defaults");
  OK(parse(o, "max-heap=12345:initial-heap=8M:threshold0=3k") == 0 && o->max_heap == 12345 &&
         o->initial_heap == (size_t)8 << 20 && o->threshold0 == 3072,
     "a size is a number of bytes, or of K, M");
  OK(parse(o, "max-heap=7G") == 0 && o->max_heap == (size_t)7 << 30, "or of G, beyond 32 bits");
  OK(parse(o, "max-heap=0") == 0 && o->max_heap == 0, "a size may be 0");
  static const char *const bad[] = {"max-heap=K",  "max-heap=",     "max-heap=1T",  "max-heap=1KK", "max-heap=-1",
                                    "max-heap=1.5G", "max-heap= 1", "max-heap",    "max-heap=0x10"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    OK(parse(o, bad[i]) == 1 && o->max_heap == 0 && strstr(said, "'max-heap'") && strstr(said, "K, M or G"),
       "%s is no size, which is said with what would be right", bad[i]);
  OK(parse(o, "max-heap=8589934592G") == 1 && parse(o, "max-heap=99999999999999999999999") == 1 && o->max_heap == 0,
     "a size that no address can have is refused, and none wraps around");
  OK(parse(o, "max-heap=8589934591G") == 0 && o->max_heap == (size_t)8589934591 << 30, "the largest one is not");
}

static void test_collector(struct options *o) {
  OK(parse(o, "mode=collect:gc-cpu=100:write-tracking=soft-dirty:concurrent=off:markers=64:poison:sites:stats") == 0 &&
         o->mode == MODE_COLLECT && o->gc_cpu == 100 && o->write_tracking == 2 && o->concurrent == CONCURRENT_OFF &&
         o->markers == 64 && o->poison && o->sites && o->stats,
     "the collector's options are read");
  OK(parse(o, "gc-log=stderr:threshold1=3:threshold2=4") == 0 && strcmp(o->gc_log, "stderr") == 0 && o->threshold1 == 3 &&
         o->threshold2 == 4,
     "so are its log and its thresholds");
  OK(parse(o, "gc-cpu=0") == 1 && parse(o, "gc-cpu=101") == 1 && strstr(said, "1 to 100") && o->gc_cpu == 5,
     "a share of the time is from 1 to 100 percent");
  OK(parse(o, "write-tracking=mprotect") == 1 && strstr(said, "uffd|soft-dirty|scan"), "a bad way of tracking is named");
}

static void test_bad(struct options *o) {
  OK(parse(o, "colour=red:verbose") == 1 && o->verbose && strstr(said, "colour") && strstr(said, "max-frames"),
     "an unknown name is named with the known ones, and the rest is read");
  OK(parse(o, "mode=fast") == 1 && o->mode == MODE_MALLOC && strstr(said, "mode") && strstr(said, "fast") &&
         strstr(said, "leaks"),
     "a bad choice is named with the good ones, and changes nothing");
  OK(parse(o, "max-frames=0") == 1 && o->max_frames == 128 && strstr(said, "1 to 256"),
     "a number out of range is named with its range");
  OK(parse(o, "max-frames=12x") == 1 && parse(o, "max-frames=") == 1 && parse(o, "max-frames=-1") == 1 &&
         parse(o, "max-frames=99999999999999999999") == 1,
     "what is no number is refused");
  OK(parse(o, "max-frames") == 1 && parse(o, "report") == 1 && parse(o, "report=") == 1,
     "a missing value is refused");
  OK(parse(o, "verbose=2") == 1 && parse(o, "verbose=yes") == 1, "a flag is 0 or 1");
  OK(parse(o, "a=1:b=2:mode=leaks") == 2 && lines == 2 && o->mode == MODE_LEAKS, "each bad part is told once");
  OK(!strchr(said, '\n'), "a complaint is one line");
  char text[2 * options_text_size];
  memset(text, 'x', sizeof text);
  memcpy(text, "report=", 7);
  text[sizeof text - 1] = '\0';
  OK(parse(o, text) == 1 && o->report == NULL, "a text that is too long is refused, not cut off");
}

static void test_table(void) {
  bool good = true;
  for (size_t i = 0; i < options_count; i++) {
    const struct option_row *row = &options_table[i];
    good = good && row->name && row->help && row->help[strlen(row->help) - 1] != '.' &&
           (row->type == OPTION_FLAG) == (row->argument == NULL) &&
           (row->type == OPTION_CHOICE) == (row->choices != NULL);
  }
  OK(good, "every row has a name, a help without a full stop, and what its type needs");
}

int main(void) {
  static struct options o;
  test_good(&o);
  test_sizes(&o);
  test_collector(&o);
  test_bad(&o);
  test_table();

  uint64_t seed = tap_seed();
  static const char alphabet[] = "mode=leaks:report'%p\\verbose=1:max-frames=9 ";
  for (int i = 0; i < 20000; i++) {
    char text[64];
    int length = (int)(tap_random(&seed) % sizeof text);
    for (int k = 0; k < length; k++) text[k] = alphabet[tap_random(&seed) % (sizeof alphabet - 1)];
    text[length ? length - 1 : 0] = '\0';
    parse(&o, text);
  }
  OK(o.max_frames >= 1 && o.max_frames <= options_max_frames,
     "20,000 random texts leave the options in their ranges");
  return tap_end();
}
