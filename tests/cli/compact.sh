#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compaction: what people see of a root is the same before, behind and at each step, also when it is killed there.
. "$(dirname "$0")/lib.sh"

cat >sum.rf <<'END'
param text = "one"
val counts = exec(image := "host", mem := 16*MiB) (out file) {" echo counting {{text}} >&2; echo {{text}} | wc -c > {{out}} "}
val Main = exec(image := "host", mem := 16*MiB) (out file) {" (cat {{counts}}; echo {{text}}) > {{out}} "}
END

# All that can be asked of the runs and execs of this root, without what depends on the hour.
ask_all() {
	local id
	weir ps -a --json
	weir-dump --json --history root | grep -v "\"kind\":\"header\""
	weir-dump --json root/journal
	for id in $(weir ps -a | awk 'NR > 1 { print $1 }'); do
		weir info --json "$id"
		weir-dump --json --history "$id"
		weir cat "$id"
	done
	for id in $(weir info last | grep -o 'exec:[0-9a-f]*'); do
		weir info --json "$id"
		weir logs "$id"
	done
	weir info --json last
}

folders() {
	ls root/journal | grep -vc '\.' || :
}

# expect_clean: one pack with its index, and nothing else but perhaps what somebody might still be writing.
expect_clean() {
	expect_equal folders "$(folders)" 0
	expect_equal 'all names' "$(ls -A root/journal | grep -vc '^\..*[.]idx[.].*tmp$')" 3
}

test_case 'five runs, one of which is killed and resumed' '
	for i in 1 2 3 4; do
		expect_exit 0 weir run sum.rf -text "$i"
	done
	WEIR_CRASH=run-after-snapshot:2 weir run sum.rf -text five >out 2>err || [ $? = 137 ]
	expect_exit 0 weir resume last
	ask_all >wanted
	cp -r root/journal saved
'

test_case 'compacted, they are what they were' '
	expect_equal folders "$(folders)" 6
	expect_exit 0 "$builddir/weir-compact" root
	expect_match err "weir-compact: root: 6 journals and 0 packs compacted, [0-9.]+KiB to [0-9.]+KiB"
	expect_clean
	ask_all >got
	cmp got wanted
	weir-dump --json root >wanted.dump
	weir-dump --json root/journal/*.pack >got
	cmp got wanted.dump
	expect_exit 0 "$builddir/weir-compact" root
	expect_file err "weir-compact: root: nothing to be compacted"
	expect_exit 0 weir run sum.rf -text 3
	expect_execs 0
	expect_exit 0 weir resume last
'

test_case 'an interrupted run is resumed out of a pack' '
	WEIR_CRASH=run-before-snapshot:3 weir run --no-cache sum.rf -text six >out 2>err || [ $? = 137 ]
	wait_for 10 "$builddir/weir-compact" root
	wait_for 10 eval "\"$builddir/weir-compact\" root; [ \$(folders) = 0 ]"
	weir ps >out
	expect_match out "interrupted"
	expect_exit 0 weir resume last
	expect_no_match err "started"
	weir cat last >bytes
	printf "4\nsix\n" | cmp bytes -
'

# crash POINT: compaction is killed there; then the root is asked, compacted again and asked again.
crash() {
	local code=0
	rm -rf root/journal
	cp -r saved root/journal
	case $1 in
	compact-pack-removed*)
		# It has packs to remove only when there are some.
		mkdir kept
		mv $(ls -d root/journal/* | head -n 4) kept
		"$builddir/weir-compact" root 2>/dev/null
		mv kept/* root/journal/
		rmdir kept
		;;
	esac
	WEIR_CRASH=$1 "$builddir/weir-compact" root >out 2>err || code=$?
	expect_equal "the exit status" $code 137
	ask_all >got
	cmp got wanted
	"$builddir/weir-compact" root 2>/dev/null
	ask_all >got
	cmp got wanted
	expect_clean
}

for point in compact-packed compact-synced pack-index-written compact-indexed compact-published \
	compact-folder-hidden:1 compact-folder-hidden:4 compact-folder-emptied:1 compact-folder-emptied:6 \
	compact-pack-removed; do
	test_case "killed at $point" 'crash '$point
done

# begin_again: the journals of the first case, once nobody compacts in the background.
begin_again() {
	[ ! -e root/journal/.compact ] || flock root/journal/.compact true
	wait_for 20 rm -rf root/journal
	cp -r saved root/journal
}

test_case 'many runs are compacted by themselves, in the background' '
	begin_again
	for i in $(seq 20); do
		expect_exit 0 weir run sum.rf -text 3
	done
	wait_for 20 eval "ls root/journal/*.pack >/dev/null 2>&1"
	wait_for 20 eval "[ \$(folders) -lt 16 ]"
	expect_equal "the number of runs" "$(weir ps -a | tail -n +2 | wc -l)" 25
'

test_case 'unless that is turned off, or there is too little' '
	begin_again
	for i in $(seq 12); do
		WEIR_COMPACT=off expect_exit 0 weir run sum.rf -text 3
	done
	echo "compact: 1GiB" >.weir.yaml
	expect_exit 0 weir run sum.rf -text 3
	rm .weir.yaml
	expect_exit 0 weir resume --compact off last
	[ ! -e root/journal/.compact ]
	expect_equal folders "$(folders)" 19
	expect_exit 0 weir run --compact 1KiB sum.rf -text 3
	wait_for 20 eval "ls root/journal/*.pack >/dev/null 2>&1"
'

test_case 'one exec of a packed run is what it was' '
	WEIR_COMPACT=off
	export WEIR_COMPACT
	begin_again
	"$builddir/weir-compact" root 2>/dev/null
	id=$(weir info last | grep -o "exec:[0-9a-f]*" | head -n 1)
	expect_exit 0 weir info "$id"
	expect_match out "^state: ok$"
	mkdir got.d
	expect_exit 0 weir get "$id" got.d
	expect_exit 0 weir cat "$id"
	cmp out got.d/result
	# Damage is named, as is what is missing by it.
	pack=$(ls root/journal/*.pack)
	printf x | dd of="$pack" bs=1 seek=100 conv=notrunc status=none
	printf x | dd of="$pack" bs=1 seek=$(($(stat -c %s "$pack") - 20)) conv=notrunc status=none
	expect_exit 1 weir info "$id"
	expect_match err "^weir: journal .*/root/journal/.*[.]pack: damaged at offset [0-9]+; [0-9]+ bytes are passed over$"
	expect_match err "^weir: no record of its run tells of this exec$"
'

test_case 'the helpers say what they are' '
	for i in compact journal keeper; do
		expect_exit 0 "$builddir/weir-$i" --version
		expect_match out "^weir-$i [0-9.]+"
		expect_exit 0 "$builddir/weir-$i" --help
		expect_match out "weir-$i"
	done
	expect_exit 0 "$builddir/weir-compact" --help
	expect_match out "^usage: weir-compact ROOT$"
'

test_case 'what it cannot do it says' '
	expect_exit 2 "$builddir/weir-compact"
	expect_match err "usage: weir-compact ROOT"
	expect_exit 1 "$builddir/weir-compact" nowhere
	expect_match err "weir-compact: compact nowhere/journal: .*No such file or directory"
'

test_done
