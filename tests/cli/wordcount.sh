#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# examples/wordcount from the outside: the right words, nothing done twice, and nothing left undone.
. "$(dirname "$0")/lib.sh"
needs python3

cp -r "$examples/wordcount" .
run='weir run wordcount/wordcount.rf -texts wordcount/texts'

# The same counts by other means: one pipeline over all texts at once.
cat wordcount/texts/*.txt | tr A-Z a-z | tr -cs a-z '\n' | grep . | sort | uniq -c |
	awk '{ print $2 "\t" $1 }' | sort -t "$(printf '\t')" -k 2,2nr -k 1,1 >wanted
head -n 10 wanted >wanted10
head -n 3 wanted >wanted3

test_case 'the first run counts words' '
	expect_exit 0 $run
	expect_match out "^\{best: file\(sha256=sha256:[0-9a-f]{64}, size=[0-9]+\), words: file\(.*\), total: file\(.*\)\}$"
	cp out first.out
	# Three texts are split, seven parts counted, then one merge and one head.
	expect_execs 12
'

test_case 'get writes the files out' '
	expect_exit 0 weir get last got
	diff got/words wanted
	diff got/best wanted10
	awk "{ n += \$2 } END { print n }" wanted | diff got/total -
'

test_case 'the second run executes nothing, prints the same, and is done in a second' '
	start=$(now_ms)
	expect_exit 0 $run
	end=$(now_ms)
	cmp out first.out
	expect_execs 0
	[ $((end - start)) -lt 1000 ] || fail "it took $((end - start)) ms"
'

test_case 'another -top executes the one command that reads it' '
	expect_exit 0 $run -top 3
	expect_execs 1
	expect_exit 0 weir get last got3
	diff got3/best wanted3
	diff got3/words wanted
'

test_case 'other -lines split again, and what comes out equal is not done again' '
	expect_exit 0 $run -lines 1000
	# Three splits, three counts, a merge. The words are the same bytes, so that head is not executed.
	expect_execs 7
	expect_exit 0 weir get last gotlines
	diff gotlines/words wanted
'

test_case 'one byte of one text executes only what depends on it' '
	stat -c %y wordcount/texts/signal.txt >mtime
	sed -i "1s/lamps/lamqs/" wordcount/texts/signal.txt
	# Not even the time of change tells: only the content does.
	touch -d "$(cat mtime)" wordcount/texts/signal.txt
	expect_exit 0 $run
	# One split, one count of its first part, merge, head.
	expect_execs 4
	expect_exit 0 weir get last gotbyte
	grep -qx "lamqs	1" gotbyte/words
'

test_case 'the byte put back: all of it is known' '
	sed -i "1s/lamqs/lamps/" wordcount/texts/signal.txt
	expect_exit 0 $run
	cmp out first.out
	expect_execs 0
'

test_case 'with --no-cache all of it is executed, and comes out the same' '
	expect_exit 0 weir run --no-cache wordcount/wordcount.rf -texts wordcount/texts
	cmp out first.out
	expect_execs 12
'

test_done
