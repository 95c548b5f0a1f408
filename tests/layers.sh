#!/bin/sh
# SPDX-License-Identifier: MIT
# The folders of src are layers: an include may only point down.
. "$srcdir/tests/preload/common.sh"

# includes FOLDER: "file: included" for each of our own headers that its files include.
includes() {
  find "$srcdir/$1" \( -name '*.[ch]' -o -name '*.cc' \) -exec grep -H '^ *# *include *"' {} + |
    sed "s|^$srcdir/\\([^:]*\\):[^\"]*\"\\([^\"]*\\)\".*|\\1: \\2|" | grep -v ': config\.h$'
}

# below FOLDER PATTERN: every include of the folder matches.
below() {
  includes "$1" >"$work/all"
  grep -vE ": ($2)" "$work/all" >"$work/up"
  ok "$1 includes only what lies below it" test ! -s "$work/up" || note "$work/up"
}

below src/base 'base/'
below src/os '(os|base)/'
below src/heap '(heap|os|base)/'
below src/site '(site|os|base)/'
below src/gc '(gc|heap|os|base)/'
below src/report '(report|os|base)/'
below src/api '(api|gc|site|heap|report|os|base)/|gc\.h$|gc_ext\.h$'
below src/libgc '(libgc|api|gc|site|heap|os|base)/|gc(_[a-z_]*)?\.h$'
below preload 'api/hooks\.h$|(real|signals|handlers|waits|pins|filters|spaces)\.h$|base/|gc\.h$|gc_ext\.h$'
below tools 'command\.h$|(report|os|base)/|gc\.h$|gc_ext\.h$'
below include '(\.\./)?(gc|gc_[a-z_]*|javaxfc|new_gc_alloc|leak_detector|cord|cord_pos|ec)\.h$'
below cord '(node|gc|cord|ec)\.h$'
below cxx '(gc|gc_cpp)\.h$'

# The core knows the forms of a record and of a dump, and nothing else of the report library.
includes src/api | grep ': report/' | grep -vE ': report/(record|dump)\.h$' >"$work/up"
ok "the runtime knows nothing of the report library but the forms of a record and of a dump" test ! -s "$work/up" || note "$work/up"

grep -rlE 'libunwind\.h' "$srcdir/src" "$srcdir/preload" "$srcdir/tools" | grep -v '/src/site/' >"$work/up"
ok "only src/site uses libunwind" test ! -s "$work/up" || note "$work/up"

find "$srcdir/src" "$srcdir/preload" "$srcdir/tools" "$srcdir/cord" -name '*.c' |
  while read -r file; do
    [ "$(grep -m 1 '^#include' "$file")" = '#include "config.h"' ] || echo "$file"
  done >"$work/up"
ok "every source includes config.h first, so that --enable-checks reaches it" test ! -s "$work/up" || note "$work/up"

find "$srcdir/src" "$srcdir/preload" "$srcdir/tools" "$srcdir/cord" "$srcdir/cxx" "$srcdir/include" "$srcdir/tests" -name '*.[ch]' -o -name '*.cc' |
  while read -r file; do
    head -n 1 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
  done >"$work/up"
ok "every file names its licence" test ! -s "$work/up" || note "$work/up"
finish
