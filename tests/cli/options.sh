#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every option of a run: that it is taken, remembered in the State, and does what it says. What was executed is counted
# by what it did: each command leaves a line in a log.
. "$(dirname "$0")/lib.sh"
needs python3

cat >chain.rf <<'END'
param (
	log string
	word = "word"
)
val a = exec(image := "host", mem := 16*MiB) (out file) {"
	echo a >> {{log}}
	echo {{word}} > {{out}}
"}
val b = exec(image := "host", mem := 16*MiB) (out file) {"
	echo b >> {{log}}
	tr a-z A-Z < {{a}} > {{out}}
"}
val Main = b
END

# executed OPTION... WANTED: a run of chain.rf on the root executes these, in this order.
executed() {
	local wanted=${!#}
	: >log
	expect_exit 0 weir run "${@:1:$#-1}" "$T/chain.rf" -log "$PWD/log"
	expect_match out '^file\(sha256=sha256:[0-9a-f]{64}, size=5\)$'
	expect_equal 'what was executed' "$(tr -d '\n' <log)" "$wanted"
	expect_execs ${#wanted}
}

# place NAME: a folder and a root of its own.
place() {
	mkdir "$T/$1"
	cd "$T/$1"
	export WEIR_ROOT=$T/$1/root
}

# state PATH: a field of the last run's newest snapshot, `Config.Retain`.
state() {
	weir-dump --json last | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())["state"]
for name in sys.argv[1].split("."):
    value = value[name]
print(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
' "$1"
}

# phases: those of the last run, in their order.
phases() {
	weir-dump --json --history last | python3 -c '
import json, sys
for line in sys.stdin:
    record = json.loads(line)
    if record["kind"] == "snapshot":
        print(record["state"]["Phase"], end=" ")
'
}

test_case '--cache off neither reads nor writes' '
	place off
	executed --cache off ab
	expect_equal CacheMode "$(state Config.CacheMode)" off
	executed --cache off ab
	executed --cache read ab
	executed --no-cache ab
	expect_equal CacheMode "$(state Config.CacheMode)" off
'

test_case '--cache write writes, and does not read' '
	place write
	executed --cache write ab
	expect_equal CacheMode "$(state Config.CacheMode)" write
	executed --cache write ab
	executed --cache read ""
'

test_case '--cache read reads, and does not write' '
	place read
	executed --cache read ab
	executed --cache read ab
	executed --cache write ab
	executed --cache read ""
	expect_equal CacheMode "$(state Config.CacheMode)" read
'

test_case '--cache read+write is the default' '
	place default
	executed ab
	expect_equal CacheMode "$(state Config.CacheMode)" read+write
	executed ""
	executed --cache read+write ""
	executed --no-cache ab
'

test_case '--invalidate RE executes again what matches, where it is asked for' '
	place invalidate
	executed ab
	executed --invalidate "chain\.b\$" b
	expect_equal Invalidate "$(state Config.Invalidate)" "chain\.b\$"
	# b is known, so that nobody asks for a.
	executed --invalidate "chain\.a\$" ""
	executed --invalidate "^chain" ab
	executed --invalidate nothing ""
	expect_exit 2 weir run --invalidate "a(" "$T/chain.rf" -log log
	expect_match err "invalidate"
'

test_case '--recompute-empty does not trust what is empty' '
	place empty
	cat >empty.rf <<"END"
param log string
val Main = exec(image := "host", mem := 16*MiB) (out dir) {"
	echo e >> {{log}} # {{out}} stays as it is
"}
END
	expect_exit 0 weir run empty.rf -log "$PWD/log"
	expect_exit 0 weir run empty.rf -log "$PWD/log"
	expect_execs 0
	expect_exit 0 weir run --recompute-empty empty.rf -log "$PWD/log"
	expect_execs 1
	expect_equal RecomputeEmpty "$(state Config.RecomputeEmpty)" true
	expect_equal "the number of commands" "$(grep -c . log)" 2
	executed ab
	executed --recompute-empty ""
'

test_case '--no-cache-extern is taken: what is asked for last is not looked up, what it needs is' '
	place extern
	executed ab
	executed --no-cache-extern b
	expect_equal NoCacheExtern "$(state Config.NoCacheExtern)" true
'

test_case '--cache-lookup-timeout is taken' '
	place timeout
	executed ab
	executed --cache-lookup-timeout 90s ""
	expect_equal CacheLookupTimeout "$(state Config.CacheLookupTimeout)" 90000000000
	expect_exit 2 weir run --cache-lookup-timeout soon "$T/chain.rf" -log log
	expect_err "weir: cache_lookup_timeout (--cache-lookup-timeout): soon is no time; write 90s, 20m or 1h30m"
'

test_case '--label K=V is in the State, and on the alloc' '
	place label
	executed --label who=me --label why=test ab
	expect_equal Labels "$(state Labels)" "{\"who\": \"me\", \"why\": \"test\"}"
	expect_equal "the alloc'\''s label" "$(state AllocInspect.Meta.Labels.who)" me
	expect_equal "the alloc'\''s program" "$(state AllocInspect.Meta.Labels.program)" "$T/chain.rf"
	expect_equal "the alloc'\''s parameter" "$(state "AllocInspect.Meta.Labels.param[log]")" "$PWD/log"
	expect_exit 2 weir run --label nothing "$T/chain.rf" -log log
	expect_err "weir: labels (--label): nothing is no label; write NAME=VALUE"
'

test_case '--retain is in the State' '
	place retain
	executed --retain 90m ab
	expect_equal Retain "$(state Config.Retain)" 5400000000000
	executed --no-cache ab
	expect_equal Retain "$(state Config.Retain)" 3600000000000
'

test_case '--alloc starts in Eval on it; one that is gone leads to another try on a new one' '
	place alloc
	executed ab
	expect_equal "the phases" "$(phases)" "Init Eval Done "
	executed --no-cache --alloc local/0123456789abcdef ab
	expect_equal "the phases" "$(phases)" "Eval Retry Init Eval Done "
	expect_equal NumTries "$(state NumTries)" 1
	first=$(weir-dump --json --history last | grep "\"kind\": *\"snapshot\"" | head -n 1)
	echo "$first" | grep -q "local/0123456789abcdef"
'

test_case '--cluster and --cluster-aux are taken; what comes later is refused by name' '
	place cluster
	executed --cluster local --cluster-aux local ab
	expect_equal Cluster "$(state Config.Cluster)" local
	expect_equal ClusterAux "$(state Config.ClusterAux)" local
	for name in slurm static,http://127.0.0.1:1; do
		expect_exit 2 weir run --cluster $name "$T/chain.rf" -log log
		expect_err "weir: cluster (--cluster): $name is not supported yet; local is"
	done
'

test_case '--json prints the value as a document, and so does resume' '
	place json
	: >log
	expect_exit 0 weir run --json "$T/chain.rf" -log "$PWD/log"
	python3 - <<"END"
import hashlib, json
document = json.load(open("out"))
assert document["schema"] == "weir-result", document
assert document["version"] == 1, document
assert document["type"] == "file", document
digest = "sha256:" + hashlib.sha256(b"WORD\n").hexdigest()
assert document["value"] == {"$file": digest, "size": 5}, document
END
	cp out first.out
	expect_exit 0 weir resume --json last
	cmp out first.out
'

test_case 'environment and files set what options set, and options win' '
	place config
	WEIR_CACHE=off executed ab
	expect_equal CacheMode "$(state Config.CacheMode)" off
	echo "retain: 7m" >.weir.yaml
	executed ab
	expect_equal Retain "$(state Config.Retain)" 420000000000
	executed --retain 8m ""
	expect_equal Retain "$(state Config.Retain)" 480000000000
	expect_exit 0 weir config --origin
	expect_match out "retain.*7m.*\.weir\.yaml"
	echo "retian: 7m" >.weir.yaml
	expect_exit 2 weir config
	expect_match err "retian.*retain"
'

test_case 'with --log debug a run tells what kept its loop busy' '
	place lag
	expect_exit 0 weir --log debug run "$T/chain.rf" -log "$PWD/log"
	expect_match err " loop: callbacks of +calls +total ms +max ms$"
	expect_match err " loop: runner_run +[0-9]+ +[0-9]+\.[0-9]{3} +[0-9]+\.[0-9]{3}$"
	expect_exit 0 weir run "$T/chain.rf" -log "$PWD/log"
	expect_no_match err "loop:"
'

test_case 'what the host offers can be said of a resume as of a run' '
	place host
	expect_exit 0 weir run --resources cpu=1,mem=1GiB,disk=1GiB "$T/chain.rf" -log "$PWD/log"
	expect_exit 0 weir resume --resources cpu=1,mem=2GiB,disk=1GiB last
	expect_exit 2 weir resume --resources cpu=many last
	# What it does not name is the host'"'"'s.
	expect_exit 0 weir resume --resources cpu=1 last
	echo "val Main = exec(image := \"host\", cpu := 1, mem := 16*MiB) (out file) {\" : > {{out}} \"}" >one.rf
	WEIR_ROOT=$T/fresh expect_exit 0 weir run --resources cpu=1 one.rf
	for none in cpu=0 cpu=0.0,mem=1GiB mem=0 mem=0GiB; do
		expect_exit 2 weir resume --resources $none last
		expect_match err "^weir: resources .--resources.: cpu and mem must be more than 0: nothing could run$"
	done
	for none in cpu=-1 cpu=nan; do
		expect_exit 2 weir resume --resources $none last
		expect_match err "a number is expected$"
	done
	expect_exit 2 weir ps --resources cpu=1
'

test_done
