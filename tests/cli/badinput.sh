#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What goes wrong around weir and in what it is given: each has its message and its exit code, and costs nobody
# anything: the next good run on the same root works, and what was known before is known still.
. "$(dirname "$0")/lib.sh"
needs python3

as_root=$([ "$(id -u)" = 0 ] && echo yes || echo no)

cat >good.rf <<'END'
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo good > {{out}}
"}
END

# loses_nothing: a good run works, executes nothing that was known, and has its bytes.
loses_nothing() {
	expect_exit 0 weir run "$T/good.rf"
	weir cat last >bytes
	expect_file bytes good
}

# one_exec NAME COMMAND: a program of one command with one output, out.
one_exec() {
	printf 'val Main = exec(image := "host", mem := 16*MiB) (out file) {"\n\t%s\n"}\n' "$2" >"$1.rf"
}

# fails_with REGEX: the program one.rf fails as an evaluation does, with this line on stderr.
exec_fails() {
	one_exec "$1" "$2"
	expect_exit 11 weir run "$1.rf"
	expect_match err "$3"
	expect_match err "$1\.rf:1:"
	expect_match err '^weir: next: weir logs exec:[0-9a-f]{8}, weir info exec:[0-9a-f]{8}, weir resume run:[0-9a-f]{8}$'
	loses_nothing
}

test_case 'before anything: a good run' '
	loses_nothing
'

# --- programs

test_case 'a program that is not there' '
	expect_exit 1 weir run nowhere.rf
	expect_err "weir: open nowhere.rf: No such file or directory"
	loses_nothing
'

test_case 'a program that is a directory' '
	mkdir -p folder.rf
	expect_exit 1 weir run folder.rf
	expect_match err "^weir: .*folder\.rf: (is a directory|Is a directory)"
	loses_nothing
'

test_case 'a program that may not be read' '
	echo "val Main = 1" >secret.rf
	chmod 0 secret.rf
	if [ '$as_root' = yes ]; then
		chmod 0755 "$T"
		mkdir -p nobody
		chown 65534:65534 nobody
		cp -r "$(dirname "$(readlink -f "$builddir/weir")")/weir" nobody/ 2>/dev/null || :
		WEIR_ROOT=$T/nobody/root HOME=$T/nobody expect_exit 1 \
			setpriv --reuid=65534 --regid=65534 --clear-groups nobody/weir run secret.rf
	else
		expect_exit 1 weir run secret.rf
	fi
	expect_err "weir: open secret.rf: Permission denied"
'

test_case 'random bytes' '
	python3 -c "
import random, sys
random.seed(1)
sys.stdout.buffer.write(bytes(random.randrange(256) for _ in range(4096)))
" >random.rf
	expect_exit 3 weir run random.rf
	expect_match err "^random\.rf:1:[0-9]+: .*UTF-8"
	loses_nothing
'

test_case 'an empty program, and one that ends too soon' '
	: >empty.rf
	expect_exit 3 weir run empty.rf
	expect_match err "^(weir: )?empty\.rf.*module has no Main"
	printf "val Main = [1, 2" >short.rf
	expect_exit 3 weir run short.rf
	expect_match err "^short\.rf:1:"
	loses_nothing
'

test_case 'a type error, with a caret below it' '
	printf "val a = 1\nval Main = a + \"b\"\n" >types.rf
	expect_exit 3 weir run types.rf
	expect_match err "^types\.rf:2:[0-9]+: cannot apply binary operator \"\+\" to type int and string"
	expect_match err "^ *(2 *\| *)?val Main = a \+ \"b\"$"
	expect_match err "^ *(\| *)?\^"
	expect_exit 3 weir check types.rf
	expect_match err "^types\.rf:2:"
	loses_nothing
'

test_case 'no Main' '
	echo "val Other = 1" >nomain.rf
	expect_exit 3 weir run nomain.rf
	expect_err "weir: nomain.rf: module has no Main"
'

# --- parameters

test_case 'a parameter that is missing, and one that is unknown' '
	printf "param n int\nval Main = n + 1\n" >param.rf
	expect_exit 2 weir run param.rf
	expect_match err "missing mandatory flag -n"
	expect_match err "^usage of param\.rf:"
	expect_exit 2 weir run param.rf -n 1 -m 2
	expect_match err "-m"
	expect_exit 2 weir run param.rf -n x
	expect_match err "x"
	expect_exit 2 weir run param.rf -n 1 more
	expect_match err "unrecognized parameters: more"
	expect_exit 0 weir run param.rf -n 1
	expect_out 2
'

test_case 'unknown options and commands name what is near' '
	expect_exit 2 weir run --no-cahce good.rf
	expect_err "weir: run: unknown option --no-cahce; did you mean --no-cache?"
	expect_exit 2 weir rum good.rf
	expect_err "weir: unknown command rum; did you mean run?"
	expect_exit 2 weir run
	expect_match err "an argument is missing"
	expect_exit 2 weir run --cache sometimes good.rf
	expect_match err "sometimes is none of off, read, write or read\+write"
	expect_exit 2 weir run --gc good.rf
	expect_match err "gc.*not supported yet"
'

test_case "the program's own error, and an assertion that fails" '
	printf "val Main = error(3, \"hey\")\n" >error.rf
	expect_exit 11 weir run error.rf
	expect_err "weir: error.rf:1:17: module error code 3 hey"
	printf "val test = make(\"\$/test\")\nval Main = test.Assert([1 == 2])\n" >assert.rf
	expect_exit 11 weir run assert.rf
	expect_err "weir: assert.rf:2:16: failed assertion assert.Main[0]"
	loses_nothing
'

test_case 'an input that is not there' '
	cat >input.rf <<"END"
param text file
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	cat {{text}} > {{out}}
"}
END
	expect_exit 11 weir run input.rf -text nowhere.txt
	expect_match err "nowhere\.txt"
	loses_nothing
'

test_case 'an input of a scheme that is not supported yet' '
	echo "val Main = file(\"s3://x/y\")" >far.rf
	expect_exit 11 weir run far.rf
	expect_match err "^weir: far.Main failed: far.Main far.rf:1:16: operation not supported: s3://x/y: inputs by s3 are not supported yet$"
	loses_nothing
'

test_case 'a failure that is found late says its position once' '
	printf "val s = make(\"\$/strings\")\nval Main = s.ToFloat(s.Join([delay(\"x\")], \"\"))\n" >late.rf
	expect_exit 11 weir run late.rf
	expect_match err "^weir: late.Main failed: late.Main: evaluation error: late.rf:2:13: strings.ToFloat: \"x\" is not a number$"
	loses_nothing
'

test_case 'more than this machine has' '
	cat >huge.rf <<"END"
val Main = exec(image := "host", mem := 1024*1024*GiB) (out file) {"
	echo > {{out}}
"}
END
	expect_exit 11 weir run huge.rf
	expect_match err "this host has only .* mem: ask for less, or use a cluster"
	loses_nothing
'

# --- commands

test_case 'a command that fails' '
	exec_fails fails "echo why >&2; exit 3 # {{out}}" "^weir: fails\.Main failed: .*exited with code 3$"
	expect_exit 11 weir run fails.rf
	expect_match err "^weir:   \| why$"
	expect_exit 0 weir logs last
	expect_match out "why"
'

test_case 'a command that a signal kills' '
	exec_fails killed "kill -SEGV \$\$ # {{out}}" \
		"^weir: killed\.Main failed: .*killed by signal 11 \(Segmentation fault\)$"
'

test_case 'a pipe whose first part fails' '
	exec_fails pipe "false | cat > {{out}}" "^weir: pipe\.Main failed: .*exited with code 1$"
'

test_case 'a command that leaves processes in the background: they are gone, and its result stands' '
	one_exec behind "sleep 321 & setsid sleep 322 & (setsid setsid sleep 323 &); echo done > {{out}}"
	expect_exit 0 weir run behind.rf
	! pgrep -f "^sleep 32[123]$" || fail "they are there"
	weir cat last >bytes
	expect_file bytes done
	loses_nothing
'

test_case 'a command that writes nothing' '
	exec_fails nothing "true # {{out}}" "^weir: nothing\.Main failed: .*output out was not created$"
'

cat >bind.py <<'END'
import os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
socket.socket(socket.AF_UNIX).bind(os.path.basename(sys.argv[1]))
END

test_case 'a FIFO, a socket, a device, a directory in the place of a file' '
	exec_fails fifo "mkfifo {{out}}" "output out is a FIFO$"
	exec_fails socket "python3 '$T'/bind.py {{out}}" "output out is a socket$"
	exec_fails direct "mkdir {{out}}" "output out is a directory, not a file$"
	if [ '$as_root' = yes ]; then
		exec_fails device "mknod {{out}} c 1 3" "output out is a device$"
	fi
'

test_case 'a link that leaves the directory, one to nothing, and a FIFO inside of a directory' '
	exec_fails escape "ln -s /etc/passwd {{out}}" "output out is a link that leaves the exec.s directory$"
	exec_fails dangling "ln -s nowhere {{out}}" "output out is a link to nothing$"
	cat >inside.rf <<"END"
val Main = exec(image := "host", mem := 16*MiB) (out dir) {"
	mkdir {{out}}/a
	mkfifo {{out}}/a/pipe
"}
END
	expect_exit 11 weir run inside.rf
	expect_match err "output out: a/pipe is a FIFO$"
	loses_nothing
'

test_case 'links that stay inside are followed' '
	cat >link.rf <<"END"
val Main = exec(image := "host", mem := 16*MiB) (out file, other dir) {"
	echo linked > {{other}}/file
	ln -s {{other}}/file {{out}}
"}
END
	expect_exit 0 weir run link.rf
	expect_exit 0 weir get last linked
	loses_nothing
'

test_case 'a command that writes into its input: the input and what is known of it are as before' '
	cat >intrude.rf <<"END"
val words = exec(image := "host", mem := 16*MiB) (out file) {"
	echo words > {{out}}
"}
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo more >> {{words}}
	cat {{words}} > {{out}}
"}
END
	expect_exit 11 weir run intrude.rf
	expect_match err "intrude\.Main failed: "
	sed "/echo more/d" intrude.rf >polite.rf
	expect_exit 0 weir run polite.rf
	weir cat last >bytes
	expect_file bytes words
	loses_nothing
'

test_case 'independent work is finished before failures are listed; --fail-fast does not wait' '
	cat >several.rf <<"END"
param log string
val bad = exec(image := "host", mem := 16*MiB) (out file) {"
	echo > {{out}}; exit 1
"}
val worse = exec(image := "host", mem := 16*MiB) (out file) {"
	echo > {{out}}; exit 2
"}
val slow = exec(image := "host", mem := 16*MiB) (out file) {"
	sleep 1
	echo slow >> {{log}}
	echo > {{out}}
"}
val Main = [bad, worse, slow]
END
	expect_exit 11 weir run --resources cpu=3,mem=2GiB,disk=1TiB several.rf -log $PWD/log
	expect_match err "several\.bad failed: .*exited with code 1"
	expect_match err "several\.worse failed: .*exited with code 2"
	expect_file log slow
	loses_nothing
'

# --- ids

test_case 'ids that are unknown, ambiguous, or none at all' '
	expect_exit 1 weir info 0000000000000000000000000000000000000000000000000000000000000000
	expect_match err "no run, exec or object has this id"
	expect_exit 1 weir resume run:00000000000
	expect_match err "no run, exec or object has this id"
	# Of seventeen objects two begin with the same digit.
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do
		one_exec many "echo $i > {{out}}"
		weir run many.rf >/dev/null 2>&1
	done
	digit=$(ls "$WEIR_ROOT/objects" | grep -v tmp | cut -c 1 | sort | uniq -d | head -n 1)
	expect_exit 1 weir info "obj:$digit"
	expect_match err "ambiguous, could be .*; give more digits"
	expect_exit 1 weir info certainly-not
	expect_match err "not an id"
	expect_exit 1 weir --root $T/elsewhere resume last
	expect_match err "there is no root at"
	loses_nothing
'

# --- journals and objects

test_case 'a journal of zeros is passed over, and said' '
	mkdir -p "$WEIR_ROOT/journal/00000000000000000000"
	head -c 65536 /dev/zero >"$WEIR_ROOT/journal/00000000000000000000/000001.wal"
	expect_exit 0 weir ps -a
	expect_match err "000001\.wal: damaged at offset 0; 65536 bytes are passed over"
	loses_nothing
	expect_exit 0 weir-dump last
	rm -r "$WEIR_ROOT/journal/00000000000000000000"
'

test_case 'an object with flipped bits is found and named' '
	loses_nothing
	id=$(grep -oE "sha256:[0-9a-f]{64}" out | head -n 1 | cut -c 8-)
	object=$WEIR_ROOT/objects/${id:0:2}/${id:2}
	chmod u+w "$object"
	printf x | dd of="$object" bs=1 seek=1 conv=notrunc 2>/dev/null
	expect_exit 1 weir cat last
	expect_match err "object sha256:$id: .*damaged"
	[ ! -s out ] || fail "bytes were served"
	expect_exit 1 weir get last damaged
	expect_match err "object sha256:$id: .*damaged"
	printf o | dd of="$object" bs=1 seek=1 conv=notrunc 2>/dev/null
	loses_nothing
'

test_case 'an object that is gone is found and named' '
	loses_nothing
	id=$(grep -oE "sha256:[0-9a-f]{64}" out | head -n 1 | cut -c 8-)
	mv "$WEIR_ROOT/objects/${id:0:2}/${id:2}" kept
	expect_exit 1 weir cat last
	expect_match err "object sha256:$id: .*missing"
	expect_exit 1 weir get last gone
	expect_match err "object sha256:$id: .*missing"
	mv kept "$WEIR_ROOT/objects/${id:0:2}/${id:2}"
	loses_nothing
'

test_case 'a command that needs an object that is gone: it is named, and made anew within the run' '
	cat >needs.rf <<"END"
param word string
val a = exec(image := "host", mem := 16*MiB) (out file) {"
	echo needed > {{out}}
"}
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo {{word}} | cat - {{a}} > {{out}}
"}
END
	expect_exit 0 weir run needs.rf -word one
	id=$(echo needed | sha256sum | cut -c 1-64)
	rm "$WEIR_ROOT/objects/${id:0:2}/${id:2}"
	expect_exit 0 weir run needs.rf -word two
	expect_match err "^weir: lost   needs.a  .*sha256:$id is gone: made anew$"
	weir cat last | tr "\n" "|" | grep -qx "two|needed|"
	loses_nothing
'

test_case 'a command is never given an object with flipped bits' '
	expect_exit 0 weir run needs.rf -word three
	id=$(echo needed | sha256sum | cut -c 1-64)
	object=$WEIR_ROOT/objects/${id:0:2}/${id:2}
	chmod u+w "$object"
	printf X | dd of="$object" bs=1 seek=1 conv=notrunc 2>/dev/null
	expect_exit 0 weir run needs.rf -word four
	expect_match err "^weir: lost   needs.a  .*sha256:$id is gone: made anew$"
	weir cat last | tr "\n" "|" | grep -qx "four|needed|"
	loses_nothing
'

# --- file systems

# small NAME SIZE: a file system of that size at $T/NAME; it is gone with the case.
small() {
	[ $as_root = yes ] || skip 'only root can mount a small file system'
	mkdir -p "$T/$1"
	mount -t tmpfs -o "size=$2,mode=0755" weir-test "$T/$1" || skip 'mounting is not allowed here'
	trap 'for pid in $(test_processes "$T/'"$1"'"); do kill -9 $pid; done; umount -l "$T/'"$1"'"' EXIT
}

test_case 'a full disk below a command: it is safe to run again, and does' '
	small full 8m
	export WEIR_ROOT=$T/full/root
	cat >big.rf <<"END"
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	head -c 4000000 /dev/zero > {{out}}
"}
END
	loses_nothing
	free=$(df --output=avail -B1 full | tail -n 1)
	head -c $((free - 1000000)) /dev/zero >full/ballast
	code=0
	timeout 60 weir run big.rf >out 2>err || code=$?
	cat err
	# The command itself sees the full disk (and fails), or collecting does.
	[ $code = 10 ] || [ $code = 11 ] || fail "exit status $code"
	expect_match err "No space left on device"
	rm full/ballast
	expect_exit 0 weir resume last || expect_exit 0 weir run big.rf
	loses_nothing
'

test_case 'no room for the first record: exit 10, and nothing is left half done' '
	small first 2m
	export WEIR_ROOT=$T/first/root
	loses_nothing
	head -c 4000000 /dev/zero >first/ballast 2>/dev/null || :
	code=0
	LIMIT=60
	one_exec other "echo other > {{out}}"
	timeout 60 weir run other.rf >out 2>err || code=$?
	cat err
	expect_equal "the exit status" $code 10
	expect_match err "No space left on device"
	rm first/ballast
	loses_nothing
	expect_exit 0 weir run other.rf
'

test_case 'a disk that fills while a run is under way: what was acknowledged stays' '
	small fills 4m
	export WEIR_ROOT=$T/fills/root
	cat >chain.rf <<"END"
param gate string
val a = exec(image := "host", mem := 16*MiB) (out file) {"
	echo a > {{out}}
"}
val Main = exec(image := "host", mem := 16*MiB) (out file) {"
	echo start > {{gate}}.start
	until [ -e {{gate}} ]; do sleep 0.02; done
	cat {{a}} > {{out}}
"}
END
	timeout 60 weir run chain.rf -gate $PWD/gate >out 2>err </dev/null &
	run=$!
	wait_for 20 test -e gate.start
	head -c 8000000 /dev/zero >fills/ballast 2>/dev/null || :
	: >gate
	code=0
	wait $run || code=$?
	cat err
	# 0: what was left to be written found room in blocks that were there.
	[ $code = 10 ] || [ $code = 1 ] || [ $code = 0 ] || fail "exit status $code"
	expect_match err "No space left on device"
	rm fills/ballast
	expect_exit 0 weir resume last
	expect_equal "starts of a" "$(weir-dump --json --history last | grep -c "\"event\": *\"started\".*chain\.a\"")" 1
	loses_nothing
'

no_longer_writable() {
	mount -o remount,ro readonly
}

test_case 'a root that cannot be written' '
	if [ '$as_root' = yes ]; then
		small readonly 8m
		export WEIR_ROOT=$T/readonly/root
		loses_nothing
		for pid in $(test_processes "$T/readonly"); do kill -9 $pid 2>/dev/null || :; done
		wait_for 10 no_longer_writable
	else
		export WEIR_ROOT=$T/readonly/root
		mkdir -p readonly
		chmod 0555 readonly
	fi
	expect_exit 1 weir run good.rf
	expect_match err "readonly/root.*(cannot be written|Read-only file system|Permission denied).*--root"
	if [ '$as_root' = yes ]; then
		# What only reads works.
		expect_exit 0 weir cat last
		expect_out good
		expect_exit 0 weir ps -a
		expect_exit 0 weir-dump last
		mount -o remount,rw readonly
		loses_nothing
	fi
'

test_case 'a root that is a file, and one that belongs to somebody else' '
	: >afile
	expect_exit 1 weir --root $T/afile run good.rf
	expect_match err "root $T/afile is not a directory"
	if [ '$as_root' = yes ]; then
		mkdir -p theirs
		chown 65534 theirs
		expect_exit 1 weir --root $T/theirs run good.rf
		expect_match err "root $T/theirs belongs to uid 65534, not to you"
	fi
	loses_nothing
'

test_case 'closed descriptors, and readers that leave' '
	export WEIR_ROOT=$T/closed
	code=0
	weir run "$T/good.rf" <&- >&- 2>err || code=$?
	expect_equal "the exit status" $code 0
	weir run "$T/good.rf" <&- >&- 2>&- || code=$?
	expect_equal "the exit status" $code 0
	code=0
	weir run "$T/good.rf" >/dev/full 2>err || code=$?
	expect_equal "the exit status on a full disk" $code 10
	expect_match err "^weir: write standard output: No space left on device$"
	one_exec large "head -c 3000000 /dev/zero > {{out}}"
	expect_exit 0 weir run large.rf
	expect_equal "what head took" "$(weir cat last | head -c 10 | wc -c)" 10
	weir ps -a | head -n 1 >heading
	expect_match heading "^run "
	expect_exit 0 weir cat last
	expect_equal "all of it" "$(wc -c <out)" 3000000
	expect_exit 0 weir-dump last
	loses_nothing
'

test_case 'an installation that lacks one of the helper programs: which, before anything is begun' '
	for missing in weir-journal weir-keeper; do
		mkdir -p part/bin
		rm -f part/bin/*
		for program in weir weir-journal weir-keeper; do
			[ $program = $missing ] || cp "$builddir/$program" part/bin/
		done
		echo "val Main = exec(image := \"host\") (out file) {\" echo a > {{out}} \"}" >part.rf
		expect_exit 1 env WEIR_ROOT="$T/part/root" part/bin/weir run part.rf
		expect_match err "^weir: the program $missing, which belongs to weir, is neither beside it nor in .*/libexec/weir: install weir as a whole$"
		expect_equal "lines" "$(wc -l <err)" 1
		expect_equal "journals" "$(ls part/root/journal)" ""
	done
'

test_done
