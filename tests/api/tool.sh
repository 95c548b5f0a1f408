#!/bin/sh
# SPDX-License-Identifier: MIT
# The gleaner command itself: what it says and how it exits, before any program of ours runs.
. "$srcdir/tests/preload/common.sh"

# run ARGS...: the command; its output in out and err, its status in $status.
run() {
  "$tool" "$@" >"$work/out" 2>"$work/err" </dev/null
  status=$?
}
said() { [ "$status" = "$1" ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q "^gleaner: .*$2" "$work/err"; }
# says STATUS PATTERN NAME: the run before exited so, with one line that has the pattern.
says() {
  ok "$3" said "$1" "$2" || {
    echo "#   status $status"
    note "$work/err"
  }
}
prints() { [ "$status" = 0 ] && [ ! -s "$work/err" ] && grep -q -e "$1" "$work/out"; }
has() { grep -qF -e "$2" "$work/$1"; }

run --version
ok "--version prints a version" prints '^gleaner [0-9][0-9.]*$'
run --help
ok "--help prints the usage" prints '^Usage: gleaner leaks'
ok "and the options of the table" has out "--max-frames=N"
ok "in lines that fit a terminal" sh -c '! grep -q "................................................................................................................." "$0"' "$work/out"
"$tool" --help >/dev/full 2>/dev/null
ok "a full disk is not ignored" test $? != 0

run
says 2 'no command' "no command is a usage error"
run harvest true
says 2 "harvest.*leaks" "an unknown command is named with the known ones"
run leaks
says 2 'no program' "a missing program is a usage error"
run leaks --verbose --
says 2 'no program' "also behind --"
run leaks --colour=red true
says 2 "colour.*max-frames" "an unknown option is named with the known ones"
run leaks --max-frames=0 true
says 2 "max-frames.*0.*1 to 256" "a bad value is named with what would be right"
run leaks --format=html true
says 2 "format.*html.*json" "so is a bad word"
run leaks --verbose=maybe true
says 2 "verbose.*maybe" "and a bad flag"
run leaks --report
says 2 "report" "an option without its value is named"
run leaks --no-report true
says 2 "no-report" "only flags have a no-"
run leaks -q true
says 2 "'-q'" "there are no short options"
GLEANER_OPTIONS=colour=red run leaks true
says 2 "GLEANER_OPTIONS.*colour" "a bad GLEANER_OPTIONS is named, too"
run leaks --suppressions="$work/none" true
says 2 "suppressions.*No such file" "a missing suppression file is told before the program runs"
printf 'leak:x\nrace:y\n' >"$work/bad.supp"
run leaks --suppressions="$work/bad.supp" true
says 2 "line 2.*race:y" "a bad suppression is named with its line"

run leaks no-such-program-anywhere
says 127 'no-such-program-anywhere.*not found' "a program that does not exist: 127"
run leaks "$work/none"
says 127 'not found' "with its path, too"
echo hello >"$work/data"
run leaks "$work/data"
says 126 'not executable' "a file that cannot be executed: 126"
run leaks "$work"
says 126 'not executable' "nor can a directory"
chmod +x "$work/data"
printf '\177ELF\001\001\001%057d' 0 >"$work/elf32"
chmod +x "$work/elf32"
run leaks "$work/elf32"
says 2 '32-bit' "a 32-bit program is refused with a clear word"
echo 'int main(void) { return 0; }' >"$work/static.c"
if $CC -static -o "$work/static" "$work/static.c" 2>/dev/null; then
  run leaks "$work/static"
  says 2 'statically linked' "so is a static one"
else
  skip "so is a static one" "static programs cannot be linked here"
fi
if [ "$(id -u)" = 0 ] && $CC -o "$work/setuid" "$work/static.c" && chown 1 "$work/setuid" && chmod 4755 "$work/setuid"; then
  run leaks "$work/setuid"
  says 2 'setuid' "so is a setuid one"
else
  skip "so is a setuid one" "only root can make one here"
fi

# What the program gets.
cat >"$work/show" <<'END'
#!/bin/sh
echo "preload=$LD_PRELOAD"
echo "options=$GLEANER_OPTIONS"
echo "arguments=$*"
END
chmod +x "$work/show"
run run "$work/show" a --verbose b
ok "a script runs, with its arguments as they are" prints '^arguments=a --verbose b$'
ok "with the library preloaded" prints '^preload=.*/libgleaner\.so$'
run run -- "$work/show"
ok "-- ends the options" prints '^options=mode=malloc'
LD_PRELOAD=$library run run "$work/show"
ok "the library is preloaded once" sh -c '[ "$(grep -o libgleaner.so "$0" | grep -c .)" = 1 ]' "$work/out"
cd "$work" || exit 99
GLEANER_OPTIONS=max-frames=9:verbose run run --max-frames 7 --no-verbose --report=a:b/%p.txt "$work/show"
ok "the command line overrides GLEANER_OPTIONS" has out ":max-frames=7"
ok "and a flag can be put out" sh -c '! grep -q verbose "$0"' "$work/out"
ok "a relative report file is made absolute, and a colon quoted" has out ":report='$(pwd -P)/a:b/%p.txt'"
ok "the tool names itself for drawing" has out ":tool="
run run --report="it's:here" true
says 2 "colon and a quote" "what cannot be passed on is said"
ok "a program's status is its own" sh -c '"$0" run sh -c "exit 42"; [ $? = 42 ]' "$tool"

# Records.
cat >"$work/record" <<'END'
gleaner-record 1
kind leaks
pid 77
program /bin/prog
totals 1 10 0 0 2 30
leak definite 1 10 0 1234@-
leak reachable 2 30 0
end
END
run report "$work/record"
ok "a saved record is drawn" prints '^10 bytes in 1 block is definitely lost'
"$tool" report --show-reachable - <"$work/record" >"$work/out" 2>"$work/err"
status=$?
ok "from standard input, too" prints '^30 bytes in 2 blocks are still reachable'
run report --report="$work/%p.json" --format=json "$work/record"
ok "into a file" grep -q '"pid":77' "$work/77.json"
run report --error-exitcode=9 "$work/record"
ok "with the status that was asked for" test "$status" = 9
run report "$work/none"
says 1 'No such file' "a missing record is told"
run report "$work/data"
says 1 'no record' "so is what is none"
"$tool" report "$work/record" >/dev/full 2>"$work/err"
status=$?
says 1 'cannot write' "and a report that cannot be written"
"$tool" --draw-record --format=json <"$work/record" >"$work/out" 2>"$work/err"
status=$?
ok "a runtime has its record drawn" prints '"version":1'
head -c 100 "$work/record" | "$tool" --draw-record >"$work/out" 2>"$work/err"
ok "a truncated record says so" has out 'cut off'
cd / || exit 99
finish
