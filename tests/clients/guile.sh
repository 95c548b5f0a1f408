#!/bin/sh
# SPDX-License-Identifier: MIT
# guile-3.0, the client that asks most of libgc: kinds of its own with mark procedures (its stacks of bytecode frames), disappearing
# links, finalizers on demand, threads that block, memory by the list. Its JIT, its compiler and its REPL run as packaged.
. "$srcdir/tests/clients/common.sh"
cp "$srcdir"/tests/clients/guile/*.scm "$work/input"
all="linked markers soft-dirty uffd collect"

ways="$all" answer="leaves of the tree still: 8192"
client guile-garbage 10 guile <<'EOS'
$front guile garbage.scm
EOS

ways="$all" answer="weak vector: most are gone: #t"
client guile-weak 10 guile <<'EOS'
$front guile weak.scm
EOS
! grep -q ': #f' "$work/debian.out" 2>/dev/null || echo "# with Debian's libgc more stayed than was asked for"

ways="linked collect" answer="generator: 1830"
client guile-control 10 guile <<'EOS'
$front guile control.scm
EOS

ways="linked markers collect" answer="a thread that sleeps: (100 50000)"
client guile-threads 3 guile <<'EOS'
$front guile threads.scm
EOS

# What regcomp allocates is known to Guile by memory without pointers only.
ways="linked collect" answer="790"
client guile-regexps 3 guile <<'EOS'
$front guile -c '(use-modules (ice-9 regex)) (define all (map (lambda (i) (make-regexp (string-append "[0-9]+" (number->string i)))) (iota 100)))
  (define (length-of i) (string-length (match:substring (string-match "[0-9]+" (string-append "abc" (number->string i) "def")))))
  (gc) (for-each (lambda (r) (regexp-exec r "abc123def")) all) (write (apply + (map length-of (iota 300)))) (newline)'
EOS

# What was compiled is the same to the byte.
ways="linked collect" answer="(109920 125479 500 b)"
client guile-compile 10 guile <<'EOS'
$front guile -L . -c '(compile-file "module.scm" #:output-file "module.go")' && md5sum <module.go && $front guile -C . -L . -c '(write ((@ (module) run)))'; echo
EOS

ways="linked stress collect" answer='$4 = (1 4 9)'
client guile-repl 0 guile <<'EOS'
printf '%s\n' '(+ 1 2)' '(define l (list 1 2 3))' 'l' '(gc)' '(length (iota 1000))' '(map (lambda (x) (* x x)) l)' '(car 5)' ',q' ',q' | $front guile -q 2>&1
EOS

# A collection every few hundred allocations, and the whole heap checked.
ways="stress" answer="(2000 1770)"
client guile-stress 10 guile <<'EOS'
$front guile -c '(define g (make-guardian)) (define w (make-weak-key-hash-table)) (define kept (iota 60))
  (define l (let loop ((i 0) (all (list))) (if (= i 2000) all (begin (g (list i)) (hashq-set! w (list i) i) (loop (+ i 1) (cons (number->string i) all))))))
  (call/cc (lambda (k) (for-each (lambda (s) (string->number s)) l))) (write (list (length l) (apply + kept))) (newline)'
EOS
finish
