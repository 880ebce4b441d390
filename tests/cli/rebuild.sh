#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The databases go: what the runs have computed comes back from the journals, and is not computed again.
. "$(dirname "$0")/lib.sh"
needs python3

cat >sum.rf <<'END'
param text = "one"
val in = file("in")
val counts = exec(image := "host", mem := 16*MiB) (out file) {" wc -w < {{in}} > {{out}} "}
val Main = exec(image := "host", mem := 16*MiB) (out file) {" (cat {{counts}}; echo {{text}}) > {{out}} "}
END
echo some words >in

# Nobody may have the databases open: the writer ends after the keeper that is killed, and lets go of its lock.
end_keeper() {
	kill -9 "$(pid_of weir-keeper)"
	wait_for 10 flock -n root/db/lock true
}

test_case 'two runs, one of them without the cache' '
	expect_exit 0 weir run sum.rf
	expect_execs 2
	cp out first
	expect_exit 0 weir run --no-cache sum.rf -text unseen
	expect_execs 2
'

test_case 'nothing is rebuilt when nothing is missing' '
	expect_exit 0 weir run sum.rf
	expect_execs 0
	expect_no_match err rebuilt
'

test_case 'db/ is removed' '
	end_keeper
	rm -r root/db
	expect_exit 0 weir run sum.rf
	expect_match err "cache: rebuilt from the journals, [0-9]+ entries"
	expect_execs 0
	cmp out first
	expect_exit 0 weir run sum.rf
	expect_no_match err rebuilt
	expect_execs 0
'

test_case 'what was computed without the cache stays out of it' '
	end_keeper
	rm -r root/db
	expect_exit 0 weir run sum.rf -text unseen
	expect_execs 1
'

test_case 'power was lost: the databases were dirty under another boot' '
	end_keeper
	echo 00000000-0000-0000-0000-000000000000 >root/db/dirty
	expect_exit 0 weir run sum.rf
	expect_match err "cache: rebuilt from the journals"
	expect_execs 0
	[ ! -e root/db/rebuild ] || fail "the mark is still there"
	expect_exit 0 weir run sum.rf -text unseen
	expect_no_match err rebuilt
	expect_execs 0
'

test_case 'a file that is no database: what it held is back before the first look-up' '
	for text in one unseen; do
		end_keeper
		head -c 65536 /dev/urandom >root/db/data.mdb
		rm -f root/db/dirty
		expect_exit 0 weir run sum.rf -text $text
		expect_match err "cache: rebuilt from the journals"
		expect_execs 0
		[ ! -e root/db/rebuild ] || fail "the mark is still there"
	done
	expect_exit 0 weir run sum.rf
	expect_no_match err rebuilt
	expect_execs 0
'

test_case 'a file that was cut short: what it held is back before the first look-up' '
	end_keeper
	cp root/db/data.mdb whole.mdb
	size=$(stat -c %s whole.mdb)
	for length in 0 1 4095 4096 5000 8192 $((size / 2)) $((size - 4096)); do
		head -c $length whole.mdb >root/db/data.mdb
		rm -f root/db/dirty
		expect_exit 0 weir run sum.rf
		expect_match err "cache: rebuilt from the journals"
		expect_execs 0
		end_keeper
	done
	expect_exit 0 weir run sum.rf
	expect_no_match err rebuilt
'

test_case 'a mark that an earlier writer left is enough' '
	end_keeper
	rm root/db/data.mdb
	touch root/db/rebuild
	weir-keeper --root root
	expect_exit 0 weir run sum.rf
	expect_match err "cache: rebuilt from the journals"
	expect_execs 0
	[ ! -e root/db/rebuild ] || fail "the mark is still there"
'

test_done
