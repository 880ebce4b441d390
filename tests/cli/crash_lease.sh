#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What time does to a run whose controller was killed: its alloc's lease lapses, and nothing is lost; `retain` passes,
# and its commands are ended, and these, and only these, are started again.
. "$(dirname "$0")/lib.sh"
needs python3
. "$here/crashlib.sh"

# killed OPTION...: a run of gate.rf whose part 0 has ended and whose others run; then its controller is killed.
killed() {
	$(gate_run --no-cache "$@") >out 2>err </dev/null &
	run=$!
	wait_for 20 has_started 0 1 2
	wait_for 20 ended_is_known
	kill -9 $run
	wait $run || :
	commands=$(awk '$1 == "start" && $2 != 0 { print $3 }' log)
}

# The end of part 0 is in the journal.
ended_is_known() {
	[ "$(record_count last ended)" = 1 ]
}

journals_free() {
	local dir
	for dir in "$WEIR_ROOT"/journal/*/; do
		flock -n "$dir" true || return 1
	done
}

# The newest controller holds its journal.
weir_is_live() {
	local newest=$(ls -d "$WEIR_ROOT"/journal/*/ | sort | tail -n 1)
	! flock -n "$newest" true && [ "$(ls -d "$WEIR_ROOT"/journal/*/ | wc -l)" -ge 2 ]
}

test_case 'after the lease has lapsed a resume attaches to what runs, and starts nothing again' '
	round lapsed
	killed
	wait_for 10 journals_free
	n=$(python3 "$here/lapse_lease.py" "$WEIR_ROOT/journal")
	[ "$n" -ge 1 ] || fail "no snapshot had a lease"
	weir resume last >out 2>err </dev/null &
	run=$!
	# It has to be seen waiting for what others have started.
	wait_for 20 weir_is_live
	! all_gone $commands || fail "the commands were ended"
	: >gate
	wait $run
	cat err
	expect_gate
	expect_started $gate_names
	round_end
'

test_case 'what has ended before the resume is taken in, also after the lease has lapsed' '
	round late
	killed
	wait_for 10 journals_free
	python3 "$here/lapse_lease.py" "$WEIR_ROOT/journal"
	: >gate
	wait_for 10 all_gone $commands
	expect_exit 0 weir resume last
	expect_gate
	expect_started $gate_names
	round_end
'

test_case 'after retain the keeper ends them, and a resume starts those, and only those, again' '
	round retain
	killed --retain 2s
	since=$(now_ms)
	! all_gone $commands || fail "they were ended at once"
	wait_for 12 all_gone $commands
	[ $(($(now_ms) - since)) -ge 1500 ] || fail "they were ended after $(($(now_ms) - since)) ms"
	: >gate
	expect_exit 0 weir resume last
	expect_gate
	for name in 0 1 2 all; do
		n=$(grep -c "^start $name " log)
		case $name in
		1 | 2) expect_equal "starts of $name" $n 2 ;;
		*) expect_equal "starts of $name" $n 1 ;;
		esac
	done
	round_end
'

test_case 'a resume within retain keeps them for as long as it lives' '
	round kept
	killed --retain 2s
	weir resume last >out 2>err </dev/null &
	run=$!
	wait_for 20 weir_is_live
	sleep 3.5
	! all_gone $commands || fail "they were ended"
	: >gate
	wait $run
	expect_gate
	expect_started $gate_names
	round_end
'

test_done
