#!/bin/sh
# SPDX-License-Identifier: MIT
# Clients of libgc whose packages are large, or whose work is: run by make check-clients.
. "$srcdir/tests/clients/common.sh"
seconds=120

cat >"$work/input/drawing.asy" <<'END'
size(200);
path p;
for (int i = 0; i < 200; ++i) p = p -- (i/100 * cos(i/5), i/100 * sin(i/5));
draw(p, red); filldraw(circle((0,0), 0.3), blue);
real[] a;
for (int i = 0; i < 60000; ++i) { a[i % 1000] = sqrt(i); string s = format("%d", i); }
write(round(sum(a)));
struct node { node next; int value; }
node list;
for (int i = 0; i < 5000; ++i) { node n = new node; n.next = list; n.value = i; list = n; }
int sum = 0;
for (node n = list; n != null; n = n.next) sum += n.value;
write(sum);
guide g;
for (int i = 0; i < 100; ++i) g = g .. (cos(i), sin(i) + i/50);
draw((path) g, green);
write(intersectionpoints(p, (path) g).length > 0);
END
answer="12497500"
client asymptote 5 asy <<'EOS'
$front asy -noV -f eps -o drawing.eps drawing.asy; grep -v -e CreationDate -e '^%%Title' drawing.eps | md5sum
EOS

cat >"$work/input/drawing.svg" <<'END'
<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"><rect x="10" y="10" width="80" height="60" fill="red" stroke="blue" stroke-width="5"/>
<circle cx="130" cy="120" r="50" fill="#0a0" opacity="0.5"/><path d="M10 190 C 50 100 150 100 190 190" stroke="black" fill="none"/>
<g transform="rotate(20)"><rect x="50" y="20" rx="9" width="40" height="40" fill="yellow"/><text x="40" y="60">text</text></g></svg>
END
# What it remarks has the time in it. A thread of GLib's blocks all signals.
ways="linked collect" answer=
client inkscape 1 inkscape <<'EOS'
$front inkscape --export-type=png -o drawing.png drawing.svg 2>remarks; md5sum <drawing.png; head -c 8 drawing.png | od -c | head -n 1
$front inkscape --export-type=svg --export-plain-svg --export-text-to-path -o plain.svg drawing.svg 2>remarks; grep -c '<path' plain.svg
$front inkscape -S drawing.svg 2>remarks
EOS

cat >"$work/input/program.sc" <<'END'
(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(define (build n) (if (= n 0) '() (cons n (build (- n 1)))))
(display (fib 15)) (newline)
(display (length (build 1000))) (newline)
END
ways="linked" answer="610"
client stalin 20 /usr/lib/stalin/stalin <<'EOS'
$front stalin -On program 2>/dev/null >remarks; grep -v -i -e time remarks | md5sum; ./program
EOS
finish
