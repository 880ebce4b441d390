/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_CRASH_H
#define WEIR_BASE_CRASH_H

#include <stdbool.h>

/*
 * Named places where a test makes a process die as by kill -9: crash_point("journal-before-sync").
 * A passage costs one load and one branch unless the environment of the process asks for it:
 *
 *   WEIR_CRASH=NAME[:NTH]   SIGKILL to itself at the NTH passage (default 1) of the point NAME;
 *                           every process that inherits the variable counts its own passages
 *   WEIR_CRASH_ONCE=FILE    only the first process to get there dies: it makes FILE, and whoever
 *                           finds it goes on. So a program that is started again can recover.
 *   WEIR_CRASH_COUNT=FILE   every passage of every point adds a line of CRASH_LINE bytes, the point's
 *                           name, to FILE.PROGRAM, over all processes of that program
 *   WEIR_CRASH=PROGRAM#N    with it: whoever adds the Nth line for that program dies. Just one does.
 *
 * A name says the step: ROOM-when-what. A point stands beside the durable step that it is about.
 */
#define CRASH_LINE 40
extern bool crash_armed;	/* set before main; not for callers */
void crash_passed(const char *name);

static inline void
crash_point(const char *name)
{
	if (crash_armed)
		crash_passed(name);
}

#endif
