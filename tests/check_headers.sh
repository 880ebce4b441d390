#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Each header compiles alone, and twice in a row: it includes what it needs and guards itself. CC and
# HEADER_FLAGS come from the makefile; by hand, `CC=gcc HEADER_FLAGS=... tests/check_headers.sh` in the source folder.

top=${srcdir:-.}
: "${CC:=cc}"
if [ ! -f "$top/src/base/err.h" ]; then
	echo "check_headers.sh: no src/base/err.h below $top" >&2
	exit 99
fi

# check_header TOP PATH: prints what the compiler says; fails if it refuses the header.
check_header()
{
	name=${2#src/}
	printf '#include "%s"\n#include "%s"\n' "$name" "$name" |
	    $CC -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Wstrict-prototypes -Werror -I"$1/src" $HEADER_FLAGS \
	    -fsyntax-only -x c - 2>&1 || { echo "$2 does not compile alone"; return 1; }
}

tree=$(mktemp -d "${TMPDIR:-/tmp}/weir-headers-XXXXXX") || exit 99
mkdir "$tree/src"
echo 'size_t lacks_an_include(void);' >"$tree/src/bad.h"
echo 'struct twice { int x; };' >"$tree/src/twice.h"
if check_header "$tree" src/bad.h >/dev/null || check_header "$tree" src/twice.h >/dev/null; then
	echo "check_headers.sh: does not see the faults that it should" >&2
	exit 1
fi
rm -rf "$tree"

failed=0
for header in $(cd "$top" && find src -name '*.h' | sort); do
	check_header "$top" "$header" || failed=1
done
exit $failed
