/* SPDX-License-Identifier: MIT
 * The version of libgc whose interface this is; gc.h includes it. GC_get_version tells what the library is that runs. */
#ifndef GC_VERSION_H
#define GC_VERSION_H

#define GC_TMP_VERSION_MAJOR 8
#define GC_TMP_VERSION_MINOR 2
#define GC_TMP_VERSION_MICRO 2

#ifndef GC_VERSION_MAJOR
#define GC_VERSION_MAJOR GC_TMP_VERSION_MAJOR
#define GC_VERSION_MINOR GC_TMP_VERSION_MINOR
#define GC_VERSION_MICRO GC_TMP_VERSION_MICRO
#endif

#endif
