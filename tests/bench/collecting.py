# SPDX-License-Identifier: MIT
"""The section `collect` of bench.py: the collector against libgc, against malloc and free, and against itself
switched off.

Machines that run other things at the same time lengthen what passes by the clock, so processor time is compared
wherever one thread works, and the least of several runs where both matter. The programs tell their figures as
lines of a name and a number; "check" and "path" must be the same for all."""
import os
import re
import shutil
import subprocess
import time

import programs
from measure import Contender, count_syscalls, measure_row, problem_of, say
from tables import geometric_mean, goal, ratio, ratio_table, show, table

LIBGC = "libgc.so.1"
ONE, TWO = "GC_MARKERS=1", "GC_MARKERS=2 BENCH_MARKER_THREADS=1"
LOG_LINE = re.compile(r"collection \d+ of generation (\d) \(.*?\): (given up)?")


def settings(text):
    return dict(word.split("=", 1) for word in text.split())


class Told:
    """What runs of one program by one contender have told: lists of values by name."""

    def __init__(self):
        self.values, self.problem, self.samples = {}, None, []

    def least(self, name):
        return min(self.values[name]) if self.values.get(name) else None

    def most(self, name):
        return max(self.values[name]) if self.values.get(name) else None

    def cost(self, what):
        return min(s[what] for s in self.samples) if self.samples else None

    def record(self):
        return {"problem": self.problem, "values": self.values, "samples": self.samples}


def read_told(output):
    """{name: [values]} and the lines that all contenders must agree on."""
    values, agreed = {}, []
    for line in output.decode(errors="replace").splitlines():
        name, _, value = line.partition(" ")
        if name in ("check", "path"):
            agreed.append(line)
        elif value:
            values.setdefault(name, []).append(float(value))
    return values, agreed


class Way:
    """A way to run a program of ours: which build of it ("": there is one), and with what around it."""

    def __init__(self, name, build, environment="", missing=None, library=None):
        self.name, self.build, self.missing = name, build, missing
        self.environment = settings(environment)
        if library:
            self.environment["LD_LIBRARY_PATH" if build == "ours" else "LD_PRELOAD"] = library


class Collecting:
    def __init__(self, bench):
        self.bench, self.options, self.runner = bench, bench.options, bench.runner
        self.directory = os.path.dirname(bench.library)
        self.scale = self.options.scale
        self.end = time.monotonic() + 60 * self.options.minutes
        self.record = {}

    # --- who takes part ---

    def lacking(self, program):
        return None if os.access(self.bench.program(program), os.X_OK) else "not built"

    def program(self, way, program):
        return self.bench.program("-".join(filter(None, [program, way.build])))

    def is_debians(self):
        """The peer must be Debian's, not ours under the same name."""
        path = self.bench.program("heaps-libgc")
        if self.lacking("heaps-libgc"):
            return False
        listing = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True).stdout
        found = re.search(r"%s => (\S+)" % re.escape(LIBGC), listing)
        strings = open(found.group(1), "rb").read() if found else b""
        return b"GC_PAUSE_TIME_TARGET" in strings

    def libgc(self, name, environment):
        missing = None if self.is_debians() else "not installed (Debian: libgc-dev)"
        return Way(name, "libgc", environment, missing)

    def ours(self, name, options):
        missing = self.lacking("heaps-ours")
        return Way(name, "ours", "GLEANER_OPTIONS=" + options, missing, self.directory)

    def by_markers(self):
        return [self.libgc("libgc 1", ONE), self.libgc("libgc 2", TWO), self.ours("gleaner 1", "markers=1"),
                self.ours("gleaner 2", "markers=2"), self.ours("gleaner", "mode=malloc")]

    # --- running ---

    def run_once(self, way, program, words, told, expected, limit):
        if told.problem:
            return expected
        left = self.end - time.monotonic()
        if way.missing or self.is_late():
            told.problem = "missing" if way.missing else None if told.samples else "no time"
            return expected
        sample = self.runner.once([self.program(way, program)] + words, way.environment,
                                  seconds=int(min(limit, left + 60)))
        values, agreed = read_told(self.runner.output())
        told.problem = problem_of(sample, agreed, (0, expected or agreed), False)
        if not told.problem and any(values.get("missing", [])):
            told.problem = "lost memory in use"
        if told.problem:
            say("  %s under %s: %s %s" % (" ".join([program] + words), way.name, told.problem,
                                          self.runner.errors()[-200:]))
            return expected
        told.samples.append(sample)
        for name, numbers in values.items():
            told.values.setdefault(name, []).extend(numbers)
        return expected or agreed

    def run(self, ways, program, words, runs, limit=240):
        """{way's name: Told}, the ways taking turns."""
        words = [str(w) for w in words]
        say("  " + " ".join([program] + words))
        all_told, expected = {way.name: Told() for way in ways}, None
        for _ in range(runs):
            for way in ways:
                expected = self.run_once(way, program, words, all_told[way.name], expected, limit)
        return all_told

    def is_late(self):
        return time.monotonic() > self.end

    def keep(self, name, all_told):
        self.record[name] = {way: told.record() for way, told in all_told.items()}
        self.bench.record["parts"]["collect"] = self.record
        self.bench.write()
        return all_told

    def calls(self, way, program, words):
        """System calls of one more run."""
        if not shutil.which("strace") or way.missing or self.is_late():
            return None
        argv = [self.program(way, program)] + [str(w) for w in words]
        return count_syscalls(self.runner, argv, way.environment)

    # --- throughput ---

    def throughput_rows(self):
        depth = 18 if self.scale >= 1 else 16
        return [("binary trees, depth %d" % depth, "heaps", ["trees", depth]),
                ("GCBench, depth %d" % depth, "heaps", ["gcbench", depth]),
                ("1 thread", "heaps", ["threads", 1, 10 * self.scale]),
                ("2 threads", "heaps", ["threads", 2, 10 * self.scale]),
                ("old heap, young churn", "heaps", ["churn", 200 * self.scale, 4])]

    def throughput(self):
        ways = self.by_markers()
        malloc = [Way("glibc malloc", "malloc", missing=self.lacking("heaps-malloc")),
                  Way("gleaner malloc", "malloc", "GLEANER_OPTIONS=mode=malloc", self.lacking("heaps-malloc"),
                      self.bench.library)]
        results, calls = {}, {}
        for row, program, words in self.throughput_rows():
            takers = ways + (malloc if words[0] == "trees" else [])
            results[row] = self.keep(row, self.run(takers, program, words, self.options.runs))
            calls[row] = {w.name: self.calls(w, program, words) for w in ways if w.name in ("libgc 1", "gleaner 1")}
        names = [w.name for w in ways] + [w.name for w in malloc]
        self.cost_table("CPU seconds, least of %d runs" % self.options.runs, results, names, "cpu", show)
        self.cost_table("Wall seconds, least", results, names, "wall", show)
        self.cost_table("Peak resident MiB", results, names, "rss", lambda v: show(v and v / 1024, 0))
        self.cost_table("Page faults, minor", results, names, "faults", lambda v: show(v, 0))
        self.cost_table("Page faults, major", results, names, "major", lambda v: show(v, 0))
        table("System calls (one more run, under strace)", ["", "libgc 1", "gleaner 1"],
              [[row] + [show(by[n], 0) for n in ("libgc 1", "gleaner 1")] for row, by in calls.items()])
        self.throughput_goals(results)

    def cost_table(self, title, results, names, what, how):
        table(title, [""] + names, [[row] + [
            (told[n].problem or how(told[n].cost(what))) if n in told else "" for n in names]
            for row, told in results.items()])

    @staticmethod
    def best(told, whose, what):
        costs = [one.cost(what) for name, one in told.items() if name.split()[0] == whose and "malloc" not in name]
        return min((c for c in costs if c), default=None)

    def throughput_goals(self, results):
        for row, told in results.items():
            # Where several threads work, the clock tells; where one does, its processor time.
            what = "wall" if row == "2 threads" else "cpu"
            value = ratio(self.best(told, "libgc", what), self.best(told, "gleaner", what))
            goal("%s: times faster than libgc (%s time), at least 3" % (row, what), value, 3, at_least=True)
            if "glibc malloc" in told:
                goal("%s: CPU time over glibc's malloc and free, at most 1" % row,
                     ratio(self.best(told, "gleaner", "cpu"), told["glibc malloc"].cost("cpu")), 1)
        if "1 thread" in results and "2 threads" in results:
            ours = ("gleaner 1", "gleaner 2", "gleaner")
            for name in ("rate", "rate_by_cpu"):
                most = lambda told: max((told[n].most(name) for n in ours if told[n].most(name)), default=None)
                goal("objects a second, two threads over one (%s), at least 1.8" %
                     ("by the clock" if name == "rate" else "by processor time"),
                     ratio(most(results["2 threads"]), most(results["1 thread"])), 1.8, at_least=True)
        churn = results.get("old heap, young churn")
        if churn:
            over = {n: churn[n].most("peak_over_live") for n in churn}
            table("Peak resident memory over live data, old heap and young churn", list(over),
                  [[show(v) for v in over.values()]])
            goal("peak resident memory over live data under churn, at most 1.7",
                 max((v for n, v in over.items() if n.startswith("gleaner") and v), default=None), 1.7)
        print()

    # --- the marker alone ---

    def marker(self):
        ways, results = self.by_markers(), {}
        runs = min(self.options.runs, 2)
        for order in ("ordered", "shuffled", "random"):
            told = self.run(ways, "heaps", ["graph", 4 * self.scale, order, 5], runs)
            results[order] = self.keep("graph " + order, told)
        names = [w.name for w in ways]
        for what, title in (("collect_wall", "by the clock"), ("collect_cpu", "processor time")):
            table("Collecting %g million live nodes of 64 bytes, milliseconds %s, least of %d" %
                  (4 * self.scale, title, 5 * runs), [""] + names,
                  [[row] + [told[n].problem or self.milli(told[n].least(what)) for n in names]
                   for row, told in results.items()])
        told = results["random"]
        goal("random graph: times faster than libgc with 1 marker each (processor time), at least 5",
             ratio(told["libgc 1"].least("collect_cpu"), told["gleaner 1"].least("collect_cpu")), 5, at_least=True)
        goal("random graph: times faster than libgc with 2 markers each (by the clock), at least 5",
             ratio(told["libgc 2"].least("collect_wall"), told["gleaner 2"].least("collect_wall")), 5, at_least=True)
        for order in ("ordered", "shuffled"):
            goal("tree %s: times faster than libgc with 1 marker each, at least 3" % order,
                 ratio(*(results[order][n].least("collect_cpu") for n in ("libgc 1", "gleaner 1"))), 3, at_least=True)
        print()

    # --- pauses ---

    def pause_ways(self, large):
        ways = [self.libgc("libgc 1", ONE), self.libgc("libgc 2", TWO)]
        if not large:
            ways += [self.libgc("libgc generational", ONE + " GC_ENABLE_INCREMENTAL=1")]
        ways += [self.ours("stop", "markers=1:concurrent=off"), self.ours("concurrent", "markers=1:concurrent=on"),
                 self.ours("scan", "markers=1:concurrent=off:write-tracking=scan")]
        return ways

    def pause_sizes(self):
        """MiB live, millions of objects of churn, runs."""
        sizes = [(100, 10, 2), (500, 20, 1), (2048, 50, 1)]
        if self.options.quick:
            sizes = sizes[:2]
        return [(mib * self.scale, millions * self.scale, runs) for mib, millions, runs in sizes]

    def memory_lack(self, mib):
        if self.is_late():
            return "no time"
        with open("/proc/meminfo") as file:
            free = int(re.search(r"MemAvailable:\s+(\d+)", file.read()).group(1)) // 1024
        return "too little memory (%d MiB available)" % free if free < 3.5 * mib else None

    def pauses(self):
        results = {}
        for mib, millions, runs in self.pause_sizes():
            for order in ("ordered", "shuffled"):
                lack = self.memory_lack(mib)
                row = "%g MB %s" % (mib, order)
                if lack:
                    print("  %s is left out: %s" % (row, lack))
                    continue
                runs = min(runs, self.options.runs)
                told = self.run(self.pause_ways(mib > 1024), "pauses", [mib, order, millions], runs)
                results[row] = self.keep("pauses " + row, told)
        self.pause_tables(results)
        self.pause_goals(results)

    def pause_tables(self, results):
        times = [("asked for: median full collection", "asked_wall_p50"), ("full, p99", "full_wall_p99"),
                 ("full, longest", "full_wall_max"), ("full, longest, processor time", "full_cpu_max"),
                 ("minor, median", "minor_wall_p50"), ("minor, p99", "minor_wall_p99"),
                 ("minor, longest", "minor_wall_max"), ("minor, longest, processor time", "minor_cpu_max"),
                 ("between two allocations, longest", "gap_wall_max"), ("the same, processor time", "gap_cpu_max")]
        counts = [("collections, full", "full_count", 0), ("collections, minor", "minor_count", 0),
                  ("page faults of the churn", "churn_faults", 0), ("processor seconds of the churn", "churn_cpu", 2),
                  ("peak resident MiB", "peak_mib", 0)]
        for row, told in results.items():
            names, lines = list(told), []
            for title, key in times:
                lines.append([title] + [told[n].problem or self.milli(told[n].least(key)) for n in names])
            for title, key, digits in counts:
                lines.append([title] + [told[n].problem or show(told[n].least(key), digits) for n in names])
            table("Pauses in milliseconds, %s" % row, [""] + names, lines)

    @staticmethod
    def milli(seconds):
        return "-" if seconds is None else show(seconds * 1e3, 2)

    def pause_goals(self, results):
        minors = {}
        for row, told in results.items():
            fulls = [told[n].least("asked_wall_p50") for n in ("libgc 1", "libgc 2")]
            full = min((f for f in fulls if f), default=None)
            minor = told["stop"].least("minor_wall_p99")
            minors[row] = told["stop"].least("minor_wall_p50")
            goal("%s: libgc's full pause over our minor pause (p99), at least 20" % row, ratio(full, minor), 20,
                 at_least=True)
            goal("%s: libgc's full pause over ours with concurrent marking (longest), at least 10" % row,
                 ratio(full, told["concurrent"].least("full_wall_max")), 10, at_least=True)
        rows = list(results)
        for order in ("ordered", "shuffled"):
            sizes = [r for r in rows if r.endswith(order)]
            if len(sizes) > 1:
                goal("median minor pause, %s over %s, at most 1.5" % (sizes[-1], sizes[0]),
                     ratio(minors[sizes[-1]], minors[sizes[0]]), 1.5)
        print()

    # --- programs that leak nothing ---

    def honest_rows(self):
        work, size = self.bench.work, 0.7 * self.scale
        rows = list(programs.jobs_core(work, size)) + list(programs.jobs_more(work, size))
        alloc = self.bench.program("alloc")
        synthetic = ("live-100k", "batch-fifo", "larson")
        return rows + [programs.Job("alloc " + b, [alloc, b, str(0.5 * self.scale)]) for b in synthetic]

    def honest(self):
        def mode(options):
            def wrap(argv, env, report):
                env.update(LD_PRELOAD=self.bench.library, GLEANER_OPTIONS=options.replace("REPORT", report))
                return argv, env
            return wrap
        lack = self.bench.present(self.bench.library, "libgleaner.so")
        contenders = [Contender("malloc", mode("mode=malloc"), lack), Contender("collect", mode("mode=collect"), lack)]
        rows, results, counts = self.honest_rows(), {}, {}
        runs = 3 if self.options.quick else max(self.options.runs, 7)
        for job in rows:
            if self.is_late():
                print("  %s is left out: no time" % job.name)
                continue
            say("  " + job.name)
            results[job.name] = measure_row(self.runner, job, contenders, runs)
            counts[job.name] = self.count_collections(job, mode("mode=collect:gc-log=REPORT"))
        names = ["malloc", "collect"]
        for what, title, how in (("cpu", "CPU time, medians (malloc: seconds)", show),
                                 ("wall", "Wall time, medians", show),
                                 ("rss", "Peak resident memory (malloc: MiB)", lambda v: show(v and v / 1024, 1)),
                                 ("faults", "Minor page faults", lambda v: show(v, 0))):
            ratio_table(title, results, names, what, how)
        least = {row: ratio(*(min((s["cpu"] for s in cells[n].samples), default=None) for n in ("collect", "malloc")))
                 for row, cells in results.items()}
        table("Least CPU time, collect over malloc; collections of generation 0, 1, 2",
              ["", "CPU", "0", "1", "2", "given up"], [[row, show(least[row])] + counts[row] for row in least])
        self.bench.keep("collect on honest programs", results, collections=counts)
        goal("collect over malloc mode on programs that leak nothing, CPU time, geometric mean of least, at most 1.03",
             geometric_mean(list(least.values())), 1.03)
        goal("the same of the worst program", max((v for v in least.values() if v), default=None), 1.03)
        print()

    def count_collections(self, job, wrap):
        if job.missing:
            return ["-"] * 4
        log = self.runner.path("report")
        if os.path.exists(log):
            os.remove(log)
        argv, env = wrap(job.argv, dict(job.env), log)
        self.runner.once(argv, env)
        counts = {"0": 0, "1": 0, "2": 0, None: 0}
        text = open(log).read() if os.path.exists(log) else ""
        for generation, given_up in LOG_LINE.findall(text):
            counts[None if given_up else generation] += 1
        return [str(counts[k]) for k in ("0", "1", "2", None)]

    # --- programs that leak ---

    def leaking(self):
        lack = self.lacking("leaky") or self.bench.present(self.bench.library, "libgleaner.so")
        ways = [Way("glibc", "", missing=lack)]
        for mode in ("malloc", "collect"):
            ways.append(Way(mode, "", "GLEANER_OPTIONS=mode=" + mode, lack, self.bench.library))
        mib, live, lines, worst = 800 * self.scale, 50, [], []
        for shape in ("list", "tree", "cycle", "large", "threads", "blocks"):
            told = self.keep("leaky " + shape, self.run(ways, "leaky", [shape, mib, live], 1, 120))
            for name, one in told.items():
                figures = [show((one.least("rss_%d" % step) or 0) / 1024, 0) for step in (1, 4, 8, 12, 16)]
                figures += [show((one.cost("rss") or 0) / 1024, 0), show(one.cost("cpu"))]
                lines.append([shape if name == "glibc" else "", name] + [one.problem or f for f in figures])
            if told["collect"].samples:
                worst.append(told["collect"].cost("rss") / 1024 / live)
        table("Resident MiB while %g MiB are leaked and as much freed, %d MiB in use" % (mib, live),
              ["", "", "1/16", "4/16", "8/16", "12/16", "done", "peak", "CPU s"], lines)
        print("  peak resident memory over live data under collect, worst: %s\n" % show(max(worst, default=None), 1))

    # --- all ---

    def all(self):
        print("\nPART D: COLLECTING. libgc is Debian's, with 1 or 2 markers; gleaner is linked as libgc.so.1, with as "
              "many, or as\nit chooses. Load at the beginning: %.1f on %d processors.\n" %
              (os.getloadavg()[0], os.cpu_count()))
        wanted = self.options.collect.split(",") if self.options.collect else None
        for name in ("throughput", "marker", "honest", "leaking", "pauses"):
            if not wanted or name in wanted:
                say(" " + name)
                getattr(self, name)()
