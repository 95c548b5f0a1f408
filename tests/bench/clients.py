# SPDX-License-Identifier: MIT
"""Programs that Debian linked with its libgc, on that and on ours in its place, by LD_LIBRARY_PATH: the section `clients` of
bench.py. Compiled beforehand, so that the rows measure what they are named after."""
import os
import shutil
import subprocess

from measure import Contender, count_syscalls, say
from programs import Job
from tables import common_mean, goal, ratio, ratio_table, show, table

GUILE = {
    "garbage": """
(define (tree depth) (if (= depth 0) '() (cons (tree (- depth 1)) (tree (- depth 1)))))
(define (leaves t) (if (null? t) 1 (+ (leaves (car t)) (leaves (cdr t)))))
(write (let loop ((i 0) (sum 0)) (if (= i %(n)d) sum (loop (+ i 1) (+ sum (leaves (tree 15)))))))
""",
    "closures and lists": """
(use-modules (srfi srfi-1))
(define (round n) (map (lambda (n) (let ((l (list n n))) (lambda (x) (cons x l)))) (iota n)))
(write (let loop ((i 0) (sum 0))
  (if (= i %(n)d) sum (loop (+ i 1) (+ sum (fold (lambda (f s) (+ s (length (f 1)))) 0 (round 20000)))))))
""",
    "strings": """
(write (let loop ((i 0) (sum 0))
  (if (= i (* 2500 %(n)d)) sum
    (let* ((s (string-append (number->string i) "-" (number->string (* i i)))) (parts (string-split (string-upcase (string-append s s)) #\\-)))
      (loop (+ i 1) (+ sum (string-length (string-join parts ","))))))))
""",
    "large table, churn": """
(define t (make-hash-table 100000))
(do ((i 0 (+ i 1))) ((= i 200000)) (hashv-set! t i (list i (number->string i))))
(do ((i 0 (+ i 1))) ((= i (* 10000 %(n)d))) (hashv-set! t (modulo (* i 7919) 200000) (list i (vector i i i))))
(write (hash-fold (lambda (k v s) (+ s (car v))) 0 t))
""",
}

ASYMPTOTE = {
    "paths": """
real r = 0;
for (int k = 0; k < %(n)d / 3; ++k) {
  guide g;
  for (int i = 0; i < 300; ++i) g = g .. (cos(i), sin(i * k));
  path p = g;
  r += length(p) + arclength(p);
}
write(floor(r));
""",
    "strings, matrices": """
real r = 0;
for (int k = 0; k < %(n)d / 2; ++k) {
  string[] s;
  for (int i = 0; i < 4000; ++i) s.push(format("%%d", i));
  real[][] m = new real[40][40];
  for (int i = 0; i < 40; ++i) for (int j = 0; j < 40; ++j) m[i][j] = i * j %% 7 + (i == j ? 50 : 0);
  r += log(determinant(m)) + s.length;
}
write(floor(r));
""",
}


class Clients:
    def __init__(self, bench):
        self.bench, self.work, self.n = bench, bench.work, max(2, int(60 * bench.options.scale))
        self.environment = {"HOME": self.work, "GUILE_AUTO_COMPILE": "0"}

    def write(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, "w") as file:
            file.write(text % {"n": self.n})
        return path

    def job(self, name, program, argv):
        return Job(name, [program] + argv, self.environment, None if program else "not installed")

    def compiled(self, name, text):
        guile, source = shutil.which("guile"), self.write("job.scm", text)
        code = os.path.join(self.work, name.replace(" ", "-") + ".go")
        if guile:
            subprocess.run([guile, "-c", '(compile-file "%s" #:output-file "%s")' % (source, code)], check=True,
                           stdout=subprocess.DEVNULL, env=dict(os.environ, **self.environment))
        return self.job("guile: " + name, guile, ["-c", '(load-compiled "%s")' % code])

    def rows(self):
        for name, text in GUILE.items():
            yield self.compiled(name, text)
        module = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients", "guile", "module.scm")
        to = '(compile-file "%s" #:output-file "%s")' % (module, os.path.join(self.work, "module.go"))
        yield self.job("guile: compile a module", shutil.which("guile"), ["-c", to])
        for name, text in ASYMPTOTE.items():
            source = self.write("job-%s.asy" % name.split(",")[0], text)
            yield self.job("asymptote: " + name, shutil.which("asy"), ["-noV", source])

    def contenders(self):
        library = os.path.join(os.path.dirname(self.bench.library), "libgc.so.1")

        def given(**more):
            return lambda argv, env, report: (argv, dict(env, **more))
        yield Contender("libgc", given())
        yield Contender("libgc, 1 marker", given(GC_MARKERS="1"))
        yield Contender("gleaner", given(LD_LIBRARY_PATH=os.path.dirname(library)), self.bench.present(library, "libgc.so.1"))

    def calls(self, rows, contenders, results):
        if not shutil.which("strace"):
            print("  system calls are not counted: strace is not installed\n")
            return
        lines = []
        for job in rows:
            counts = []
            for contender in contenders:
                lack = results[job.name][contender.name].problem
                argv, env = contender.wrap(job.argv, dict(job.env), "")
                counts.append(None if lack else count_syscalls(self.bench.runner, argv, env))
            lines.append([job.name] + [show(count, 0) for count in counts] + [show(ratio(counts[2], counts[0]))])
        table("System calls (one more run each, under strace)", [""] + [c.name for c in contenders] + ["gleaner / libgc"], lines)

    def all(self):
        rows, contenders = list(self.rows()), list(self.contenders())
        results = self.bench.measure(rows, contenders)
        names = [c.name for c in contenders]
        print("\nPART F: CLIENTS OF LIBGC, as Debian packages them. Medians of %d runs in turn; Debian's libgc, then over it.\n" %
              self.bench.options.runs)
        self.bench.announce(contenders, rows)
        for what, title, how in (("cpu", "CPU time (libgc: seconds)", show), ("wall", "Wall time (libgc: seconds)", show),
                                 ("rss", "Peak resident memory (libgc: MiB)", lambda v: show(v and v / 1024, 1)),
                                 ("faults", "Minor page faults (libgc: count)", lambda v: show(v, 0))):
            ratio_table(title, results, names, what, how)
        self.calls(rows, contenders, results)
        for what, title in (("cpu", "CPU time"), ("wall", "wall time"), ("rss", "peak memory"), ("faults", "page faults")):
            over = [ratio(cells["gleaner"].median(what), cells["libgc"].median(what)) for cells in results.values()]
            goal("%s over Debian's libgc, the worst of all, at most 1" % title, max((v for v in over if v), default=None), 1)
            goal("the same, geometric mean", common_mean(results, "gleaner", "libgc", what), 1)
        print()
        self.bench.keep("clients", results)
