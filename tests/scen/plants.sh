#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: plants.sh --check | DIR [PATCH...]
#
# Does the simulator find bugs? Each patch of tests/scen/plants plants one, in the rooms that the simulator runs for real;
# its first line says what it breaks. With a folder to work in, this builds weir-sim from a copy of the tree once for
# each, plays seeds until one fails, and prints a row of a table: the bug, the first seed that finds it, the size of its
# scenario when it has been cut down to what is needed, and the promise that was seen broken. What seeds cannot see, since
# it only costs time, is for a scenario that counts: those are played when no seed fails, and the row names it. It fails
# when a bug is not found within $WEIR_PLANT_SEEDS (1000) seeds nor by a scenario, and when a patch no longer applies: then
# the code has moved, and the bug is to be planted anew. --check only sees whether all of them apply.
#
# The tree must not be configured in place. CC and JOBS (of make) may be set.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
seeds=${WEIR_PLANT_SEEDS:-1000}
bad=0

complain() {
	echo "plants: $*" >&2
	bad=1
}

what() {
	sed -n 1p "$1"
}

# shorten BEGIN FILE: what was seen, in a row of a table.
shorten() {
	sed -n "$1"';s/sha256:[0-9a-f]*/…/g;s/|//g;s/^\(.\{120\}\).*/\1…/;p}' "$2"
}

if [ $# = 0 ]; then
	sed -n '3s/^# //p' "$0" >&2
	exit 2
fi
if [ "$1" = --check ]; then
	for patch in "$top"/tests/scen/plants/*.patch; do
		patch -d "$top" -p1 --fuzz=0 --dry-run -s -f <"$patch" >/dev/null ||
			complain "${patch##*/} does not apply any more: plant it anew (${patch#"$top"/})"
	done
	exit $bad
fi

mkdir -p "$1" && work=$(cd "$1" && pwd) || exit 1
shift
[ $# != 0 ] || set -- "$top"/tests/scen/plants/*.patch
src=$work/src
[ ! -e "$top/config.status" ] || { echo "plants: this tree is configured in place: make distclean first" >&2; exit 1; }
rm -rf "$src" "$work/build" && mkdir -p "$src" "$work/build" || exit 1
# Everything but what git and builds keep here.
builds=$(cd "$top" && for f in */config.status; do [ ! -e "$f" ] || echo "--exclude=./${f%/*}"; done)
(cd "$top" && tar -cf - --exclude=./.git --exclude=./build $builds .) | tar -xf - -C "$src" || exit 1
[ -e "$src/configure" ] || autoreconf -fi "$src" >"$work/log" 2>&1 || exit 1
build() {
	make -s -C "$work/build" -j"${JOBS:-$(nproc)}" weir-sim >"$work/log" 2>&1
}
(cd "$work/build" && "$src/configure" --quiet ${CC:+CC="$CC"} CFLAGS=-O1) >"$work/log" 2>&1 && build ||
	{ cat "$work/log"; complain "the tree cannot be built"; exit 1; }

# row PATCH: plants it, and looks.
row() {
	name=$(basename "$1" .patch)
	# All of it or nothing.
	patch -d "$src" -p1 --fuzz=0 --dry-run -f <"$1" >"$work/log" 2>&1 ||
		{ cat "$work/log"; complain "$name does not apply any more: plant it anew"; return; }
	patch -d "$src" -p1 -s -f <"$1" >"$work/log" 2>&1
	if ! build; then
		cat "$work/log"
		complain "$name does not compile"
	elif "$work/build/weir-sim" --limit 1 --keep "$work" --seeds "1..$seeds" >"$work/found" 2>&1; then
		if "$work/build/weir-sim" "$src"/tests/scen/*.scn >"$work/found" 2>&1; then
			complain "$name is not found in $seeds seeds, nor by a scenario: $(what "$1")"
		else
			scenario=$(sed -n '/^not ok/{s/^not ok [0-9]* - \([^ ]*\).*/\1/p;q}' "$work/found")
			printf '| %s | %s | %s | %s |\n' "$(what "$1")" "$scenario" "$(grep -vc '^#' "$src/tests/scen/$scenario")" \
				"$(shorten '/^# /{s/^# //' "$work/found" | head -n 1)"
		fi
	else
		seed=$(sed -n 's/^seed-\([0-9]*\): see .*/\1/p' "$work/found")
		mv "$work/seed-$seed.scn" "$work/$name.scn"
		printf '| %s | %s | %s | %s |\n' "$(what "$1")" "$seed" "$(grep -vc '^#' "$work/$name.scn")" \
			"$(shorten '1{s/^# seed-[0-9]*: //' "$work/$name.scn")"
	fi
	# What is planted next stands on the tree as it was.
	patch -d "$src" -p1 -R -s -f <"$1" >/dev/null
}

echo '| what is broken | first seed | lines of its scenario | what was seen |'
echo '|---|---|---|---|'
for patch; do
	row "$patch"
done
exit $bad
