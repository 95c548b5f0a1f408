;; SPDX-License-Identifier: MIT
;; Guardians, weak tables and vectors, hooks after collections, finalizers of foreign pointers. The collectors are
;; conservative: what is asked for is that most of many objects die, and that none dies that is held.
(use-modules (ice-9 weak-vector) (system foreign) (srfi srfi-1))

(define (say name value) (display name) (display ": ") (write value) (newline))
(define (collect) (do ((i 0 (+ i 1))) ((= i 4)) (gc) (tree 8)))
(define (tree depth) (if (= depth 0) '() (cons (tree (- depth 1)) (tree (- depth 1)))))

;; In a procedure of its own, deep, so that few stale words are left where the collector looks.
(define (deep n thunk) (if (= n 0) (begin (thunk) 0) (+ 1 (deep (- n 1) thunk))))

(define guardian (make-guardian))
(define held (map (lambda (i) (cons i (* i i))) (iota 100)))
(for-each guardian held)
(deep 200 (lambda () (do ((i 1000 (+ i 1))) ((= i 3000)) (guardian (cons i (* i i))))))
(collect)
(define dead (let loop ((all '())) (let ((object (guardian))) (if object (loop (cons object all)) all))))
(say "guardian: most came back" (> (length dead) 1000))
(say "guardian: whole, and each once" (and (every (lambda (p) (= (cdr p) (* (car p) (car p)))) dead)
                                           (= (length dead) (length (delete-duplicates (map car dead) =)))))
(say "guardian: none that is held" (every (lambda (p) (>= (car p) 1000)) dead))

(define (count-entries table) (hash-fold (lambda (key value n) (+ n 1)) 0 table))
(define keys (make-weak-key-hash-table))
(for-each (lambda (p) (hashq-set! keys p (number->string (car p)))) held)
(deep 200 (lambda () (do ((i 0 (+ i 1))) ((= i 2000)) (hashq-set! keys (cons i i) (number->string i)))))
(collect)
(say "weak keys: held ones are found" (every (lambda (p) (equal? (hashq-ref keys p) (number->string (car p)))) held))
(say "weak keys: most are gone" (< (count-entries keys) 1100))

(define by-value (make-weak-value-hash-table))
(for-each (lambda (p) (hashv-set! by-value (car p) p)) held)
(deep 200 (lambda () (do ((i 1000 (+ i 1))) ((= i 3000)) (hashv-set! by-value i (list i)))))
(collect)
(say "weak values: held ones are found" (every (lambda (p) (eq? p (hashv-ref by-value (car p)))) held))
(say "weak values: most are gone" (< (count-entries by-value) 1100))

(define both (make-doubly-weak-hash-table))
(for-each (lambda (p) (hashq-set! both p held)) held)
(deep 200 (lambda () (do ((i 0 (+ i 1))) ((= i 2000)) (hashq-set! both (cons i i) (list i)))))
(collect)
(say "doubly weak: held ones are found" (every (lambda (p) (eq? held (hashq-ref both p))) held))
(say "doubly weak: most are gone" (< (count-entries both) 1100))

(define slots (make-weak-vector 2000 #f))
(deep 200 (lambda () (do ((i 0 (+ i 1))) ((= i 2000)) (weak-vector-set! slots i (if (< i 100) (list-ref held i) (cons i i))))))
(collect)
(define (alive from to) (let loop ((i from) (n 0)) (if (= i to) n (loop (+ i 1) (if (weak-vector-ref slots i) (+ n 1) n)))))
(say "weak vector: held ones stay" (alive 0 100))
(say "weak vector: most are gone" (< (alive 100 2000) 1000))

(define properties (make-object-property))
(for-each (lambda (p) (set! (properties p) (+ (cdr p) 1))) held)
(collect)
(say "object properties" (every (lambda (p) (= (properties p) (+ (cdr p) 1))) held))

(define hooked 0)
(add-hook! after-gc-hook (lambda () (set! hooked (+ hooked 1))))
(collect)
(do ((i 0 (+ i 1))) ((or (> hooked 0) (= i 1000))) (usleep 1000) (gc))
(say "hook after a collection" (> hooked 0))

;; malloc'ed memory, freed by a finalizer each.
(define malloc (pointer->procedure '* (dynamic-func "malloc" (dynamic-link)) (list size_t)))
(define free (dynamic-func "free" (dynamic-link)))
(do ((i 0 (+ i 1))) ((= i 2000)) (make-pointer (pointer-address (malloc 100)) free))
(collect)
(say "statistics" (every (lambda (key) (number? (assq-ref (gc-stats) key))) '(heap-size heap-free-size gc-times)))
