#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weir-dump over journals that were made for it: all fields, a second reader's opinion, damage of every sort.
. "$(dirname "$0")/../cli/lib.sh"
needs python3

"$builddir/tests/cmd/make_journal" "$T/made"
cp -r made clean
one=11111111
two=22222222
all=3333

# same_records DUMP-ARGUMENT... -- READER-ARGUMENT...: both readers see the same records with the same fields.
same_records() {
	local dump=()
	while [ "$1" != -- ]; do
		dump+=("$1")
		shift
	done
	shift
	weir-dump --json --history "${dump[@]}" >dump.json 2>dump.err
	python3 "$top/tests/cli/read_journal.py" "$@" >reader.json 2>reader.err
	python3 - dump.json reader.json <<'END'
import json, sys
dump, reader = ([json.loads(line) for line in open(name)] for name in sys.argv[1:])
assert dump, "no record"
for i, (a, b) in enumerate(zip(dump, reader)):
    for field in list(a) + [f for f in b if f not in a]:
        assert field in a and field in b, f"record {i}: {field} is in one of the two"
        assert a[field] == b[field], f"record {i}: {field}: {a[field]!r} and {b[field]!r}"
assert len(dump) == len(reader), f"{len(dump)} and {len(reader)} records"
END
}

test_case 'a second reader finds the same records and fields' '
	same_records made -- made/journal/c1 made/journal/c2
	expect_equal "the number of records" "$(wc -l <dump.json)" 15
	same_records --root made run:$one -- --run $(printf "11%.0s" {1..32}) made/journal/c1 made/journal/c2
	expect_equal "the number of records of one run" "$(wc -l <dump.json)" 11
'

test_case 'every kind, every event, and a kind that is not known' '
	expect_exit 0 weir-dump --json --history made
	for kind in header snapshot exec epoch note future; do
		expect_match out "^\{\"\\\$schema\":\"weir-record/1\",\"kind\":\"$kind\","
	done
	for event in intern started ended lost hit; do
		expect_match out "\"event\":\"$event\""
	done
	expect_match out "\"large\":\"18446744073709551615\",\"float\":0.1[0-9]*,\"bytes\":\"0001ff\""
	expect_match out "\"old\":\"1969-12-31T23:59:59.999999999Z\""
	expect_match out "\"late\":\"2128-06-11T08:53:20.000000000Z\""
	expect_exit 0 weir-dump --history made
	expect_match out "^future  2023-11-14T22:13:20.000000000Z$"
	expect_match out "^  bytes: 0001ff$"
	expect_match out "^    . line \"two\"	€$"
'

test_case 'the newest snapshot of each run, readable' '
	expect_exit 0 weir-dump made
	expect_equal "the number of snapshots" "$(grep -c ^snapshot out)" 2
	expect_match out "^    Phase: Done$"
	expect_match out "^    Phase: Retry$"
	expect_match out "^    Result: \[1, 2\]$"
	for field in ID Program Params Args Phase AllocID AllocInspect Result Err NumTries LastTry Created Completion \
	    TotalResources Schema Resets Stalled Bundle Dir ResultJSON ResultType Cause Labels Config; do
		expect_match out "^    $field:"
	done
'

test_case 'a run by any form of its id' '
	for id in run:$one $one run:1 sha256:1111 last; do
		expect_exit 0 weir-dump --root made --json $id
		expect_equal "lines for $id" "$(wc -l <out)" 1
	done
	WEIR_ROOT=made expect_exit 0 weir-dump run:$two
	expect_match out "^      Kind: Unavailable$"
	expect_exit 1 weir-dump --root made run:$all
	expect_err "weir-dump: run:$all: no run, exec or object has this id; \`weir ps -a\` lists the runs"
	expect_exit 1 weir-dump --root made exec:e1
	expect_err "weir-dump: exec:e1: this is not a run; weir info exec:e1 describes it"
'

test_case 'a segment, a folder, the folder of all journals' '
	expect_exit 0 weir-dump --json --history made/journal/c2/000001.wal
	expect_equal "records of a segment" "$(wc -l <out)" 5
	expect_exit 0 weir-dump --json --history made/journal/c1
	expect_equal "records of a folder" "$(wc -l <out)" 10
	expect_exit 0 weir-dump --json --history made/journal
	expect_equal "records of all folders" "$(wc -l <out)" 15
	cd made/journal/c2
	expect_exit 0 weir-dump --json ./000001.wal
	expect_equal "newest" "$(wc -l <out)" 1
	rm -f out err
'

# damage FILE OFFSET BYTES: overwrites.
damage() {
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

test_case 'a flipped byte ends its segment, and the next one is read' '
	rm -rf made && cp -r clean made
	damage made/journal/c1/000001.wal 40 "\xff"
	expect_exit 0 weir-dump --json --history made/journal/c1
	expect_match err "^weir-dump: made/journal/c1/000001.wal: damaged at offset 0, [0-9]+ bytes skipped$"
	expect_equal "records that are left" "$(wc -l <out)" 5
	same_records made -- made/journal/c1 made/journal/c2
'

test_case 'a torn end' '
	rm -rf made && cp -r clean made
	size=$(stat -c %s made/journal/c2/000001.wal)
	truncate -s $((size - 3)) made/journal/c2/000001.wal
	expect_exit 0 weir-dump --json --history made/journal/c2
	expect_match err "^weir-dump: made/journal/c2/000001.wal: torn end at offset [0-9]+, [0-9]+ bytes skipped$"
	expect_equal "records that are left" "$(wc -l <out)" 4
	same_records made -- made/journal/c1 made/journal/c2
	# The State is then that of before.
	expect_exit 0 weir-dump --root made run:$one
	expect_match out "^    Phase: Eval$"
'

test_case 'a torn end below a held lock is no damage' '
	(
		flock 9
		expect_exit 0 weir-dump --history made/journal/c2
	) 9<made/journal/c2
	[ ! -s err ]
'

test_case 'zeros' '
	rm -rf made && cp -r clean made
	head -c 5000 /dev/zero >made/journal/c2/000001.wal
	expect_exit 1 weir-dump made/journal/c2
	expect_match err "^weir-dump: made/journal/c2/000001.wal: damaged at offset 0, 5000 bytes skipped$"
	expect_match err "^weir-dump: no record could be read$"
	# Other journals do not suffer from it.
	expect_exit 0 weir-dump --root made run:$one
	expect_match err "c2/000001.wal: damaged at offset 0"
'

test_case 'a frame that is sound and no record' '
	python3 - <<END
import struct, sys
sys.argv = ["read_journal.py"]
exec(open("$top/tests/cli/read_journal.py").read())
out = b""
for payload in (b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa4kind\xa4note", b"\x82\xa4kind\xa4note\xa3seq\x09"):
    head = struct.pack("<I", len(payload))
    out += head + struct.pack("<I", crc32c(head + payload)) + payload
open("odd.wal", "wb").write(out)
END
	expect_exit 0 weir-dump --json --history ./odd.wal
	expect_out "{\"\$schema\":\"weir-record/1\",\"kind\":\"note\",\"seq\":9}"
	expect_equal "what was skipped" "$(grep -c "not a record at offset" err)" 3
'

test_case 'nothing to read' '
	expect_exit 1 weir-dump ./nothing.wal
	expect_match err "./nothing.wal: there is no such file"
	: >empty.wal
	expect_exit 1 weir-dump ./empty.wal
	expect_err "weir-dump: no record could be read"
	expect_exit 2 weir-dump
	expect_err "weir-dump: an argument is missing; usage: weir-dump RUN-or-FILE..."
	expect_exit 2 weir-dump --jsn made
	expect_err "weir-dump: unknown option --jsn; did you mean --json?"
	expect_exit 0 weir-dump -help
	expect_match out "^usage: weir-dump \[options\] RUN-or-FILE\.\.\.$"
'

test_done
