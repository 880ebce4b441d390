#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What libFuzzer has found and tools/fuzz has kept, each input once, through the targets as they are built now: one line
# of TAP for each target. (Named files, and those that once broke something, are in corpus/; test_fuzz_* run them.)
set -u

srcdir=${srcdir:-$(dirname "$0")/../..}
folder=$(mktemp -d "${TMPDIR:-/tmp}/weir-found.XXXXXX") || exit 99
trap 'rm -rf "$folder"' EXIT
n=0 bad=0
for archive in "$srcdir"/tests/fuzz/found/*.tar.gz; do
	name=$(basename "$archive" .tar.gz)
	n=$((n + 1))
	mkdir "$folder/$name"
	if tar -xzf "$archive" -C "$folder/$name" &&
		find "$folder/$name" -type f -exec "tests/fuzz/test_fuzz_$name" --once {} + 2>"$folder/log"; then
		echo "ok $n - $name: $(find "$folder/$name" -type f | wc -l) inputs that were found"
	else
		echo "not ok $n - $name"
		tail -n 20 "$folder/log" | sed 's/^/# /'
		bad=1
	fi
done
echo "1..$n"
exit $bad
