#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who is told that something is durable is told so when it is. A kill -9 cannot show that, only a power cut could: so the
# system calls of all processes are looked at in their order. A record is acknowledged when its segment and the names of
# it were synced; the first record that names a bundle is sent when that is on the disk; what a pack was made of is removed
# when the pack and its name are; and an entry of the cache is written when the objects that it names are.
. "$(dirname "$0")/lib.sh"
needs python3 strace
strace -o /dev/null true || skip_all 'strace may not be used here'

cat >sum.rf <<'END'
param text = "one"
val counts = exec(image := "host", mem := 16*MiB) (out file) {" echo {{text}} | wc -c > {{out}} "}
val Main = exec(image := "host", mem := 16*MiB) (out file) {" (cat {{counts}}; echo {{text}}) > {{out}} "}
END

calls=openat,write,pwrite64,pwritev,fdatasync,fsync,syncfs,rename,renameat,renameat2,unlink,unlinkat,sendto,recvmsg

# The keeper would be traced until it has been idle for long enough.
{
	declare -f test_processes pid_of comm_of parent_of
	echo '"$@"; code=$?; pid=$(pid_of weir-keeper) && kill $pid; exit $code'
} >then_end

# traced COMMAND...: it must succeed.
traced() {
	expect_exit 0 strace -f -y -x -qq -s 100000 -e trace=$calls -e signal=none -o trace bash "$T/then_end" "$@"
}

# expect_order WHAT...: each of these was seen, and never too soon.
expect_order() {
	python3 "$here/order.py" trace "$@"
}

test_case 'records, a bundle, and entries of the cache' '
	traced weir run sum.rf
	expect_order records bundles entries
'

test_case 'a bundle that is there already, and may not be on the disk' '
	traced weir run sum.rf
	expect_execs 0
	expect_order records bundles
'

test_case 'a run that is gone on with' '
	WEIR_CRASH=run-after-snapshot:2 weir run --no-cache sum.rf -text two >out 2>err || [ $? = 137 ]
	traced weir resume last
	expect_order records
'

test_case 'packs' '
	traced "$builddir/weir-compact" "$WEIR_ROOT"
	expect_order packs
	traced weir run sum.rf -text three
	traced "$builddir/weir-compact" "$WEIR_ROOT"
	expect_match err "compacted"
	expect_order packs
	weir ps -a >out
	expect_equal "the number of lines" "$(wc -l <out)" 5
'

test_done
