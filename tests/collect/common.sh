# SPDX-License-Identifier: MIT
# What the tests of the collector share. Sourced: . "$srcdir/tests/collect/common.sh"
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/collect
ulimit -c 0

# run NAME SECONDS COMMAND...: into NAME.out, NAME.err; the status ends NAME.out.
run() {
  run_name=$1 run_seconds=$(($2 * ${patience:-1}))
  shift 2
  # A shell of its own, whose remark on an abort nobody sees.
  (timeout -k 5 "$run_seconds" "$@" >"$work/$run_name.out" 2>"$work/$run_name.err"
    echo "status $?" >>"$work/$run_name.out") 2>/dev/null </dev/null
}

# run_collect NAME SECONDS OPTIONS COMMAND...: the same through the gleaner command, as a user does it.
run_collect() {
  collect_name=$1 collect_seconds=$2 collect_options=$3
  shift 3
  # shellcheck disable=SC2086 # several words
  run "$collect_name" "$collect_seconds" "$tool" collect $collect_options "$@"
}

# The two runs said and did the same.
unharmed() { cmp -s "$work/$1.out" "$work/$2.out" && cmp -s "$work/$1.err" "$work/$2.err"; }
show_difference() {
  diff "$work/$1.out" "$work/$2.out" >"$work/diff" || note "$work/diff"
  diff "$work/$1.err" "$work/$2.err" >"$work/diff" || note "$work/diff"
}
