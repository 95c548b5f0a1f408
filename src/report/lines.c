/* SPDX-License-Identifier: MIT
 * Files, lines and inlined calls from DWARF. Knows nothing of frames, modules or records.
 *
 * libdw finds a unit by .debug_aranges, which clang does not write, and a function by walking its whole unit
 * each time. Both are indexed here instead, once: units when a file is opened, functions when a unit is first
 * asked for. */
#include "config.h"

#ifdef HAVE_LIBDW

#include "report/lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

struct lines_function {
  Dwarf_Addr lo, hi;
  Dwarf_Off die;
};

struct lines_unit {
  Dwarf_Die die;
  bool indexed;
  struct lines_function *functions; /* sorted by lo */
  size_t count, room;
};

struct lines_range {
  Dwarf_Addr lo, hi;
  size_t unit;
};

struct lines {
  Dwarf *dwarf;
  Dwarf_Addr bias; /* dwfl's address - DWARF's */
  struct lines_unit *units;
  size_t unit_count, unit_room;
  struct lines_range *ranges; /* sorted by lo */
  size_t range_count, range_room;
};

/* Ranges and functions both begin with lo. */
static int lines_compare(const void *a_, const void *b_) {
  Dwarf_Addr a = *(const Dwarf_Addr *)a_, b = *(const Dwarf_Addr *)b_;
  return a < b ? -1 : a > b;
}

static void lines_add_unit(struct lines *lines, Dwarf_Die *die) {
  size_t index = lines->unit_count++;
  lines->units = model_grow(lines->units, &lines->unit_room, lines->unit_count, sizeof *lines->units);
  lines->units[index].die = *die;
  Dwarf_Addr base, lo, hi;
  for (ptrdiff_t at = 0; (at = dwarf_ranges(die, at, &base, &lo, &hi)) > 0;) {
    lines->ranges =
        model_grow(lines->ranges, &lines->range_room, lines->range_count + 1, sizeof *lines->ranges);
    lines->ranges[lines->range_count++] = (struct lines_range){lo, hi, index};
  }
}

struct lines *lines_open(Dwfl_Module *module) {
  Dwarf_Addr bias;
  Dwarf *dwarf = dwfl_module_getdwarf(module, &bias);
  if (!dwarf) return NULL;
  struct lines *lines = model_alloc(sizeof *lines);
  lines->dwarf = dwarf;
  lines->bias = bias;
  Dwarf_CU *unit = NULL;
  Dwarf_Die die, skeleton_of;
  uint8_t type;
  while (dwarf_get_units(dwarf, unit, &unit, NULL, &type, &die, &skeleton_of) == 0) {
    if (type == DW_UT_type || type == DW_UT_split_type) continue;
    lines_add_unit(lines, type == DW_UT_skeleton && skeleton_of.addr ? &skeleton_of : &die);
  }
  if (lines->range_count) qsort(lines->ranges, lines->range_count, sizeof *lines->ranges, lines_compare);
  return lines;
}

static struct lines_unit *lines_unit_at(struct lines *lines, Dwarf_Addr pc) {
  size_t low = 0, high = lines->range_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (lines->ranges[middle].lo <= pc) low = middle + 1;
    else high = middle;
  }
  /* Ranges hardly ever nest: look a little to the left. */
  for (size_t i = low, tries = 0; i-- > 0 && tries < 8; tries++)
    if (pc < lines->ranges[i].hi) return &lines->units[lines->ranges[i].unit];
  return NULL;
}

/* Functions stand in the unit, in namespaces, and with clang in classes. */
static void lines_index_functions(struct lines_unit *unit, Dwarf_Die *parent, int depth) {
  Dwarf_Die child;
  if (depth > 16 || dwarf_child(parent, &child) != 0) return;
  do {
    int tag = dwarf_tag(&child);
    if (tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type ||
        tag == DW_TAG_module)
      lines_index_functions(unit, &child, depth + 1);
    if (tag != DW_TAG_subprogram) continue;
    Dwarf_Addr base, lo, hi;
    for (ptrdiff_t at = 0; (at = dwarf_ranges(&child, at, &base, &lo, &hi)) > 0;) {
      unit->functions = model_grow(unit->functions, &unit->room, unit->count + 1, sizeof *unit->functions);
      unit->functions[unit->count++] = (struct lines_function){lo, hi, dwarf_dieoffset(&child)};
    }
  } while (dwarf_siblingof(&child, &child) == 0);
}

static bool lines_function_at(struct lines *lines, struct lines_unit *unit, Dwarf_Addr pc, Dwarf_Die *die) {
  if (!unit->indexed) {
    unit->indexed = true;
    lines_index_functions(unit, &unit->die, 0);
    if (unit->count) qsort(unit->functions, unit->count, sizeof *unit->functions, lines_compare);
  }
  size_t low = 0, high = unit->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (unit->functions[middle].lo <= pc) low = middle + 1;
    else high = middle;
  }
  return low > 0 && pc < unit->functions[low - 1].hi &&
         dwarf_offdie(dwarf_cu_getdwarf(unit->die.cu) ? dwarf_cu_getdwarf(unit->die.cu) : lines->dwarf,
                      unit->functions[low - 1].die, die) != NULL;
}

static const char *lines_function_name(Dwarf_Die *die) {
  Dwarf_Attribute attribute;
  const char *name = NULL;
  if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) ||
      dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute))
    name = dwarf_formstring(&attribute);
  return name ? name : dwarf_diename(die);
}

/* A file name with its directory, and where in it the part below the compiler's directory begins. */
static void lines_set_file(struct symbol *symbol, struct lines_unit *unit, const char *file, int line) {
  if (!file || line <= 0) return;
  Dwarf_Attribute attribute;
  const char *directory = dwarf_formstring(dwarf_attr(&unit->die, DW_AT_comp_dir, &attribute));
  size_t length = directory ? strlen(directory) : 0;
  if (*file != '/' && directory) {
    char *whole = model_alloc(length + strlen(file) + 2);
    memcpy(whole, directory, length);
    whole[length] = '/';
    strcpy(whole + length + 1, file);
    file = whole;
  }
  symbol->file = symbol->file_shown = file;
  symbol->line = line;
  if (length > 1 && strncmp(file, directory, length) == 0 && file[length] == '/')
    symbol->file_shown = file + length + 1;
}

/* The child of die that is code at pc and was inlined; blocks are looked through. */
static bool lines_inlined_at(Dwarf_Die *die, Dwarf_Addr pc, Dwarf_Die *found, int depth) {
  Dwarf_Die child;
  if (depth > 64 || dwarf_child(die, &child) != 0) return false;
  do {
    int tag = dwarf_tag(&child);
    if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block && tag != DW_TAG_try_block &&
        tag != DW_TAG_catch_block)
      continue;
    if (dwarf_haspc(&child, pc) != 1) continue;
    if (tag == DW_TAG_inlined_subroutine) return *found = child, true;
    return lines_inlined_at(&child, pc, found, depth + 1);
  } while (dwarf_siblingof(&child, &child) == 0);
  return false;
}

static int lines_number(Dwarf_Die *die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value;
  if (dwarf_formudata(dwarf_attr(die, name, &attribute), &value) != 0 || value > INT32_MAX) return 0;
  return (int)value;
}

/* Where the inlined function was called: file and line of its caller's frame. */
static void lines_set_call(struct symbol *symbol, struct lines_unit *unit, Dwarf_Die *inlined) {
  Dwarf_Files *files;
  size_t count;
  size_t file = (size_t)lines_number(inlined, DW_AT_call_file);
  if (dwarf_getsrcfiles(&unit->die, &files, &count) != 0 || file >= count) return;
  lines_set_file(symbol, unit, dwarf_filesrc(files, file, NULL, NULL), lines_number(inlined, DW_AT_call_line));
}

struct symbol *lines_find(struct lines *lines, Dwarf_Addr address) {
  Dwarf_Addr pc = address - lines->bias;
  struct lines_unit *unit = lines_unit_at(lines, pc);
  if (!unit) return NULL;
  struct symbol *symbol = model_alloc(sizeof *symbol);
  Dwarf_Line *line = dwarf_getsrc_die(&unit->die, pc);
  int number = 0;
  if (line && dwarf_lineno(line, &number) == 0)
    lines_set_file(symbol, unit, dwarf_linesrc(line, NULL, NULL), number);

  Dwarf_Die function, inlined;
  if (!lines_function_at(lines, unit, pc, &function)) return symbol;
  symbol->function = lines_function_name(&function);
  /* From the outside in: what is inlined here has the line; its call's line goes to the function around it. */
  while (lines_inlined_at(&function, pc, &inlined, 0)) {
    struct symbol *inner = model_alloc(sizeof *inner);
    *inner = *symbol;
    inner->function = lines_function_name(&inlined);
    inner->caller = symbol;
    symbol->file = symbol->file_shown = NULL;
    symbol->line = 0;
    lines_set_call(symbol, unit, &inlined);
    symbol = inner;
    function = inlined;
  }
  return symbol;
}

#endif
