#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs every scenario of a test program under `gleaner leaks` and compares the report with what its source expects.

An expectation is a line of a comment in the source:

    @ NAME[+ARG] [definite COUNT BYTES] [indirect COUNT BYTES] [WORD=VALUE ...] [& the same for another process] -- SENTENCE

definite and indirect default to 0 0, and the totals must be exact. Words:
    cycle=N      N rows say that they are the entry of a cycle (default: not looked at)
    rows=N       the report has N rows
    row=KIND:COUNT:BYTES:FUNCTION  there is such a row, with FUNCTION among its frames
    frame=FN     some row has a frame of that function; top=FN: its innermost frame is of that function
    module=FILE:FN  some frame lies in a module of that file name, with its build id, and its offset is in FN
    status=N     exit status (negative: signal); default: as in a run without Gleaner
    opt=--X      an option of the command line; gopt=X=Y: one in GLEANER_OPTIONS; env=X=Y: one in the environment
    reports=N    how many processes report; default: as many as are described
    via=stderr   without --report; the report is what standard error has beyond the program's own
    via=silent   the same, and there is none; via=line: it is exactly one line; via=text: any text, as with text=
    text=WORD    the text report has this word (again and again)
    via=relative with a file name that is relative to the directory of the start
    frames=N     some row has exactly N frames
    root=BYTES   nothing is lost; and with the further argument "drop" one block of BYTES bytes is
    needs=FLAG   a CPU flag without which the scenario is skipped
    heavy        not under stress
    noisy        the program's own output is not compared

Arguments: [--only=NAME,...] [--twin=PROGRAM, not stripped] [--under=COMMAND that runs a command] PROGRAM SOURCE...
"""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

LIMIT = 100  # seconds for one run; nothing comes near
STRESS = bool(os.environ.get("GLEANER_TEST_STRESS"))


class Expectation:
    def __init__(self, text, where):
        text, _, self.sentence = (part.strip() for part in text.partition(" -- "))
        name, _, text = text.partition(" ")
        self.name, *self.arguments = name.split("+")
        self.where = where
        self.processes = [self.process(part.split()) for part in f" {text} ".split(" & ")]
        self.words = [word for process in self.processes for word in process.pop("words")]

    @staticmethod
    def process(tokens):
        found = {"definite": (0, 0), "indirect": (0, 0), "words": []}
        tokens = iter(tokens)
        for token in tokens:
            if token in ("definite", "indirect"):
                found[token] = (int(next(tokens)), int(next(tokens)))
            else:
                found["words"].append(token)
        return found

    def all(self, word):
        return [w[len(word) + 1:] for w in self.words if w.startswith(word + "=")]

    def one(self, word, default=None):
        return (self.all(word) or [default])[0]

    def title(self, program):
        return f"{program} {' '.join([self.name] + self.arguments + self.all('opt'))}: {self.sentence or 'as expected'}"


def expectations(sources):
    for source in sources:
        with open(source, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                match = re.match(r"^\s*(?:/\*|\*|//)\s*@ (.*?)(?:\*/)?\s*$", line)
                if not match:
                    continue
                text = match.group(1).strip()
                found = Expectation(text, f"{os.path.basename(source)}:{number}")
                yield found
                size = found.one("root")
                if size:
                    control = Expectation(text, found.where)
                    control.arguments.append("drop")
                    control.processes = [{"definite": (1, int(size)), "indirect": (0, 0)}]
                    control.sentence = "the control: without that root the block is lost"
                    yield control


def run(command, env, cwd):
    with subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True) as child:
        try:
            out, err = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return child.pid, None, b"", b"", "it did not end in time"
        return child.pid, child.returncode, out, err, None


class Symbols:
    """Functions by offset, from nm: an opinion that is independent of the tool's own."""
    cache = {}

    def __init__(self, path):
        text = subprocess.run(["nm", "-S", path], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in text.splitlines()]
        self.table = [(int(r[0], 16), int(r[1], 16), r[3]) for r in rows if len(r) == 4 and r[2] in "tTwW"]
        note = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=False).stdout
        match = re.search(r"Build ID: ([0-9a-f]+)", note)
        self.build_id = match.group(1) if match else None

    @classmethod
    def of(cls, path):
        if path not in cls.cache:
            cls.cache[path] = cls(path)
        return cls.cache[path]

    def function(self, offset):
        return next((name for at, size, name in self.table if at <= offset < at + size), None)


class Run:
    def __init__(self, expected, options):
        self.expected, self.options = expected, options
        self.wrong = []

    def blame(self, text):
        self.wrong.append(text)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if k not in ("GLEANER_OPTIONS", "LD_PRELOAD")}
        for setting in self.expected.all("env"):
            name, _, value = setting.partition("=")
            env[name] = value
        return env

    def go(self):
        self.directory = tempfile.mkdtemp(prefix="gleaner-leaks-")
        try:
            self.compare()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
        return self.wrong

    def compare(self):
        expected, env = self.expected, self.environment()
        work = os.path.join(self.directory, "work")
        os.mkdir(work)
        command = [self.options.program, expected.name] + expected.arguments
        _, status, out, err, trouble = run(command, env, work)
        if trouble:
            return self.blame("without Gleaner: " + trouble)
        wanted = int(expected.one("status", status))

        settings = expected.all("gopt") + (["stress=1"] if STRESS else [])
        if settings:
            env["GLEANER_OPTIONS"] = ":".join(settings)
        via = expected.one("via", "file")
        gleaner = [self.options.gleaner, "leaks"] + ([] if via in ("line", "silent", "text") else ["--format=json"])
        if via in ("file", "relative"):
            gleaner.append("--report=" + (".." if via == "relative" else self.directory) + "/report.%p")
        under = shlex.split(self.options.under or "")
        pid, got, gout, gerr, trouble = run(under + gleaner + expected.all("opt") + command, env, work)
        if trouble:
            return self.blame(trouble)
        if under:  # a debugger: what it says, and its status, are its own
            return self.files(None, work)
        if got != wanted:
            self.blame(f"exit status {got} instead of {wanted}")
        if "noisy" not in expected.words and gout != out:
            self.blame(f"its output is {gout[:300]!r} instead of {out[:300]!r}")
        if via in ("file", "relative"):
            if "noisy" not in expected.words and gerr != err:
                self.blame(f"its standard error is {gerr[:600]!r} instead of {err[:300]!r}")
            return self.files(pid, work)
        self.standard_error(pid, via, gerr, err)

    def standard_error(self, pid, via, text, own):
        if not text.startswith(own):
            self.blame(f"standard error {text[:300]!r} does not begin with the program's own {own[:300]!r}")
        text = text[len(own):]
        if via == "silent" and text:
            self.blame(f"it said {text[:600]!r}")
        elif via == "line" and (text.count(b"\n") != 1 or not text.endswith(b"\n")):
            self.blame(f"it said {text[:600]!r} instead of one line")
        elif via == "text":
            for word in self.expected.all("text"):
                if word.encode() not in text:
                    self.blame(f"{word} is not in the report {text[:2000]!r}")
        elif via == "stderr":
            self.reports(pid, {pid: text})

    def files(self, pid, work):
        found = {}
        for name in os.listdir(self.directory):
            if name.startswith("report."):
                with open(os.path.join(self.directory, name), "rb") as file:
                    found[int(name[len("report."):])] = file.read()
        if os.listdir(work):
            self.blame(f"it left {os.listdir(work)} behind")
        self.reports(pid, found)

    def reports(self, pid, texts):
        count = int(self.expected.one("reports", len(self.expected.processes)))
        if len(texts) != count:
            return self.blame(f"{len(texts)} reports instead of {count}: {sorted(texts)}")
        if self.options.under:
            pid = next(iter(texts), None)
        found = {}
        for who, text in texts.items():
            try:
                found[who] = json.loads(text)
            except ValueError as error:
                return self.blame(f"the report is no JSON ({error}): {text[:1000]!r}")
            self.shape(who, found[who])
        if self.wrong or count == 0:
            return
        if pid not in found:
            return self.blame(f"the process {pid} itself did not report, but {sorted(found)} did")
        self.totals(found, pid)
        rows = [row for report in found.values() for row in report["leaks"]]
        self.rows(rows)
        if self.wrong:
            for row in rows:
                names = " < ".join(str(f.get("function") or f.get("offset")) for f in row["frames"])
                self.wrong.append(f"  {row['kind']} {row['count']} {row['bytes']} cycle={row['cycle']}: {names}")

    def shape(self, who, report):
        """What the contract of the format says."""
        try:
            assert report["version"] == 1 and report["pid"] == who and isinstance(report["program"], str), "head"
            for kind in ("definite", "indirect", "reachable"):
                assert set(report["totals"][kind]) >= {"count", "bytes"}, "totals"
            for row in report["leaks"]:
                assert row["kind"] in ("definite", "indirect", "reachable"), "kind"
                assert isinstance(row["cycle"], bool) and row["count"] > 0 and row["bytes"] >= 0, "row"
                for frame in row["frames"]:
                    assert frame["address"].startswith("0x"), "address"
            for kind in ("definite", "indirect"):
                for what in ("count", "bytes"):
                    total = sum(row[what] for row in report["leaks"] if row["kind"] == kind)
                    assert total == report["totals"][kind][what], f"the sum of the rows: {kind} {what} {total}"
            sizes = [row["bytes"] for row in report["leaks"] if row["kind"] == "definite"]
            assert sizes == sorted(sizes, reverse=True), "the order of the rows"
        except (AssertionError, KeyError, TypeError, AttributeError) as error:
            self.blame(f"the report is not of the form promised ({error!r}): {json.dumps(report)[:1500]}")

    def totals(self, found, pid):
        def facts(totals):
            return tuple((totals[kind]["count"], totals[kind]["bytes"]) for kind in ("definite", "indirect"))
        own = facts(found[pid]["totals"])
        others = sorted(facts(report["totals"]) for who, report in found.items() if who != pid)
        wanted = [(p["definite"], p["indirect"]) for p in self.expected.processes]
        if own != wanted[0]:
            self.blame(f"definite, indirect (count, bytes) {own} instead of {wanted[0]}")
        if others != sorted(wanted[1:]):
            self.blame(f"in the other processes {others} instead of {sorted(wanted[1:])}")

    def rows(self, rows):
        expected = self.expected
        cycles = expected.one("cycle")
        if cycles is not None and sum(row["cycle"] for row in rows) != int(cycles):
            self.blame(f"{sum(row['cycle'] for row in rows)} rows with a cycle instead of {cycles}")
        count = expected.one("rows")
        if count is not None and len(rows) != int(count):
            self.blame(f"{len(rows)} rows instead of {count}")
        frames = expected.one("frames")
        if frames is not None and not any(len(row["frames"]) == int(frames) for row in rows):
            self.blame(f"no stack has {frames} frames, but {sorted(len(row['frames']) for row in rows)}")
        for text in expected.all("row"):
            kind, count, size, function = text.split(":", 3)
            if not any(row["kind"] == kind and row["count"] == int(count) and row["bytes"] == int(size) and
                       self.has(row, function) for row in rows):
                self.blame(f"no row {text}")
        for function in expected.all("frame"):
            if not any(self.has(row, function) for row in rows):
                self.blame(f"no frame of {function}")
        for function in expected.all("top"):
            if not any(row["frames"] and self.function(row["frames"][0]) == function for row in rows):
                self.blame(f"no stack begins with {function}")
        for text in expected.all("module"):
            file, function = text.split(":")
            if not any(self.in_module(frame, file, function) for row in rows for frame in row["frames"]):
                self.blame(f"no frame in {file} with its build id, at {function}: " +
                           json.dumps([row["frames"][:3] for row in rows]))

    def function(self, frame):
        """As the report names it; in a stripped program, as its unstripped twin does."""
        if self.options.twin and os.path.basename(frame.get("module") or "") == \
                os.path.basename(self.options.program):
            if frame.get("function"):
                self.blame(f"a stripped program cannot have a name for {frame}")
            return Symbols.of(self.options.twin).function(int(frame["offset"], 16) - 1)
        return frame.get("function")

    def has(self, row, function):
        return any((self.function(frame) or "").replace(" ", "") == function for frame in row["frames"])

    def in_module(self, frame, file, function):
        """FILE may be a copy that is gone: PLUGIN@COPY."""
        original, _, copy = file.partition("@")
        if os.path.basename(frame.get("module") or "").split(" ")[0] != (copy or original):
            return False
        symbols = Symbols.of(os.path.join(os.path.dirname(self.options.twin or self.options.program), original))
        return (symbols.build_id is None or frame.get("build_id") == symbols.build_id) and \
            symbols.function(int(frame["offset"], 16) - 1) == function


class Options:
    def __init__(self, arguments):
        self.twin = self.only = self.under = None
        self.gleaner = os.path.join(os.path.abspath(os.environ.get("top_builddir", ".")), "gleaner")
        while arguments and arguments[0].startswith("--"):
            name, value = arguments.pop(0)[2:].split("=", 1)
            if name == "only":
                value = value.split(",")
            elif name != "under":
                value = os.path.abspath(value)
            setattr(self, name, value)
        self.program = os.path.abspath(arguments.pop(0))
        self.sources = arguments


def cpu_flags():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        return set(next((line for line in info if line.startswith("flags")), "").split())


def main():
    options = Options(sys.argv[1:])
    todo = [e for e in expectations(options.sources) if not options.only or e.name in options.only]
    print(f"1..{len(todo)}")
    flags, program = cpu_flags(), os.path.basename(options.program)

    def reason_to_skip(expected):
        missing = [flag for flag in expected.all("needs") if flag not in flags]
        return f"this CPU has no {missing[0]}" if missing else \
            "too large for stress" if STRESS and "heavy" in expected.words else None

    def one(expected):
        try:
            return None if reason_to_skip(expected) else Run(expected, options).go()
        except Exception as error:  # a broken test is a failure, not the end of the others
            return [f"the test itself failed: {error!r}"]

    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for number, (expected, wrong) in enumerate(zip(todo, pool.map(one, todo)), 1):
            title = expected.title(program)
            if wrong is None:
                print(f"ok {number} - {title} # SKIP {reason_to_skip(expected)}", flush=True)
                continue
            print(f"{'not ' if wrong else ''}ok {number} - {title}", flush=True)
            for line in ([expected.where] if wrong else []) + wrong:
                print("# " + line.replace("\n", " "), flush=True)
            failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
