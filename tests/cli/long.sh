#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that were written by programs: long, and not deep. They are parsed, checked, named by digest and evaluated in
# loops, with a stack of any size.
. "$(dirname "$0")/lib.sh"

# chain N LINK: N times, behind what is printed already.
chain() {
	awk -v n="$1" -v link="$2" 'BEGIN { for (i = 0; i < n; i++) printf "%s", link; print "" }'
}

test_case 'a hundred thousand operands' '
	{ printf "val Main = 1"; chain 100000 " + 1"; } >sum.rf
	expect_exit 0 weir run sum.rf
	expect_out 100001
	{ printf "val Main = true"; chain 100000 " && true"; } >all.rf
	expect_exit 0 weir run all.rf
	expect_out true
	{ printf "val Main = len([1])"; chain 100000 " + len([1]) * 2 - 1"; } >mixed.rf
	expect_exit 0 weir run mixed.rf
	expect_out 100001
'

test_case 'files added up, which is put off until they are there' '
	{ printf "val f = exec(image := \"host\", mem := 16*MiB) (out file) {\" echo a > {{out}} \"}\nval Main = len(f)"; chain 2000 " + len(f)"; } >files.rf
	expect_exit 0 weir run files.rf
	expect_out 4002
'

test_case 'a million tokens and more' '
	awk "BEGIN { for (i = 0; i < 100000; i++) print \"val x\" i \" = [\" i \", 1, 2, 3]\"; print \"val Main = x99999[0]\" }" >many.rf
	expect_exit 0 weir run many.rf
	expect_out 99999
'

test_done
