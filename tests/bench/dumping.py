# SPDX-License-Identifier: MIT
"""Heap dumps: the dump of a large heap, what the program notices of it, and what reading it takes."""
import os
import subprocess
import time

from tables import table


def values(argv, env=None):
    """What a program prints as name=value lines; None when it fails."""
    run = subprocess.run(argv, stdout=subprocess.PIPE, text=True, env=env)
    if run.returncode != 0:
        return None
    return dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)


def timed(argv):
    """Seconds, CPU seconds and peak MiB of a command; None when it fails."""
    begin = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        return None
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


class Dumping:
    def __init__(self, builddir, work, scale):
        self.builddir, self.work, self.scale = builddir, work, scale

    def dump(self):
        mib, lines, path = int(1024 * self.scale), [], os.path.join(self.work, "bench.dump")
        env = dict(os.environ, LD_LIBRARY_PATH=self.builddir)
        found = values([os.path.join(self.builddir, "tests/bench/dumps"), path, str(mib)], env)
        if not found:
            print("  no dump could be made")
            return
        table("Dump of a heap of %d MiB: %s objects of 64 bytes with two pointers at random" % (mib, found["objects"]),
              ["ms", "file MiB", "bytes/object", "longest gap of another thread, ms", "without a dump"],
              [[found[k] for k in ("dump_ms", "file_mib", "bytes_each", "gap_ms", "gap_without_ms")]])
        tool = os.path.join(self.builddir, "gleaner")
        for words in (["top", "--by=generation"], ["top", "--by=retained"]):
            cost = timed([tool] + words + [path])
            lines.append([" ".join(words)] + (["%.1f" % cost[0], "%.1f" % cost[1], "%.0f" % cost[2]] if cost else ["failed"]))
        table("Reading it", ["", "s", "CPU s", "peak MiB"], lines)
        os.unlink(path)

    def dominators(self):
        nodes, lines = int(10000000 * self.scale), []
        for shape in ("tree", "random", "list"):
            found = values([os.path.join(self.builddir, "tests/bench/dominate"), shape, str(nodes)])
            lines.append([shape] + ([found[k] for k in ("reached", "seconds", "peak_mib")] if found else ["failed"]))
        table("Dominators of %d nodes" % nodes, ["", "reached", "s", "peak MiB, the graph included"], lines)

    def all(self):
        print("\nPART E: HEAP DUMPS. Load at the beginning: %.1f on %d processors.\n" % (os.getloadavg()[0], os.cpu_count()))
        self.dump()
        self.dominators()
