# SPDX-License-Identifier: Apache-2.0
# Shell library of the tests that run the real programs; source it from bash:
#
#	. "$(dirname "$0")/lib.sh"
#
# A script is a sequence of cases. Each is one line of TAP; a failed one prints what it did. The bodies run under
# `set -e` in a subshell: the first command that fails ends and fails the case, and what one case must hand to the next
# goes through files. The script runs in a temporary folder of its own, with a root of its own below it, which goes away
# at the end, or stays and is named when a case failed.
#
#	test_case 'what must be true' '
#		expect_exit 0 weir run "$examples/one.rf"
#		expect_file out "file(…)"
#	'
#	test_done

set -u
unset CDPATH
umask 022
export LC_ALL=C.UTF-8

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
examples=$top/examples
# Automake runs tests in the build's top folder; by hand, WEIR_BUILD says where that is.
builddir=${WEIR_BUILD:-$PWD}
if [ ! -x "$builddir/weir" ]; then
	echo "no weir in $builddir: run this from the folder of a build, or set WEIR_BUILD" >&2
	exit 99
fi
builddir=$(cd "$builddir" && pwd)

T=$(mktemp -d "${TMPDIR:-/tmp}/weir-test.XXXXXX") || exit 99
export WEIR_ROOT=$T/root
# Nothing of the user's may decide a test: no configuration, no home, no settings from the environment.
for variable in $(compgen -e WEIR_); do
	[ "$variable" = WEIR_ROOT ] || unset "$variable"
done
export HOME=$T/home XDG_CONFIG_HOME=$T/home/.config XDG_DATA_HOME=$T/home/.local/share
export NO_COLOR=1 PATH="$builddir:$PATH"
mkdir -p "$HOME"
cd "$T" || exit 99

test_count=0
test_failed=0
test_skipped=0

# --- cases

# test_case NAME BODY
test_case() {
	test_count=$((test_count + 1))
	(
		set -e
		eval "$2"
	) >"$T/case.log" 2>&1 </dev/null
	local status=$?
	if [ $status = 77 ]; then
		test_skipped=$((test_skipped + 1))
		echo "ok $test_count - $1 # SKIP $(tail -n 1 "$T/case.log")"
	elif [ $status = 0 ]; then
		echo "ok $test_count - $1"
	else
		test_failed=$((test_failed + 1))
		echo "not ok $test_count - $1"
		sed 's/^/# /' "$T/case.log"
		cp "$T/case.log" "$T/case-$test_count.log"
	fi
}

# skip REASON: within a case, when the host lacks what it needs.
skip() {
	echo "$1"
	exit 77
}

# skip_all REASON: instead of cases.
skip_all() {
	echo "1..0 # SKIP $1"
	test_cleanup
	rm -rf "$T"
	exit 77
}

# needs PROGRAM...: for all cases. Those that only set-up with --tests or --examples installs.
needs() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip_all "$program is not installed"
	done
}

test_done() {
	echo "1..$test_count"
	test_cleanup
	if [ $test_failed != 0 ]; then
		echo "# kept: $T"
		exit 1
	fi
	cd / && chmod -R u+w "$T" && rm -rf "$T"
	if [ $test_count != 0 ] && [ $test_skipped = $test_count ]; then
		exit 77
	fi
	exit 0
}

# Ends what still runs on roots below the test's folder. Only processes that carry one of them in their environment are
# ours.
test_cleanup() {
	local pid
	for pid in $(test_processes "$T/"); do
		kill -9 "$pid" 2>/dev/null
	done
}

# What follows starts no program but grep: who looks for a process in order to kill it has no time to lose.

# test_processes PREFIX: processes whose root begins so. The subshells of this very script carry the root too.
test_processes() {
	local f pid own
	own=$(comm_of $$)
	for f in $(grep -lzsF "WEIR_ROOT=$1" /proc/[0-9]*/environ); do
		pid=${f#/proc/}
		pid=${pid%/environ}
		if [ "$pid" != $$ ] && [ "$(comm_of "$pid")" != "$own" ]; then
			echo "$pid"
		fi
	done
}

# pid_of NAME: the process of that name on the root; of a family the oldest member.
pid_of() {
	local pid
	for pid in $(test_processes "$WEIR_ROOT"); do
		if [ "$(comm_of "$pid")" = "$1" ] && [ "$(comm_of "$(parent_of "$pid")")" != "$1" ]; then
			echo "$pid"
			return 0
		fi
	done
	return 1
}

comm_of() {
	local comm
	{ read -r comm <"/proc/$1/comm"; } 2>/dev/null
	echo "${comm-}"
}

parent_of() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return
	# The name stands in brackets and may hold anything; the state follows it, then the parent.
	set -- ${stat##*) }
	echo "$2"
}

# --- what a body may call

fail() {
	echo "failed: $*"
	return 1
}

# expect_exit N COMMAND...: runs it with a limit of time; its stdout is left in the file out, its stderr in err.
expect_exit() {
	local want=$1 got=0
	shift
	echo "\$ $*"
	timeout "${LIMIT:-120}" "$@" >out 2>err || got=$?
	if [ "$got" != "$want" ]; then
		echo "exit status $got instead of $want"
		echo "--- stdout"
		head -c 4000 out
		echo "--- stderr"
		head -c 4000 err
		return 1
	fi
}

# expect_out TEXT: the last command's whole stdout, without a last newline. expect_err likewise.
expect_out() {
	expect_file out "$1"
}

expect_err() {
	expect_file err "$1"
}

# expect_file FILE TEXT: FILE holds exactly this line, or these.
expect_file() {
	printf '%s\n' "$2" | diff -u --label expected --label "$1" - "$1"
}

# expect_match FILE REGEX: a line of FILE matches, as grep -E does it.
expect_match() {
	if ! grep -qE -- "$2" "$1"; then
		echo "no line of $1 matches: $2"
		echo "--- $1"
		head -c 4000 "$1"
		return 1
	fi
}

expect_no_match() {
	if grep -nE -- "$2" "$1"; then
		echo "this should not be in $1: $2"
		return 1
	fi
}

# expect_equal WHAT GOT WANTED
expect_equal() {
	[ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"
}

# wait_for SECONDS COMMAND...: until the command succeeds; fails when it has not in that time.
wait_for() {
	local end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$(now_ms)" -ge $end ]; then
			fail "this did not come true in time: $*"
			return 1
		fi
		sleep 0.02
	done
}

now_ms() {
	local t=$EPOCHREALTIME
	echo $((${t%[.,]*} * 1000 + 10#${t#*[.,]} / 1000))
}

# --- asking weir

# run_id: the id of the newest run, as the last command's stderr told it.
run_id() {
	grep -oE 'run:[0-9a-f]{8,64}' err | tail -n 1
}

# record_count RUN EVENT: how many exec records of that event a run has: started, ended, hit, lost, intern.
record_count() {
	weir-dump --json --history "$1" | python3 -c '
import json, sys
n = 0
for line in sys.stdin:
    record = json.loads(line)
    if record.get("kind") == "exec" and record.get("event") == sys.argv[1]:
        n += 1
print(n)
' "$2"
}

# expect_execs N: so many commands were started by the last run.
expect_execs() {
	expect_equal "the number of execs started by $(run_id)" "$(record_count "$(run_id)" started)" "$1"
}
