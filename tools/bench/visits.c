/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xalloc.h"

/* The run says its counts in one line of its debug log. */
static int
print_visits(const char *what, const char *log)
{
	unsigned long long nodes, edges, visits;
	char line[4096];
	FILE *f = fopen(log, "r");
	int bad = 1;

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		const char *p = strstr(line, "evaluator: ");

		if (p == NULL || sscanf(p, "evaluator: %llu nodes, %llu edges, %llu visits", &nodes, &edges, &visits) != 3)
			continue;
		printf("%s: %llu nodes, %llu edges, %llu visits: %s\n", what, nodes, edges, visits,
		    visits <= nodes + edges ? "not more than nodes and edges" : "MORE than nodes and edges");
		bad = visits > nodes + edges;
	}
	if (f != NULL)
		fclose(f);
	return bad;
}

int
bench_visits(void)
{
	char *root = root_of(0), *log = xasprintf("%s/log", bench.work);
	int bad;

	(void)run_weir(root, "debug", true, bench.program, log);
	bad = print_visits("cold", log);
	(void)run_weir(root, "debug", true, bench.program, log);
	bad |= print_visits("warm", log);
	free(root);
	free(log);
	return bad;
}
