;; SPDX-License-Identifier: MIT
;; Threads that allocate and share; fluids. Guile 3.0.8 lets a collection see a thread's stack half moved, just after it grew,
;; and one that ends give back its stack before it forgets it; both are fatal now and then, with any collector. So stacks grow,
;; and threads end, only while there are no collections.
(use-modules (ice-9 threads) (ice-9 atomic) (ice-9 ftw) (srfi srfi-1))

(define (say name value) (display name) (display ": ") (write value) (newline))
(define (build n) (let loop ((i 0) (all '())) (if (= i n) all (loop (+ i 1) (cons (number->string i) all)))))

;; Each thunk's value, of a thread of its own that stays.
(define mutex (make-mutex))
(define changed (make-condition-variable))
(define (wait-until done?) (unless (done?) (wait-condition-variable changed mutex) (wait-until done?)))
(define (deep n) (if (= n 0) 0 (+ 1 (deep (- n 1)))))
(define (results . thunks)
  (define values (make-vector (length thunks) #f))
  (define grown 0)
  (define begun #f)
  (define left (length thunks))
  (define-syntax-rule (changing form) (begin form (broadcast-condition-variable changed)))
  (gc-disable)
  (for-each (lambda (thunk i)
              (make-thread (lambda ()
                (deep 5000)
                (with-mutex mutex (changing (set! grown (+ grown 1))) (wait-until (lambda () begun)))
                (vector-set! values i (thunk))
                (with-mutex mutex (changing (set! left (- left 1))) (wait-until (lambda () #f))))))
            thunks (iota (length thunks)))
  (with-mutex mutex
    (wait-until (lambda () (= grown (length thunks))))
    (gc-enable)
    (changing (set! begun #t))
    (wait-until (lambda () (= left 0))))
  (vector->list values))

(define (worker k) (lambda () (fold + 0 (map (lambda (i) (string-length (car (build (+ 1 (modulo (* i k) 300)))))) (iota 300)))))
(say "threads" (apply results (map worker (iota 6))))

(define queue '())
(define (produce) (do ((i 0 (+ i 1))) ((= i 500)) (let ((item (iota (+ 1 (modulo i 20))))) (with-mutex mutex (set! queue (cons item queue)) (broadcast-condition-variable changed)))) 'done)
(define (consume)
  (let loop ((taken 0) (sum 0))
    (if (= taken 1000) sum
        (let ((item (with-mutex mutex
                      (let wait () (if (null? queue) (begin (wait-condition-variable changed mutex) (wait))
                                       (let ((item (car queue))) (set! queue (cdr queue)) item))))))
          (loop (+ taken 1) (apply + sum item))))))
(say "a queue" (results produce consume produce))

(define counter (make-atomic-box 0))
(define (add) (let ((old (atomic-box-ref counter))) (unless (eqv? old (atomic-box-compare-and-swap! counter old (+ old 1))) (add))))
(apply results (map (lambda (k) (lambda () (do ((i 0 (+ i 1))) ((= i 1000)) (build 3) (add)))) (iota 4)))
(say "atomic boxes" (atomic-box-ref counter))

(define fluid (make-fluid 0))
(say "fluids" (apply results (map (lambda (k) (lambda () (with-fluids ((fluid (list k))) (gc) (build 1000) (fluid-ref fluid)))) (iota 4))))
(say "a thread that sleeps" (results (lambda () (let ((kept (build 100))) (usleep 50000) (length kept))) (lambda () (gc) (length (build 50000)))))

;; A thread that was joined ends a little later.
(define (tasks) (length (scandir "/proc/self/task")))
(define before (tasks))
(define (wait-for-ends tries) (when (and (> (tasks) before) (> tries 0)) (usleep 1000) (wait-for-ends (- tries 1))))

(gc)
(gc-disable)
(say "joined" (map (lambda (round) (apply + (map join-thread (map (lambda (k) (make-thread (lambda () (length (build (* 10 k)))))) (iota 4))))) (iota 10)))
(wait-for-ends 5000)
(gc-enable)
(build 20000)
(force-output)
(primitive-_exit 0)
