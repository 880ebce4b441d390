#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every durable step of a scenario, one by one, is one to die at: for each controller and each journal, the keeper, a
# worker, the writer of the databases, all of them, and the host's power. One TAP line a scenario.
# WEIR_STEPS=all takes every scenario of this folder, as tools/check --long does; WEIR_PART=K/N one death in N.
dir=${srcdir:-.}/tests/scen
if [ "${WEIR_STEPS-}" = all ]; then
	set -- "$dir"/*.scn
else
	set -- "$dir/diamond.scn" "$dir/cache_hit.scn" "$dir/data.scn" "$dir/grow.scn" "$dir/memory.scn"
fi
mkdir -p sim-failures || exit 99
"${WEIR_SIM:-./weir-sim}" --keep sim-failures --limit 3 --part "${WEIR_PART:-1/1}" --steps "$@" || exit 1
rmdir sim-failures 2>/dev/null
exit 0
