#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Kill -9 at every durable step of a run that a process of weir has, one by one: an undisturbed run counts them (each has
# a crash point beside it, which strace is asked to confirm), and then there is a round for each, in which the process
# that gets there dies. Whatever it was, the run comes to its result, nothing whose result was acknowledged is executed
# again, and nothing is left: no lock, no process, no room in the ledger.
#
# WEIR_EVERY=N takes each Nth step, from the WEIR_EVERY_FROMth; without it some do. tools/check --long takes all.
every=${WEIR_EVERY:-5} from=${WEIR_EVERY_FROM:-1}
. "$(dirname "$0")/lib.sh"
. "$here/crashlib.sh"
needs python3

# Three execs that take a local file, and one that takes what they wrote.
echo data >"$T/data"
cat >"$T/steps.rf" <<'END'
param (
	data string
	log string
)
val in = file(data)
func part(i int) = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start {{i}} $$ >> {{log}}
	cat {{in}} > {{out}}
	echo {{i}} >> {{out}}
"}
val parts = [part(i) | i <- range(0, 3)]
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start all $$ >> {{log}}
	cat {{parts}} > {{out}}
"}
END
printf 'data\n%s\n' 0 1 2 >"$T/steps.wanted"

# One that needs all there is.
cat >"$T/whole.rf" <<'END'
val Main = exec(image := "host", cpu := 3, mem := 2*GiB) (out file) {"
	echo whole > {{out}}
"}
END

flow() {
	echo weir run $run_options --cache write "$T/steps.rf" -data "$T/data" -log "$PWD/log"
}

# counted PROGRAM: how many steps its processes have made.
counted() {
	local bytes
	bytes=$(stat -c %s "count.$1" 2>/dev/null || echo 0)
	echo $((bytes / 40))
}

# list_steps WHAT PROGRAM: those that were counted and are to be taken.
list_steps() {
	local n i
	n=$(counted "$2")
	[ "$n" -gt 15 ] || fail "$2 has made $n steps" >&2
	for ((i = from; i <= n; i += every)); do
		echo "$1 $2 $i"
	done
}

# The run, dead as soon as it has an alloc.
killed_run() {
	local code=0
	WEIR_CRASH=run-after-snapshot:2 timeout 60 $(flow) >out 2>err || code=$?
	expect_equal 'the exit status of run' $code 137
}

expect_result() {
	weir cat last >bytes
	cmp bytes "$T/steps.wanted"
}

test_case 'the run, undisturbed' '
	round whole
	WEIR_CRASH_COUNT=$PWD/count expect_exit 0 $(flow)
	expect_result
	expect_started 0 1 2 all
	for program in weir weir-journal weir-keeper; do
		list_steps run $program
	done >$T/steps
	round_end
'
test_case 'a resume, undisturbed' '
	round resumed
	killed_run
	WEIR_CRASH_COUNT=$PWD/count expect_exit 0 weir resume $run_options last
	expect_result
	for program in weir weir-journal; do
		list_steps resume $program
	done >>$T/steps
	round_end
'
mapfile -t steps <"$T/steps"

# Whoever renames, links or syncs passes a crash point just before or just after it.
cat >"$T/beside.py" <<'END'
import re, sys
events = {}
for line in open(sys.argv[1]):
    m = re.match(r"(\d+) +(\w+)\((.*)", line)
    if not m:
        continue
    pid, call, rest = m.groups()
    if call == "openat":
        if sys.argv[2] in rest:
            events.setdefault(pid, []).append(None)
    elif not re.search(r"= -1 |ENOENT", rest):
        events.setdefault(pid, []).append(call + "(" + rest)
n = bad = 0
for pid, seen in events.items():
    if None not in seen:
        continue
    for i, e in enumerate(seen):
        if e is None:
            continue
        n += 1
        if None not in seen[max(0, i - 1):i + 2]:
            bad += 1
            print("no crash point is beside", e)
print(n, "durable calls")
sys.exit(bad > 0 or n < 30)
END
test_case 'a crash point is beside each of them' '
	command -v strace >/dev/null || skip "strace is not installed"
	strace -o /dev/null true || skip "strace may not be used here"
	round traced
	calls=openat,rename,renameat,renameat2,link,linkat,fsync,fdatasync,syncfs,sync_file_range,msync
	WEIR_CRASH_COUNT=$PWD/count expect_exit 0 strace -f -qq -e trace=$calls -o trace $(flow)
	python3 $T/beside.py trace $PWD/count.
	round_end
'

# free_now: no attempt and no journal is locked, and none but the keeper is there.
free_now() {
	local d pid
	for d in $(find "$WEIR_ROOT" \( -path '*/execs/*/[0-9]*' -o -path '*/journal/*' \) -type d -prune); do
		flock -n "$d" true || { echo "$d is locked"; return 1; }
	done
	for pid in $(test_processes "$WEIR_ROOT"); do
		case $(comm_of "$pid") in
		weir-keeper | '') ;;
		*) echo "$pid is left: $(tr '\0' ' ' </proc/"$pid"/cmdline)"; return 1 ;;
		esac
	done
}

# No exec of a run starts after its success was on record.
expect_no_repeat() {
	weir-dump --json --history last >history
	python3 -c '
import json, sys
done = set()
for line in open("history"):
    r = json.loads(line)
    if r.get("kind") != "exec":
        continue
    key = r.get("pkey") or r.get("exec") or r.get("node")
    if r["event"] == "ended" and (r.get("result") or {}).get("state") == "ok":
        done.add(key)
    if r["event"] == "started" and key in done:
        sys.exit("%s starts again after its result" % r.get("ident"))
assert len(done) == 4, "%d results are on record" % len(done)
'
}

# Between the end of a command and its manifest a death loses it.
is_lost_at() {
	case $1 in
	keeper-after-exit | store-object-renamed | store-before-object-rename | keeper-before-object-link | \
		keeper-outputs-renamed | keeper-before-manifest) true ;;
	*) false ;;
	esac
}

# every_step run|resume PROGRAM N
every_step() {
	local program=$2 n=$3 code=0 point=none starts command
	if [ "$1" = run ]; then
		command=$(flow)
	else
		killed_run
		command="weir resume $run_options last"
	fi
	WEIR_CRASH="$program#$n" WEIR_CRASH_COUNT=$PWD/count timeout 60 $command >out 2>err || code=$?
	cat err
	# Another time there may be a step less.
	[ "$(counted $program)" -lt "$n" ] || point=$(sed -n "${n}s/ *$//p" "count.$program")
	echo "died at $point"
	echo "$point" >point
	if [ $program = weir ] && [ $point != none ]; then
		expect_equal 'the exit status' $code 137
		if ! run_was_named && ! weir ps -a | grep -q steps.rf; then
			expect_exit 0 $(flow)
		else
			expect_exit 0 weir resume $run_options last
		fi
	else
		expect_equal 'the exit status' $code 0
	fi
	expect_result
	starts=$(grep -c ^start log)
	if [ $program = weir-keeper ] && is_lost_at $point && [ "$starts" = 5 ]; then
		echo 'one was lost'
	else
		expect_started 0 1 2 all
	fi
	expect_no_repeat
	wait_for 10 free_now || free_now
	expect_exit 0 weir run $run_options --no-cache "$T/whole.rf"
}

rounds 3 ${#steps[@]} 'every_step ${steps[i - 1]}'
for ((i = 1; i <= ${#steps[@]}; i++)); do
	test_case "${steps[i - 1]}: $(cat "$T/round-$i/point" 2>/dev/null)" 'round_result '$i
done

test_done
