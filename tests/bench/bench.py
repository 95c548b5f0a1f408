#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make bench: Gleaner against its peers, on this machine, in one run.

Six parts: allocation (alloc), leak reports from real programs (leaks), the search itself (report), collecting
(collect), heap dumps (dump), Debian's programs that were linked with libgc (clients). CPU time
is user and system time of the command and all its descendants, as the kernel counts it. Whoever is not
installed or fails is shown so. Figures of different runs of this program must not be compared: machines
drift."""
import sys

sys.dont_write_bytecode = True

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import clients
import collecting
import dumping
import programs
from measure import Cell, Contender, Runner, count_syscalls, measure_row, say
from tables import common_mean, goal, ratio, ratio_table, show, table

BENCHES = ["pairs", "live-1k", "live-100k", "batch-fifo", "batch-lifo", "producer", "larson", "calloc",
           "realloc", "large"]
PEERS = [("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"), ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
         ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4")]
LSAN = ("liblsan.so.0", "liblsan0")


def find_library(soname):
    """Where the loader finds it, or None."""
    ldconfig = shutil.which("ldconfig", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not ldconfig:
        return None
    listing = subprocess.run([ldconfig, "-p"], stdout=subprocess.PIPE, text=True).stdout
    found = re.search(r"^\s*%s \(.*x86-64.*\) => (\S+)" % re.escape(soname), listing, re.M)
    return found.group(1) if found else None


def preload(*libraries, **more):
    """A way to run: the libraries first in the process, and the variables in `more`, where REPORT is the
    report."""
    def wrap(argv, env, report):
        env["LD_PRELOAD"] = " ".join(libraries)
        env.update({k: v.replace("REPORT", report) for k, v in more.items()})
        return argv, env
    return wrap


def plain(argv, env, report):
    return argv, env


def in_front(*words):
    """A way to run: the command behind these words."""
    return lambda argv, env, report: ([w.replace("REPORT", report) for w in words] + argv, env)


class Bench:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.library = os.path.abspath(options.library or os.path.join(options.builddir, "libgleaner.so"))
        self.tool = os.path.abspath(options.tool or os.path.join(options.builddir, "gleaner"))
        self.runner = Runner(self.program("run"), work, options.timeout)
        self.record = {"runs": options.runs, "scale": options.scale, "kernel": os.uname().release,
                       "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "parts": {}}

    def program(self, name):
        return os.path.join(os.path.abspath(self.options.builddir), "tests", "bench", name)

    def keep(self, part, results, **more):
        rows = {row: {n: c.record() for n, c in cells.items()} for row, cells in results.items()}
        self.record["parts"][part] = dict(more, rows=rows)
        self.write()

    def write(self):
        with open(self.options.json, "w") as file:
            json.dump(self.record, file, indent=1)

    def measure(self, rows, contenders, read_report=None):
        results = {}
        for job in rows:
            say("  " + job.name)
            results[job.name] = measure_row(self.runner, job, contenders, self.options.runs, read_report)
        return results

    def announce(self, contenders, rows=()):
        for c in contenders:
            if c.missing:
                print("  %s is left out: %s" % (c.name, c.missing))
        for job in rows:
            if job.missing:
                print("  %s is left out: %s" % (job.name, job.missing))

    def present(self, path, what):
        return None if os.access(path, os.R_OK) else what + " is not built"

    # Part a.

    def allocators(self):
        yield Contender("glibc", plain)
        yield Contender("gleaner", preload(self.library, GLEANER_OPTIONS="mode=malloc"),
                        self.present(self.library, "libgleaner.so"))
        for name, soname, package in PEERS:
            path = find_library(soname)
            yield Contender(name, preload(path), None if path else "not installed (Debian: %s)" % package)

    def alloc(self):
        scale = self.options.scale
        contenders = list(self.allocators())
        rows = [programs.Job(b, [self.program("alloc"), b, str(scale)]) for b in BENCHES]
        rows += list(programs.jobs_core(self.work, 1.6 * scale))
        results = self.measure(rows, contenders)
        names = [c.name for c in contenders]
        print("\nPART A: ALLOCATION. Medians of %d runs in turn; glibc's figure, then the others' over it.\n" %
              self.options.runs)
        self.announce(contenders, rows)
        ratio_table("CPU time (glibc: seconds)", results, names, "cpu", show)
        rss = ratio_table("Peak resident memory (glibc: MiB)", results, names, "rss",
                          lambda v: show(v / 1024 if v is not None else None, 1))
        ratio_table("Minor page faults (glibc: count)", results, names, "faults", lambda v: show(v, 0))
        ratio_table("Wall time (glibc: seconds)", results, names, "wall", show)
        self.syscalls(rows, contenders)
        goal("CPU time over mimalloc's, geometric mean, at most 1",
             common_mean(results, "gleaner", "mimalloc", "cpu"), 1)
        goal("peak memory over glibc's, geometric mean, at most 1.3", rss["gleaner"], 1.3)
        print()
        self.keep("alloc", results)

    def syscalls(self, rows, contenders):
        if not self.options.syscalls:
            return
        if not shutil.which("strace"):
            print("  system calls are not counted: strace is not installed\n")
            return
        lines = []
        for job in rows:
            line = [job.name]
            for c in contenders:
                if c.missing or job.missing:
                    line.append("missing")
                    continue
                argv, env = c.wrap(job.argv, dict(job.env), self.runner.path("report"))
                line.append(show(count_syscalls(self.runner, argv, env), 0))
            lines.append(line)
        table("System calls (one more run each, under strace)", [""] + [c.name for c in contenders], lines)

    # Part b.

    def checkers(self):
        unbuilt = self.present(self.tool, "gleaner") or self.present(self.library, "libgleaner.so")
        lsan, first = find_library(LSAN[0]), self.program("first.so")
        no_lsan = self.present(first, "first.so") if lsan else "not installed (Debian: %s)" % LSAN[1]
        valgrind, heaptrack = shutil.which("valgrind"), shutil.which("heaptrack")
        quiet = "exitcode=0:log_path=REPORT"
        yield Contender("native", plain)
        yield Contender("gleaner leaks", in_front(self.tool, "leaks", "--format=json", "--report=REPORT"),
                        unbuilt)
        yield Contender("malloc mode", preload(self.library, GLEANER_OPTIONS="mode=malloc"),
                        self.present(self.library, "libgleaner.so"))
        yield Contender("heaptrack raw", in_front("heaptrack", "--raw", "-o", "REPORT"), noisy=True,
                        missing=None if heaptrack else "not installed")
        yield Contender("lsan 2 frames", preload(lsan, first, LSAN_OPTIONS=quiet), no_lsan)
        yield Contender("lsan full", preload(lsan, first, LSAN_OPTIONS=quiet + ":fast_unwind_on_malloc=0"),
                        no_lsan)
        if not self.options.no_valgrind:
            yield Contender("valgrind", in_front("valgrind", "--leak-check=full", "--log-file=REPORT"),
                            slow=True, missing=None if valgrind else "not installed")

    def read_report(self, contender, path):
        """(blocks, bytes) that the report says were lost, definitely or indirectly; None when there is no
        report."""
        directory, name = os.path.split(path)
        counts, found = [0, 0], False
        for entry in sorted(os.listdir(directory)):  # LeakSanitizer appends the process's number
            if not entry.startswith(name):
                continue
            full = os.path.join(directory, entry)
            with open(full, "rb") as file:
                text = file.read().decode(errors="replace")
            os.remove(full)
            if contender.name.startswith("gleaner"):
                totals = json.loads(text)["totals"] if text.strip() else {}
                pairs = [(totals[k]["count"], totals[k]["bytes"]) for k in ("definite", "indirect")
                         if k in totals]
            elif contender.name.startswith("lsan"):
                pairs = [(m[1], m[0]) for m in
                         re.findall(r"SUMMARY: \S+: (\d+) byte\(s\) leaked in (\d+)", text)]
            else:
                pairs = [(m[1], m[0]) for m in
                         re.findall(r"(?:definitely|indirectly) lost: ([\d,]+) bytes in ([\d,]+) blocks", text)]
            for count, size in pairs:
                counts[0] += int(str(count).replace(",", ""))
                counts[1] += int(str(size).replace(",", ""))
                found = True
            found = found or "no leaks are possible" in text  # valgrind, when every block was freed
        return counts if found else None

    def leaks(self):
        scale = 0.7 * self.options.scale
        contenders = list(self.checkers())
        rows = list(programs.jobs_core(self.work, scale)) + list(programs.jobs_more(self.work, scale))
        results = self.measure(rows, contenders, self.read_report)
        names = [c.name for c in contenders]
        print("\nPART B: LEAK REPORTS. Medians of %d runs in turn (valgrind: 2); native's figure, then the\n"
              "others' over it. CPU time is that of all processes: symbols and report too.\n"
              "heaptrack only records: to interpret its record costs a second and more, and is left out.\n" %
              self.options.runs)
        self.announce(contenders, rows)
        means = ratio_table("CPU time (native: seconds)", results, names, "cpu", show)
        ratio_table("Wall time (native: seconds)", results, names, "wall", show)
        ratio_table("Peak resident memory (native: MiB)", results, names, "rss",
                    lambda v: show(v / 1024 if v is not None else None, 1))
        ratio_table("Minor page faults (native: count)", results, names, "faults", lambda v: show(v, 0))
        say_found = lambda c: c.problem or ("%d in %d" % (c.found[1], c.found[0]) if c.found else "-")
        tellers = [n for n in names if n not in ("native", "malloc mode", "heaptrack raw")]
        table("Bytes in blocks reported as lost, for a sight of what was found", [""] + tellers,
              [[row] + [say_found(cells[n]) for n in tellers] for row, cells in results.items()])
        goal("gleaner leaks over native CPU time with whole stacks, geometric mean, at most 1.25",
             means["gleaner leaks"], 1.25)
        print()
        self.keep("leaks", results)

    # Part c.

    def searchers(self):
        """The checkers that search at exit, with valgrind's cost of searching switched by its own option."""
        keep = {c.name: c for c in self.checkers()}
        for name in ("gleaner leaks", "lsan 2 frames", "valgrind"):
            if name in keep:
                yield keep[name]

    def search_cost(self, contender, words, baselines):
        """CPU seconds of the end of the run beyond what the process had used before, and beyond the same with
        _exit."""
        def end_cost(how):
            argv, env = contender.wrap([self.program("nodes")] + words + [how], {}, self.runner.path("report"))
            if how == "_exit" and contender.name == "valgrind":  # it searches at _exit, too
                argv = [w.replace("--leak-check=full", "--leak-check=no") for w in argv]
            sample = self.runner.once(argv, env)
            if sample["status"] != 0:
                say("  %s: %s" % (contender.name, self.runner.errors()[-200:]))
                return sample, None
            return sample, sample["cpu"] - int(self.runner.output()) / 1e6
        if contender.name not in baselines:
            baselines[contender.name] = end_cost("_exit")[1]
        sample, cost = end_cost("exit")
        base = baselines[contender.name]
        if cost is None or base is None:
            return None
        return dict(sample, whole=sample["cpu"], cpu=max(cost - base, 0))

    def memory_missing(self, mib):
        with open("/proc/meminfo") as file:
            free = int(re.search(r"MemAvailable:\s+(\d+)", file.read()).group(1)) // 1024
        return "too little memory" if free < 4 * mib else None

    def report_row(self, mib, shape, order, contenders):
        cells, baselines = {c.name: Cell() for c in contenders}, {}
        lack = self.memory_missing(mib)
        for turn in range(min(self.options.runs, 3)):
            for c in contenders:
                cell = cells[c.name]
                if c.slow and mib > 100 * self.options.scale:
                    cell.problem = "not run"
                elif c.missing or lack:
                    cell.problem = lack or "missing"
                if cell.problem or (c.slow and turn):
                    continue
                sample = self.search_cost(c, [str(mib), shape, order], baselines)
                if sample:
                    cell.samples.append(sample)
                else:
                    cell.problem = "failed"
        return cells

    def report(self):
        contenders, results = list(self.searchers()), {}
        for mib in (100 * self.options.scale, 1024 * self.options.scale):
            for shape in ("list", "tree"):
                for order in ("ordered", "shuffled"):
                    row = "%g MiB %s, %s" % (mib, shape, order)
                    say("  " + row)
                    results[row] = self.report_row(mib, shape, order, contenders)
        names = [c.name for c in contenders]
        print("\nPART C: THE SEARCH. CPU seconds of the report at exit over live nodes of 64 bytes: what the\n"
              "process used after it had built them, less the same when it ends by _exit and nobody searches.\n"
              "Medians of %d.\n" %
              min(self.options.runs, 3))
        self.announce(contenders)
        heads, rows = [""] + names + ["lsan / gleaner", "valgrind / gleaner"], []
        for row, cells in results.items():
            figures = [cells[n].problem or show(cells[n].median("cpu"), 3) for n in names]
            over = [ratio(cells[n].median("cpu"), cells["gleaner leaks"].median("cpu")) if n in cells else None
                    for n in ("lsan 2 frames", "valgrind")]
            rows.append([row] + figures + [show(v) for v in over])
        table("CPU seconds of the report", heads, rows)
        table("Peak resident MiB", [""] + names, [[row] + [
            cells[n].problem or show((cells[n].median("rss") or 0) / 1024, 0) for n in names]
            for row, cells in results.items()])
        large = "%g MiB" % (1024 * self.options.scale)
        for row, cells in results.items():
            if row.startswith(large):
                least = 3 if row.endswith("ordered") else 5
                goal("%s: times faster than LeakSanitizer, at least %d" % (row, least),
                     common_mean({row: cells}, "lsan 2 frames", "gleaner leaks", "cpu"), least, at_least=True)
        print()
        self.keep("report", results)

    # Part d.

    def collect(self):
        collecting.Collecting(self).all()

    # Part e.

    def dump(self):
        dumping.Dumping(self.options.builddir, self.work, self.options.scale).all()

    # Part f.

    def clients(self):
        clients.Clients(self).all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builddir", default=".", help="where all is built")
    parser.add_argument("--library", help="another libgleaner.so")
    parser.add_argument("--tool", help="another gleaner")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="all", help="alloc, leaks, report, collect, dump or clients; several with commas")
    parser.add_argument("--scale", type=float, default=1, help="a fraction of the work, to try things out")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one run of one command")
    parser.add_argument("--syscalls", action="store_true", help="count system calls in part a, by one more run")
    parser.add_argument("--no-valgrind", action="store_true")
    parser.add_argument("--collect", help="of part d only: throughput, marker, honest, leaking, pauses; with commas")
    parser.add_argument("--quick", action="store_true", help="part d without its largest heaps and with fewer runs")
    parser.add_argument("--minutes", type=float, default=15, help="after which part d begins nothing more")
    parser.add_argument("--nice", type=int, default=0, help="-19: before whatever else runs here (needs the right to)")
    parser.add_argument("--json", default="bench.json")
    options = parser.parse_args()
    known = ["alloc", "leaks", "report", "collect", "dump", "clients"]
    parts = known if options.only in ("all", "") else options.only.split(",")
    if set(parts) - set(known):
        parser.error("--only takes " + ", ".join(known))
    os.nice(options.nice)
    with tempfile.TemporaryDirectory(prefix="gleaner-bench-") as work:
        bench = Bench(options, work)
        for part in parts:
            say("part " + part)
            bench.record["load before " + part] = os.getloadavg()
            if os.getloadavg()[0] > 0.7 * os.cpu_count():
                print("\nThe machine is busy otherwise (load %.1f on %d processors): the figures are noisy." %
                      (os.getloadavg()[0], os.cpu_count()))
            getattr(bench, part)()
    print("written to " + options.json)


if __name__ == "__main__":
    main()
