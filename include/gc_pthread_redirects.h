/* SPDX-License-Identifier: MIT
 * What libgc wraps for its threads; gc.h includes it where GC_THREADS is defined. Here all threads are found, however they were made, so these only
 * do what the calls do that they are named after, and it is no fault to call the others. */
#ifndef GC_PTHREAD_REDIRECTS_H
#define GC_PTHREAD_REDIRECTS_H

#if defined(GC_H) && defined(GC_PTHREADS)

#ifndef GC_PTHREAD_REDIRECTS_ONLY
#ifndef GC_NO_DLOPEN
#include <dlfcn.h>
#endif
#include <pthread.h>
#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GC_SUSPEND_THREAD_ID
#define GC_SUSPEND_THREAD_ID pthread_t
#endif

#ifndef GC_PTHREAD_CREATE_CONST
#define GC_PTHREAD_CREATE_CONST const
#endif

int GC_pthread_create(pthread_t *thread, GC_PTHREAD_CREATE_CONST pthread_attr_t *attributes, void *(*start)(void *), void *arg);
int GC_pthread_join(pthread_t thread, void **result);
int GC_pthread_detach(pthread_t thread);
int GC_pthread_cancel(pthread_t thread);
#ifndef GC_PTHREAD_EXIT_DECLARED
#define GC_PTHREAD_EXIT_DECLARED
void GC_pthread_exit(void *result) GC_PTHREAD_EXIT_ATTRIBUTE;
#endif
#if !defined(GC_NO_PTHREAD_SIGMASK) && (defined(GC_PTHREAD_SIGMASK_NEEDED) || defined(__USE_POSIX199506) || defined(__USE_UNIX98))
/* But this leaves the signal open that stops threads: where one blocks it, nothing is collected. */
int GC_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
#endif

#ifdef __cplusplus
}
#endif
#endif

#if !defined(GC_NO_THREAD_REDIRECTS) && !defined(GC_USE_LD_WRAP)
#undef pthread_create
#undef pthread_join
#undef pthread_detach
#undef pthread_exit
#define pthread_create GC_pthread_create
#define pthread_join GC_pthread_join
#define pthread_detach GC_pthread_detach
#define pthread_exit GC_pthread_exit
#ifndef GC_NO_PTHREAD_CANCEL
#undef pthread_cancel
#define pthread_cancel GC_pthread_cancel
#endif
#ifndef GC_NO_PTHREAD_SIGMASK
#undef pthread_sigmask
#define pthread_sigmask GC_pthread_sigmask
#endif
#ifndef GC_NO_DLOPEN
#undef dlopen
#define dlopen GC_dlopen
#endif
#endif

#endif

#endif
