#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Signals: what ^C, SIGTERM, SIGHUP and `weir kill` end, what they leave, and what a resume makes of it.
. "$(dirname "$0")/lib.sh"
needs python3
. "$here/crashlib.sh"

# stubborn.rf: part 0 ends at once; a second command says when it is asked to end, and ends or not, as mode says.
cat >stubborn.rf <<'END'
param (
	log string
	gate string
	mode string
)
val first = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start first $$ >> {{log}}
	echo first > {{out}}
"}
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	trap 'echo term >> {{log}}; test {{mode}} = stay || exit 1' TERM
	echo start second $$ >> {{log}}
	until [ -e {{gate}} ]; do sleep 0.05 || true; done
	cat {{first}} > {{out}}
"}
END

# begin MODE OPTION...: a run, with first over and second under way; command is its process. Asynchronous commands of a
# script ignore SIGINT, all that runs under nohup ignores SIGHUP, and so would what they start: hence Python's way to begin.
begin() {
	local mode=$1
	shift
	python3 -c '
import os, signal, sys
for s in signal.SIGINT, signal.SIGHUP, signal.SIGTERM:
    signal.signal(s, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
' weir run $run_options --no-cache "$@" "$T/stubborn.rf" -log "$PWD/log" -gate "$PWD/gate" -mode "$mode" \
		>out 2>err </dev/null &
	run=$!
	wait_for 20 has_started first second
	command=$(awk '$2 == "second" { print $3 }' log)
}

# ended STATUS: waits for the run.
ended() {
	local code=0
	wait $run || code=$?
	cat err
	expect_equal 'the exit status' $code "$1"
}

# The newest snapshot's field, as weir-dump has it.
state_field() {
	weir-dump --json last | python3 -c '
import json, sys
document = json.loads(sys.stdin.readline())
state = document.get("state", document)
print(state[sys.argv[1]])
' "$1"
}

notes() {
	weir-dump --json --history last | python3 -c '
import json, sys
for line in sys.stdin:
    record = json.loads(line)
    if record.get("kind") == "note":
        print(record["text"])
'
}

for signal in INT TERM; do
	test_case "SIG$signal ends the commands, keeps the phase, writes a note, exits 130; a resume goes on" '
		round "once-'$signal'"
		begin leave
		kill -'$signal' $run
		ended 130
		grep -qx term log
		all_gone $command
		expect_match err "interrupted; weir resume run:[0-9a-f]{8} goes on"
		expect_equal "the phase" "$(state_field Phase)" Eval
		notes >notes
		expect_file notes SIG'$signal'
		: >gate
		expect_exit 0 weir resume last
		weir cat last >bytes
		expect_file bytes first
		expect_equal "starts of first" "$(grep -c "start first" log)" 1
		expect_equal "starts of second" "$(grep -c "start second" log)" 2
		round_end
	'
done

test_case 'what does not heed TERM is killed five seconds later' '
	round stay
	begin stay
	start=$(now_ms)
	kill -INT $run
	ended 130
	ms=$(($(now_ms) - start))
	[ $ms -ge 4500 ] && [ $ms -lt 9000 ] || fail "it took $ms ms"
	grep -qx term log
	all_gone $command
	round_end
'

test_case 'a keeper that does not answer holds an interrupt up for some seconds, not for ever' '
	round deaf
	begin leave
	keeper=$(pid_of weir-keeper)
	kill -STOP $keeper
	start=$(now_ms)
	kill -TERM $run
	wait_for 20 all_gone $run || { kill -CONT $keeper; kill -9 $run; fail "it is still there"; }
	kill -CONT $keeper
	ended 130
	ms=$(($(now_ms) - start))
	[ $ms -ge 7500 ] || fail "it took $ms ms"
	expect_match err "^weir: the keeper does not answer: commands of the run may still be running$"
	notes >notes
	expect_file notes SIGTERM
	: >gate
	expect_exit 0 weir resume last
	weir cat last >bytes
	expect_file bytes first
	round_end
'

test_case 'a second ^C leaves at once' '
	round twice
	begin stay
	kill -INT $run
	wait_for 5 grep -qx term log
	start=$(now_ms)
	kill -INT $run
	ended 130
	ms=$(($(now_ms) - start))
	[ $ms -lt 1000 ] || fail "it took $ms ms"
	# The command is ended all the same, and the run can be resumed.
	wait_for 10 all_gone $command
	: >gate
	expect_exit 0 weir resume last
	expect_equal "starts of first" "$(grep -c "start first" log)" 1
	expect_equal "starts of second" "$(grep -c "start second" log)" 2
	round_end
'

test_case 'SIGHUP leaves the commands alone, and a resume attaches to them' '
	round hangup
	begin leave
	kill -HUP $run
	ended 129
	! all_gone $command || fail "the command was ended"
	: >gate
	expect_exit 0 weir resume last
	weir cat last >bytes
	expect_file bytes first
	expect_equal "starts of first" "$(grep -c "start first" log)" 1
	expect_equal "starts of second" "$(grep -c "start second" log)" 1
	round_end
'

test_case 'weir kill ends a run as ^C does' '
	round kill
	begin leave
	expect_exit 0 weir kill last
	cp err kill.err
	ended 130
	grep -qx term log
	wait_for 10 all_gone $command
	expect_equal "the phase" "$(state_field Phase)" Eval
	: >gate
	expect_exit 0 weir resume last
	expect_equal "starts of second" "$(grep -c "start second" log)" 2
	round_end
'

test_case 'weir kill of a run that nobody evaluates says so' '
	round killdone
	expect_exit 0 weir run "$examples/one.rf"
	expect_exit 1 weir kill last
	expect_match err "^weir: run:[0-9a-f]{8}: .*not being evaluated|is over|has no controller|is done"
	round_end
'

test_done
