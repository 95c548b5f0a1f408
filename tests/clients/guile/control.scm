;; SPDX-License-Identifier: MIT
;; Continuations of both kinds, dynamic wind, exceptions, streams: stacks that are copied into the heap, with what they hold.
(use-modules (ice-9 control) (srfi srfi-1) (srfi srfi-34) (srfi srfi-41))

(define (say name value) (display name) (display ": ") (write value) (newline))
(define (build n) (let loop ((i 0) (all '())) (if (= i n) all (loop (+ i 1) (cons (list i) all)))))

;; A generator that is entered again and again; its stack holds the only pointers to its data.
(define (generator items)
  (define return #f)
  (define (resume ignored)
    (for-each (lambda (item) (call/cc (lambda (next) (set! resume next) (return item)))) items)
    (return 'done))
  (lambda () (call/cc (lambda (back) (set! return back) (resume #f)))))
(define next (generator (map (lambda (i) (build (+ i 1))) (iota 60))))
(say "generator" (let loop ((sum 0)) (let ((item (next))) (build 2000) (if (eq? item 'done) sum (loop (+ sum (length item)))))))

(define again #f)
(define count 0)
(define kept (build 100))
(define result (+ (length kept) (call/cc (lambda (k) (set! again k) 1))))
(set! count (+ count 1))
(gc)
(when (< count 10) (build 5000) (again count))
(say "entered again" (list count result))

(define (yielding tag items) (call-with-prompt tag
  (lambda () (for-each (lambda (i) (abort-to-prompt tag i)) items) '())
  (lambda (k item) (cons item (lambda () (call-with-prompt tag k (lambda (k item) (cons item k))))))))
(say "prompt" (car (yielding (make-prompt-tag) (build 3))))
(define partial (reset (+ 1 (shift k (map k (iota 500))))))
(say "delimited" (apply + partial))

(define trace '())
(define (note what) (set! trace (cons what trace)))
(catch 'out (lambda () (dynamic-wind (lambda () (note 'in)) (lambda () (build 1000) (throw 'out (build 10))) (lambda () (note 'out))))
       (lambda (key data) (note (length data))))
(say "dynamic wind" (reverse trace))
(say "exceptions" (fold + 0 (map (lambda (i) (guard (e ((string? e) (string-length e))) (raise (make-string (modulo i 30) #\y)))) (iota 3000))))
(say "errors" (fold + 0 (map (lambda (i) (catch #t (lambda () (vector-ref (vector) i)) (lambda (key . rest) (length rest)))) (iota 1000))))

(define-stream (integers n) (stream-cons n (integers (+ n 1))))
(say "streams" (stream-fold + 0 (stream-take 3000 (stream-map (lambda (n) (length (iota (modulo n 5)))) (integers 1)))))
(define promises (map (lambda (i) (delay (build i))) (iota 200)))
(gc)
(say "promises" (apply + (map (lambda (p) (length (force p))) promises)))

(define stacks (map (lambda (i) (let deep ((n 50)) (if (= n 0) (call/cc (lambda (k) (if (procedure? k) k 0))) (let ((r (deep (- n 1)))) (build 20) r)))) (iota 50)))
(gc)
(say "continuations that are kept" (length (filter procedure? stacks)))
(say "evaluated" (apply + (map (lambda (i) (eval `(let ((f (lambda (x) (+ x ,i)))) (f 1)) (interaction-environment))) (iota 300))))
