/* SPDX-License-Identifier: MIT
 * Functions by address, from symbol tables. */
#include "config.h"

#ifdef HAVE_LIBDW

#include "report/names.h"

#include "report/model.h"

#include <stdlib.h>
#include <string.h>

struct names_symbol {
  GElf_Addr lo, hi; /* hi == lo: the table does not tell the size */
  const char *name;
  unsigned char rank; /* of several at one address, the lowest is shown */
};

struct names {
  struct names_symbol *symbols; /* sorted by lo */
  size_t count, room;
};

/* malloc, not __libc_malloc: what the program calls is what a reader knows. */
static unsigned char names_rank(const char *name, const GElf_Sym *symbol) {
  unsigned char rank = 0;
  while (rank < 8 && name[rank] == '_') rank++;
  if (strncmp(name, "_Z", 2) == 0) rank = 0;
  if (GELF_ST_BIND(symbol->st_info) == STB_LOCAL) rank += 16;
  return rank;
}

static int names_compare(const void *a_, const void *b_) {
  const struct names_symbol *a = a_, *b = b_;
  if (a->lo != b->lo) return a->lo < b->lo ? -1 : 1;
  if (a->hi != b->hi) return a->hi < b->hi ? -1 : 1;
  if (a->rank != b->rank) return b->rank - a->rank;
  size_t a_length = strlen(a->name), b_length = strlen(b->name);
  if (a_length != b_length) return a_length > b_length ? -1 : 1;
  return strcmp(b->name, a->name);
}

struct names *names_open(Dwfl_Module *module) {
  struct names *names = model_alloc(sizeof *names);
  int count = dwfl_module_getsymtab(module);
  for (int i = 1; i < count; i++) {
    GElf_Sym symbol;
    GElf_Addr address;
    const char *name = dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
    int type = GELF_ST_TYPE(symbol.st_info);
    if (!name || !*name || symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS) continue;
    if (type != STT_FUNC && type != STT_GNU_IFUNC && !(type == STT_NOTYPE && symbol.st_size)) continue;
    names->symbols = model_grow(names->symbols, &names->room, names->count + 1, sizeof *names->symbols);
    names->symbols[names->count++] =
        (struct names_symbol){address, address + symbol.st_size, name, names_rank(name, &symbol)};
  }
  if (names->count) qsort(names->symbols, names->count, sizeof *names->symbols, names_compare);
  return names;
}

const char *names_find(const struct names *names, GElf_Addr address) {
  size_t low = 0, high = names->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (names->symbols[middle].lo <= address) low = middle + 1;
    else high = middle;
  }
  /* The last that begins before the address and covers it. Functions hardly nest (in hand-written assembly):
   * look a little to the left. */
  for (size_t i = low, tries = 0; i-- > 0 && tries < 16; tries++) {
    const struct names_symbol *symbol = &names->symbols[i];
    if (address < symbol->hi || (symbol->hi == symbol->lo && tries == 0)) return symbol->name;
  }
  return NULL;
}

#endif
