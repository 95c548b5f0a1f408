/* SPDX-License-Identifier: MIT
 * The probe, and what libunwind may see of the process. */
#include "config.h"

#include "site/probe.h"

#include "os/memory.h"
#include "os/modules.h"

#include <elf.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct probe probe;

const uint8_t probe_numbers[probe_saved] = {UNW_X86_64_RBX, UNW_X86_64_RBP, UNW_X86_64_R12,
                                            UNW_X86_64_R13, UNW_X86_64_R14, UNW_X86_64_R15};

/* ---- what libunwind may see of the process ---- */

/* An .eh_frame_hdr of one entry, in eight-byte absolute addresses. */
struct probe_index {
  uint8_t version, frame_encoding, count_encoding, table_encoding;
  uint64_t frame, count, start, entry;
} __attribute__((packed));

static THREAD_LOCAL bool probe_inside; /* this thread is in libunwind, under the lock */
static bool probe_visible;             /* what probe_show prepared may be seen */
static struct probe_index probe_index;
static const uint32_t probe_no_frames[2]; /* an .eh_frame that ends at once */
static ElfW(Phdr) probe_headers[2];
static void *probe_escape[5];

int __wrap_dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *arg);
int __real_dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *arg)
    __attribute__((weak));
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *lock) __attribute__((weak));
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *lock) __attribute__((weak));
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_unlock(pthread_rwlock_t *lock) __attribute__((weak));
int __wrap_fprintf(FILE *file, const char *format, ...);
size_t __wrap_fwrite(const void *data, size_t size, size_t count, FILE *file);
size_t __real_fwrite(const void *data, size_t size, size_t count, FILE *file) __attribute__((weak));
int __wrap_fflush(FILE *file);
int __real_fflush(FILE *file) __attribute__((weak));
_Noreturn void __wrap_abort(void);
_Noreturn void __real_abort(void) __attribute__((weak));

int __wrap_dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *arg) {
  if (!probe_inside) return __real_dl_iterate_phdr(callback, arg);
  if (!probe_visible) return 0;
  struct dl_phdr_info info = {.dlpi_name = "", .dlpi_phdr = probe_headers, .dlpi_phnum = 2, .dlpi_adds = 1};
  return callback(&info, sizeof info, arg);
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock) {
  return probe_inside ? 0 : __real_pthread_rwlock_rdlock(lock);
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock) {
  return probe_inside ? 0 : __real_pthread_rwlock_wrlock(lock);
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock) {
  return probe_inside ? 0 : __real_pthread_rwlock_unlock(lock);
}

int __wrap_fprintf(FILE *file, const char *format, ...) {
  if (probe_inside) return 0;
  va_list args;
  va_start(args, format);
  int n = vfprintf(file, format, args);
  va_end(args);
  return n;
}

size_t __wrap_fwrite(const void *data, size_t size, size_t count, FILE *file) {
  return probe_inside ? count : __real_fwrite(data, size, count, file);
}

int __wrap_fflush(FILE *file) { return probe_inside ? 0 : __real_fflush(file); }

void __wrap_abort(void) {
  if (probe_inside) __builtin_longjmp(probe_escape, 1);
  __real_abort();
}

/* ---- the unwind information of an address ---- */

static int probe_find_header(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_GNU_EH_FRAME) continue;
    *(uintptr_t *)arg = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    return 1;
  }
  return 0;
}

static uint64_t probe_leb(const uint8_t **p) {
  uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    uint8_t byte = *(*p)++;
    if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
}

/* The operands of a call frame instruction: L a LEB128 number, B a block, digits bytes. */
static const char *const probe_operands[64] = {
    [0x00] = "",   [0x01] = "4",  [0x02] = "1",  [0x03] = "2",  [0x04] = "4",  [0x05] = "LL", [0x06] = "L",
    [0x07] = "L",  [0x08] = "L",  [0x09] = "LL", [0x0a] = "",   [0x0b] = "",   [0x0c] = "LL", [0x0d] = "L",
    [0x0e] = "L",  [0x0f] = "B",  [0x10] = "LB", [0x11] = "LL", [0x12] = "LL", [0x13] = "L",  [0x14] = "LL",
    [0x15] = "LL", [0x16] = "LB", [0x2d] = "",   [0x2e] = "L",  [0x2f] = "LL",
};

/* True when the CFA is said in terms of register 0 (rax) at an offset in a procedure: libunwind takes that
 * for no register, and an expression at address 0. Prologues by hand do so, and a signal may interrupt them. */
static bool probe_by_rax(const uint8_t *entry, uint64_t offset) {
  const uint8_t *end = entry + 4 + *(const uint32_t *)entry, *p = entry + 16; /* length, CIE, start, size */
  uint64_t at = 0;
  bool by_rax = false, kept[16] = {false};
  unsigned depth = 0;
  uint64_t augmentation = probe_leb(&p);
  p += augmentation;
  while (p < end && at <= offset) {
    unsigned op = *p++;
    if (op >> 6 == 1) at += op & 63;
    if (op >> 6 == 2) probe_leb(&p);
    if (op >> 6 != 0) continue;
    if (!probe_operands[op]) return false;
    uint64_t first = 0;
    const uint8_t *start = p;
    for (const char *kind = probe_operands[op]; *kind; kind++) {
      uint64_t value = *kind == 'L' || *kind == 'B' ? probe_leb(&p) : 0;
      if (kind == probe_operands[op]) first = value;
      p += *kind == 'B' ? value : *kind == 'L' ? 0 : (uint64_t)(*kind - '0');
    }
    for (unsigned i = 0; op >= 2 && op <= 4 && start + i < p; i++) first |= (uint64_t)start[i] << (8 * i);
    if (op >= 2 && op <= 4) at += first;
    else if (op == 0x0c || op == 0x0d || op == 0x12) by_rax = first == 0;
    else if (op == 0x0f) by_rax = false;
    else if (op == 0x0a) kept[depth++ % 16] = by_rax;
    else if (op == 0x0b) by_rax = kept[--depth % 16];
    if (at > offset) break;
  }
  return by_rax;
}

/* Points probe_index at the last entry that begins at or below the address. The table is what every linker
 * makes: pairs of 32-bit offsets from the header, sorted. Another form is given to libunwind whole.
 *
 * Found here, so that libunwind does not search .eh_frame from end to end for an address that is not in the
 * table, or past its end where the terminator is missing. */
bool probe_show(uintptr_t address) {
  uintptr_t header = 0;
  if (!os_module_phdr(address, probe_find_header, &header)) return false;
  const uint8_t *bytes = (const uint8_t *)header;
  probe_headers[0] = (ElfW(Phdr)){.p_type = PT_LOAD, .p_vaddr = address, .p_memsz = 2};
  probe_headers[1] = (ElfW(Phdr)){.p_type = PT_GNU_EH_FRAME, .p_vaddr = header, .p_memsz = 1 << 30};
  static const uint8_t usual[4] = {1, 0x1b, 0x03, 0x3b};
  if (memcmp(bytes, usual, sizeof usual) != 0) return bytes[0] == 1;

  const struct { int32_t start, entry; } *table = (const void *)(header + 12);
  uint32_t low = 0, high = *(const uint32_t *)(header + 8);
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (header + (uintptr_t)(intptr_t)table[middle].start <= address) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return false;
  probe_index = (struct probe_index){1, 4, 4, 4, (uintptr_t)probe_no_frames, 1,
                                   header + (uintptr_t)(intptr_t)table[low - 1].start,
                                   header + (uintptr_t)(intptr_t)table[low - 1].entry};
  probe_headers[1].p_vaddr = (uintptr_t)&probe_index;
  probe_headers[1].p_memsz = sizeof probe_index;
  return !probe_by_rax((const uint8_t *)probe_index.entry, address - probe_index.start);
}

/* ---- the probe ---- */

/* A cursor in this very function. */
static __attribute__((noinline)) bool probe_here(void) {
  struct site_registers here;
  unw_context_t context;
  site_here(&here);
  if (!probe_show(here.pc)) return false;
  probe_headers[0].p_vaddr = here.pc - probe_page;
  probe_headers[0].p_memsz = 2 * probe_page;
  probe_inside = probe_visible = true;
  unw_getcontext(&context);
  bool good = unw_init_local(&probe.cursor, &context) == UNW_ESUCCESS;
  probe_inside = false;
  return good;
}

static bool probe_small; /* address space is limited */

bool probe_make(void) {
  enum { sizes_count = 4 };
  static const size_t sizes[sizes_count] = {(size_t)4 << 30, (size_t)256 << 20, (size_t)64 << 20, (size_t)16 << 20};
  if (probe.base) return true;
  void *base = NULL;
  for (size_t i = probe_small ? sizes_count - 1 : 0; i < sizes_count && !base; i++) {
    base = os_memory_reserve_readable(sizes[i]);
    probe.size = sizes[i];
  }
  if (!base) return false;
  uintptr_t start = (uintptr_t)base;
  probe.page[PROBE_OTHER] = start + probe.size / 16;
  probe.page[PROBE_CFA] = start + probe.size / 8;
  probe.zone = start + probe.size / 8 + 4 * probe_page;
  probe.page[PROBE_FP] = start + probe.size / 8 * 3;
  probe.page[PROBE_SP] = start + probe.size / 2;
  bool good = probe_here();
  for (int i = 0; i < probe_pages; i++) good = good && os_memory_commit((void *)probe.page[i], probe_page) == 0;
  if (!good) {
    os_memory_unmap(base, probe.size);
    return false;
  }
  for (size_t cell = 0; cell < probe_pages * probe_page_words; cell++)
    *probe_word(cell) = probe.zone + cell * probe_cell;
  probe.base = start;
  return true;
}

void probe_place_registers(struct probe_run *run, bool second) {
  for (unsigned i = 0; i < probe_registers; i++) {
    unsigned place = second ? probe_registers - 1 - i : i;
    run->in[i] = probe.page[PROBE_OTHER] + place * probe_other_span + probe_other_span / 2;
  }
  run->in[UNW_X86_64_RBP] = probe.page[PROBE_FP] + (second ? probe_page / 4 : probe_page / 2);
  run->in[UNW_X86_64_RSP] = probe.page[PROBE_SP] + (second ? 512 : 256);
}

/* One step of libunwind from an address. False when it has no information there. */
static bool probe_step(struct probe_run *run, uintptr_t address) {
  unw_cursor_t cursor = probe.cursor;
  unw_proc_info_t info;
  probe_visible = true;
  unw_set_reg(&cursor, UNW_REG_IP, address); /* looks its information up */
  if (unw_get_proc_info(&cursor, &info) != UNW_ESUCCESS || !info.end_ip) return false;
  /* libunwind applies the rows that begin below the address. Those that begin just there count as well. */
  unw_set_reg(&cursor, UNW_X86_64_RIP, run->at = address + 1);
  for (int i = 0; i < probe_registers; i++) unw_set_reg(&cursor, i, run->in[i]);
  probe_visible = false; /* nothing is known of the caller, whose address is a cell */
  if (unw_step(&cursor) < 0) return false;
  unw_word_t word;
  unw_get_reg(&cursor, UNW_REG_SP, &word), run->sp = word;
  unw_get_reg(&cursor, UNW_REG_IP, &word), run->pc = word;
  for (int i = 0; i < probe_saved; i++) unw_get_reg(&cursor, probe_numbers[i], &word), run->saved[i] = word;
  run->signal = unw_is_signal_frame(&cursor) > 0;
  run->start = info.start_ip;
  return true;
}

bool probe_run(struct probe_run *run, uintptr_t address) {
  volatile bool good = false;
  probe_inside = true;
  if (__builtin_setjmp(probe_escape) == 0) good = probe_step(run, address);
  probe_inside = false;
  return good;
}

void probe_limit_span(void) {
  probe_small = true;
  if (probe.base) os_memory_unmap((void *)probe.base, probe.size);
  probe.base = 0;
}

void probe_fork_child(void) { probe_inside = false; }
