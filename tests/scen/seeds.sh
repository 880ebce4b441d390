#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Scenarios that chance makes. A seed that fails is shrunk, and its scenario is left in sim-failures/.
# WEIR_SEEDS=FROM..TO plays others; tools/check --long plays ten thousand.
mkdir -p sim-failures || exit 99
if "${WEIR_SIM:-./weir-sim}" --keep sim-failures --seeds "${WEIR_SEEDS:-1..400}"; then
	rmdir sim-failures 2>/dev/null
	echo "ok 1 - seeds ${WEIR_SEEDS:-1..400}"
else
	echo "not ok 1 - seeds ${WEIR_SEEDS:-1..400}"
	exit 1
fi
echo 1..1
