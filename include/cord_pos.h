/* SPDX-License-Identifier: MIT
 * Positions in cords. cord.h includes it, and nobody else is to. The structure and its layout are libgc's (8.2), because what
 * was compiled with its macros reads them; a client uses nothing but the names that begin with CORD_.
 *
 * The macros may evaluate their argument more than once; each is a function, too. */
#if !defined(CORD_POSITION_H) && defined(CORD_H)
#define CORD_POSITION_H

#ifdef __cplusplus
extern "C" {
#endif

/* No cord is deeper. */
#define MAX_DEPTH 48

#define FUNCTION_BUF_SZ 8

/* What path_len is in a position that is outside its cord. */
#define CORD_POS_INVALID (0x55555555)

struct CORD_pe {
  CORD pe_cord;
  size_t pe_start_pos; /* where in the whole cord it begins */
};

typedef struct CORD_Pos {
  size_t cur_pos;
  int path_len; /* path[0] is the whole cord, path[path_len] the leaf that has the character at cur_pos */
  /* The characters from cur_start up to cur_end, cur_pos among them, lie at cur_leaf. cur_end 0: they do not. */
  const char *cur_leaf;
  size_t cur_start;
  size_t cur_end;
  struct CORD_pe path[MAX_DEPTH + 1];
  char function_buf[FUNCTION_BUF_SZ]; /* where cur_leaf lies, if a function told the characters */
} CORD_pos[1];

/* Puts p at position i of x, which is outside if i is not below the length. */
CORD_API void CORD_set_pos(CORD_pos p, CORD x, size_t i);

/* Is p inside its cord? What follows takes only such positions, but for the cord and the index. */
CORD_API int CORD_pos_valid(CORD_pos p);

CORD_API CORD CORD_pos_to_cord(CORD_pos p);
CORD_API size_t CORD_pos_to_index(CORD_pos p);
CORD_API char CORD_pos_fetch(CORD_pos p);

/* One on, one back; off either end p is outside. */
CORD_API void CORD_next(CORD_pos p);
CORD_API void CORD_prev(CORD_pos p);

/* The slow halves of the macros. */
CORD_API char CORD__pos_fetch(CORD_pos p);
CORD_API void CORD__next(CORD_pos p);
CORD_API void CORD__prev(CORD_pos p);

#define CORD_pos_valid(p) ((p)[0].path_len != CORD_POS_INVALID)
#define CORD_pos_to_cord(p) ((p)[0].path[0].pe_cord)
#define CORD_pos_to_index(p) ((p)[0].cur_pos)
#define CORD_pos_fetch(p) ((p)[0].cur_end != 0 ? *CORD_pos_cur_char_addr(p) : CORD__pos_fetch(p))
#define CORD_next(p) ((p)[0].cur_pos + 1 < (p)[0].cur_end ? (void)(p)[0].cur_pos++ : CORD__next(p))
#define CORD_prev(p) \
  ((p)[0].cur_end != 0 && (p)[0].cur_pos > (p)[0].cur_start ? (void)(p)[0].cur_pos-- : CORD__prev(p))

/* How many characters, this one included, lie in one piece from here on, not above 0 if that is not known; where they lie;
 * and n of them onwards, 0 < n <= CORD_pos_chars_left(p). */
#define CORD_pos_chars_left(p) ((long)(p)[0].cur_end - (long)(p)[0].cur_pos)
#define CORD_pos_cur_char_addr(p) ((p)[0].cur_leaf + ((p)[0].cur_pos - (p)[0].cur_start))
#define CORD_pos_advance(p, n) ((p)[0].cur_pos += (n)-1, CORD_next(p))

#ifdef __cplusplus
}
#endif

#endif
