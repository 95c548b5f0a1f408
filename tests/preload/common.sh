# SPDX-License-Identifier: MIT
# What the shell tests of the preload library share: TAP, a directory that is cleaned up, and running a command in one
# of the modes. Sourced: . "$srcdir/tests/preload/common.sh"

: "${top_builddir:?}" "${srcdir:?}"
library=$top_builddir/libgleaner.so
tool=$top_builddir/gleaner
[ -r "$library" ] || {
  echo "Bail out! $library is missing"
  exit 99
}
work=$(mktemp -d "${TMPDIR:-/tmp}/gleaner.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM
unset LD_PRELOAD GLEANER_OPTIONS
tap_count=0 tap_failed=0
stress=${GLEANER_TEST_STRESS:+:stress=1}

# ok NAME COMMAND...: passes if the command succeeds.
ok() {
  tap_count=$((tap_count + 1)) tap_name=$1
  shift
  if "$@"; then
    echo "ok $tap_count - $tap_name"
  else
    echo "not ok $tap_count - $tap_name"
    tap_failed=1
    return 1
  fi
}

skip() {
  tap_count=$((tap_count + 1))
  echo "ok $tap_count - $1 # SKIP $2"
}

finish() {
  echo "1..$tap_count"
  exit $tap_failed
}

# Shows a file as a TAP comment.
note() { sed 's/^/#   /' "$1" | head -n "${2:-20}"; }

# The options of a mode.
options() {
  case $1 in
    leaks) echo "mode=leaks:report='$work/report.%p':tool='$tool'$stress" ;;
    *) echo "mode=$1$stress" ;;
  esac
}

# under MODE COMMAND...: glibc (nothing of ours), malloc or leaks; extra=name=value adds options.
under() {
  under_mode=$1
  shift
  if [ "$under_mode" = glibc ]; then
    "$@"
  else
    env LD_PRELOAD="$library" GLEANER_OPTIONS="$(options "$under_mode")${extra:+:$extra}" "$@"
  fi
}

# patiently SECONDS COMMAND...: a command that hangs fails (124), and so do its children. The seconds are a quiet machine's.
patience=3
[ -z "${GLEANER_TEST_STRESS:-}" ] || patience=6
under_patiently() {
  patiently_seconds=$(($1 * patience))
  patiently_mode=$2
  shift 2
  under "$patiently_mode" timeout -k 5 "$patiently_seconds" "$@"
}

# merge MODE PROGRAM ARGS...: runs a TAP program and takes its results over, each named after the mode.
merge() { merge_as "$1 ${2##*/}" "$@"; }

# merge_as NAME MODE PROGRAM ARGS...: the same under a name of its own.
merge_as() {
  merge_name=$1
  shift
  under_patiently "${merge_seconds:-60}" "$@" >"$work/merge.out" 2>"$work/merge.err" </dev/null
  merge_status=$?
  while IFS= read -r merge_line; do
    case $merge_line in
      "ok "*) merge_verdict="ok" merge_text=${merge_line#ok * - } ;;
      "not ok "*) merge_verdict="not ok" merge_text=${merge_line#not ok * - } tap_failed=1 ;;
      1..*) continue ;;
      *) echo "# ${merge_line#\# }" && continue ;;
    esac
    tap_count=$((tap_count + 1))
    echo "$merge_verdict $tap_count - $merge_name: $merge_text"
  done <"$work/merge.out"
  ok "$merge_name runs to its plan and end" merge_ended || {
    echo "#   status $merge_status"
    note "$work/merge.err"
  }
}
merge_ended() { [ "$merge_status" = 0 ] && grep -q '^1\.\.' "$work/merge.out"; }
