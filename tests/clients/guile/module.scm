;; SPDX-License-Identifier: MIT
;; Something to compile: macros, patterns, records and many procedures.
(define-module (module) #:use-module (ice-9 match) #:use-module (srfi srfi-9) #:use-module (srfi srfi-26) #:export (run))

(define-syntax many
  (lambda (form)
    (syntax-case form ()
      ((_ name n)
       (with-syntax (((part ...) (map (lambda (i) (datum->syntax #'name (string->symbol (format #f "part-~a" i)))) (iota (syntax->datum #'n))))
                     ((i ...) (iota (syntax->datum #'n))))
         #'(begin (define (part x) (let loop ((k i) (all '())) (if (> k 0) (loop (- k 1) (cons (* x k) all)) (apply + x i all)))) ...
                  (define name (list part ...))))))))
(many parts 60)

(define-record-type node (make-node value left right) node? (value node-value) (left node-left) (right node-right set-node-right!))
(define (insert tree value)
  (match tree
    (#f (make-node value #f #f))
    ((? node? (= node-value v)) (if (< value v) (make-node v (insert (node-left tree) value) (node-right tree))
                                    (make-node v (node-left tree) (insert (node-right tree) value))))))
(define (walk tree) (if tree (append (walk (node-left tree)) (list (node-value tree)) (walk (node-right tree))) '()))
(define (simplify form)
  (match form
    (('+ 0 x) (simplify x)) (('+ x 0) (simplify x)) (('* 1 x) (simplify x)) (('* x 1) (simplify x)) (('* 0 _) 0) (('* _ 0) 0)
    ((op a b) (let ((a2 (simplify a)) (b2 (simplify b))) (if (and (equal? a a2) (equal? b b2)) (list op a b) (simplify (list op a2 b2)))))
    (other other)))
(define (run)
  (let ((tree (let loop ((i 0) (tree #f)) (if (= i 500) tree (loop (+ i 1) (insert tree (modulo (* i 7919) 503)))))))
    (list (apply + (map (cut <> 3) parts)) (apply + (walk tree)) (length (walk tree)) (simplify '(+ 0 (* 1 (+ (* 0 a) (+ b 0))))))))
