/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * lag: what held the loop longest, by thread CPU and by name. weir says it at the end of its debug log, so that these runs
 * also pay for that log: the figures are upper bounds.
 */
#define SHOWN 5
#define MOST  5.0	/* ms: the goal */

static int
print_longest(const char *what, const char *log)
{
	char line[4096], name[64];
	unsigned long long calls;
	unsigned shown = 0;
	double total, most;
	FILE *f = fopen(log, "r");
	int bad = 1;

	while (f != NULL && shown < SHOWN && fgets(line, sizeof line, f) != NULL) {
		const char *p = strstr(line, "loop: ");

		if (p == NULL || sscanf(p, "loop: %63s %llu %lf %lf", name, &calls, &total, &most) != 4)
			continue;
		if (shown++ == 0)	/* the longest first */
			bad = most > MOST;
		printf("%s: %-24s %8.3f ms at most, %llu calls, %.1f us each\n", what, name, most, calls, total * 1e3 / (double)calls);
	}
	if (f != NULL)
		fclose(f);
	return bad;
}

int
bench_lag(void)
{
	char *root = root_of(0), *log = xasprintf("%s/log", bench.work);
	int bad;

	printf("lag: %u commands and a join\n", bench.n);
	(void)run_weir(root, "debug", true, bench.program, log);
	bad = print_longest("cold", log);
	(void)run_weir(root, "debug", true, bench.program, log);
	bad |= print_longest("warm", log);
	free(root);
	free(log);
	return bad;
}
