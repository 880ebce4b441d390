#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Execs that work on another file system than the root's: what they read is copied there once, what they write is copied
# back. The other file system is a small one in memory, in a mount namespace of the script's own.
if [ -z "${WEIR_TEST_MOUNTS:-}" ] && unshare -m true 2>/dev/null; then
	WEIR_TEST_MOUNTS=1 exec unshare -m bash "$0" "$@"
fi
own_mounts=${WEIR_TEST_MOUNTS:-}
. "$(dirname "$0")/lib.sh"

mkdir other
mount -t tmpfs -o size=24m none other 2>/dev/null || skip_all "this host does not allow us to mount a file system"
trap 'umount -l "$T/other" 2>/dev/null' EXIT
run="weir run --scratch $T/other"

# copies: the files that were brought over and are still there.
copies() {
	find other/*/keeper/inputs -type f
}

copy_of() {
	local d
	d=$(sha256sum | cut -d ' ' -f 1)
	echo other/*/keeper/inputs/${d:0:2}/${d:2}
}

cat >two.rf <<'EOF'
param salt string
val numbers = file("numbers")
func reader(name string, in file) = exec(image := "host") (where file, sum file) {"
	: {{salt}} {{name}}
	stat -L -c %i {{in}} > {{where}}
	sha256sum < {{in}} > {{sum}}
"}
val Main = [reader("one", numbers), reader("two", numbers)]
EOF
seq 200000 >numbers

test_case 'a run whose execs work elsewhere' '
	expect_exit 0 $run two.rf -salt a
	expect_exit 0 weir get last got
	cmp got/0/1 got/1/1
	sha256sum <numbers | cmp - got/0/1
	test -d other/*/keeper/execs
	test ! -e "$WEIR_ROOT/keeper"
'

test_case 'both execs read the same copy' '
	cmp got/0/0 got/1/0
	expect_equal "the number of copies" "$(copies | wc -l)" 1
	expect_equal "the inode" "$(stat -c %i "$(copies)")" "$(cat got/0/0)"
'

test_case 'and the next run still does' '
	cp -r got first
	rm -r got
	expect_exit 0 $run two.rf -salt b
	expect_exit 0 weir get last got
	cmp got/0/0 first/0/0
	expect_equal "the number of copies" "$(copies | wc -l)" 1
'

test_case 'a copy that was written to is brought again' '
	copy=$(copy_of <numbers)
	printf X | dd of="$copy" conv=notrunc status=none
	rm -r got
	expect_exit 0 $run two.rf -salt c
	expect_exit 0 weir get last got
	sha256sum <numbers | cmp - got/0/1
	cmp numbers "$copy"
'

test_case 'an object that is gone is no loss while its copy is there' '
	d=$(sha256sum <numbers | cut -d " " -f 1)
	rm "$WEIR_ROOT/objects/${d:0:2}/${d:2}"
	expect_exit 0 $run two.rf -salt d
	expect_no_match err "lost"
'

test_case 'a worker that dies over a copy leaves none that is not whole, and the next one makes it' '
	rm "$(copy_of <numbers)" && rm -r got
	# The keeper must be a new one, to have it in its environment.
	kill -9 $(pid_of weir-keeper)
	WEIR_CRASH=keeper-input-copied:1 WEIR_CRASH_ONCE=$PWD/crashed expect_exit 0 $run two.rf -salt e
	test -e crashed
	expect_exit 0 weir get last got
	sha256sum <numbers | cmp - got/0/1
	kill -9 $(pid_of weir-keeper)
	expect_exit 0 $run two.rf -salt f
	expect_equal "the number of copies" "$(copies | wc -l)" 1
'

test_case 'folders, links and logs come back, too' '
	cat >all.rf <<"EOF"
val made = exec(image := "host") (d dir, f file) {"
	echo said; echo complained >&2
	mkdir {{d}}/below; echo a > {{d}}/below/a; echo b > {{d}}/b; ln -s b {{d}}/link
	echo f > {{f}}
"}
val (d, f) = made
val Main = exec(image := "host") (out file) {"
	cat {{d}}/below/a {{d}}/b {{d}}/link {{f}} > {{out}}
"}
EOF
	expect_exit 0 $run all.rf
	expect_exit 0 weir cat last
	expect_out "a
b
b
f"
	expect_exit 0 weir logs last
	expect_match out "^said$"
	expect_match out "^complained$"
'

test_case 'what is missing on the way is made anew' '
	d=$(echo f | sha256sum | cut -d " " -f 1)
	rm "$WEIR_ROOT/objects/${d:0:2}/${d:2}" "$(echo f | copy_of)"
	d=$(printf "a\nb\nb\nf\n" | sha256sum | cut -d " " -f 1)
	rm "$WEIR_ROOT/objects/${d:0:2}/${d:2}"
	expect_exit 0 $run all.rf
	expect_match err "lost   all.made"
	expect_match err "2 done, .*, 2 lost in"
	expect_exit 0 weir cat last
	expect_out "a
b
b
f"
'

test_case 'when it becomes narrow, what no exec uses makes room' '
	cat >many.rf <<"EOF"
val big = [file("big"+s) | s <- ["1", "2", "3", "4", "5", "6", "7", "8"]]
val Main = [exec(image := "host") (out file) {" sha256sum < {{b}} > {{out}} "} | b <- big]
EOF
	for i in 1 2 3 4 5 6 7 8; do head -c 5M /dev/urandom >big$i; done
	expect_exit 0 $run many.rf
	rm -rf got
	expect_exit 0 weir get last got
	for i in 1 2 3 4 5 6 7 8; do sha256sum <big$i | cmp - got/$((i - 1)); done
	test "$(copies | wc -l)" -lt 9
'

test_case 'no room at all is a failure that may pass, and names the place' '
	head -c 40M /dev/urandom >huge
	echo "val Main = exec(image := \"host\") (out file) {\" sha256sum < {{file(\"huge\")}} > {{out}} \"}" >huge.rf
	expect_exit 10 $run huge.rf
	expect_match err "No space left on device"
	expect_exit 0 weir run --root "$T/roomy" huge.rf
'

# The root in memory, the node's part on the disk of the script's folder: the other way round.
test_case 'a root on a network file system: its hosts have a part each, below /var/tmp' '
	[ -n "$own_mounts" ] || skip "no mount namespace of its own"
	mkdir net disk
	mount --bind disk /var/tmp
	mount -t tmpfs -o size=24m none net
	export WEIR_ROOT=$T/net/root WEIR_NETWORK_FS=$T/net
	expect_exit 0 weir run two.rf -salt net
	rm -rf got
	expect_exit 0 weir get last got
	sha256sum <numbers | cmp - got/0/1
	cmp got/0/0 got/1/0
	node=$(echo /var/tmp/weir-$(id -u)/*)
	test -d "$node/keeper/execs" && test -f "$node/db/data.mdb"
	expect_equal "mode" "$(stat -c %a "$node")" 700
	test ! -e "$WEIR_ROOT/keeper" && test ! -e "$WEIR_ROOT/db"
	expect_equal "the number of copies" "$(find "$node/keeper/inputs" -type f | wc -l)" 1
	expect_exit 0 weir run two.rf -salt net
	expect_execs 0
	expect_exit 0 weir logs last
	# Another host: the same root, nothing below /var/tmp yet.
	kill -9 $(pid_of weir-keeper)
	rm -r "/var/tmp/weir-$(id -u)"
	expect_exit 0 weir run two.rf -salt net
	expect_match err "cache: rebuilt from the journals"
	expect_execs 0
	kill -9 $(pid_of weir-keeper)
	umount -l /var/tmp net
'

umount -l "$T/other"	# a folder that is mounted on cannot be removed
test_done
