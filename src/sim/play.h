/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_PLAY_H
#define WEIR_SIM_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Plays a scenario: a text of lines, described in weir-scn(5). The world is made by its first lines; then
 * each line is done in its turn, while what `when` lines wait for may happen at any step.
 */
struct play_outcome {
	char	*failure;	/* owned: the promise or the expectation that was broken; NULL: none */
	const char *kind;	/* the same without its particulars */
	char	*bad;		/* owned: the scenario cannot be played: its line and why; NULL: it can */
	uint64_t turns, steps;
	int64_t	 virtual_ns;
	unsigned attempts, records, deaths;
};
void play(const char *text, bool verbose, struct play_outcome *);
void play_outcome_release(struct play_outcome *);

#endif
