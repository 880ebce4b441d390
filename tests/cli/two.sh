#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Several controllers on one root: runs beside each other, a resume of what lives, two resumes of what does not.
. "$(dirname "$0")/lib.sh"
. "$here/crashlib.sh"

cat >words.rf <<'END'
param log string
func word(w string) = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start {{w}} $(date +%s%N) >> {{log}}
	sleep 0.2
	echo {{w}} > {{out}}
"}
val words = [word(w) | w <- ["one", "two", "three", "four"]]
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start all $(date +%s%N) >> {{log}}
	sort {{words}} > {{out}}
"}
END

run_in() {
	grep -oE 'run:[0-9a-f]{8,64}' "$1" | tail -n 1
}

expect_same() {
	tr '\n' '|' | diff - <(printf '%s|' "$1")
}

two_follow() {
	[ "$(grep -l following err1 err2 err3 | wc -l)" = 2 ]
}

test_case 'two different programs at once' '
	round different
	timeout 60 $(parts_run) >out1 2>err1 &
	first=$!
	timeout 60 weir run $run_options "$T/words.rf" -log $PWD/log2 >out2 2>err2 &
	second=$!
	wait $first
	wait $second
	weir cat "$(run_in err1)" | cmp - "$T/parts.wanted"
	weir cat "$(run_in err2)" | expect_same "four|one|three|two"
	expect_started $parts_names
	mv log2 log
	expect_started one two three four all
	round_end
'

test_case 'the same program at once: each command is started once, and both have its result' '
	round same
	for i in 1 2 3; do
		timeout 60 $(parts_run) >out$i 2>err$i &
		pids[i]=$!
	done
	for i in 1 2 3; do
		wait ${pids[i]} || { cat err$i; fail "run $i ended with another status"; }
	done
	cmp out1 out2
	cmp out1 out3
	expect_parts
	expect_started $parts_names
	round_end
'

# More than the keeper has hands for: what waits for one when another run's attempt is over and forgotten is not run again.
test_case 'the same program at once, wider than the host: each command is started once' '
	round wide
	cat >wide.rf <<"END"
param log string
func part(n int) = exec(image := "host", mem := 16*MiB, cpu := 1) (out file) {"
	echo start {{n}} >> {{log}}
	sleep 0.2
	echo {{n}} > {{out}}
"}
val Main = [part(n) | n <- range(0, 30)]
END
	for i in 1 2 3; do
		timeout 100 weir run --resources cpu=2,mem=2GiB,disk=1TiB "$PWD/wide.rf" -log "$PWD/log" >out$i 2>err$i </dev/null &
		pids[i]=$!
	done
	for i in 1 2 3; do
		wait ${pids[i]} || { cat err$i; fail "run $i ended with another status"; }
	done
	cmp out1 out2
	cmp out1 out3
	expect_equal "the number of commands" "$(grep -c ^start log)" 30
	expect_equal "of different ones" "$(sort -u log | wc -l)" 30
	round_end
'

test_case 'the same program at once with --no-cache: they share nothing' '
	round apart
	for i in 1 2; do
		timeout 60 $(parts_run --no-cache) >out$i 2>err$i &
		pids[i]=$!
	done
	for i in 1 2; do
		wait ${pids[i]} || { cat err$i; fail "run $i ended with another status"; }
	done
	cmp out1 out2
	expect_parts
	expect_equal "the number of commands" "$(grep -c ^start log)" 14
	round_end
'

test_case 'resume of a run that lives attaches, prints its result and ends with it' '
	round attach
	$(gate_run --no-cache) >out1 2>err1 </dev/null &
	first=$!
	wait_for 20 has_started 1 2
	weir resume last >out2 2>err2 </dev/null &
	second=$!
	wait_for 20 grep -q following err2
	: >gate
	wait $first
	wait $second
	cmp out1 out2
	expect_equal "the run" "$(run_in err2)" "$(run_in err1)"
	expect_gate
	expect_started $gate_names
	round_end
'

test_case '^C of the one that has attached detaches it, and ends nothing' '
	round detach
	$(gate_run --no-cache) >out1 2>err1 </dev/null &
	first=$!
	wait_for 20 has_started 1 2
	setsid weir resume last >out2 2>err2 </dev/null &
	second=$!
	wait_for 20 grep -q following err2
	kill -INT $second
	code=0
	wait $second || code=$?
	expect_equal "the exit status of the one that detached" $code 130
	expect_match err2 "detached; run:[0-9a-f]{8} goes on"
	kill -0 $first
	: >gate
	wait $first
	expect_gate
	expect_started $gate_names
	round_end
'

test_case 'an attached resume goes on in the place of a controller that is killed' '
	round heir
	$(gate_run --no-cache) >out1 2>err1 </dev/null &
	first=$!
	wait_for 20 has_started 1 2
	weir resume last >out2 2>err2 </dev/null &
	second=$!
	wait_for 20 grep -q following err2
	kill -9 $first
	wait $first || :
	: >gate
	wait $second || { cat err2; fail "the resume has failed"; }
	cat err2
	expect_match out2 "^file\("
	expect_gate
	expect_started $gate_names
	round_end
'

# follow_end COMMAND...: what ends the run that another process has attached to ends both.
follow_end() {
	weir run $run_options --no-cache "$T/gate.rf" -log "$PWD/log" -gate "$PWD/gate" >out1 2>err1 </dev/null &
	first=$!
	wait_for 20 has_started 1 2
	weir resume last >out2 2>err2 </dev/null &
	second=$!
	wait_for 20 grep -q following err2
	"$@"
	for i in $first $second; do
		code=0
		wait $i || code=$?
		expect_equal "an exit status" $code 130
	done
	cat err2
	expect_match err2 "^weir: run:[0-9a-f]{8} was interrupted; weir resume run:[0-9a-f]{8} goes on$"
	expect_started 0 1 2
	: >gate
	expect_exit 0 weir resume last
	expect_gate
}

end_by_signal() {
	kill -$1 $first
}

test_case 'weir kill of a run that a resume has attached to ends it, for both' '
	round attachkill
	follow_end weir kill last
	round_end
'

test_case 'SIGTERM of a run that a resume has attached to ends it, for both' '
	round attachterm
	follow_end end_by_signal TERM
	round_end
'

test_case 'of several resumes of a run that is dead one takes it over, and the others attach' '
	round resumes
	$(gate_run --no-cache) >out0 2>err0 </dev/null &
	first=$!
	wait_for 20 has_started 1 2
	kill -9 $first
	wait $first || :
	for i in 1 2 3; do
		timeout 60 weir resume last >out$i 2>err$i </dev/null &
		pids[i]=$!
	done
	wait_for 20 two_follow
	: >gate
	for i in 1 2 3; do
		wait ${pids[i]} || { cat err$i; fail "resume $i ended with another status"; }
	done
	cmp out1 out2
	cmp out1 out3
	expect_gate
	expect_started $gate_names
	# One takeover is in its journal.
	expect_equal "the number of takeovers" "$(weir-dump --json --history last | grep -c "\"kind\": *\"epoch\"")" 1
	round_end
'

test_case 'resume of a run that is done prints its result again' '
	round done
	expect_exit 0 $(parts_run --no-cache)
	cp out first.out
	expect_exit 0 weir resume last
	cmp out first.out
	expect_started $parts_names
	round_end
'

test_case 'resume of a run that has failed begins anew under its id, and keeps what was well' '
	round failed
	cat >fails.rf <<"END"
param (
	log string
	good string
)
val first = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start first >> {{log}}
	echo first > {{out}}
"}
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start second >> {{log}}
	test -e {{good}}
	cat {{first}} > {{out}}
"}
END
	expect_exit 11 weir run --no-cache fails.rf -log "$PWD/log" -good "$PWD/good"
	id=$(run_id)
	expect_exit 11 weir resume last
	expect_equal "the run" "$(run_id)" "$id"
	: >good
	expect_exit 0 weir resume "$id"
	expect_equal "the run" "$(run_id)" "$id"
	weir cat last | expect_same first
	expect_equal "starts of first" "$(grep -c "start first" log)" 1
	expect_equal "starts of second" "$(grep -c "start second" log)" 3
	round_end
'

test_done
