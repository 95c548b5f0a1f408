# SPDX-License-Identifier: MIT
"""Runs commands again and again and keeps what they cost. It knows nothing of what it measures.

A *contender* is a way to run a command (an allocator, a checker); a *row* is a command. Contenders take turns
within each row, so that a drift of the machine falls on all of them alike, and figures are compared within one
row only."""
import hashlib
import os
import signal
import statistics
import subprocess
import sys


class Contender:
    """`wrap` makes (argv, env) of (argv, env, report path); `missing` says why it cannot run; a slow one is run
    at most twice, and not warmed up; a noisy one may add to the program's standard output."""

    def __init__(self, name, wrap=None, missing=None, slow=False, noisy=False):
        self.name, self.wrap, self.missing, self.slow, self.noisy = name, wrap, missing, slow, noisy


class Cell:
    """The samples of one contender in one row: dictionaries of status, cpu, wall (seconds), rss (KiB),
    faults."""

    def __init__(self):
        self.samples, self.problem, self.found = [], None, None

    def median(self, what):
        return statistics.median(s[what] for s in self.samples) if self.samples and not self.problem else None

    def record(self):
        return {"problem": self.problem, "found": self.found, "samples": self.samples,
                "median": {k: self.median(k) for k in ("cpu", "wall", "rss", "faults")}}


class Runner:
    def __init__(self, run, work, seconds):
        self.command, self.work, self.seconds = run, work, seconds

    def path(self, name):
        return os.path.join(self.work, name)

    def once(self, argv, env, stdin=os.devnull, seconds=None):
        out, err, result = self.path("out"), self.path("err"), self.path("result")
        words = [self.command, result, str(seconds or self.seconds), stdin, out, err]
        words += ["%s=%s" % pair for pair in env.items()] + ["--"] + argv
        ours = ("LD_PRELOAD", "GLEANER_OPTIONS", "LSAN_OPTIONS")
        clean = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("GC_")}
        clean["LC_ALL"] = "C.UTF-8"
        subprocess.run(words, check=True, env=clean)
        with open(result) as file:
            status, user, system, wall, rss, minor, major = map(int, file.read().split())
        return {"status": status, "cpu": (user + system) / 1e6, "user": user / 1e6, "system": system / 1e6,
                "wall": wall / 1e6, "rss": rss, "faults": minor, "major": major}

    def output(self):
        with open(self.path("out"), "rb") as file:
            return file.read()

    def errors(self):
        with open(self.path("err"), "rb") as file:
            return file.read().decode(errors="replace").strip()


def problem_of(sample, output, expected, noisy):
    """What went wrong (killed: it took too long), in a word or two, or None. `expected` is (status, output) of
    the run without anybody."""
    status = sample["status"]
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGKILL else signal.Signals(os.WTERMSIG(status)).name
    if status != (expected[0] if expected else 0):
        return "exit %d" % os.WEXITSTATUS(status)
    if expected and (expected[1] not in output if noisy else output != expected[1]):
        return "bad output"
    return None


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure_row(runner, job, contenders, runs, read_report=None):
    """One row: {contender's name: Cell}. The first contender is what the others' results are compared with."""
    cells, expected = {c.name: Cell() for c in contenders}, None
    report = runner.path("report")
    for turn in range(runs + 1):  # turn 0 warms up, and is not counted
        for contender in contenders:
            cell = cells[contender.name]
            if cell.problem or (contender.slow and turn not in (1, 2)):
                continue
            if contender.missing or job.missing:
                cell.problem = "missing"
                continue
            if os.path.exists(report):
                os.remove(report)
            argv, env = contender.wrap(job.argv, dict(job.env), report)
            sample, output = runner.once(argv, env), runner.output()
            cell.problem = problem_of(sample, output, expected, contender.noisy)
            if cell.problem:
                say("  %s under %s: %s %s" % (job.name, contender.name, cell.problem, runner.errors()[-200:]))
                continue
            if expected is None:
                expected = (sample["status"], output)
                sample["output"] = hashlib.sha256(output).hexdigest()[:16]
            if read_report:
                cell.found = read_report(contender, report)
            if turn or contender.slow:
                cell.samples.append(sample)
    return cells


def count_syscalls(runner, argv, env):
    """System calls of one more run under strace, or None."""
    counts = runner.path("strace")
    preloads = [word for k, v in env.items() for word in ("-E", "%s=%s" % (k, v))]
    sample = runner.once(["strace", "-f", "-c", "-o", counts] + preloads + argv, {})
    if sample["status"] != 0:
        return None
    with open(counts) as file:
        totals = [line.split() for line in file if line.rstrip().endswith("total")]
    return int(totals[-1][3]) if totals and len(totals[-1]) > 4 else None
