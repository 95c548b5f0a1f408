/* SPDX-License-Identifier: MIT
 * Collected memory in C++. Names, types and meaning are those of libgc's gc_cpp.h (8.2). Link with -lgccpp -lgc; or with
 * -lgctba -lgc if ::operator new and delete shall stay those of the C++ library.
 *
 *   class A : public gc {...};          new A            is collected; no destructor runs
 *   class B : public gc_cleanup {...};  new B            is collected; its destructor runs first
 *   new (GC) T, new (UseGC) T                            is collected, whatever T is
 *   new (GC, clean_up, data) T                           the same; clean_up(object, data) is called first, no destructor
 *   new (PointerFreeGC) T                                is collected, and never searched for pointers
 *   new (NoGC) T                                         lives until it is deleted, and is searched for pointers
 *   new T                                                the same, with libgccpp, for any other T
 *
 * delete ends any of them at once. Not to be deleted: an object with a clean_up of its own. Not to be given one: what is not
 * collected, and objects that are, or have inside, a gc_cleanup. Of an array of gc_cleanup only the first element is cleaned
 * up. Objects to be cleaned up that lead to each other are so from the first one on, in later collections; a ring of them is
 * never collected. Pointers of an object to itself do not count.
 *
 * Without memory std::bad_alloc is thrown; or the program aborts, if GC_NEW_ABORTS_ON_OOM is defined. A program may define
 * before it includes this: GC_NAMESPACE, and the names are in namespace boehmgc; GC_NAME_CONFLICT, and GC is no name for
 * UseGC; GC_ATOMIC_UNCOLLECTABLE, and there is PointerFreeNoGC; GC_NO_FINALIZATION, and nothing is cleaned up; GC_DEBUG, and
 * objects are checked ones. */
#ifndef GC_CPP_H
#define GC_CPP_H

#include "gc.h"

#ifdef GC_NAMESPACE
#define GC_NS_QUALIFY(T) boehmgc::T
#else
#define GC_NS_QUALIFY(T) T
#endif

#define GC_cdecl GC_CALLBACK

/* What this compiler can do: both always, but a client may refuse arrays. */
#if !defined(GC_NO_OPERATOR_NEW_ARRAY) && !defined(GC_OPERATOR_NEW_ARRAY)
#define GC_OPERATOR_NEW_ARRAY
#endif
#define GC_PLACEMENT_DELETE

/* What is done when obj is NULL. */
#if defined(GC_NEW_ABORTS_ON_OOM) || defined(_LIBCPP_NO_EXCEPTIONS)
#define GC_OP_NEW_OOM_CHECK(obj) \
  do { \
    if (!(obj)) GC_abort_on_oom(); \
  } while (0)
#elif defined(GC_INCLUDE_NEW)
#include <new>
#define GC_OP_NEW_OOM_CHECK(obj) \
  if (obj) { \
  } else \
    throw std::bad_alloc()
#else
/* In libgccpp and libgctba: <new> need not be included here. */
GC_API void GC_CALL GC_throw_bad_alloc();
#define GC_OP_NEW_OOM_CHECK(obj) \
  if (obj) { \
  } else \
    GC_throw_bad_alloc()
#endif

#ifdef GC_NAMESPACE
namespace boehmgc {
#endif

enum GCPlacement {
  UseGC,
#ifndef GC_NAME_CONFLICT
  GC = UseGC,
#endif
  NoGC,
  PointerFreeGC
#ifdef GC_ATOMIC_UNCOLLECTABLE
  ,
  PointerFreeNoGC
#endif
};

extern "C" {
typedef void(GC_CALLBACK *GCCleanUpFunc)(void *obj, void *clientData);
}

/* Objects of what is derived from it are collected, unless another placement is given. */
class gc {
public:
  inline void *operator new(size_t size);
  inline void *operator new(size_t size, GCPlacement gcp);
  inline void *operator new(size_t size, void *p) GC_NOEXCEPT; /* at p: it would be hidden otherwise */
  inline void operator delete(void *obj) GC_NOEXCEPT;
  inline void operator delete(void *obj, GCPlacement) GC_NOEXCEPT; /* for constructors that throw */
  inline void operator delete(void *, void *) GC_NOEXCEPT;
#ifdef GC_OPERATOR_NEW_ARRAY
  inline void *operator new[](size_t size);
  inline void *operator new[](size_t size, GCPlacement gcp);
  inline void *operator new[](size_t size, void *p) GC_NOEXCEPT;
  inline void operator delete[](void *obj) GC_NOEXCEPT;
  inline void operator delete[](void *obj, GCPlacement) GC_NOEXCEPT;
  inline void operator delete[](void *, void *) GC_NOEXCEPT;
#endif
};

/* The same for objects whose destructors are to run before they are reclaimed. Where one stands that is not in the heap,
 * or by itself part of an object that is cleaned up otherwise, nothing changes. */
class gc_cleanup : virtual public gc {
public:
  inline gc_cleanup();
  inline virtual ~gc_cleanup();

private:
  inline static void GC_cdecl cleanup(void *obj, void *clientData);
};

#ifdef GC_NAMESPACE
}
#endif

/* Placements for objects of any type. clean_up may be given with UseGC alone. */
inline void *operator new(size_t size, GC_NS_QUALIFY(GCPlacement) gcp, GC_NS_QUALIFY(GCCleanUpFunc) clean_up = 0,
                          void *clientData = 0);
inline void operator delete(void *obj, GC_NS_QUALIFY(GCPlacement), GC_NS_QUALIFY(GCCleanUpFunc), void *) GC_NOEXCEPT;
#ifdef GC_OPERATOR_NEW_ARRAY
inline void *operator new[](size_t size, GC_NS_QUALIFY(GCPlacement) gcp, GC_NS_QUALIFY(GCCleanUpFunc) clean_up = 0,
                            void *clientData = 0);
inline void operator delete[](void *obj, GC_NS_QUALIFY(GCPlacement), GC_NS_QUALIFY(GCCleanUpFunc), void *) GC_NOEXCEPT;
#endif

/* --- how it is done --- */

inline void *operator new(size_t size, GC_NS_QUALIFY(GCPlacement) gcp, GC_NS_QUALIFY(GCCleanUpFunc) clean_up,
                          void *clientData) {
  void *obj;
  switch (gcp) {
    case GC_NS_QUALIFY(UseGC): obj = GC_MALLOC(size); break;
    case GC_NS_QUALIFY(PointerFreeGC): obj = GC_MALLOC_ATOMIC(size); break;
#ifdef GC_ATOMIC_UNCOLLECTABLE
    case GC_NS_QUALIFY(PointerFreeNoGC): obj = GC_MALLOC_ATOMIC_UNCOLLECTABLE(size); break;
#endif
    case GC_NS_QUALIFY(NoGC):
    default: obj = GC_MALLOC_UNCOLLECTABLE(size); break;
  }
  GC_OP_NEW_OOM_CHECK(obj);
#ifndef GC_NO_FINALIZATION
  if (clean_up && gcp == GC_NS_QUALIFY(UseGC)) GC_REGISTER_FINALIZER_IGNORE_SELF(obj, clean_up, clientData, 0, 0);
#else
  (void)clean_up;
  (void)clientData;
#endif
  return obj;
}

inline void operator delete(void *obj, GC_NS_QUALIFY(GCPlacement), GC_NS_QUALIFY(GCCleanUpFunc), void *) GC_NOEXCEPT {
  GC_FREE(obj);
}

#ifdef GC_OPERATOR_NEW_ARRAY
inline void *operator new[](size_t size, GC_NS_QUALIFY(GCPlacement) gcp, GC_NS_QUALIFY(GCCleanUpFunc) clean_up,
                            void *clientData) {
  return ::operator new(size, gcp, clean_up, clientData);
}

inline void operator delete[](void *obj, GC_NS_QUALIFY(GCPlacement), GC_NS_QUALIFY(GCCleanUpFunc), void *) GC_NOEXCEPT {
  GC_FREE(obj);
}
#endif

#ifdef GC_NAMESPACE
namespace boehmgc {
#endif

inline void *gc::operator new(size_t size) { return ::operator new(size, UseGC, 0, 0); }
inline void *gc::operator new(size_t size, GCPlacement gcp) { return ::operator new(size, gcp, 0, 0); }
inline void *gc::operator new(size_t, void *p) GC_NOEXCEPT { return p; }
inline void gc::operator delete(void *obj) GC_NOEXCEPT { GC_FREE(obj); }
inline void gc::operator delete(void *obj, GCPlacement) GC_NOEXCEPT { GC_FREE(obj); }
inline void gc::operator delete(void *, void *) GC_NOEXCEPT {}

#ifdef GC_OPERATOR_NEW_ARRAY
inline void *gc::operator new[](size_t size) { return ::operator new(size, UseGC, 0, 0); }
inline void *gc::operator new[](size_t size, GCPlacement gcp) { return ::operator new(size, gcp, 0, 0); }
inline void *gc::operator new[](size_t, void *p) GC_NOEXCEPT { return p; }
inline void gc::operator delete[](void *obj) GC_NOEXCEPT { GC_FREE(obj); }
inline void gc::operator delete[](void *obj, GCPlacement) GC_NOEXCEPT { GC_FREE(obj); }
inline void gc::operator delete[](void *, void *) GC_NOEXCEPT {}
#endif

/* An object has one finalizer: of several gc_cleanups in it the first to be constructed keeps it. That is a base of the
 * object, if it has such a base, and then the virtual destructor is that of the whole. GC_base finds where the memory truly
 * begins, for which the unchecked function is right in programs with GC_DEBUG, too. */
inline gc_cleanup::gc_cleanup() {
#ifndef GC_NO_FINALIZATION
  void *self = (void *)this, *base = GC_base(self);
  if (!base) return;
  GC_finalization_proc old = 0;
  void *oldData = 0;
  GC_register_finalizer_ignore_self(base, (GC_finalization_proc)cleanup, (void *)((char *)self - (char *)base), &old,
                                    &oldData);
  if (old) GC_register_finalizer_ignore_self(base, old, oldData, 0, 0);
#endif
}

inline gc_cleanup::~gc_cleanup() {
#ifndef GC_NO_FINALIZATION
  void *base = GC_base((void *)this);
  if (base) GC_register_finalizer_ignore_self(base, 0, 0, 0, 0);
#endif
}

inline void GC_CALLBACK gc_cleanup::cleanup(void *obj, void *offset) {
  ((gc_cleanup *)((char *)obj + (ptrdiff_t)offset))->~gc_cleanup();
}

#ifdef GC_NAMESPACE
}
#endif

#endif
