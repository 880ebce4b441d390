#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The commands that look at runs, execs and objects: what they print, for people and as JSON.
. "$(dirname "$0")/lib.sh"
needs python3

cat >tree.rf <<'END'
param word = "hello"
val one = exec(image := "host", mem := 16*MiB) (out file, d dir) {"
	echo {{word}} > {{out}}; echo said >&2; echo aloud
	mkdir {{d}}/sub; echo x > {{d}}/sub/x
"}
val two = exec(image := "host", mem := 16*MiB) (out file) {"
	cat {{file("in.txt")}} > {{out}}
"}
val Main = {many: [two, two], n: 5, pair: one, "by"}
END
sed -i 's/, "by"}/, by: ["k\/1": two]}/' tree.rf
cat >single.rf <<'END'
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo single > {{out}}
"}
END
cat >fails.rf <<'END'
param place string
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo before; echo why >&2
	test -e {{place}}/mended
	echo mended > {{out}}
"}
END
cat >waits.rf <<'END'
param gate string
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo begun
	while ! test -e {{gate}}; do sleep 0.02; done
	echo done | tee {{out}}
"}
END
echo input >in.txt

# field PATH: of the JSON document in out, `state.Phase`.
field() {
	python3 - "$1" <<'END'
import json, sys
value = json.load(open("out"))
for name in sys.argv[1].split("."):
    value = value[int(name)] if isinstance(value, list) else value[name]
print(value if isinstance(value, str) else json.dumps(value))
END
}

test_case 'no root yet' '
	expect_exit 1 weir ps
	expect_match err "^weir: there is no root at $WEIR_ROOT: "
	expect_exit 0 weir version
	expect_match out "^weir [0-9]+\.[0-9]+"
'

test_case 'help is asked for: on standard output; not knowing what to type is an error' '
	for ask in "weir help" "weir -help" "weir --help" "weir -h"; do
		expect_exit 0 $ask
		expect_match out "^  resume   Goes on with a run"
		test ! -s err
	done
	for ask in "weir help kill" "weir kill --help" "weir kill -help"; do
		expect_exit 0 $ask
		expect_match out "^usage: weir kill \[options\] RUN$"
		test ! -s err
	done
	for program in weir-dump weir-bench weir-sim weir-keeper; do
		[ -x "$builddir/$program" ] || continue
		expect_exit 0 $program --help
		expect_match out "^usage: $program "
		test ! -s err
	done
	printf "%s\n" "param name string" "val Main = name" >ask.rf
	expect_exit 0 weir run ask.rf --help
	expect_match out "name"
	test ! -s err
	expect_exit 2 weir
	expect_match err "^usage: weir "
	test ! -s out
	expect_exit 2 weir run ask.rf
	test ! -s out
	expect_exit 2 weir help kil
	expect_err "weir: unknown command kil; did you mean kill?"
	expect_exit 2 weir help kill ps
	expect_err "weir: help: too many arguments; usage: weir help [COMMAND]"
'

test_case 'a host without isolation says so, once' '
	no_mounts="echo 0 >/proc/sys/user/max_mnt_namespaces"
	unshare -r sh -c "$no_mounts && ! unshare -m true" 2>/dev/null || skip "no user namespace to be had"
	expect_exit 0 unshare -r sh -c "$no_mounts && exec weir run --root $T/open tree.rf"
	expect_equal "how often" "$(grep -c isolation err)" 1
	expect_match err "^weir: isolation is off: commands see paths below the root; keeper/log there says why$"
	expect_match "$T/open/keeper/log" "^weir-keeper: isolation is off: this host does not allow a mount namespace: No space left on device$"
	expect_exit 0 weir run --root "$T/open" tree.rf
	expect_no_match err isolation
'

test_case 'in a chroot that has no mount for it, the log says what to do' '
	unshare -m true 2>/dev/null || skip "this host does not allow a mount namespace"
	mkdir jail
	for d in bin lib lib64 usr etc; do
		[ ! -e /$d ] || { [ -L /$d ] && cp -P /$d jail/$d; } || mkdir jail/$d
	done
	mkdir -p jail/proc jail/dev jail/tmp jail/build jail/src
	cp tree.rf in.txt jail/src/
	cat >jailed <<END
set -e
for d in bin lib lib64 usr etc; do
	[ -L /\$d ] || [ ! -d /\$d ] || mount --rbind /\$d jail/\$d
done
mount --rbind /proc jail/proc
mount --rbind /dev jail/dev
mount --bind $builddir jail/build
exec chroot jail /bin/sh -c "cd /src && exec /build/weir run --root /src/root tree.rf"
END
	expect_exit 0 unshare -m sh jailed
	expect_match err "^weir: isolation is off: "
	expect_match jail/src/root/keeper/log "^weir-keeper: isolation is off: neither / nor /tmp is a mount point, as in a chroot: .mount --bind /tmp /tmp. in it makes one$"
	sed -i "s,^exec,mount --bind jail/tmp jail/tmp; exec," jailed
	rm -r jail/src/root
	expect_exit 0 unshare -m sh jailed
	expect_no_match err "isolation is off"
'

test_case 'what is said of a run: its id first and last, a line for each exec' '
	expect_exit 0 weir run tree.rf
	id=$(run_id)
	echo "$id" >tree.id
	expect_equal "the first line" "$(head -n 1 err)" "weir: $id tree.rf"
	expect_equal "the last line" "$(tail -n 1 err)" "weir: $id done"
	expect_match err "^weir: done   tree\.one  exec:[0-9a-f]{8}  [0-9.]+s$"
	expect_match err "^weir: done   tree\.two  exec:[0-9a-f]{8}  [0-9.]+s$"
	expect_match err "^weir: 2 done, 0 known in [0-9.]+s$"
	expect_equal "the number of lines" "$(grep -vc "isolation is off" err)" 5
'

test_case 'a value that needs nothing is printed, and nothing is recorded' '
	echo "val Main = {a: 1 + 2, b: [\"x\"]}" >now.rf
	WEIR_ROOT=$T/none expect_exit 0 weir run now.rf
	expect_out "{a: 3, b: [\"x\"]}"
	[ ! -s err ] && [ ! -e none ]
	WEIR_ROOT=$T/none expect_exit 0 weir run --json now.rf
	expect_out "{\"schema\":\"weir-result\",\"version\":1,\"type\":\"{a int, b [string]}\",\"value\":{\"a\":3,\"b\":[\"x\"]}}"
	[ ! -e none ]
'

test_case 'get: names, numbers, keys, trees' '
	expect_exit 0 weir get last got
	expect_err "weir: 5 files written to got"
	(cd got && find . | LC_ALL=C sort) >names
	expect_file names "\
.
./by
./by/k%2F1
./many
./many/0
./many/1
./pair
./pair/0
./pair/1
./pair/1/sub
./pair/1/sub/x"
	expect_file got/pair/0 hello
	expect_file got/pair/1/sub/x x
	expect_file got/many/1 input
	expect_exit 0 weir get last got
	expect_err "weir: 0 files written to got, 5 there before"
	echo mine >got/many/0
	expect_exit 1 weir get last got
	expect_err "weir: got/many/0 exists with other content; --force replaces it"
	expect_file got/many/0 mine
	expect_exit 0 weir get --force last got
	expect_file got/many/0 input
	expect_equal "the mode" "$(stat -c %a got/many/0)" 644
'

test_case 'info of a run' '
	expect_exit 0 weir info last
	for field in ID Program Params Args Phase AllocID AllocInspect Result Err NumTries LastTry Created Completion \
	    TotalResources Schema Resets Stalled Bundle Dir ResultJSON ResultType Cause Labels Config; do
		expect_match out "^  $field:"
	done
	expect_match out "^exec:[0-9a-f]{8}  ok  1  [^ ]+  tree\.one$"
	expect_exit 0 weir info --json last
	expect_equal schema "$(field schema)" weir-run
	expect_equal version "$(field version)" 1
	expect_equal Phase "$(field state.Phase)" Done
	expect_equal live "$(field live)" false
	expect_equal url "$(field inputs.0.url)" "$T/in.txt"
	expect_equal size "$(field inputs.0.size)" 6
	expect_equal state "$(field execs.0.state)" ok
	expect_equal attempts "$(field execs.1.attempts)" 1
	expect_match out "\"ident\":\"tree\.one\""
	[ "$(field execs.0.node)" != null ]
'

# exec_of IDENT: the id of the newest run'"'"'s exec of that name.
exec_of() {
	weir info last | awk -v ident="$1" '$5 == ident { print $1 }'
}

test_case 'info of an exec: command, key, usage, result' '
	exec=$(exec_of tree.one)
	expect_exit 0 weir info $exec
	expect_match out "^ident: tree\.one$"
	expect_match out "^pos: tree\.rf:2:15$"
	expect_match out "echo hello > \{\{out\}\}; echo said"
	expect_match out "^    name: arg\[1\] output d$"
	expect_exit 0 weir info --json $exec
	expect_equal schema "$(field schema)" weir-exec
	expect_equal run "$(field run | cut -c 1-12)" "$(cat tree.id)"
	expect_equal status "$(field result.status)" 0
	expect_equal mem "$(field result.admitted.cpu)" 1.0
	expect_equal "the number of outputs" "$(field noutputs)" 2
	expect_equal "their names" "$(field outputs)" "[\"out\", \"d\"]"
'

test_case 'info of an object: which exec made it, and as what' '
	sum=$(printf "hello\n" | sha256sum | cut -d " " -f 1)
	expect_exit 0 weir info --json obj:$sum
	expect_equal schema "$(field schema)" weir-object
	expect_equal size "$(field size)" 6
	expect_match out "\"made_by\":\{\"exec:[0-9a-f]{64}\":\{\"ident\":\"tree\.one\",\"as\":\"output\",\"run\":\"run:"
	sum=$(printf "said\n" | sha256sum | cut -d " " -f 1)
	expect_exit 0 weir info --json sha256:$sum
	expect_match out "\"as\":\"stderr\""
	sum=$(printf "input\n" | sha256sum | cut -d " " -f 1)
	expect_exit 0 weir info --json obj:$sum
	expect_match out "\"input_of_url\":\[\"$T/in.txt\"\]"
'

test_case 'logs of an exec, and of a run' '
	exec=$(exec_of tree.one)
	expect_exit 0 weir logs $exec
	expect_out "aloud
said"
	expect_exit 0 weir logs --stdout $exec
	expect_out aloud
	expect_exit 0 weir logs $exec --stderr
	expect_out said
	expect_exit 0 weir logs last
	expect_out "==> tree.one $exec <==
aloud
said"
	expect_exit 1 weir logs obj:$(printf "hello\n" | sha256sum | cut -c 1-16)
	expect_match err "is an object; weir cat obj:[0-9a-f]{16} prints it"
'

test_case 'cat: objects, results and outputs that are one file' '
	expect_exit 1 weir cat last
	expect_err "weir: last is not a single file but 5; weir get last DIR writes them out"
	expect_exit 0 weir run single.rf
	expect_exit 0 weir cat last $(exec_of single.Main) $(printf "hello\n" | sha256sum | cut -c 1-20)
	expect_out "single
single
hello"
	expect_exit 0 weir get last alone
	expect_file alone/result single
	expect_exit 1 weir get last single.rf/x
	expect_err "weir: open single.rf/x: Not a directory"
'

test_case 'what is only known has the id of the exec that it is from: info, logs, get' '
	export WEIR_ROOT=$T/known
	expect_exit 0 weir run tree.rf
	one=$(exec_of tree.one)
	expect_exit 0 weir run tree.rf
	expect_match err "^weir: known  tree\.one  $one$"
	expect_equal "of the new run" "$(exec_of tree.one)" "$one"
	expect_exit 0 weir info --json last
	expect_equal state "$(field execs.0.state)" known
	expect_match out "\"id\":\"$one"
	expect_exit 0 weir logs last
	expect_out "==> tree.one $one <==
aloud
said"
	expect_exit 0 weir info "$one"
	expect_match out "echo hello > "
	kill -9 $(pid_of weir-keeper)
	rm -r "$WEIR_ROOT/db"
	expect_exit 0 weir run tree.rf
	expect_match err "^weir: known  tree\.one  $one$"
'

test_case 'get of an exec: its outputs by their names' '
	export WEIR_ROOT=$T/known
	expect_exit 0 weir get "$(exec_of tree.one)" outputs
	(cd outputs && find . -type f | LC_ALL=C sort) >names
	expect_file names "\
./d/sub/x
./out"
	expect_file outputs/out hello
'

test_case 'a failure: what failed, how, the end of its stderr, what to type' '
	expect_exit 11 weir run fails.rf -place "$PWD"
	run=$(run_id)
	exec=$(grep -oE "exec:[0-9a-f]{8}" err | head -n 1)
	sed "/isolation is off/d; s/ in [0-9.]*s$/ in TIME/" err >said
	expect_file said "\
weir: $run fails.rf
weir: FAILED fails.Main  $exec  exited with code 1
weir: 0 done, 0 known, 1 failed in TIME
weir: fails.Main failed: exited with code 1
weir:   $exec at fails.rf:2:16
weir:   | why
weir: next: weir logs $exec, weir info $exec, weir resume $run
weir: $run failed: evaluation error: fails.Main fails.rf:2:16: exec failed: exited with code 1"
	[ ! -s out ]
	expect_exit 1 weir get last nothing
	expect_err "weir: $run has no result: it failed; weir resume $run goes on"
	expect_exit 0 weir info --json last
	expect_equal state "$(field execs.0.state)" failed
	expect_exit 1 weir cat $exec
	expect_err "weir: $exec has no outputs: it is failed; weir logs $exec shows what it wrote"
'

test_case 'when its cause is mended, resume begins it anew under its id' '
	: >mended
	expect_exit 0 weir resume last
	expect_match out "^file\("
	expect_equal "the first line" "$(head -n 1 err)" "weir: $(run_id) fails.rf"
	rm mended
	cp out first.out
	expect_exit 0 weir resume last
	cmp out first.out
	# It did nothing: no sums.
	expect_err "\
weir: $(run_id) fails.rf
weir: $(run_id) done"
	expect_exit 0 weir cat last
	expect_out mended
'

test_case 'ps' '
	expect_exit 0 weir ps
	expect_equal "its columns" "$(head -n 1 out | tr -s " ")" "run state created duration execs known program"
	expect_match out "^$(cat tree.id)  done   20[0-9-]+ [0-9:]+  +[0-9.]+s +2 +0 +tree\.rf$"
	expect_equal "the number of runs" "$(wc -l <out)" 4
	expect_exit 0 weir ps --json
	expect_equal schema "$(field schema)" weir-ps
	expect_equal state "$(field runs.0.state)" done
	expect_equal program "$(field runs.2.program)" fails.rf
	expect_equal started "$(field runs.2.started)" 2
	expect_equal failed "$(field runs.2.failed)" 1
'

test_case 'a run that is evaluated: ps, info, logs -f, kill' '
	weir run waits.rf -gate "$PWD/gate" >out0 2>err0 &
	pid=$!
	begun() {
		[ "$(weir logs "$(exec_of waits.Main)")" = begun ]
	}
	wait_for 20 begun
	expect_exit 0 weir ps --json
	expect_equal state "$(field runs.3.state)" running
	expect_exit 0 weir info --json last
	expect_equal live "$(field live)" true
	expect_equal state "$(field execs.0.state)" running
	weir logs -f "$(exec_of waits.Main)" >followed &
	logs=$!
	expect_exit 0 weir kill last
	expect_match err "^weir: run:[0-9a-f]{8} is ended; weir resume run:[0-9a-f]{8} goes on$"
	status=0
	wait $pid || status=$?
	expect_equal "its exit status" $status 130
	wait $logs
	expect_file followed begun
	expect_exit 0 weir ps --json
	expect_equal state "$(field runs.3.state)" interrupted
	run=$(grep -oE "run:[0-9a-f]{8}" err0 | head -n 1)
	expect_exit 1 weir kill last
	expect_err "weir: $run is not being evaluated: there is nothing to end"
	: >gate
	expect_exit 0 weir resume last
	expect_exit 0 weir cat last
	expect_out done
	expect_exit 1 weir kill last
	expect_err "weir: $run is done: there is nothing to end"
'

test_case 'sources that are gone: named, and nothing is begun' '
	expect_exit 11 weir run --universe gone fails.rf -place "$PWD"
	expect_exit 0 weir info --json last
	bundle=$(field state.Bundle | cut -d : -f 2)
	mv "$WEIR_ROOT/objects/${bundle:0:2}/${bundle:2}" bundle
	expect_exit 1 weir resume last
	expect_match err "^weir: sources of the run: .*object sha256:$bundle: missing"
	cp bundle "$WEIR_ROOT/objects/${bundle:0:2}/${bundle:2}"
	# The program itself is not needed.
	mv fails.rf away.rf
	: >mended
	expect_exit 0 weir resume last
	mv away.rf fails.rf
	rm mended
'

test_case 'a reader that leaves is no harm to what is remembered' '
	weir run --universe pipe single.rf 2>err | true
	expect_exit 0 weir run --universe pipe single.rf
	expect_match err "^weir: known  single\.Main  exec:[0-9a-f]{8}$"
'

test_case 'check' '
	expect_exit 0 weir check tree.rf
	expect_out "tree.rf: ok, Main is {many [file], n int, pair (out file, d dir), by [string:file]}"
	echo "val X = 1" >module.rf
	expect_exit 0 weir check module.rf
	expect_out "module.rf: ok, a module without Main"
	echo "val Main = 1 +" >wrong.rf
	expect_exit 3 weir check wrong.rf
	expect_match err "^wrong\.rf:"
	[ ! -s out ]
	expect_exit 1 weir check nowhere.rf
'

test_case 'config: what is set, and where' '
	mkdir -p "$XDG_CONFIG_HOME/weir"
	printf "cache: read\nretain: 2h\nlabels: {a: file}\n" >"$XDG_CONFIG_HOME/weir/config.yaml"
	printf "retain: 3h\n" >.weir.yaml
	export WEIR_UNIVERSE=u
	expect_exit 0 weir config --origin --no-cache --label b=c
	expect_match out "^cache: off	# --no-cache$"
	expect_match out "^retain: 3h	# \.weir\.yaml:1$"
	expect_match out "^universe: u	# \\\$WEIR_UNIVERSE$"
	expect_match out "^cluster: local	# default$"
	expect_match out "^  a: file	# $XDG_CONFIG_HOME/weir/config\.yaml:3$"
	expect_match out "^  b: c	# --label$"
	# What it prints can be read back.
	rm .weir.yaml
	expect_exit 0 weir config --fail-fast
	sed "/^alloc:/d" out >.weir.yaml
	cp out before
	unset WEIR_UNIVERSE
	expect_exit 0 weir config
	diff before out
	expect_exit 0 weir config --json
	expect_equal origin "$(field values.fail_fast.origin | sed "s/:[0-9]*$//")" .weir.yaml
	rm .weir.yaml "$XDG_CONFIG_HOME/weir/config.yaml"
'

test_case 'standard output that is full is a failure, and one that may pass' '
	[ -e /dev/full ] || skip "there is no /dev/full"
	expect_exit 10 bash -c "weir resume last >/dev/full"
	expect_match err "^weir: write standard output: No space left on device$"
'

test_case 'a damaged object of the right size is mended by a run without the cache' '
	export WEIR_ROOT=$T/damaged
	expect_exit 0 weir run single.rf
	object=$(find damaged/objects -type f -size 7c)
	chmod u+w $object
	echo SINGLE >$object
	digest=$(echo $object | sed "s,.*objects/\(..\)/,\1,")
	expect_exit 1 weir cat sha256:$digest
	expect_exit 0 weir run --no-cache single.rf
	expect_exit 0 weir cat sha256:$digest
	expect_out single
'

test_case 'a command that needs more memory is no failure while it is tried again' '
	cat >grows.rf <<"END"
param place = ""
val Main = exec(image := "host", mem := 600*MiB) (out file) {"
	n=20000000
	test -e {{place}}/tried || n=800000000
	: > {{place}}/tried
	python3 -c "import sys; x = b\"x\" * int(sys.argv[1]); import time; time.sleep(0.5)" $n
	echo grown > {{out}}
"}
END
	expect_exit 0 weir run grows.rf -place "$PWD"
	expect_match err "^weir: again  grows.Main  exec:[0-9a-f]{8}  killed: the command needs more than its 600.0MiB of memory; it is tried again with [0-9.]+(M|G)iB$"
	expect_no_match err "FAILED|failed"
'

test_case 'warnings come behind the id of the run; without a run they come all the same' '
	cat >unused.rf <<"END"
val Main = {
	unused := 1
	exec(image := "host", mem := 16*MiB) (out file) {"echo x > {{out}}"}
}
END
	expect_exit 0 weir run unused.rf
	expect_equal "the first line" "$(head -n 1 err)" "weir: $(run_id) unused.rf"
	expect_equal "the second line" "$(sed -n 2p err)" "unused.rf:2:8: warning: unused declared and not used"
	expect_exit 0 weir check unused.rf
	expect_equal "the first line" "$(head -n 1 err)" "unused.rf:2:8: warning: unused declared and not used"
	echo "val Main = { unused := 1; 2 }" >unused.rf
	expect_exit 0 weir run unused.rf
	expect_out 2
	expect_match err "warning: unused declared and not used"
'

test_done
