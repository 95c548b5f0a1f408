;; SPDX-License-Identifier: MIT
;; Garbage of every sort, and a sum over what must have lived. Nothing here depends on the time.
(use-modules (ice-9 vlist) (oop goops) (rnrs bytevectors) (srfi srfi-1) (srfi srfi-9))

(define (say name value) (display name) (display ": ") (write value) (newline))

(define (tree depth) (if (= depth 0) '() (cons (tree (- depth 1)) (tree (- depth 1)))))
(define (leaves t) (if (null? t) 1 (+ (leaves (car t)) (leaves (cdr t)))))
(define kept (tree 13))
(do ((i 0 (+ i 1))) ((= i 30)) (tree 10))
(say "leaves of a tree that lives" (leaves kept))

(define table (make-hash-table))
(do ((i 0 (+ i 1))) ((= i 20000))
  (hash-set! table (modulo (* i 7919) 3001) (string-append (number->string i) "-" (make-string (modulo i 50) #\x))))
(say "hash table" (hash-fold (lambda (key text sum) (+ sum key (string-length text))) 0 table))

(define closures (map (lambda (n) (let ((box (list n))) (lambda () (set! box (cons n box)) (length box)))) (iota 1000)))
(do ((i 0 (+ i 1))) ((= i 20)) (for-each (lambda (f) (f)) closures))
(say "closures" (apply + (map (lambda (f) (f)) closures)))

(say "bignums" (modulo (fold * 1 (iota 800 1)) 1000003))
(say "factorials" (string-length (number->string (fold * 1 (iota 1500 1)))))
(say "strings" (string-length (let loop ((i 0) (text "")) (if (= i 800) text (loop (+ i 1) (string-append text (number->string i)))))))
(say "ports" (string-length (call-with-output-string
  (lambda (port) (do ((i 0 (+ i 1))) ((= i 5000)) (write (list i "text" #\c 1/3 'symbol) port))))))
(say "symbols" (length (delete-duplicates (map (lambda (i) (string->symbol (number->string (modulo i 40)))) (iota 2000)) eq?)))

(define bytes (map (lambda (i) (let ((b (make-bytevector (* i 97) (modulo i 256)))) b)) (iota 300)))
(do ((i 0 (+ i 1))) ((= i 300)) (make-bytevector 60000 1))
(say "bytevectors" (apply + (map (lambda (b) (if (= 0 (bytevector-length b)) 0 (bytevector-u8-ref b (- (bytevector-length b) 1)))) bytes)))
(define rows (make-vector 500 #f))
(do ((i 0 (+ i 1))) ((= i 20000)) (vector-set! rows (modulo i 500) (make-vector (modulo i 90) i)))
(say "vectors" (let loop ((i 0) (sum 0)) (if (= i 500) sum (loop (+ i 1) (+ sum (vector-length (vector-ref rows i)))))))

(define-record-type point (make-point x y) point? (x point-x) (y point-y set-point-y!))
(define points (map (lambda (i) (make-point i (list i))) (iota 2000)))
(for-each (lambda (p) (set-point-y! p (list (point-x p) (point-y p)))) points)
(say "records" (apply + (map (lambda (p) (caadr (point-y p))) points)))
(define-class <node> () (next #:init-value #f #:init-keyword #:next #:accessor next) (name #:init-keyword #:name #:accessor name))
(define-method (depth (n <node>)) (if (next n) (+ 1 (depth (next n))) 1))
(say "objects" (depth (fold (lambda (i chain) (make <node> #:name (number->string i) #:next chain)) #f (iota 500))))
(say "vhash" (vhash-fold (lambda (key value sum) (+ sum value)) 0 (fold (lambda (i v) (vhash-cons (modulo i 100) i v)) vlist-null (iota 2000))))

(define (build n) (if (= n 0) '() (cons n (build (- n 1)))))
(say "deep recursion" (apply + (map (lambda (i) (length (build 20000))) (iota 5))))
(gc)
(say "leaves of the tree still" (leaves kept))
(say "closures still" (apply + (map (lambda (f) (f)) closures)))
(say "sorted" (take (sort (hash-map->list cons table) (lambda (a b) (< (car a) (car b)))) 3))
