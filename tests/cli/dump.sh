#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weir-dump: runs and files, all fields, the whole history; segments that are damaged. And what another program reads
# in the same bytes.
. "$(dirname "$0")/lib.sh"
needs python3

cat >chain.rf <<'END'
val a = exec(image := "host", mem := 16*MiB) (out file) {"
	echo a > {{out}}
"}
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	cat {{a}} {{a}} > {{out}}
"}
END

test_case 'a run, and another' '
	expect_exit 0 weir run --label who=me --resources cpu=3,mem=2GiB,disk=1TiB chain.rf
	run_id >first
	expect_exit 0 weir run chain.rf
	run_id >second
	ls -d "$WEIR_ROOT"/journal/*/ | head -n 1 >folder
	ls "$(cat folder)"*.wal >segment
'

test_case 'the newest snapshot, readable, with every field' '
	expect_exit 0 weir-dump "$(cat first)"
	for field in ID Program Params Args Phase AllocID AllocInspect Result Err NumTries LastTry Created Completion \
	    TotalResources Schema Bundle Dir ResultJSON Cause Labels Config; do
		expect_match out "^ *$field:?"
	done
	expect_match out "^ *Phase: +\"?Done\"?$"
	[ ! -s err ] || fail "it has said something"
'

test_case 'as JSON: a document a line' '
	expect_exit 0 weir-dump --json "$(cat first)"
	python3 - <<"END"
import json
lines = open("out").read().splitlines()
assert len(lines) == 1, lines
record = json.loads(lines[0])
assert record["kind"] == "snapshot", record
state = record["state"]
assert state["Phase"] == "Done" and state["Err"] is None and state["NumTries"] == 0, state
assert state["Labels"] == {"who": "me"}, state
total = state["TotalResources"]
assert 0 < total["cpu"] < 1 and total["mem"] > 0, total
END
'

test_case 'the history: each phase, each exec, in the order of its records' '
	expect_exit 0 weir-dump --json --history "$(cat first)"
	cp out history
	python3 - <<"END"
import json
records = [json.loads(line) for line in open("history")]
assert [r["n"] for r in records] == list(range(1, len(records) + 1)), [r["n"] for r in records]
assert [r["seq"] for r in records] == sorted(r["seq"] for r in records)
phases = [r["state"]["Phase"] for r in records if r["kind"] == "snapshot"]
assert phases == ["Init", "Eval", "Done"], phases
events = [(r["event"], r["ident"]) for r in records if r["kind"] == "exec"]
assert sorted(events) == sorted([(e, i) for e in ("started", "ended") for i in ("chain.a", "chain.Main")]), events
for r in records:
    if r["kind"] == "exec" and r["event"] == "started":
        names = [c[0] for c in r["components"]]
        assert "image" in names and "command" in names or names, names
        assert r["image"] == "host" and "cat" in r["cmd"] or "echo" in r["cmd"], r
END
	expect_exit 0 weir-dump --history "$(cat first)"
	expect_match out "^snapshot  20[0-9][0-9]-"
	expect_match out "^exec started  20[0-9][0-9]-"
	expect_match out "^exec ended  20[0-9][0-9]-"
'

test_case 'a segment, a folder, a root' '
	expect_exit 0 weir-dump --json "$(cat segment)"
	expect_equal "the number of runs" "$(wc -l <out)" 1
	expect_exit 0 weir-dump --json "$(cat folder)"
	expect_equal "the number of runs" "$(wc -l <out)" 1
	expect_exit 0 weir-dump --json "$WEIR_ROOT"
	expect_equal "the number of runs" "$(wc -l <out)" 2
	expect_exit 0 weir-dump --json --history "$(cat segment)"
	head -n 1 out | grep -q "\"kind\": *\"header\""
	grep -v "\"kind\": *\"header\"" out | diff - history
'

test_case 'another program reads the same, by weir-snapshot(5) alone' '
	[ -e "$here/read_journal.py" ] || skip "there is no other reader"
	expect_exit 0 python3 "$here/read_journal.py" "$(cat segment)"
'

test_case 'what is no run and no file' '
	expect_exit 1 weir-dump 0000000000000000000000000000000000000000000000000000000000000000
	expect_match err "no run, exec or object has this id"
	expect_exit 1 weir-dump ./nothing.wal
	expect_err "weir-dump: ./nothing.wal: there is no such file"
	expect_exit 2 weir-dump
'

# damage COMMAND: a copy of the first segment, in which python3 has changed the bytes in `data`.
damage() {
	rm -rf damaged && mkdir damaged
	python3 - "$(cat segment)" "$1" <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
starts = [0]
while starts[-1] + 8 <= len(data):
    starts.append(starts[-1] + 8 + int.from_bytes(data[starts[-1] : starts[-1] + 4], "little"))
exec(sys.argv[2])
open("damaged/000001.wal", "wb").write(data)
print(len(data), starts[3], file=open("damage", "w"))
END
}

test_case 'flipped bits in the fourth record: three are read, and the rest is said to be skipped' '
	damage "data[starts[3] + 20] ^= 4"
	read size at <damage
	expect_exit 0 weir-dump --json --history damaged/000001.wal
	expect_equal "the number of records" "$(wc -l <out)" 3
	expect_err "weir-dump: damaged/000001.wal: damaged at offset $at, $((size - at)) bytes skipped"
'

test_case 'an impossible length is damage, and nothing is allocated for it' '
	damage "data[starts[3] : starts[3] + 4] = b\"\xff\xff\xff\x7f\""
	read size at <damage
	expect_exit 0 weir-dump --json --history damaged/000001.wal
	expect_equal "the number of records" "$(wc -l <out)" 3
	expect_err "weir-dump: damaged/000001.wal: damaged at offset $at, $((size - at)) bytes skipped"
'

test_case 'a torn end' '
	damage "del data[starts[3] + 30 :]"
	read size at <damage
	expect_exit 0 weir-dump --json --history damaged/000001.wal
	expect_equal "the number of records" "$(wc -l <out)" 3
	expect_err "weir-dump: damaged/000001.wal: torn end at offset $at, 30 bytes skipped"
'

test_case 'below a lock that is held a torn end is a record on its way' '
	damage "del data[starts[3] + 30 :]"
	flock damaged weir-dump --json --history damaged/000001.wal >out 2>err
	expect_equal "the number of records" "$(wc -l <out)" 3
	[ ! -s err ] || fail "$(cat err)"
'

test_case 'the segment behind a damaged one is read' '
	damage "data[starts[3] + 20] ^= 4"
	cp "$(ls "$WEIR_ROOT"/journal/*/*.wal | tail -n 1)" damaged/000002.wal
	expect_exit 0 weir-dump --json damaged
	expect_match err "damaged/000001.wal: damaged at offset"
	expect_match out "\"Phase\": *\"Done\""
'

test_case 'nothing but zeros, and nothing at all: exit 1' '
	mkdir -p zeros
	head -c 4096 /dev/zero >zeros/000001.wal
	expect_exit 1 weir-dump zeros/000001.wal
	expect_match err "^weir-dump: zeros/000001.wal: damaged at offset 0, 4096 bytes skipped$"
	: >zeros/000001.wal
	expect_exit 1 weir-dump zeros/000001.wal
	expect_err "weir-dump: no record could be read"
'

test_case 'a run whose last records are damaged is known by what is before them' '
	cp -r "$WEIR_ROOT/journal" saved
	damage "data[starts[len(starts) - 2] + 20] ^= 4"
	cp damaged/000001.wal "$(cat segment)"
	expect_exit 0 weir-dump --json "$(cat first)"
	expect_match out "\"Phase\": *\"Eval\""
	expect_match err "damaged at offset"
	# And it can be gone on with: nothing is executed again.
	expect_exit 0 weir resume "$(cat first)"
	expect_equal "started" "$(record_count "$(cat first)" started)" 2
'

test_done
