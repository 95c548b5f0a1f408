/* SPDX-License-Identifier: MIT
 * The record: what a runtime tells the gleaner command, as lines of text. One runtime writes it, one reader
 * (record.c) reads it; nobody else knows the form.
 *
 *   gleaner-record 1
 *   kind leaks|misuse|collect            first, once each: kind, pid, program, (misuse: message)
 *   pid N
 *   program PATH
 *   message TEXT                         misuse: one line without "gleaner: "
 *   totals DEFINITE-COUNT DEFINITE-BYTES INDIRECT-COUNT INDIRECT-BYTES REACHABLE-COUNT REACHABLE-BYTES
 *   search OBJECTS ROOT-BYTES THREADS NOT-STOPPED STOP-NS ROOTS-NS CLASSIFY-NS
 *   module INDEX LO HI BIAS BUILD-ID PATH       before a frame that names it; hex; build id "-" when there is none
 *   leak definite|indirect|reachable|reclaimed COUNT BYTES CYCLE FRAME...       reclaimed: collect, once for each site
 *   stack TITLE-WITH-UNDERSCORES FRAME...       misuse: e.g. "freed_by", "allocated_by"
 *   ran ELAPSED-NS STOPPED-NS COLLECTING-NS HEAP-MOST-BYTES CONCURRENT-COLLECTIONS MARKERS-MOST          collect
 *   generation NUMBER COLLECTIONS GIVEN-UP OBJECTS BYTES TIME-NS STOPPED-NS PAUSE-50-NS PAUSE-99-NS PAUSE-MAX-NS    collect
 *   pauses BELOW-NS COUNT                collect: a line of the histogram, down to the line before; in rising order
 *   tracking WAY WHY                     collect
 *   given-up COUNT WHY                   collect
 *   end
 *
 * FRAME is ADDRESS@MODULE: hex return address, decimal module index or - when it is unknown. Frames stand innermost first; a
 * leak without any frame is a leak all the same. In PATH, TEXT and WHY newline and backslash are written \n and \\.
 * A record without its "end" line is truncated and says so in the report. */
#ifndef GLEANER_RECORD_H
#define GLEANER_RECORD_H

#define RECORD_MAGIC "gleaner-record 1"

#endif
