#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory: a command that needs more than it has is killed and tried again with half as much more; what worked is where the
# next run begins; and what was set aside is held against what was used. With the kernel's groups where this host has them,
# and without.
. "$(dirname "$0")/lib.sh"
needs python3

cat >hog.rf <<'EOF'
param (
	size int = 600
	salt string
	ask int = 0
	hold int = 0
)
val strings = make("$/strings")
val megabytes = strings.FromInt(size)
val Main = exec(image := "host", mem := ask*MiB) (out file) {"
	: {{salt}}
	cat /proc/self/cgroup >&2
	head -c {{megabytes}}M /dev/zero | tail -c {{megabytes}}M | { sleep {{hold}}; wc -c; } > {{out}}
"}
EOF

# amounts RUN: of each attempt of the run how it ended, and with how many MiB.
amounts() {
	weir-dump --json --history "$1" | python3 -c '
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    if r.get("kind") == "exec" and r.get("event") == "ended":
        print(r["result"]["state"], int(r["result"]["admitted"]["mem"]) >> 20)
'
}

expect_amounts() {
	amounts last >amounts
	expect_file amounts "$1"
}

# bare COMMAND...: where no group can hold anything.
cat >bare <<'EOF'
#!/bin/sh
exec unshare -m sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"' sh "$@"
EOF
chmod +x bare

test_case 'killed, and tried again with half as much more' '
	expect_exit 0 weir run hog.rf -salt one
	expect_amounts "failed 500
ok 750"
	expect_match err "killed: the command needs more than its 500.0MiB of memory; it is tried again with 750.0MiB$"
	expect_exit 0 weir cat last
	expect_out $((600 << 20))
'

test_case 'it was the kernel that held it to its memory' '
	weir logs --stderr last >groups
	grep -q "memory:" groups || grep -q "^0::/." groups || skip "this host has no group for memory"
	grep -q "/weir-keeper-.*/slot-" groups || skip "this host gives us no group for memory"
'

test_case 'the next run begins with what worked' '
	expect_exit 0 weir run hog.rf -salt two
	expect_amounts "ok 750"
	expect_exit 0 weir run hog.rf -salt three -size 10
	expect_amounts "ok 750"
'

test_case 'but not when the program asks for another amount' '
	expect_exit 0 weir run hog.rf -salt four -size 10 -ask 520
	expect_amounts "ok 520"
	expect_exit 0 weir run hog.rf -salt five -ask 520
	expect_amounts "failed 520
ok 780"
	expect_exit 0 weir run hog.rf -salt six -ask 520
	expect_amounts "ok 780"
	expect_exit 0 weir run hog.rf -salt seven
	expect_amounts "ok 750"
'

test_case 'what is learned is in the journals, too' '
	kill -9 $(pid_of weir-keeper)
	rm -r "$WEIR_ROOT/db"
	expect_exit 0 weir run hog.rf -salt eight
	expect_amounts "ok 750"
'

test_case 'info has what was asked for, set aside and used' '
	expect_exit 0 weir info --json last
	python3 - out <<"END"
import json, sys
usage = json.load(open(sys.argv[1]))["usage"]
assert len(usage) == 1, usage
row = usage[0]
assert row["ident"] == "hog.Main" and row["execs"] == 1, row
assert row["memory"]["asked"] == 500 << 20 and row["memory"]["admitted"] == 750 << 20, row
assert 600 << 20 <= row["memory"]["used"] <= 750 << 20, row
assert row["memory"]["median"] == row["memory"]["used"] and row["memory"]["in_vain"] < 0.3, row
assert row["memory"]["better"] == 750 << 20 and row["cpu"]["better"] is None, row
assert row["cpu"]["admitted"] == 1 and row["killed"] == 0 and row["wall"] > 0, row
END
'

test_case 'what is far more than was used is said at the end' '
	expect_exit 0 weir run hog.rf -salt nine -size 10 -ask 2048
	expect_equal "the heading" "$(grep -n "asked for and used" err | cut -d : -f 2-)" "weir: asked for and used:"
	expect_match err "^weir:   execs  mem     most     median   in vain  cpu  used  in vain  time    *better +ident$"
	row="1      2\.0GiB  [0-9.]+MiB  [0-9.]+MiB  9[0-9]%      1    [0-9.]+   [0-9]+% *  [0-9.]+s"
	expect_match err "^weir:   $row  mem := 500\*MiB  hog\.Main$"
	expect_exit 0 weir info last
	expect_match out "^usage:$"
	expect_match out "^$row  mem := 500\*MiB  hog\.Main$"
	expect_exit 0 weir info --json last
	expect_match out "\"better\":524288000"
	expect_exit 0 weir run hog.rf -salt ten -size 600 -ask 2048
	expect_no_match err "asked for"
	expect_exit 0 weir info last
	expect_match out "^1      2\.0GiB .* -       hog\.Main$"
	expect_exit 0 weir run hog.rf -salt ten -size 600 -ask 2048
	expect_exit 0 weir info last
	expect_match out "^usage: none$"
'

test_case 'what was killed asks for what worked' '
	export WEIR_ROOT=$T/advice
	expect_exit 0 weir run hog.rf -salt one
	expect_match err "^weir:   2      500\.0MiB  .*  mem := 750\*MiB  hog\.Main$"
	expect_exit 0 weir info --json last
	expect_match out "\"killed\":1,"
'

test_case 'never more than there is, and then no more tries' '
	export WEIR_ROOT=$T/small
	expect_exit 11 weir run --resources cpu=2,mem=700MiB hog.rf -salt one -size 800
	expect_amounts "failed 500
failed 700"
	expect_match err "hog.Main failed: .*killed: the command needs more than its 700.0MiB of memory$"
'

test_case 'without a group the keeper watches: killed, tried again, learned' '
	./bare true 2>/dev/null || skip "this host does not allow a mount namespace"
	export WEIR_ROOT=$T/watched
	# The keeper looks now and then: what it is to see holds its memory for some seconds.
	expect_exit 0 ./bare weir run hog.rf -hold 3 -salt one
	expect_amounts "failed 500
ok 750"
	weir logs --stderr last >groups
	expect_no_match groups "weir-keeper"
	expect_exit 0 weir run hog.rf -hold 3 -salt two
	expect_amounts "ok 750"
'

test_case 'what several processes share counts once, watched or not' '
	cat >family.py <<"END"
import mmap, os, sys, time
held = b"x" * (300 << 20)
children = 0
for i in range(3):
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
for i in range(3):
    assert os.wait()[1] == 0
print(len(held))
END
	cat >family.rf <<EOF
val Main = exec(image := "host", mem := 500*MiB) (out file) {" python3 $T/family.py > {{out}} "}
EOF
	export WEIR_ROOT=$T/family
	expect_exit 0 weir run family.rf
	expect_amounts "ok 500"
	./bare true 2>/dev/null || exit 0
	export WEIR_ROOT=$T/watched-family
	expect_exit 0 ./bare weir run family.rf
	expect_amounts "ok 500"
'

test_case 'a file that is mapped is no memory of the command' '
	./bare true 2>/dev/null || skip "this host does not allow a mount namespace"
	cat >map.py <<"END"
import mmap, sys, time
with open(sys.argv[1], "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    print(sum(m[i] for i in range(0, len(m), 4096)))
    time.sleep(3)
END
	truncate -s 700M big
	cat >map.rf <<EOF
val Main = exec(image := "host", mem := 500*MiB) (out file) {" python3 $T/map.py $T/big > {{out}} "}
EOF
	export WEIR_ROOT=$T/watched-map
	expect_exit 0 ./bare weir run map.rf
	expect_amounts "ok 500"
'

test_case 'one that leaks step by step is met on its way, also through processes of its own' '
	cat >leak.py <<"END"
import os, sys, time
held = []
for i in range(int(sys.argv[1])):
    held.append(b"x" * (20 << 20))
    time.sleep(0.1)
    if i % 10 == 9 and os.fork() != 0:
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
print(len(held))
END
	cat >leak.rf <<EOF
param steps string
val Main = exec(image := "host", mem := 500*MiB) (out file) {" python3 $T/leak.py {{steps}} > {{out}} "}
EOF
	export WEIR_ROOT=$T/leak
	expect_exit 0 weir run --resources cpu=2,mem=2GiB leak.rf -steps 32
	expect_amounts "failed 500
ok 750"
	./bare true 2>/dev/null || exit 0
	export WEIR_ROOT=$T/watched-leak
	expect_exit 0 ./bare weir run --resources cpu=2,mem=2GiB leak.rf -steps 32
	expect_amounts "failed 500
ok 750"
	expect_exit 11 ./bare weir run --resources cpu=2,mem=2GiB leak.rf -steps 300
	expect_match err "killed: the command needs more than its [0-9.]+[MG]iB of memory$"
'

test_done
