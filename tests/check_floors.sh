#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The floors of the house, read from the #include lines: a room includes itself and rooms below it, and
# only src/loop includes the libraries of the reactor. The linker proves the same of calls; this script
# also sees types and macros, and names the line. First it must find the faults of a small tree made for it.

# From the bottom up. What stands on one line does not know its neighbours.
FLOORS='base
loop
flow
iface
store
executor
pool
cluster
sched
eval lang
run
serve sim
cmd'

REACTOR_ONLY='^(event2/|event\.h|evhttp\.h|evdns\.h|curl/|http_parser\.h)'

# check_tree DIR: prints a line per fault in DIR/src.
check_tree()
{
	(cd "$1" && find src -name '*.[ch]' -o -name '*.def' -path 'src/*') | sort | (cd "$1" && xargs awk \
	    -v floors="$FLOORS" -v reactor="$REACTOR_ONLY" '
	BEGIN {
		n = split(floors, lines, "\n")
		for (i = 1; i <= n; i++) {
			m = split(lines[i], rooms, " ")
			for (k = 1; k <= m; k++)
				floor[rooms[k]] = i
		}
	}
	FNR == 1 {
		split(FILENAME, path, "/")
		room = path[2]
		if (!(room in floor))
			print FILENAME ": the room " room " has no floor"
	}
	!/^[ \t]*#[ \t]*include/ { next }
	{
		what = $0
		sub(/^[ \t]*#[ \t]*include[ \t]*/, "", what)
		quoted = substr(what, 1, 1) == "\""
		what = substr(what, 2)
		sub(/[">].*/, "", what)
		where = FILENAME ":" FNR ": "
	}
	!quoted {
		if (what ~ reactor && room != "loop")
			print where "<" what "> belongs to src/loop alone"
		next
	}
	what !~ /\// {
		if (what != "config.h")
			print where "\"" what "\" does not name its room"
		next
	}
	{
		other = what
		sub(/\/.*/, "", other)
		if (!(other in floor))
			print where "\"" what "\" is in no room"
		else if (other != room && floor[other] >= floor[room])
			print where room " includes " other ", which is not below it"
	}')
}

# What check_tree must say of a tree with each kind of fault.
self_test()
{
	tree=$(mktemp -d "${TMPDIR:-/tmp}/weir-floors-XXXXXX") || exit 1
	mkdir -p "$tree/src/base" "$tree/src/eval" "$tree/src/lang" "$tree/src/loop" "$tree/src/attic"
	printf '#include "base/a.h"\n#include <stdio.h>\n  #  include "loop/op.h"\n' >"$tree/src/base/a.c"
	printf '#include "sched/a.h"\n#include "lang/a.h"\n#include <event2/event.h>\n' >"$tree/src/eval/a.h"
	printf '#include "eval/a.h"\n#include "a.h"\n#include "nowhere/a.h"\n' >"$tree/src/lang/a.c"
	printf '#include <event2/event.h>\n#include "base/a.h"\n' >"$tree/src/loop/a.c"
	printf '#include "base/a.h"\n' >"$tree/src/attic/a.c"
	check_tree "$tree" >"$tree/said" 2>&1
	cat >"$tree/expected" <<-'EOF'
	src/attic/a.c: the room attic has no floor
	src/attic/a.c:1: attic includes base, which is not below it
	src/base/a.c:3: base includes loop, which is not below it
	src/eval/a.h:2: eval includes lang, which is not below it
	src/eval/a.h:3: <event2/event.h> belongs to src/loop alone
	src/lang/a.c:1: lang includes eval, which is not below it
	src/lang/a.c:2: "a.h" does not name its room
	src/lang/a.c:3: "nowhere/a.h" is in no room
	EOF
	diff "$tree/expected" "$tree/said"
	status=$?
	rm -rf "$tree"
	if [ $status -ne 0 ]; then
		echo "check_floors.sh: does not see the faults that it should" >&2
		exit 1
	fi
}

top=${srcdir:-.}
if [ ! -f "$top/src/base/err.h" ]; then
	echo "check_floors.sh: no src/base/err.h below $top" >&2
	exit 99
fi
self_test
faults=$(check_tree "$top" 2>&1)
if [ -n "$faults" ]; then
	printf '%s\n' "$faults"
	exit 1
fi
