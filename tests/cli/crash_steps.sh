#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Kill -9 at named durable steps: what dies is the controller, its journal, a slot worker of the keeper, or the writer
# of the databases, exactly there. Whatever it was, the run comes to its result, and nothing is executed twice.
. "$(dirname "$0")/lib.sh"
. "$here/crashlib.sh"

# step POINT WHAT [OPTION...]: somebody dies at POINT. WHAT says who that is or how far an exec was, and so what must be
# true afterwards: see crash_step.
steps=()
step() {
	steps+=("$*")
}

# The controller: it has to be resumed.
step store-before-object-rename:1 controller --no-cache
step run-before-snapshot:1 controller --no-cache
step run-after-snapshot:1 controller --no-cache
step run-before-snapshot:2 controller --no-cache
step run-after-snapshot:2 controller --no-cache
step run-before-snapshot:3 controller --no-cache
step run-after-snapshot:3 controller --no-cache
step journal-client-appended:5 controller --no-cache
step journal-client-answered:3 controller --no-cache
step journal-client-answered:6 controller --no-cache
# Its journal: another one is started, and the run goes on.
step journal-before-sync:1 journal --no-cache
step journal-before-sync:3 journal --no-cache
step journal-after-sync:2 journal --no-cache
step journal-before-ack:4 journal --no-cache
# A slot worker before the command: the command is started once all the same.
step keeper-request-held:2 before --no-cache
step keeper-attempt-created:2 before --no-cache
step keeper-staged:2 before --no-cache
step keeper-before-spawn:2 before --no-cache
# With the command done and not yet taken in: this one is lost, and executed again.
step keeper-after-exit:2 lost --no-cache
step keeper-outputs-renamed:2 lost --no-cache
step keeper-before-manifest:2 lost --no-cache
# With its manifest in place it is over, whoever dies.
step keeper-after-manifest:2 over --no-cache
# The writer of the databases is no exec's business.
step store-before-objects-sync:1 over --cache write
step store-before-db-commit:1 over --cache write
step store-after-db-commit:1 over --cache write
step store-before-db-answer:1 over --cache write
# The steps of compaction have a script of their own: compact.sh.

crash_step() {
	local point=$1 who=$2 code=0
	shift 2
	WEIR_CRASH=$point WEIR_CRASH_ONCE=$PWD/crashed timeout 60 $(parts_run "$@") \
		>out 2>err || code=$?
	cat err
	[ -e crashed ] || fail "nobody has passed $point"
	case $who in
	controller)
		expect_equal 'the exit status' $code 137
		resume_parts "$@"
		;;
	*)
		expect_equal 'the exit status' $code 0
		;;
	esac
	expect_parts
	case $who in
	lost)
		expect_equal 'the number of commands' "$(grep -c ^start log)" 8
		;;
	*)
		expect_started $parts_names
		;;
	esac
}

rounds 3 ${#steps[@]} 'crash_step ${steps[i - 1]}'
for ((i = 1; i <= ${#steps[@]}; i++)); do
	test_case "killed at ${steps[i - 1]%% *} (${steps[i - 1]#* })" 'round_result '$i
done

# --- the resume itself dies

resumes=(takeover-before-epoch:1 journal-before-sync:1 run-before-snapshot:1 run-after-snapshot:1
	journal-client-answered:2)
resume_step() {
	local code=0
	WEIR_CRASH=run-after-snapshot:2 timeout 60 $(parts_run --no-cache) >out 2>err || code=$?
	expect_equal 'the exit status of run' $code 137
	code=0
	WEIR_CRASH=$1 WEIR_CRASH_ONCE=$PWD/crashed timeout 60 weir resume last >out 2>err || code=$?
	cat err
	[ -e crashed ] || fail "nobody has passed $1"
	case $1 in
	journal-before*)
		expect_equal 'the exit status of resume' $code 0
		;;
	*)
		expect_equal 'the exit status of resume' $code 137
		expect_exit 0 weir resume last
		;;
	esac
	expect_parts
	expect_started $parts_names
}

chmod -R u+w "$T"/round-* && rm -rf "$T"/round-*
rounds 3 ${#resumes[@]} 'resume_step ${resumes[i - 1]}'
for ((i = 1; i <= ${#resumes[@]}; i++)); do
	test_case "resume killed at ${resumes[i - 1]}" 'round_result '$i
done

test_done
