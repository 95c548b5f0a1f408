#!/bin/sh
# SPDX-License-Identifier: MIT
# Random graphs of collected and of malloc'ed memory (collected.c, owned.c) against their exact shadow, with each way of
# tracking writes, marking while the program runs or not, one marker or four, stress or not, 1 to 32 threads, linked
# with the library or preloaded. A failing run is repeated by GLEANER_SEED=N and the arguments that its name shows.
#
# Each run lasts about GLEANER_TEST_SECONDS. GLEANER_TEST_LONG=1 runs all combinations, not just a selection.
. "$srcdir/tests/preload/common.sh"
here=$top_builddir/tests/stress
seconds=${GLEANER_TEST_SECONDS:-1.5}
merge_seconds=240
LD_LIBRARY_PATH=$top_builddir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
stress= # as each run says

# Collections shall come often, also of the older generations.
often=gc-cpu=100:threshold0=${GLEANER_TEST_THRESHOLD:-512K}:threshold1=3:threshold2=2

# graph WAY TRACKING CONCURRENT MARKERS STRESS THREADS: linked and preload run collected, owned owned.
graph() {
  graph_options=write-tracking=$2:concurrent=$3:markers=$4:stress=$5
  graph_operations=24000
  [ "$5" = 0 ] || graph_operations=3000
  graph_way=$1 graph_often=$often
  graph_ballast=0
  # Only full ones mark while the program runs, and that shall take a while.
  [ "$3" = off ] || graph_often=$often:threshold1=1:threshold2=1 graph_ballast=20000
  graph_name="$1 $graph_options $6 threads"
  set -- "$6" 1000 $graph_operations 1 "$seconds" $graph_ballast
  graph_options=$graph_options:$graph_often
  extra=$graph_options
  case $graph_way in
    linked) merge_as "$graph_name" glibc env GLEANER_OPTIONS="$graph_options" "$here/collected" "$@" ;;
    preload) merge_as "$graph_name" malloc "$here/collected" "$@" ;;
    both) merge_as "$graph_name" collect "$here/collected" "$@" ;;
    owned) merge_as "$graph_name" collect "$here/owned" "$@" ;;
  esac
}

# The elements of a list in turn.
turn() {
  turn_number=$1
  shift
  shift $((turn_number % $#))
  echo "$1"
}

all() {
  for way in linked preload both owned; do
    for threads in 1 2 4 8 16 32; do graph $way "$@" $threads; done
  done
}

# Each combination with some number of threads, in one of the ways; owned alone as well.
some() {
  graph "$(turn $number linked both preload linked owned)" "$@" "$(turn $number 1 4 2 32 8 3 16)"
  number=$((number + 1))
}
number=${GLEANER_TEST_TURN:-0}
selection=some
[ -z "${GLEANER_TEST_LONG:-}" ] || selection=all

for stressed in 0 1; do
  for tracking in uffd soft-dirty scan; do
    for concurrent in on off; do
      for markers in 1 4; do $selection $tracking $concurrent $markers $stressed; done
    done
  done
done
# Most of those that mark while the program runs, and pointers that move meanwhile.
[ $selection = all ] || for threads in 1 2 4; do
  graph linked auto on 1 1 $threads
  graph linked scan on 2 1 $threads
done
[ $selection = all ] || for threads in 1 4 32; do
  graph owned auto auto 0 0 $threads
  graph owned uffd on 4 1 $threads
done
unset LD_LIBRARY_PATH
finish
