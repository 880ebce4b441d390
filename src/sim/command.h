/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_COMMAND_H
#define WEIR_SIM_COMMAND_H

#include "base/requirements.h"
#include "flow/fileset.h"

/*
 * What the command of a simulated exec does. Its text is a list of words, of which some say how it
 * behaves; the rest is only text, so that two commands differ. Its outputs are made from the text and
 * from the content of its inputs, never from the exec's key: if two execs were taken for one another, the
 * result would show it.
 *
 *	takes 5s	how long it runs; else the seed says
 *	fails		exits with 1
 *	fails 2		its first two attempts do, whoever starts them
 *	needs 2G	killed when it is given less memory
 *	files 3		a directory that it makes has three files (1 unless said)
 *	size 100	of each file that it makes (65 unless said)
 */
struct command {
	int64_t	 takes;		/* ns; -1: not said */
	unsigned fails;		/* attempts; UINT32_MAX: all */
	double	 needs;		/* bytes; 0: whatever it is given */
	unsigned files;
	uint64_t size;
};
void command_parse(const char *cmd, struct command *);
/* Duration: `5s`, `2m`, `100ms`, `1h`. False: it is none. */
bool duration_parse(const char *, int64_t *ns);
struct range;
bool range_parse(const char *, struct range *);	/* `1ms..5s` */

struct command_input {		/* of each hole, in order */
	bool		     output;
	unsigned	     index;	/* of the output */
	const struct digest *content;	/* of each file of an input, in order */
	size_t		     n;
};
struct command_output {
	bool dir;
};
/* Gives the list of outputs, one element each. */
struct fileset *command_run(const char *cmd, const struct command_input *, size_t nholes, const struct command_output *,
    size_t nouts);

#endif
