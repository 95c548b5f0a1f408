#!/bin/sh
# SPDX-License-Identifier: MIT
# Small clients of libgc, as Debian packages them.
. "$srcdir/tests/clients/common.sh"

awk 'BEGIN { for (i = 0; i < 400; i++) printf "file%d.txt\n", i }' >"$work/input/names"
client mmv 1 mmv <<'EOS'
xargs touch <names && $front mmv 'file*.txt' 'renamed-#1.data' && ls | sort | md5sum && ls | head -n 3
$front mmv -c 'renamed-*3.data' 'copy#1.three' && ls *.three | sort && $front mmv 'renamed-*1*.data' 'x#2#1'; ls | wc -l
$front mmv 'renamed-?.data' 'same'; echo $?
EOS

# Too little work for a collection by itself.
ways="linked stress collect"
client chase 0 chase <<'EOS'
mkdir -p a/b/c && ln -s ../b a/up && ln -s "$PWD/a/up/c" a/b/far && ln -s /nonexistent/x gone && ln -s round round
for i in $(seq 60); do ln -s "link$((i - 1))" "link$i"; done && ln -s a/b/far link0
$front chase $(seq -f link%g 3 60) $(seq -f link%g 3 60) | sort | uniq -c; $front chase -v a/up a/b/far 2>&1; $front chase gone round || echo $?
EOS
ways=

client debfoster 1 debfoster <<'EOS'
printf 'libc6\nlibgc1\n' >keepers; cp keepers before
$front debfoster -n -q -k keepers -d libgc1 | md5sum; $front debfoster -n -q -k keepers -e libgc1; $front debfoster -n -q -k keepers -a
cmp keepers before
EOS

# It writes drivers in the order of their addresses: there is one.
cat >"$work/input/counter.vhdl" <<'END'
entity counter is end entity;
architecture behaviour of counter is
  type word is array(0 to 7) of integer;
  function twice(constant x : integer) return integer is begin return x * 2 + 1; end function;
  signal n : integer := 0;
begin
  count : process
    variable w : word;
  begin
    for i in 1 to 10 loop
      for k in 0 to 7 loop w(k) := twice(k) * i; end loop;
      n <= n + w(3);
    end loop;
    wait;
  end process;
end architecture;
END
client fauhdlc 1 fauhdlc <<'EOS'
$front fauhdlc -o out counter.vhdl; echo $?; md5sum <out; grep -c . out; $front fauhdlc --c-output -o out.c counter.vhdl; grep -c . out.c
echo 'entity wrong is port(x : nonsense); end entity;' >wrong.vhdl; $front fauhdlc -o out wrong.vhdl; [ $? = 3 ]
EOS

awk 'BEGIN { print "<html><head><title>Tables</title></head><body><h1>Tables</h1>"
  for (t = 0; t < 20; t++) {
    print "<table border=1><tr><th>a<th>b<th>c</tr>"
    for (i = 0; i < 30; i++) printf "<tr><td>%d</td><td><b>row %d</b> text &amp; more</td><td><table><tr><td>inner</td><td>%d</td></tr></table></td></tr>\n",
      i, i * 7919 % 101, i * i * i
    print "</table><ul><li>one<li>two <a href=x>link</a></ul><form><input name=n value=v><select><option>o1<option>o2</select></form>" }
  print "</body></html>" }' >"$work/input/page.html"
client w3m 2 w3m <<'EOS'
$front w3m -dump -cols 100 -T text/html page.html >text; grep -c row text; sed -n 20,30p text; md5sum <text; $front w3m -dump_source page.html | md5sum
EOS

cat >"$work/input/page.p" <<'END'
@main[]
$h[^hash::create[]]
^for[i](1;3000){$h.[k^i.format[%04d]][value ^eval($i*$i)]}
$n(0)
^h.foreach[k;v]{^n.inc(^v.length[])}
count: ^h._count[] length: $n
$t[^table::create{number	name
1	one
2	two
3	three}]
^t.menu{<td>$t.number</td><td>$t.name</td>}
$s[^for[i](1;2000){word^eval($i % 37)}[,]]
$parts[^s.split[,;lv]]
parts: ^parts.count[] ^s.length[] ^math:md5[$s]
replaced: ^math:md5[^s.match[(\d)][g]{<$match.1>}]
^twice[^twice[x]]
@twice[x]
$result[$x$x]
END
client parser3 1 parser3 <<'EOS'
$front parser3 page.p | grep -v '^$'
EOS

cat >"$work/input/records.pk" <<'END'
type Point = struct { uint<8> tag; uint<32> x; int<16> y; };
type Table = struct { uint<32> count; Point[count] points; };
var table = Table @ 0#B;
var sum = 0UL;
for (p in table.points) sum = sum + p.x;
printf "%u32d points, sum %u64d\n", table.count, sum;
var text = "";
var i = 0;
while (i < 3000) { text = format ("%i32d", i); i = i + 1; }
table.points[1].x = 77U;
printf "%v %s\n", Point @ table.points[1]'offset, text;
fun fib = (int n) int: { return n < 2 ? n : fib (n - 1) + fib (n - 2); }
printf "%i32d\n", fib (15);
END
client poke 2 /usr/bin/poke <<'EOS'
{ printf '\310\0\0\0'; for i in $(seq 200); do printf '\7\1\2\0\0\377\376'; done; } >data
$front poke -q -L records.pk data; $front poke -q data -c '.set endian big' -c 'print "hi\n"' -c 'printf "%v\n", uint<32>[4] @ 0#B' -c 'dump :size 64#B'
EOS
finish
