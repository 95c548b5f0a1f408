/* SPDX-License-Identifier: MIT
 * Collected memory for the containers of C++. Names, types and meaning are those of libgc's gc_allocator.h (8.2). All is in
 * this header: link with -lgc.
 *
 *   std::vector<T, gc_allocator<T> >                  its memory is collected
 *   std::vector<T, gc_allocator_ignore_off_page<T> >  the same for large ones, to whose first bytes a pointer is always kept
 *   std::vector<T, traceable_allocator<T> >           its memory lives as long as the container, and is searched for pointers
 *
 * The collected ones do not search the memory of types that are declared free of pointers by GC_DECLARE_PTRFREE; the
 * arithmetic types of C are, but long long: a client may declare others. No allocator runs destructors when memory is
 * collected. Without memory std::bad_alloc is thrown; or the program aborts, if GC_NEW_ABORTS_ON_OOM is defined. */
#ifndef GC_ALLOCATOR_H
#define GC_ALLOCATOR_H

#include <new>

#include "gc.h"

#if defined(GC_NEW_ABORTS_ON_OOM) || defined(_LIBCPP_NO_EXCEPTIONS)
#define GC_ALLOCATOR_THROW_OR_ABORT() GC_abort_on_oom()
#else
#define GC_ALLOCATOR_THROW_OR_ABORT() throw std::bad_alloc()
#endif

/* --- Is a type free of pointers? --- */

struct GC_true_type {};
struct GC_false_type {};

template <class GC_tp>
struct GC_type_traits {
  GC_false_type GC_is_ptr_free;
};

#define GC_DECLARE_PTRFREE(T) \
  template <> \
  struct GC_type_traits<T> { \
    GC_true_type GC_is_ptr_free; \
  }

GC_DECLARE_PTRFREE(char);
GC_DECLARE_PTRFREE(signed char);
GC_DECLARE_PTRFREE(unsigned char);
GC_DECLARE_PTRFREE(signed short);
GC_DECLARE_PTRFREE(unsigned short);
GC_DECLARE_PTRFREE(signed int);
GC_DECLARE_PTRFREE(unsigned int);
GC_DECLARE_PTRFREE(signed long);
GC_DECLARE_PTRFREE(unsigned long);
GC_DECLARE_PTRFREE(float);
GC_DECLARE_PTRFREE(double);
GC_DECLARE_PTRFREE(long double);

/* --- Memory, or an exception --- */

inline void *GC_allocated(void *obj) {
  if (!obj) GC_ALLOCATOR_THROW_OR_ABORT();
  return obj;
}

/* The bytes of n objects of a type; when no size_t can tell, there is no memory for them. */
template <class GC_Tp>
inline size_t GC_allocator_bytes(size_t n) {
  if (n > size_t(-1) / sizeof(GC_Tp)) GC_ALLOCATOR_THROW_OR_ABORT();
  return n * sizeof(GC_Tp);
}

/* n bytes, for what may hold pointers unless the second argument is a GC_true_type. */
template <class GC_Tp>
inline void *GC_selective_alloc(size_t n, GC_Tp, bool ignore_off_page) {
  return GC_allocated(ignore_off_page ? GC_MALLOC_IGNORE_OFF_PAGE(n) : GC_MALLOC(n));
}

template <>
inline void *GC_selective_alloc<GC_true_type>(size_t n, GC_true_type, bool ignore_off_page) {
  return GC_allocated(ignore_off_page ? GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(n) : GC_MALLOC_ATOMIC(n));
}

/* --- The allocators. They hold nothing, so that all of a kind are equal. --- */

/* What all three have: it is a macro because each must be a class of its own, with the names of the standard in it. */
#define GC_ALLOCATOR_COMMON(NAME) \
public: \
  typedef size_t size_type; \
  typedef ptrdiff_t difference_type; \
  typedef GC_Tp *pointer; \
  typedef const GC_Tp *const_pointer; \
  typedef GC_Tp &reference; \
  typedef const GC_Tp &const_reference; \
  typedef GC_Tp value_type; \
  template <class GC_Tp1> \
  struct rebind { \
    typedef NAME<GC_Tp1> other; \
  }; \
  NAME() GC_NOEXCEPT {} \
  NAME(const NAME &) GC_NOEXCEPT {} \
  template <class GC_Tp1> \
  NAME(const NAME<GC_Tp1> &) GC_NOEXCEPT {} \
  ~NAME() GC_NOEXCEPT {} \
  NAME &operator=(const NAME &) GC_NOEXCEPT { return *this; } \
  pointer address(reference x) const { return &x; } \
  const_pointer address(const_reference x) const { return &x; } \
  size_type max_size() const GC_NOEXCEPT { return size_t(-1) / sizeof(GC_Tp); } \
  void construct(pointer p, const GC_Tp &value) { new ((void *)p) GC_Tp(value); } \
  void destroy(pointer p) { p->~GC_Tp(); } \
  void deallocate(pointer p, size_type) GC_NOEXCEPT { GC_FREE((void *)p); }

/* And what the kind for void is, of which nothing can be allocated; and that they are equal. */
#define GC_ALLOCATOR_REST(NAME) \
  template <> \
  class NAME<void> { \
  public: \
    typedef size_t size_type; \
    typedef ptrdiff_t difference_type; \
    typedef void *pointer; \
    typedef const void *const_pointer; \
    typedef void value_type; \
    template <class GC_Tp1> \
    struct rebind { \
      typedef NAME<GC_Tp1> other; \
    }; \
  }; \
  template <class GC_T1, class GC_T2> \
  inline bool operator==(const NAME<GC_T1> &, const NAME<GC_T2> &) GC_NOEXCEPT { \
    return true; \
  } \
  template <class GC_T1, class GC_T2> \
  inline bool operator!=(const NAME<GC_T1> &, const NAME<GC_T2> &) GC_NOEXCEPT { \
    return false; \
  }

template <class GC_Tp>
class gc_allocator {
  GC_ALLOCATOR_COMMON(gc_allocator)

  /* Of n objects; n may be 0. */
  GC_Tp *allocate(size_type n, const void * = 0) {
    GC_type_traits<GC_Tp> traits;
    return static_cast<GC_Tp *>(GC_selective_alloc(GC_allocator_bytes<GC_Tp>(n), traits.GC_is_ptr_free, false));
  }
};
GC_ALLOCATOR_REST(gc_allocator)

template <class GC_Tp>
class gc_allocator_ignore_off_page {
  GC_ALLOCATOR_COMMON(gc_allocator_ignore_off_page)

  GC_Tp *allocate(size_type n, const void * = 0) {
    GC_type_traits<GC_Tp> traits;
    return static_cast<GC_Tp *>(GC_selective_alloc(GC_allocator_bytes<GC_Tp>(n), traits.GC_is_ptr_free, true));
  }
};
GC_ALLOCATOR_REST(gc_allocator_ignore_off_page)

/* Also of types free of pointers: their memory is searched all the same. */
template <class GC_Tp>
class traceable_allocator {
  GC_ALLOCATOR_COMMON(traceable_allocator)

  GC_Tp *allocate(size_type n, const void * = 0) {
    return static_cast<GC_Tp *>(GC_allocated(GC_MALLOC_UNCOLLECTABLE(GC_allocator_bytes<GC_Tp>(n))));
  }
};
GC_ALLOCATOR_REST(traceable_allocator)

#undef GC_ALLOCATOR_COMMON
#undef GC_ALLOCATOR_REST

#endif
