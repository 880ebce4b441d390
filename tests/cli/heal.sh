#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Objects that are gone or damaged when they are needed: what made them runs again, and nothing else does. Each command
# leaves a line in a file of its name, outside of what weir sees, so that executions can be counted.
. "$(dirname "$0")/lib.sh"
needs python3

mkdir ran
cat >flow.rf <<EOF
// Two sides of a diamond, and a chain behind it.
func step(name string, in [file]) = exec(image := "host") (out file) {"
	echo ran >> $T/ran/{{name}}
	{ cat {{in}}; echo {{name}}; } > {{out}}
"}
val top = step("top", [file("in.txt")])
val left = step("left", [top])
val right = step("right", [top])
val bottom = step("bottom", [left, right])
val Main = step("last", [bottom])
EOF
echo in >in.txt
top_text=$'in\ntop\n'
left_text=${top_text}$'left\n' right_text=${top_text}$'right\n'
bottom_text=$left_text$right_text$'bottom\n'
last_text=${bottom_text}$'last\n'

# object_of TEXT: the path of the object with that content.
object_of() {
	local d
	d=$(printf '%s' "$1" | sha256sum | cut -d ' ' -f 1)
	echo "$WEIR_ROOT/objects/${d:0:2}/${d:2}"
}

digest_of() {
	echo "sha256:$(printf '%s' "$1" | sha256sum | cut -d ' ' -f 1)"
}

# flip PATH: changes a bit of the object, and leaves its size as it is.
flip() {
	printf '\001' | dd of="$1" bs=1 count=1 conv=notrunc status=none
}

# expect_ran NAME...: these, and only these, were executed since the last call, each as often as it is named.
expect_ran() {
	local got
	got=$(cd ran && for f in *; do [ ! -e "$f" ] || sed "s/.*/$f/" "$f"; done | sort | tr '\n' ' ')
	rm -f ran/*
	expect_equal "what was executed" "$got" "$(for n in "$@"; do echo "$n"; done | sort | tr '\n' ' ')"
}

# lost_objects RUN: what its journal calls lost, one line each.
lost_objects() {
	weir-dump --json --history "$1" | python3 -c '
import json, sys
for line in sys.stdin:
    record = json.loads(line)
    if record.get("kind") == "exec" and record.get("event") == "lost" and "object" in record:
        print(record["object"])
'
}

test_case 'the first run, and a second one that finds everything' '
	expect_exit 0 weir run flow.rf
	expect_ran bottom last left right top
	expect_exit 0 weir run flow.rf
	expect_ran
'

test_case 'the result is gone: its maker runs again' '
	rm "$(object_of "$last_text")"
	expect_exit 0 weir run flow.rf
	expect_ran last
	expect_exit 0 weir cat last
	printf %s "$last_text" | cmp - out
'

test_case 'the journal names the object' '
	expect_equal "what was lost" "$(lost_objects last)" "$(digest_of "$last_text")"
'

test_case 'all is gone: each runs again, once' '
	rm -r "$WEIR_ROOT"/objects/[0-9a-f][0-9a-f]
	expect_exit 0 weir run flow.rf
	expect_ran bottom last left right top
	expect_match err "5 done, .*, 5 lost in"
	expect_exit 0 weir cat last
	printf %s "$last_text" | cmp - out
'

test_case 'what nobody needs may be gone' '
	rm "$(object_of "$top_text")" "$(object_of "$left_text")"
	expect_exit 0 weir run flow.rf
	expect_ran
	rm "$(object_of "$last_text")"
	expect_exit 0 weir run flow.rf
	expect_ran last
'

test_case 'one side of the diamond, on the way to the result' '
	rm -f "$(object_of "$bottom_text")" "$(object_of "$last_text")"
	expect_exit 0 weir run flow.rf
	expect_ran top left bottom last
'

test_case 'a flipped bit is found where the object is read, and the damaged one is kept apart' '
	flip "$(object_of "$left_text")"
	rm "$(object_of "$last_text")" "$(object_of "$bottom_text")"
	expect_exit 0 weir run flow.rf
	expect_ran left bottom last
	digest=$(digest_of "$left_text")
	test -f "$WEIR_ROOT/objects/damaged/${digest#sha256:}"
	expect_exit 0 weir cat last
	printf %s "$last_text" | cmp - out
'

test_case 'a flipped bit in the result' '
	flip "$(object_of "$last_text")"
	expect_exit 0 weir run flow.rf
	expect_ran last
	expect_exit 0 weir cat last
	printf %s "$last_text" | cmp - out
'

test_case 'written to, and whole all the same: nothing runs again' '
	touch "$(object_of "$last_text")" "$(object_of "$bottom_text")"
	expect_exit 0 weir run flow.rf
	expect_ran
'

test_case 'a size that is wrong, with all else as it was: what a power cut leaves' '
	for text in "$bottom_text" "$last_text"; do
		truncate -s 3 "$(object_of "$text")"
		touch -d @1000000000 "$(object_of "$text")"
	done
	expect_exit 0 weir run flow.rf
	expect_ran bottom last
'

test_case 'an input comes from where it was' '
	rm "$(object_of "$(cat in.txt)"$'"'\n'"')" "$(object_of "$top_text")" "$(object_of "$left_text")"
	rm "$(object_of "$bottom_text")" "$(object_of "$last_text")"
	expect_exit 0 weir run flow.rf
	expect_ran top left bottom last
	flip "$(object_of "$(cat in.txt)"$'"'\n'"')"
	rm "$(object_of "$top_text")" "$(object_of "$left_text")" "$(object_of "$bottom_text")" "$(object_of "$last_text")"
	expect_exit 0 weir run flow.rf
	expect_ran top left bottom last
'

test_case 'an input that is the result' '
	echo "val Main = file(\"in.txt\")" >input.rf
	expect_exit 0 weir run input.rf
	rm "$(object_of "$(cat in.txt)"$'"'\n'"')"
	expect_exit 0 weir run input.rf
	expect_exit 0 weir cat last
	cmp out in.txt
	flip "$(object_of "$(cat in.txt)"$'"'\n'"')"
	expect_exit 0 weir run input.rf
	expect_exit 0 weir cat last
	cmp out in.txt
'

test_case 'cat and get name what is gone, and say how it comes back' '
	expect_exit 0 weir run flow.rf
	rm "$(object_of "$last_text")"
	expect_exit 1 weir cat last
	test ! -s out
	what="object $(digest_of "$last_text"): missing (at $(object_of "$last_text"))"
	expect_err "weir: $what; weir run on the same program makes it anew"
	expect_exit 1 weir get last got
	expect_err "weir: $what; weir run on the same program makes it anew"
	expect_exit 0 weir run flow.rf
	flip "$(object_of "$last_text")"
	expect_exit 1 weir cat last
	test ! -s out
	expect_match err "^weir: object $(digest_of "$last_text"): damaged \(at .*\); weir run on the same program makes it anew$"
	expect_exit 0 weir run flow.rf
	expect_exit 0 weir get last got
	printf %s "$last_text" | cmp - got/result
	rm ran/*
'

test_case 'many who need one: it runs once' '
	cat >fan.rf <<EOF
param round int
val strings = make("\$/strings")
func range(a, b int) [int] = if a == b { [] } else { [a] + range(a+1, b) }
func step(name string, in [file]) = exec(image := "host") (out file) {"
	echo ran >> $T/ran/{{name}}
	{ cat {{in}} /dev/null | tail -n 1; echo {{name}}; } > {{out}}
"}
val top = step("fantop", [])
val Main = step("join", [step("n", [top, side]) | side <- [step("side"+strings.FromInt(i+round), []) | i <- range(0, 30)]])
EOF
	expect_exit 0 weir run fan.rf -round 0
	rm -f ran/* "$(object_of fantop$'"'\n'"')"
	expect_exit 0 weir run fan.rf -round 1000
	expect_equal "fantop" "$(wc -l <ran/fantop)" 1
	rm ran/*
'

test_case 'other bytes than before: who has not run sees those, who has keeps its own' '
	cat >random.rf <<EOF
param salt string
val maker = exec(image := "host") (out file) {"
	echo ran >> $T/ran/maker
	head -c 16 /dev/urandom > {{out}}
"}
val kept = exec(image := "host") (out file) {" echo ran >> $T/ran/kept; cat {{maker}} {{maker}} > {{out}} "}
val one = exec(image := "host") (out file) {" : {{salt}}; echo ran >> $T/ran/one; cp {{maker}} {{out}} "}
val two = exec(image := "host") (out file) {" : {{salt}}; echo ran >> $T/ran/two; cp {{maker}} {{out}} "}
val Main = {maker, kept, one, two}
EOF
	expect_exit 0 weir run random.rf -salt 1
	expect_exit 0 weir get last first
	cat first/maker first/maker | cmp - first/kept
	cmp first/maker first/one
	rm ran/*
	d=$(sha256sum <first/maker | cut -d " " -f 1)
	rm "$WEIR_ROOT/objects/${d:0:2}/${d:2}"
	expect_exit 0 weir run random.rf -salt 2
	expect_ran maker one two
	expect_match err "random.maker gives other bytes than before"
	expect_exit 0 weir get last second
	cmp second/maker second/one
	cmp second/maker second/two
	! cmp -s second/maker first/maker
	cmp first/kept second/kept
'

test_case 'gone while the run goes on' '
	cat >slow.rf <<EOF
func step(name string, in [file]) = exec(image := "host") (out file) {"
	echo ran >> $T/ran/{{name}}
	[ {{name}} != gate ] || until [ -e $T/go ]; do sleep 0.05; done
	{ cat {{in}}; echo {{name}}; } > {{out}}
"}
val early = step("early", [file("in.txt")])
val gate = step("gate", [early])
val Main = step("late", [early, gate])
EOF
	weir run slow.rf 2>slow.err &
	wait_for 20 test -s ran/gate
	rm "$(object_of in$'"'\n'"'early$'"'\n'"')"
	touch go
	wait $!
	expect_ran early early gate late
	rm go
'

test_case 'what a resumed run knows counts only while its objects are there' '
	sed -i "s/early/first/; s/late/second/" slow.rf
	sed -i "s/early/first/g; s/late/second/g" slow.rf
	weir run slow.rf 2>slow.err &
	wait_for 20 test -s ran/gate
	kill -INT $(pid_of weir)
	wait $! || test $? = 130
	rm "$(object_of in$'"'\n'"'first$'"'\n'"')"
	touch go
	expect_exit 0 weir resume last
	expect_ran first first gate gate second
'

test_done
