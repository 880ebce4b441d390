/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xalloc.h"
#include "loop/lag.h"
#include "tools/bench/instant.h"

/*
 * The evaluator on fakes: graphs of five shapes, made as the language makes them, from the first node to the value of
 * the root. Each is measured in a process of its own, so that the memory is that of one graph. A node's bytes are all
 * that the process has grown by, with the text of its command, divided by the nodes.
 */
static struct flow *
exec_on(struct graph *g, unsigned i, struct flow *const *deps, unsigned ndeps)
{
	static const struct flow_out out = { "out", false };
	static const struct src_pos pos = { "shape.rf", 2, 17 };
	struct flow_arg args[4];
	struct flow_exec x = { .image = "host", .args = args, .nargs = ndeps + 1, .outs = (struct flow_out *)(uintptr_t)&out,
		.nouts = 1 };
	char cmd[64];

	for (unsigned d = 0; d < ndeps; d++)
		args[d] = (struct flow_arg){ false, d, "in" };
	args[ndeps] = (struct flow_arg){ true, 0, "out" };
	snprintf(cmd, sizeof cmd, "%.*s%u > %%s", (int)(3 * ndeps), "%s %s %s ", i);
	x.cmd = cmd;
	x.resources = (struct resources){ .mem = 1 << 20, .cpu = 1, .present = RES_MEM | RES_CPU };
	return flow_exec(g, &x, deps, ndeps, "shape", &pos);
}

static struct flow *
list_of(struct graph *g, struct flow *const *nodes, unsigned n)
{
	struct value **v = xcalloc(n, sizeof *v);
	struct flow *root;

	for (unsigned i = 0; i < n; i++)
		v[i] = value_flow(nodes[i]);
	root = flow_force(g, value_list(v, n));
	free(v);
	return root;
}

static struct flow *
flat(struct graph *g, struct flow **v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		v[i] = exec_on(g, i, NULL, 0);
	return list_of(g, v, n);
}

static struct flow *
chain(struct graph *g, struct flow **v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		v[i] = exec_on(g, i, v + i - (i > 0), i > 0);
	return v[n - 1];
}

static struct flow *
tree(struct graph *g, struct flow **v, unsigned n)
{
	unsigned leaves = n / 2 + 1;

	for (unsigned i = 0; i < n; i++)
		v[i] = i < leaves ? exec_on(g, i, NULL, 0) : exec_on(g, i, v + 2 * (i - leaves), 2);
	return v[n - 1];
}

/* Each level is two nodes, and both need both of the level before. */
static struct flow *
diamond(struct graph *g, struct flow **v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		v[i] = i < 2 ? exec_on(g, i, NULL, 0) : exec_on(g, i, v + i - i % 2 - 2, 2);
	return list_of(g, v + n - 2, 2);
}

/* Layers of a thousand; each node needs three of the layer before. */
static struct flow *
layered(struct graph *g, struct flow **v, unsigned n)
{
	unsigned width = n < 1000 ? n : 1000, at;

	for (unsigned i = 0; i < n; i++) {
		at = i < width ? 0 : i / width * width - width;
		struct flow *deps[3] = { v[at + i % width], v[at + (i * 7 + 1) % width], v[at + (i * 31 + 2) % width] };

		v[i] = exec_on(g, i, deps, i < width ? 0 : 3);
	}
	return list_of(g, v + n - width, width);
}

static const struct shape {
	const char   *name;
	struct flow *(*make)(struct graph *, struct flow **, unsigned);
	const char   *resources;
	bool	      known;
} shapes[] = {
	{ "flat", flat, "cpu=1000000,mem=1000000GiB", false },
	{ "flat, two at a time", flat, "cpu=2,mem=1000000GiB", false },
	{ "chain", chain, "cpu=1000000,mem=1000000GiB", false },
	{ "tree", tree, "cpu=1000000,mem=1000000GiB", false },
	{ "diamond", diamond, "cpu=1000000,mem=1000000GiB", false },
	{ "layered", layered, "cpu=1000000,mem=1000000GiB", false },
	{ "layered, two at a time", layered, "cpu=2,mem=1000000GiB", false },
	{ "flat, all known", flat, "cpu=2,mem=1000000GiB", true },
};

struct sample {
	const struct shape *shape;
	unsigned	    n;
};

/* In a process of its own; says one line. */
static int
measure(void *arg)
{
	const struct sample *sample = arg;
	const struct shape *s = sample->shape;
	unsigned n = sample->n;
	struct flow **nodes = xcalloc(n, sizeof *nodes), *root;
	double began, made, ended;
	unsigned long before;
	const char *longest;
	struct instant in;
	int64_t held;

	instant_init(&in, s->resources);
	memset(nodes, 1, n * sizeof *nodes);	/* the bench's own, and there before */
	before = status_kib("VmRSS:");
	began = thread_cpu();
	root = s->make(in.graph, nodes, n);
	made = thread_cpu();
	instant_run(&in, root, s->known);
	ended = thread_cpu();
	held = loop_lag_max(in.loop, &longest);
	printf("%-24s %8u %8.3f s %6.0f ns %6.0f ns %6.0f B %9.1f ms %s%s\n", s->name, n, ended - began,
	    (made - began) / n * 1e9, (ended - made) / n * 1e9, (double)(status_kib("VmHWM:") - before) * 1024 / n,
	    (double)held / 1e6, longest, in.stats.visits <= in.stats.nodes + in.stats.edges ? "" : ", TOO MANY VISITS");
	if (in.err != NULL) {
		char *text = err_str(in.err);

		printf("failed: %s\n", text);
		free(text);
	}
	if (in.err != NULL || in.stats.visits > in.stats.nodes + in.stats.edges)
		return 1;
	instant_release(&in);
	free(nodes);
	return 0;
}

int
bench_eval(void)
{
	int bad = 0;

	printf("eval: graphs of execs that end at once; CPU of the one thread\n");
	printf("%-24s %8s %10s %9s %9s %8s %12s\n", "shape", "nodes", "all", "made", "evaluated", "a node", "held the loop");
	for (size_t i = 0; i < nitems(shapes); i++) {
		if (bench.shape != NULL && strncmp(shapes[i].name, bench.shape, strlen(bench.shape)) != 0)
			continue;
		for (unsigned n = bench.n / 100; n <= bench.n; n *= 10)
			bad |= run_apart(measure, &(struct sample){ &shapes[i], n < 10 ? 10 : n });
	}
	return bad;
}
