# SPDX-License-Identifier: MIT
# What the tests of libgc's clients share: a Debian program that was linked with libgc.so.1 is run as it is, on Debian's
# library, on ours in its place, and under gleaner collect. It must do and say the same each time, and the log must tell
# that it was our collector that worked. Sourced: . "$srcdir/tests/clients/common.sh"
. "$srcdir/tests/preload/common.sh"
ulimit -c 0
HOME=$work/home TZ=UTC0 GUILE_AUTO_COMPILE=0
unset LD_LIBRARY_PATH XDG_CACHE_HOME XDG_CONFIG_HOME GC_MARKERS GC_INITIAL_HEAP_SIZE
export HOME TZ GUILE_AUTO_COMPILE
mkdir "$HOME" "$work/input"
often=gc-cpu=100:threshold0=256K:threshold1=2:threshold2=2

# How a program may be run: the words in front of it. debian is what the others are compared with.
way() {
  case $1 in
    debian) front= ;;
    linked) front=$(linked "$often") ;;
    markers) front=$(linked "$often:concurrent=off:markers=4:write-tracking=scan") ;;
    soft-dirty) front=$(linked "$often:concurrent=off:write-tracking=soft-dirty") ;;
    uffd) front=$(linked "$often:concurrent=on:write-tracking=uffd") ;;
    stress) front=$(linked "$often:stress=1") ;;
    collect) front="$tool collect --gc-log=$work/gc.%p.log $(echo "--$often" | sed 's/:/ --/g')" ;;
  esac
  export front
}
linked() { echo "env LD_LIBRARY_PATH=$top_builddir GLEANER_OPTIONS=gc-log=$work/gc.%p.log:$1"; }

# Runs the script in a fresh directory that always has the same name. $front goes before what it shall run our way.
run_way() {
  way "$1"
  rm -rf "$work/run" "$work"/gc.*.log && mkdir "$work/run" && cp -R "$work/input/." "$work/run" && cd "$work/run" || return
  timeout -k 5 "$((${seconds:-60} * patience))" sh -c "$script" >"$work/$1.out" 2>"$work/$1.err" </dev/null
  echo "status $?" >>"$work/$1.out"
  cd / || exit 99
}

same() { cmp -s "$work/debian.out" "$work/$1.out" && cmp -s "$work/debian.err" "$work/$1.err"; }

# The log says that there were at least so many collections; that there is one says that it was us.
collected() { ls "$work"/gc.*.log >/dev/null 2>&1 && test "$(cat "$work"/gc.*.log 2>/dev/null | grep -c 'collection [0-9]* of generation [012] (.*): pause')" -ge "$1"; }

# Why a program cannot be taken, if so: it is missing, or does not load libgc.so.1.
lacking() {
  for lacking_path; do
    lacking_path=$(command -v "$lacking_path") || {
      echo "not installed"
      return
    }
    ldd "$lacking_path" 2>/dev/null | grep -q 'libgc\.so\.1 => /' || echo "not linked with libgc.so.1"
  done
}

# client NAME COLLECTIONS PROGRAM: the script is read from standard input. It is run in each of $ways, and there must have
# been at least COLLECTIONS. What Debian's run says must end with the status 0 and hold the line $answer, if that is set.
client() {
  client_name=$1 client_least=$2 client_lack=$(lacking "$3")
  script=$(cat)
  case " ${GLEANER_TEST_PROGRAMS:-$client_name} " in *" $client_name "*) ;; *) return ;; esac
  [ -z "$client_lack" ] || {
    skip "$client_name" "${3##*/}: $client_lack"
    return
  }
  run_way debian
  ok "$client_name does its work on Debian's libgc" answered || note "$work/debian.err"
  for way in ${ways:-linked collect}; do
    run_way "$way"
    ok "$client_name does the same on ours: $way" same "$way" || {
      diff "$work/debian.out" "$work/$way.out" >"$work/diff" || note "$work/diff"
      diff "$work/debian.err" "$work/$way.err" >"$work/diff" || note "$work/diff"
    }
    ok "the log says that our collector did it: $client_name $way" collected "$client_least" || head -n 3 "$work"/gc.*.log 2>/dev/null | sed 's/^/#   /'
  done
}
answered() {
  tail -n 1 "$work/debian.out" | grep -qx 'status 0' && { [ -z "${answer:-}" ] || grep -qxF -e "$answer" "$work/debian.out"; }
}
