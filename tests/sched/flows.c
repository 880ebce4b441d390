/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sched/flows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * Flows that are made of a seed. A stage is a set of tasks of one identifier: they ask for the same, and their
 * durations lie around one value, now and then far above it. Between stages durations differ by orders of magnitude.
 */

#define GIB (1024.0 * 1024 * 1024)

uint64_t
flow_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

double
flow_uniform(uint64_t *state)
{
	return (double)(flow_random(state) >> 11) / 9007199254740992.0;
}

static unsigned
between(uint64_t *rng, unsigned lo, unsigned hi)
{
	return lo + (unsigned)(flow_random(rng) % (hi - lo + 1));
}

static double
normal(uint64_t *rng)
{
	return sqrt(-2 * log(1 - flow_uniform(rng))) * cos(2 * M_PI * flow_uniform(rng));
}

void
flow_case_release(struct flow_case *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		free(c->tasks[i].name);
		free(c->tasks[i].deps);
	}
	free(c->tasks);
	memset(c, 0, sizeof *c);
}

/* Of the task before, when that is alike: tasks of a stage are made in a row. */
static unsigned
ident_of(const struct flow_case *c, const char *ident, size_t len)
{
	unsigned most = 0;

	for (unsigned i = c->n; i-- > 0;) {
		const char *name = c->tasks[i].name;

		if (strncmp(name, ident, len) == 0 && (name[len] == '/' || name[len] == '\0'))
			return c->tasks[i].ident;
		if (c->tasks[i].ident >= most)
			most = c->tasks[i].ident + 1;
	}
	return most;
}

static unsigned
add_named(struct flow_case *c, char *name, int64_t ns, const double *amount, const unsigned *deps, unsigned ndeps)
{
	struct ftask t = { .name = name, .ns = ns > 0 ? ns : 1, .ndeps = ndeps };

	t.ident = ident_of(c, name, strcspn(name, "/"));
	memcpy(t.amount, amount, sizeof t.amount);
	if (ndeps)
		t.deps = xmemdup(deps, ndeps * sizeof *deps);
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->tasks = xreallocarray(c->tasks, c->cap, sizeof *c->tasks);
	}
	c->tasks[c->n] = t;
	return c->n++;
}

unsigned
flow_case_add(struct flow_case *c, const char *ident, unsigned nth, int64_t ns, const double *amount,
    const unsigned *deps, unsigned ndeps)
{
	return add_named(c, xasprintf("%s/%u", ident, nth), ns, amount, deps, ndeps);
}

void
amounts_resources(const double *amount, struct resources *r)
{
	resources_set(r, "cpu", amount[CPU]);
	resources_set(r, "mem", amount[MEM]);
	if (amount[GPU] > 0)
		resources_set(r, "gpu", amount[GPU]);
}

/* What the tasks of one identifier have in common. */
struct stage {
	const char *ident;
	double	    amount[NAMOUNTS], seconds, spread;
};

/* heavy: of those that are few and large, such as joins. */
static void
stage_init(struct stage *s, const struct flow_case *c, uint64_t *rng, const char *ident, bool heavy)
{
	static const unsigned cores[] = { 1, 1, 1, 1, 2, 2, 4, 8 };
	double cpu = heavy ? ceil(c->host[CPU] * (0.25 + 0.75 * flow_uniform(rng))) : cores[between(rng, 0, 7)];
	double mem = heavy ? c->host[MEM] * (0.2 + 0.7 * flow_uniform(rng)) : GIB * exp(0.6 + 1.1 * normal(rng));

	s->ident = ident;
	s->amount[CPU] = fmin(cpu, c->host[CPU]);
	s->amount[MEM] = fmin(ceil(mem), c->host[MEM]);
	s->amount[GPU] = c->host[GPU] > 0 && between(rng, 0, 5) == 0 ? between(rng, 1, (unsigned)c->host[GPU]) : 0;
	s->seconds = exp(3 + 1.2 * normal(rng)) * (heavy ? 2 : 1);
	s->spread = flow_uniform(rng) < 0.5 ? 0.15 : 0.6;
}

/* One in fifty takes far longer than its like. */
static unsigned
stage_add(struct flow_case *c, uint64_t *rng, const struct stage *s, unsigned nth, const unsigned *deps, unsigned ndeps)
{
	double seconds = s->seconds * exp(s->spread * normal(rng));

	if (between(rng, 1, 50) == 1)
		seconds *= fmin(20, pow(1 - flow_uniform(rng), -1 / 1.5));
	return flow_case_add(c, s->ident, nth, (int64_t)(seconds * 1e9), s->amount, deps, ndeps);
}

/* n tasks, of which the ith waits for the ith of the stage before, or all for one; gives the first one's number. */
static unsigned
stage_map(struct flow_case *c, uint64_t *rng, const char *ident, unsigned n, const unsigned *first, bool each)
{
	struct stage s;
	unsigned at = c->n;

	stage_init(&s, c, rng, ident, false);
	for (unsigned i = 0; i < n; i++) {
		unsigned dep = first ? *first + (each ? i : 0) : 0;

		stage_add(c, rng, &s, i, &dep, first ? 1 : 0);
	}
	return at;
}

static unsigned
stage_join(struct flow_case *c, uint64_t *rng, const char *ident, unsigned first, unsigned n, bool heavy)
{
	unsigned *deps = xcalloc(n, sizeof *deps), at;
	struct stage s;

	for (unsigned i = 0; i < n; i++)
		deps[i] = first + i;
	stage_init(&s, c, rng, ident, heavy);
	at = stage_add(c, rng, &s, 0, deps, n);
	free(deps);
	return at;
}

/* ---- shapes ---- */

static void
make_layered(struct flow_case *c, uint64_t *rng)
{
	static const char *const idents[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
	unsigned layers = between(rng, 3, 12), before = 0, n = 0;
	struct stage stages[nitems(idents)];

	for (size_t i = 0; i < nitems(idents); i++)
		stage_init(&stages[i], c, rng, idents[i], i == 7);
	for (unsigned l = 0; l < layers; l++) {
		unsigned width = between(rng, 2, 60), first = c->n;

		for (unsigned i = 0; i < width; i++) {
			unsigned deps[4], ndeps = n ? between(rng, 1, n < 4 ? n : 4) : 0;
			unsigned which = between(rng, 0, 40);

			for (unsigned k = 0; k < ndeps; k++)
				deps[k] = before + (unsigned)(flow_random(rng) % n);
			stage_add(c, rng, &stages[which < 40 ? which % 7 : 7], c->n, deps, ndeps);
		}
		before = first;
		n = width;
	}
}

static void
make_fork_join(struct flow_case *c, uint64_t *rng)
{
	static const char *const maps[] = { "m1", "m2", "m3", "m4", "m5" }, *const joins[] = { "j1", "j2", "j3", "j4", "j5" };
	unsigned rounds = between(rng, 1, 5), at = stage_map(c, rng, "first", 1, NULL, false);

	for (unsigned r = 0; r < rounds; r++) {
		unsigned width = between(rng, 5, 80);

		at = stage_join(c, rng, joins[r], stage_map(c, rng, maps[r], width, &at, false), width, between(rng, 0, 1));
	}
}

static void
make_map_join(struct flow_case *c, uint64_t *rng)
{
	static const char *const maps[] = { "p", "q", "r" }, *const joins[] = { "P", "Q", "R" };
	unsigned groups = between(rng, 1, 3), last[3];
	struct stage s;

	for (unsigned g = 0; g < groups; g++) {
		unsigned width = between(rng, 40, 200);

		last[g] = stage_join(c, rng, joins[g], stage_map(c, rng, maps[g], width, NULL, false), width, true);
	}
	stage_init(&s, c, rng, "all", true);
	stage_add(c, rng, &s, 0, last, groups);
}

static void
make_chains_and_map(struct flow_case *c, uint64_t *rng)
{
	unsigned chains = between(rng, 1, 4), steps = between(rng, 5, 30), width = between(rng, 50, 300);
	struct stage links[3];

	for (unsigned i = 0; i < 3; i++)
		stage_init(&links[i], c, rng, (const char *const[]){ "x", "y", "z" }[i], false);
	stage_map(c, rng, "wide", width, NULL, false);
	for (unsigned k = 0; k < chains; k++) {
		unsigned at = 0;

		for (unsigned i = 0; i < steps; i++)
			at = stage_add(c, rng, &links[i % 3], c->n, &at, i ? 1 : 0);
	}
}

/* The shapes of published workflows, with stages of our own amounts and durations. */
static void
make_montage(struct flow_case *c, uint64_t *rng)
{
	unsigned n = between(rng, 10, 80), project = stage_map(c, rng, "project", n, NULL, false), diff = c->n, fit, model;
	unsigned back, table, add;
	struct stage s;

	stage_init(&s, c, rng, "diff", false);
	for (unsigned i = 0; i + 1 < n; i++) {
		stage_add(c, rng, &s, c->n, (unsigned[]){ project + i, project + i + 1 }, 2);
		if (i + 7 < n)
			stage_add(c, rng, &s, c->n, (unsigned[]){ project + i, project + i + 7 }, 2);
	}
	fit = stage_join(c, rng, "concat", diff, c->n - diff, false);
	model = stage_join(c, rng, "model", fit, 1, false);
	back = c->n;
	stage_init(&s, c, rng, "background", false);
	for (unsigned i = 0; i < n; i++)
		stage_add(c, rng, &s, i, (unsigned[]){ model, project + i }, 2);
	table = stage_join(c, rng, "table", back, n, false);
	add = stage_join(c, rng, "add", table, 1, true);
	stage_join(c, rng, "shrink", add, 1, false);
}

static void
make_epigenomics(struct flow_case *c, uint64_t *rng)
{
	unsigned lanes = between(rng, 1, 6), merged[6], all, at;

	for (unsigned l = 0; l < lanes; l++) {
		unsigned n = between(rng, 5, 50);

		at = stage_map(c, rng, "split", 1, NULL, false);
		at = stage_map(c, rng, "filter", n, &at, false);
		at = stage_map(c, rng, "convert", n, &at, true);
		at = stage_map(c, rng, "bfq", n, &at, true);
		at = stage_map(c, rng, "map", n, &at, true);
		merged[l] = stage_join(c, rng, "merge", at, n, false);
	}
	{
		struct stage s;

		stage_init(&s, c, rng, "global", true);
		all = stage_add(c, rng, &s, 0, merged, lanes);
	}
	at = stage_join(c, rng, "index", all, 1, false);
	stage_join(c, rng, "pileup", at, 1, true);
}

static void
make_blast(struct flow_case *c, uint64_t *rng)
{
	unsigned n = between(rng, 20, 250), split = stage_map(c, rng, "split", 1, NULL, false);
	unsigned blast = stage_map(c, rng, "blast", n, &split, false);

	stage_join(c, rng, "cat_blast", blast, n, false);
	stage_join(c, rng, "cat", blast, n, true);
}

static void
make_genome(struct flow_case *c, uint64_t *rng)
{
	unsigned chromosomes = between(rng, 1, 6), populations = between(rng, 2, 7);

	for (unsigned k = 0; k < chromosomes; k++) {
		unsigned n = between(rng, 5, 30), merge, sift;
		struct stage s;

		merge = stage_join(c, rng, "merge", stage_map(c, rng, "individuals", n, NULL, false), n, true);
		sift = stage_map(c, rng, "sifting", 1, NULL, false);
		for (unsigned what = 0; what < 2; what++) {
			stage_init(&s, c, rng, what ? "frequency" : "overlap", false);
			for (unsigned i = 0; i < populations; i++)
				stage_add(c, rng, &s, c->n, (unsigned[]){ merge, sift }, 2);
		}
	}
}

static const struct {
	const char *name;
	void (*make)(struct flow_case *, uint64_t *);
} shapes[NSHAPES] = {
	[LAYERED] = { "layered", make_layered },
	[FORK_JOIN] = { "fork-join", make_fork_join },
	[MAP_JOIN] = { "map-join", make_map_join },
	[CHAINS_AND_MAP] = { "chains", make_chains_and_map },
	[MONTAGE] = { "montage", make_montage },
	[EPIGENOMICS] = { "epigenomics", make_epigenomics },
	[BLAST] = { "blast", make_blast },
	[GENOME] = { "genome", make_genome },
};

const char *
flow_shape_name(enum flow_shape s)
{
	return shapes[s].name;
}

static void
make_host(uint64_t *rng, double *host)
{
	host[CPU] = (double)(4u << between(rng, 0, 4));
	host[MEM] = host[CPU] * GIB * (double)(2u << between(rng, 0, 2));
	host[GPU] = between(rng, 0, 2) == 0 ? between(rng, 1, 4) : 0;
}

void
flow_case_make(struct flow_case *c, uint64_t seed, enum flow_shape shape, const double *host)
{
	uint64_t rng = seed * 0x2545f4914f6cdd1du;
	unsigned any = between(&rng, 0, NSHAPES - 1);

	memset(c, 0, sizeof *c);
	make_host(&rng, c->host);
	if (host)
		memcpy(c->host, host, sizeof c->host);
	shape = shape == SHAPE_ANY ? any : shape;
	snprintf(c->name, sizeof c->name, "%s", shapes[shape].name);
	shapes[shape].make(c, &rng);
}

/* ---- recorded ones ---- */

static struct err *
read_amounts(const char *text, double *amount)
{
	struct resources r = RESOURCES_INIT;
	struct err *err = resources_parse(&r, text);

	amount[CPU] = r.cpu;
	amount[MEM] = r.mem;
	amount[GPU] = resources_get(&r, "gpu");
	resources_release(&r);
	return err;
}

static bool
find(const struct flow_case *c, const char *name, unsigned *out)
{
	for (*out = 0; *out < c->n; ++*out)
		if (strcmp(c->tasks[*out].name, name) == 0)
			return true;
	return false;
}

static struct err *
read_task(struct flow_case *c, char **rest)
{
	const char *name = strsep(rest, " "), *seconds = strsep(rest, " "), *want = strsep(rest, " "), *dep;
	unsigned *deps = NULL, n = 0;
	double amount[NAMOUNTS];
	struct err *err;
	unsigned at;

	if (!name || !seconds || !want)
		return err_msg(ERR_INVALID, "a task has a name, seconds and resources");
	if (find(c, name, &at))
		return err_msg(ERR_INVALID, "%s is there twice", name);
	err = read_amounts(want, amount);
	while (!err && (dep = strsep(rest, " ")) != NULL) {
		deps = xreallocarray(deps, n + 1, sizeof *deps);
		if (!find(c, dep, &deps[n++]))
			err = err_msg(ERR_INVALID, "%s waits for %s, which is not above it", name, dep);
	}
	if (!err)
		add_named(c, xstrdup(name), (int64_t)(strtod(seconds, NULL) * 1e9), amount, deps, n);
	free(deps);
	return err;
}

static struct err *
read_line(struct flow_case *c, char *line)
{
	const char *word;

	line[strcspn(line, "#\n")] = '\0';
	for (size_t n = strlen(line); n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'); n--)
		line[n - 1] = '\0';
	if (*line == '\0')
		return NULL;
	word = strsep(&line, " ");
	if (strcmp(word, "host") == 0 && line)
		return read_amounts(line, c->host);
	if (strcmp(word, "task") == 0 && line)
		return read_task(c, &line);
	return err_msg(ERR_INVALID, "%s: neither host nor task", word);
}

struct err *
flow_case_read(struct flow_case *c, const char *path)
{
	const char *base = strrchr(path, '/');
	FILE *f = fopen(path, "r");
	struct err *err = NULL;
	char line[16384];
	unsigned n = 0;
	char where[32];

	memset(c, 0, sizeof *c);
	if (!f)
		return err_errno(errno, "open", "%s", path);
	base = base ? base + 1 : path;
	snprintf(c->name, sizeof c->name, "%.*s", (int)strcspn(base, "."), base);
	while (!err && ++n && fgets(line, sizeof line, f))
		err = read_line(c, line);
	fclose(f);
	snprintf(where, sizeof where, "line %u", n);
	if (err)
		flow_case_release(c);
	return err_wrap(err, path, where);
}
