#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Kill -9 at instants spread over the life of a run: of the controller, of its journal, of the keeper. Then the run
# comes to its result, and nothing that ran or had ended is executed again, except what ran under a keeper that was killed.
. "$(dirname "$0")/lib.sh"
. "$here/crashlib.sh"

# How long is it, from its first process to its last?
test_case 'the run, undisturbed' '
	round whole
	start=$(now_ms)
	expect_exit 0 $(parts_run --no-cache)
	echo $(($(now_ms) - start)) >$T/length
	cp out $T/whole.out
	expect_parts
	expect_started $parts_names
	round_end
'
length=$(cat "$T/length" 2>/dev/null || echo 1000)
count=50
echo "# $count instants in $length ms"

# The i-th instant of n, in seconds.
instant() {
	awk -v i="$1" -v n="$2" -v length_ms="$length" 'BEGIN { printf "%.3f\n", i * length_ms / n / 1000 }'
}

# begin: starts the run behind this subshell; run is its process.
begin() {
	: >out >err	# a kill may come before the shell has made them
	$(parts_run --no-cache) >out 2>err </dev/null &
	run=$!
}

# child_of PID NAME: its child of that name. Where the kernel does not tell whose children are whose, by a longer
# search.
child_of() {
	local pid
	[ -e "/proc/$$/task/$$/children" ] || { pid_of "$2"; return; }
	for pid in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]; then
			echo "$pid"
			return 0
		fi
	done
	return 1
}

# kill_at SECONDS PROCESS: at that time of the run. The time of the kill is left in the file at; there is none when
# there was nobody to be killed.
kill_at() {
	local pid
	sleep "$1"
	case $2 in
	run) pid=$run ;;
	weir-journal) pid=$(child_of $run "$2") || return 0 ;;
	*) pid=$(pid_of "$2") || return 0 ;;
	esac
	if kill -9 "$pid" 2>/dev/null; then
		now_ms >at
		echo "killed $2 after $1 s"
	fi
}

# ended: waits for the run; its status is in code.
ended() {
	code=0
	wait $run || code=$?
	cat err
}

kill_controller() {
	begin
	kill_at "$(instant $1 $count)" run
	ended
	[ $code = 0 ] || [ $code = 137 ]
	if [ $code = 137 ]; then
		: >killed
		resume_parts --no-cache
	fi
	cmp out "$T/whole.out"
	expect_parts
	expect_started $parts_names
}

kill_journal() {
	begin
	kill_at "$(instant $1 $count)" weir-journal
	ended
	expect_equal "the exit status" $code 0
	[ ! -e at ] || : >killed
	cmp out "$T/whole.out"
	expect_parts
	expect_started $parts_names
}

kill_keeper() {
	begin
	kill_at "$(instant $1 $count)" weir-keeper
	ended
	expect_equal "the exit status" $code 0
	cmp out "$T/whole.out"
	expect_parts
	if [ -e at ]; then
		: >killed
		expect_restarted "$(cat at)"
	else
		expect_started $parts_names
	fi
}

# spread WHO FUNCTION: the rounds, a case for each, and one that says that the kills did hit.
spread() {
	local who=$1 i
	rounds 3 $count "$2 \$i"
	for ((i = 1; i <= count; i++)); do
		test_case "$who killed at instant $i of $count" "round_result $i"
	done
	test_case "kills of $who met it alive" "
		n=\$(find \"\$T\"/round-*/killed | wc -l)
		[ \$n -ge $((count / 5)) ] || fail only \$n
	"
	[ $test_failed != 0 ] || { chmod -R u+w "$T"/round-* && rm -rf "$T"/round-*; }
}

spread 'the controller' kill_controller
[ $test_failed = 0 ] && spread 'the journal' kill_journal
[ $test_failed = 0 ] && count=25 && spread 'the keeper' kill_keeper

test_done
