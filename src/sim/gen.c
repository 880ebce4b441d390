/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/gen.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * Chance makes the text, and the text is all that is played: so a scenario that fails can be cut down
 * line by line. Programs keep a node to a line for that reason.
 */
#define NODES_MAX 40
#define RUNS_MAX  3

struct gen {
	uint64_t state;
	struct buf *out;
	/* the program in hand */
	struct {
		char name[16];
		enum { G_FILE, G_DIR, G_FILES } type;
	} node[NODES_MAX];
	unsigned n;
	unsigned execs;		/* about */
	unsigned flaky;
	bool	 used[NODES_MAX];
	unsigned nprograms;
	unsigned nagents;	/* 0: one host, and no network */
	uint64_t labels;	/* drawn from apart, so that all else of a seed is as it is without */
	bool	 labelled;	/* its hosts have graphics cards, and disks that can be too small */
};

static uint64_t
draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t
next(struct gen *g)
{
	return draw(&g->state);
}

static unsigned
below(struct gen *g, unsigned n)
{
	return n ? (unsigned)(next(g) % n) : 0;
}

static bool
percent(struct gen *g, unsigned p)
{
	return below(g, 100) < p;
}

static const char *
one_of(struct gen *g, const char *const *v, unsigned n)
{
	return v[below(g, n)];
}
#define ONE_OF(g, ...) one_of(g, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* Programs. */

static void
add_node(struct gen *g, const char *prefix, int type)
{
	snprintf(g->node[g->n].name, sizeof g->node[g->n].name, "%s%u", prefix, g->n);
	g->node[g->n].type = type;
	g->used[g->n++] = false;
}

/* Mostly of the newest, so that chains grow deep. */
static unsigned
pick(struct gen *g, int type)
{
	unsigned from = percent(g, 60) && g->n > 6 ? g->n - 6 : 0, i, tries;

	for (tries = 0; tries < 40; tries++) {
		i = from + below(g, g->n - from);
		if (type < 0 || (int)g->node[i].type == type)
			return i;
		from = 0;
	}
	for (i = 0; i < g->n; i++)
		if (type < 0 || (int)g->node[i].type == type)
			return i;
	return 0;
}

static void
add_inputs(struct gen *g, unsigned n)
{
	while (n-- > 0) {
		unsigned i = pick(g, -1);

		g->used[i] = true;
		buf_addf(g->out, " {{%s}}", g->node[i].name);
	}
}

static void
add_resources(struct gen *g)
{
	const char *cpu = percent(g, 30) ? ONE_OF(g, "1", "2", "3", "4", "0.5") : NULL;

	if (cpu)
		buf_addf(g->out, ", cpu := %s", cpu);
	if (percent(g, 25))
		buf_addf(g->out, ", mem := %s*GiB", ONE_OF(g, "1", "2", "4", "7"));
	/* As many cards as cores. */
	if (g->labelled && draw(&g->labels) % 100 < 35 && (!cpu || cpu[0] <= '2'))
		buf_addf(g->out, "%s, cpufeatures := [\"gpu\"]", cpu ? "" : ", cpu := 1");
	if (g->labelled && draw(&g->labels) % 100 < 10)
		buf_addstr(g->out, ", disk := 200*GiB");
}

/* What the command does, beside making its outputs. */
static void
add_words(struct gen *g)
{
	static const char *const labels[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p" };

	buf_addf(g->out, " %s", labels[below(g, percent(g, 25) ? 3 : 16)]);
	if (percent(g, 15))
		buf_addf(g->out, " takes %s", ONE_OF(g, "0s", "1ms", "1s", "10s", "90s", "20m"));
	if (percent(g, 4))
		buf_addf(g->out, " needs 700M");
	if (percent(g, 6) && g->flaky < 3) {
		buf_addf(g->out, " fails 1");
		g->flaky++;
	}
	if (percent(g, 1))
		buf_addf(g->out, " fails");
}

static void
node_file(struct gen *g)
{
	buf_addf(g->out, "val n%u = exec(image := \"host\"", g->n);
	add_resources(g);
	buf_addf(g->out, ") (out file) {\"");
	add_words(g);
	add_inputs(g, percent(g, 10) ? 5 : 1 + below(g, 3));
	buf_addf(g->out, " > {{out}} \"}\n");
	add_node(g, "n", G_FILE);
	g->execs++;
}

static void
node_pair(struct gen *g)
{
	unsigned n = g->n;

	buf_addf(g->out, "val (n%u, n%u) = exec(image := \"host\"", n, n + 1);
	add_resources(g);
	buf_addf(g->out, ") (x file, y file) {\"");
	add_words(g);
	add_inputs(g, 1 + below(g, 2));
	buf_addf(g->out, " {{x}} {{y}} \"}\n");
	add_node(g, "n", G_FILE);
	add_node(g, "n", G_FILE);
	g->execs++;
}

/* A directory, and an exec for each file in it: the graph grows with a result. */
static void
node_map(struct gen *g)
{
	unsigned n = g->n, files = below(g, 5);

	buf_addf(g->out, "val n%u = exec(image := \"host\") (out dir) {\"", n);
	add_words(g);
	buf_addf(g->out, " files %u", files);
	add_inputs(g, 1);
	buf_addf(g->out, " {{out}} \"}\n");
	add_node(g, "n", G_DIR);
	buf_addf(g->out, "val n%u = [exec(image := \"host\"", n + 1);
	add_resources(g);
	buf_addf(g->out, ") (out file) {\"");
	add_words(g);
	if (percent(g, 30))
		add_inputs(g, 1);
	buf_addf(g->out, " {{f}} > {{out}} \"} | (_, f) <- map(n%u)]\n", n);
	g->used[n] = true;
	add_node(g, "n", G_FILES);
	g->execs += 1 + files;
}

static void
node_choice(struct gen *g)
{
	unsigned a = pick(g, G_FILE), b = pick(g, G_FILE), c = pick(g, G_FILE);

	buf_addf(g->out, "val n%u = if len(%s) > %u { %s } else { %s }\n", g->n, g->node[a].name, 20 + below(g, 90),
	    g->node[b].name, g->node[c].name);
	g->used[a] = g->used[b] = g->used[c] = true;
	add_node(g, "n", G_FILE);
}

static void
node_list(struct gen *g)
{
	unsigned a = pick(g, G_FILE), b = pick(g, G_FILE);

	buf_addf(g->out, "val n%u = [%s, %s]\n", g->n, g->node[a].name, g->node[b].name);
	g->used[a] = g->used[b] = true;
	add_node(g, "n", G_FILES);
}

static void
node_data(struct gen *g)
{
	buf_addf(g->out, "val n%u = make(\"$/files\").Create(\"text %u\")\n", g->n, below(g, 3));
	add_node(g, "n", G_FILE);
}

static void
add_main(struct gen *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n; i++)
		n += !g->used[i] || i + 1 == g->n;
	if (n == 1) {
		buf_addf(g->out, "val Main = %s\n", g->node[g->n - 1].name);
		return;
	}
	buf_addf(g->out, "val Main = (\n");
	for (unsigned i = 0; i < g->n; i++)
		if (!g->used[i] || i + 1 == g->n)
			buf_addf(g->out, "%s,\n", g->node[i].name);
	buf_addf(g->out, ")\n");
}

static void
program(struct gen *g)
{
	unsigned size = percent(g, 10) ? 30 : percent(g, 30) ? 4 : 12, inputs = 1 + below(g, 3);

	g->n = g->flaky = 0;
	buf_addf(g->out, "program p%u\n", g->nprograms++);
	for (unsigned i = 0; i < inputs; i++) {
		buf_addf(g->out, "val n%u = file(\"in%u\")\n", g->n, below(g, 4));
		add_node(g, "n", G_FILE);
	}
	for (size = 1 + below(g, size); size > 0 && g->n + 3 < NODES_MAX; size--) {
		unsigned kind = below(g, 100);

		if (kind < 62)
			node_file(g);
		else if (kind < 70)
			node_pair(g);
		else if (kind < 82)
			node_map(g);
		else if (kind < 90)
			node_choice(g);
		else if (kind < 96)
			node_list(g);
		else
			node_data(g);
	}
	add_main(g);
	buf_addf(g->out, "end\n");
}

/* Runs. */

static void
run_line(struct gen *g, unsigned i)
{
	buf_addf(g->out, "run r%u", i + 1);
	if (percent(g, 15))
		buf_addstr(g->out, " no-cache");
	else if (percent(g, 10))
		buf_addf(g->out, " cache=%s", ONE_OF(g, "read", "write"));
	if (percent(g, 15))
		buf_addstr(g->out, " bottomup");
	if (percent(g, 8))
		buf_addstr(g->out, " fail-fast");
	if (percent(g, 20))
		buf_addf(g->out, " retain=%s", ONE_OF(g, "0s", "1s", "10s", "5m"));
	if (i > 0 && percent(g, 50))
		buf_addf(g->out, " with=r%u", 1 + below(g, i));
	buf_addf(g->out, " p%u\n", below(g, g->nprograms));
}

/* A moment: mostly a durable step, for that is where things break. */
static void
moment(struct gen *g, unsigned nruns)
{
	unsigned run = 1 + below(g, nruns), records = 4 + 3 * g->execs;

	switch (below(g, 8)) {
	case 0:
	case 1:
	case 2:
		buf_addf(g->out, "when r%u record %u %s", run, 1 + below(g, records),
		    ONE_OF(g, "written", "durable", "acknowledged"));
		break;
	case 3:
	case 4:
		buf_addf(g->out, "when attempt %u %s", 1 + below(g, g->execs + 2),
		    ONE_OF(g, "created", "staged", "spawned", "exited", "collected", "manifest"));
		break;
	case 5:
		if (percent(g, 50))
			buf_addf(g->out, "when entry %u committed", 1 + below(g, 4));
		else
			buf_addf(g->out, "when step %u", 1 + below(g, 6 * records));
		break;
	case 6:
		buf_addf(g->out, "when r%u %u%% done", run, below(g, 100));
		break;
	default:
		buf_addf(g->out, "when %u%s", 1 + below(g, 60), ONE_OF(g, "ms", "s", "s"));
		break;
	}
	if (percent(g, 25))
		buf_addf(g->out, " after %u%s", 1 + below(g, 40), ONE_OF(g, "ms", "ms", "s"));
	buf_addstr(g->out, ": ");
}

/* For how long: less than a lease, about one, or much more. */
static const char *
a_while(struct gen *g)
{
	return ONE_OF(g, "300ms", "3s", "10s", "40s", "90s", "130s", "10m", "2h");
}

static void
net_misfortune(struct gen *g)
{
	unsigned host = 1 + below(g, g->nagents), kind = below(g, 100);

	if (kind < 22) {
		buf_addf(g->out, "cut home %u for %s\n", host, a_while(g));
	} else if (kind < 32) {
		buf_addf(g->out, "cut home to %u for %s\n", host, a_while(g));
	} else if (kind < 42) {
		buf_addf(g->out, "cut %u to home for %s\n", host, a_while(g));
	} else if (kind < 50) {
		buf_addf(g->out, "slow home %u %s for %s\n", host, ONE_OF(g, "1s..2s", "100ms..9s", "5s..40s"), a_while(g));
	} else if (kind < 60) {
		buf_addf(g->out, "kill agent %u\n", host);
	} else if (kind < 68) {
		buf_addf(g->out, "kill host %u for %s\n", host, a_while(g));
	} else if (kind < 74) {
		buf_addf(g->out, "kill keeper %u\n", host);
	} else if (kind < 78) {
		buf_addf(g->out, "kill worker %u on %u\n", below(g, 8), host);
	} else if (kind < 85) {
		buf_addf(g->out, "stall agent %u %s\n", host, a_while(g));
	} else if (kind < 88) {
		buf_addf(g->out, "clock %s on %u\n", ONE_OF(g, "+1h", "-1h", "+1s", "90%", "-10s", "110%", "+100h"), host);
	} else if (kind < 91) {
		buf_addf(g->out, "wipe host %u\n", host);
	} else {
		buf_addf(g->out, "agent %u lies %s for %s\n", host,
		    ONE_OF(g, "garbage", "results", "offers", "objects", "forgets", "grants"), a_while(g));
	}
}

static void
misfortune(struct gen *g, unsigned nruns)
{
	unsigned run = 1 + below(g, nruns), kind = below(g, 100);

	moment(g, nruns);
	if (g->nagents > 0 && percent(g, 60)) {
		net_misfortune(g);
		return;
	}
	if (kind < 3) {
		buf_addf(g->out, "lose objects %s\n", ONE_OF(g, "10%", "50%", "100%"));
	} else if (kind < 6) {
		buf_addf(g->out, "damage objects %s\n", ONE_OF(g, "10%", "50%", "100%"));
	} else if (kind < 28) {
		buf_addf(g->out, "kill r%u\n", run);
	} else if (kind < 38) {
		buf_addf(g->out, "kill journal of r%u\n", run);
	} else if (kind < 50) {
		buf_addstr(g->out, "kill keeper\n");
	} else if (kind < 60) {
		buf_addf(g->out, "kill worker %u\n", below(g, 8));
	} else if (kind < 65) {
		buf_addstr(g->out, "kill writer\n");
	} else if (kind < 67) {
		buf_addstr(g->out, "kill everything\n");
	} else if (kind < 71) {
		buf_addstr(g->out, "cut power\n");
	} else if (kind < 76) {
		buf_addf(g->out, "stall r%u %s\n", run, ONE_OF(g, "1s", "20s", "2m", "10m"));
	} else if (kind < 82) {
		buf_addf(g->out, "interrupt r%u\n", run);
	} else if (kind < 88) {
		buf_addf(g->out, "fill disk for %s\n", ONE_OF(g, "100ms", "3s", "1m", "40m"));
	} else if (kind < 91) {
		buf_addf(g->out, "fill journal of r%u for %s\n", run, ONE_OF(g, "100ms", "3s", "1m", "40m"));
	} else if (kind < 93) {
		buf_addf(g->out, "fill cache for %s\n", ONE_OF(g, "1s", "1m", "40m"));
	} else if (kind < 95) {
		buf_addf(g->out, "lose alloc of r%u\n", run);
	} else if (kind < 98) {
		buf_addf(g->out, "clock %s\n", ONE_OF(g, "+1h", "-1h", "+1s", "-10s", "+100h"));
	} else {
		buf_addf(g->out, "resume r%u\n", run);
	}
}

static void
add_labels(struct gen *g)
{
	g->labelled = draw(&g->labels) % 100 < 40;
	if (g->labelled)
		buf_addf(g->out, " gpu=%u disk=300G", (unsigned)(2 + draw(&g->labels) % 2));
}

static void
cluster_lines(struct gen *g)
{
	const char *own;

	g->nagents = 1 + below(g, 4);
	buf_addf(g->out, "cluster %u agents cpu=%s mem=%s slots=%s", g->nagents, ONE_OF(g, "4", "4", "8", "5"),
	    ONE_OF(g, "8G", "16G"), ONE_OF(g, "2", "4", "8", "16"));
	if (percent(g, 30))
		buf_addf(g->out, " lease=%s", ONE_OF(g, "20s", "30s", "60s"));
	add_labels(g);
	own = percent(g, 50) ? "own" : "shared";
	buf_addf(g->out, " repo=%s\n", own);
	if (g->nagents < 4 && percent(g, 30)) {
		buf_addf(g->out, "cluster 1 agent cpu=%s mem=16G repo=%s\n", ONE_OF(g, "2", "3", "12"), own);
		g->nagents++;
	}
	if (percent(g, 20))
		buf_addf(g->out, "network loses %s\n", ONE_OF(g, "1%", "3%", "10%"));
	if (percent(g, 25))
		buf_addf(g->out, "network repeats %s\n", ONE_OF(g, "1%", "10%", "50%"));
}

static void
host_line(struct gen *g)
{
	if (g->nagents == 0 && percent(g, 50)) {
		buf_addf(g->out, "host cpu=%s mem=%s slots=%s", ONE_OF(g, "4", "4", "8", "5"), ONE_OF(g, "8G", "16G"),
		    ONE_OF(g, "2", "4", "8", "16"));
		add_labels(g);
		buf_addch(g->out, '\n');
	}
	if (percent(g, 20))
		buf_addf(g->out, "network %s\n", ONE_OF(g, "0ms..0ms", "1ms..200ms", "0ms..2s"));
	if (percent(g, 20))
		buf_addf(g->out, "disk %s\n", ONE_OF(g, "0ms..0ms", "5ms..3s", "0ms..200ms"));
	if (percent(g, 20))
		buf_addf(g->out, "cache %s\n", ONE_OF(g, "0ms..0ms", "5ms..3s", "1s..1m"));
	if (percent(g, 40))
		buf_addf(g->out, "execs %s\n", ONE_OF(g, "0ms..0ms", "1ms..50ms", "1s..10m", "0ms..1s"));
}

void
gen_scenario(uint64_t seed, struct buf *out)
{
	struct gen g = { .state = seed * 0x2545f4914f6cdd1d + 1, .labels = seed * 0xd1342543de82ef95 + 3, .out = out };
	struct gen hosts = { .state = seed * 0x9e6c63d0676a9a99 + 7 };
	unsigned nruns, n;

	buf_addf(out, "seed %llu\n", (unsigned long long)seed);
	if (next(&hosts) % 100 < 35)
		cluster_lines(&g);
	host_line(&g);
	for (unsigned i = 0; i < 4; i++)
		buf_addf(out, "file in%u \"%s\"\n", i, percent(&g, 20) ? "same" : ONE_OF(&g, "one", "two", "three", "four"));
	program(&g);
	nruns = percent(&g, 45) ? 1 : 2 + below(&g, RUNS_MAX - 1);
	if (nruns > 1 && percent(&g, 40))
		program(&g);
	buf_addf(out, "operator every %s resets 12\n", ONE_OF(&g, "1s", "10s", "2m", "2h"));
	for (n = percent(&g, 12) ? 0 : 1 + below(&g, 5); n > 0; n--)
		misfortune(&g, nruns);
	run_line(&g, 0);
	for (unsigned i = 1; i < nruns; i++) {
		if (percent(&g, 40))
			moment(&g, i);
		run_line(&g, i);
	}
	buf_addstr(out, "settle\nexpect right\nexpect clean\n");
}
