# SPDX-License-Identifier: Apache-2.0
# For the tests that kill: source it behind lib.sh. Its flow has commands that leave a line in a log outside of all that
# weir knows when they start and when they end, so that what was executed is counted by what it has done to the world.
#
# Each round has a folder and a root of its own, and several of them run at once: most of a round is waiting.

# parts.rf: n commands that do not wait for each other, and one that takes what they wrote.
cat >"$T/parts.rf" <<'END'
param (
	n = 6
	nap = "0.1"
	log string
)
func part(i int) = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start {{i}} $(date +%s%N) >> {{log}}
	sleep {{nap}}
	seq {{i}} 1000 > {{out}}
	echo end {{i}} $(date +%s%N) >> {{log}}
"}
val parts = [part(i) | i <- range(0, n)]
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start all $(date +%s%N) >> {{log}}
	cat {{parts}} | sort -n | sha256sum > {{out}}
	echo end all $(date +%s%N) >> {{log}}
"}
END
for i in 0 1 2 3 4 5; do seq $i 1000; done | sort -n | sha256sum >"$T/parts.wanted"
parts_names='0 1 2 3 4 5 all'

# gate.rf: part 0 ends at once, the others wait until there is a file; a last one takes what they wrote.
cat >"$T/gate.rf" <<'END'
param (
	gate string
	log string
)
func part(i int) = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start {{i}} $$ >> {{log}}
	until [ {{i}} = 0 ] || [ -e {{gate}} ]; do sleep 0.02; done
	echo {{i}} > {{out}}
	echo end {{i}} >> {{log}}
"}
val parts = [part(i) | i <- range(0, 3)]
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start all $$ >> {{log}}
	cat {{parts}} > {{out}}
	echo end all >> {{log}}
"}
END
gate_names='0 1 2 all'

# Three may run at once, whatever this machine has; memory is as little as a run asks for.
run_options='--resources cpu=3,mem=2GiB,disk=1TiB'

# round NAME: from now on this subshell is in a folder and on a root of its own.
round() {
	mkdir "$T/$1"
	cd "$T/$1"
	export WEIR_ROOT=$T/$1/root
	: >log
}

round_end() {
	local pid
	for pid in $(test_processes "$WEIR_ROOT"); do
		kill -9 "$pid" 2>/dev/null || :
	done
}

# What to type, with more options behind it. The folder is a parameter's text and so a part of every key; the result is
# the same in every folder.
parts_run() {
	echo weir run $run_options "$@" "$T/parts.rf" -log "$PWD/log"
}

gate_run() {
	echo weir run $run_options "$@" "$T/gate.rf" -log "$PWD/log" -gate "$PWD/gate"
}

# expect_parts: the result of parts.rf, as `weir cat` has it.
expect_parts() {
	weir cat last >bytes
	cmp bytes "$T/parts.wanted"
}

expect_gate() {
	weir cat last >bytes
	printf '0\n1\n2\n' | cmp bytes -
}

# expect_started NAME... : each of these was started exactly once.
expect_started() {
	local name n bad=0
	for name; do
		n=$(grep -c "^start $name " log || :)
		[ "$n" = 1 ] || { echo "$name was started $n times"; bad=1; }
	done
	[ $bad = 0 ] || { cat log; return 1; }
}

# has_started NAME... / all_gone PID...: conditions for wait_for.
has_started() {
	local name
	for name; do
		grep -q "^start $name " log || return 1
	done
}

all_gone() {
	local pid
	for pid; do
		[ ! -e "/proc/$pid" ] || return 1
	done
}

# expect_restarted MS: some names were started twice, but only such as ran when the keeper was killed, at the time MS:
# not more than may run at once, started before, and not ended well before. One that has just ended may not have been
# taken in; and the workers of a keeper outlive it by a moment.
expect_restarted() {
	awk -v at="$1" -v names="$parts_names" '
		$1 == "start" && ++starts[$2] == 1 { first[$2] = $3 / 1e6 }
		$1 == "end" && starts[$2] == 1 { ended[$2] = $3 / 1e6 }
		END {
			n = split(names, list, " ")
			for (i = 1; i <= n; i++) {
				name = list[i]
				if (starts[name] == 1)
					continue
				twice++
				if (starts[name] != 2)
					wrong = wrong "; " name " was started " starts[name] + 0 " times"
				else if (first[name] > at + 100)
					wrong = wrong "; " name " was started twice, but first after the kill"
				else if (name in ended && ended[name] < at - 300)
					wrong = wrong "; " name " had ended " at - ended[name] " ms before the kill"
			}
			if (twice > 3)
				wrong = wrong "; " twice " were started twice"
			if (wrong) {
				print substr(wrong, 3)
				exit 1
			}
		}
	' log || { cat log; return 1; }
}

# run_was_named: the last weir run has said its id. Before it does, nothing was promised.
run_was_named() {
	[ -n "$(run_id)" ]
}

# resume_parts: after weir run has died. A run that was named is gone on with; else one is begun.
resume_parts() {
	if run_was_named; then
		expect_exit 0 weir resume last
	elif timeout 60 weir resume last >out 2>err; then
		: # it was durable, but not said yet
	else
		expect_match err 'there is no (root|run) '
		expect_exit 0 $(parts_run "$@")
	fi
}

# rounds WIDTH COUNT BODY: runs BODY for i = 1..COUNT, WIDTH of them at once, each in a subshell with its own folder;
# what came of each is left for round_result.
rounds() {
	local width=$1 count=$2 body=$3 i running=0
	for ((i = 1; i <= count; i++)); do
		if [ $running -ge "$width" ]; then
			wait -n
			running=$((running - 1))
		fi
		(
			set -e
			trap "code=\$?; round_end; echo \$code >'$T/round-$i.status'" EXIT
			round "round-$i"
			eval "$body"
		) >"$T/round-$i.log" 2>&1 </dev/null &
		running=$((running + 1))
	done
	wait
}

round_result() {
	cat "$T/round-$1.log"
	[ "$(cat "$T/round-$1.status")" = 0 ]
}
