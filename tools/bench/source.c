/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/xalloc.h"
#include "lang/program.h"
#include "loop/lag.h"
#include "tools/bench/instant.h"

/*
 * From source to result on fakes: programs of every shape, of n execs each, opened, instantiated and evaluated over
 * execs that end at once. What a reader would get wrong: where a program waits for a result, its code runs while it is
 * evaluated, so what a node costs to make is then part of the last stage.
 *
 * Linear means: a node costs at n no more than twice what it did at n/10.
 */
#define EXEC "exec(image := \"host\", cpu := 1, mem := 1*MiB) (out file) "
#define ECHO "param n int\nfunc echo(i int) = " EXEC "{\" echo {{i}} > {{out}} \"}\n"
#define STEP ECHO "func step(f file, i int) = " EXEC "{\" echo {{f}} {{i}} > {{out}} \"}\n"
#define JOIN ECHO "func join(a, b file, i int) = " EXEC "{\" cat {{a}} {{b}} {{i}} > {{out}} \"}\n"

/* The file of an instant exec has ten bytes. */
static const struct shape {
	const char *name, *text;
} shapes[] = {
	{ "list", ECHO "val Main = [echo(i) | i <- range(0, n)]\n" },
	{ "merge by an exec", ECHO "val all = [echo(i) | i <- range(0, n)]\n"
	    "val Main = " EXEC "{\" cat {{all}} > {{out}} \"}\n" },
	{ "filter of results", ECHO "val Main = len([f | f <- [echo(i) | i <- range(0, n)], if len(f) > 0])\n" },
	{ "chain by fold", STEP "val Main = fold(step, range(1, n), echo(0))\n" },
	{ "chain by recursion", STEP "func chain(i int) file = if i == 0 { echo(0) } else { step(chain(i - 1), i) }\n"
	    "val Main = chain(n - 1)\n" },
	{ "chain by results", STEP
	    "func chain(f file, i int) file = if len(f) == 0 || i == n { f } else { chain(step(f, i), i + 1) }\n"
	    "val Main = chain(echo(0), 1)\n" },
	{ "tree by recursion", JOIN "func tree(a, b int) file = if b - a == 1 { echo(a) } else {\n"
	    "\tval mid = a + (b - a) / 2\n\tjoin(tree(a, mid), tree(mid, b), 0)\n}\n"
	    "val Main = tree(0, n / 2)\n" },
	{ "diamonds", JOIN "val Main = fold(func(p (file, file), i int) => {\n\tval (a, b) = p\n"
	    "\t(join(a, b, 2*i), join(a, b, 2*i + 1))\n}, range(1, n / 2), (echo(0), echo(1)))\n" },
	{ "list from a result", STEP "val first = echo(0)\n"
	    "val Main = [step(first, i) | i <- range(1, len(first) * n / 10)]\n" },
	{ "lists from results", STEP
	    "val Main = flatten([[step(f, j) | j <- range(1, len(f))] | f <- [echo(i) | i <- range(0, n / 10)]])\n" },
};

struct sample {
	const struct shape *shape;
	unsigned	    n;
	double		    each;	/* seconds a node, of the whole */
};

static struct err *
open_program(const char *text, struct program **out)
{
	struct sources *sources = sources_new();
	const struct source_text *source;
	struct buf diag = BUF_INIT;
	struct err *err = sources_add(sources, "/shape.rf", text, strlen(text), &source);

	if (err == NULL)
		err = program_open("/shape.rf", sources, &diag, out);
	if (err != NULL)
		fputs(buf_str(&diag), stderr);
	buf_release(&diag);
	return err;
}

static struct err *
instantiate(struct program *p, struct graph *g, unsigned n, struct value **out)
{
	char *text = xasprintf("%u", n);
	struct param_text param = { (char *)(uintptr_t) "n", text };
	struct param_set set = { .v = &param, .n = 1 };
	struct err *err = program_instantiate(p, g, "/", &set, out);

	free(text);
	return err;
}

static int
failed(const char *name, struct err *err)
{
	char *text = err_str(err);

	printf("%-20s failed: %s\n", name, text);
	free(text);
	err_free(err);
	return 1;
}

/* In a process of its own; says one line. */
static int
measure(void *arg)
{
	struct sample *s = arg;
	unsigned long before = status_kib("VmRSS:"), made_kib;
	double began = thread_cpu(), opened, made, ended;
	struct program *p;
	struct value *root;
	const char *longest;
	struct instant in;
	struct err *err;
	int64_t held;
	double n;

	instant_init(&in, "cpu=1000000,mem=1000000GiB");
	if ((err = open_program(s->shape->text, &p)) != NULL)
		return failed(s->shape->name, err);
	opened = thread_cpu();
	if ((err = instantiate(p, in.graph, s->n, &root)) != NULL)
		return failed(s->shape->name, err);
	made = thread_cpu();
	made_kib = status_kib("VmRSS:");
	instant_run(&in, value_get_flow(root), false);
	ended = thread_cpu();
	if (in.err != NULL)
		return failed(s->shape->name, in.err);
	held = loop_lag_max(in.loop, &longest);
	n = (double)in.stats.nodes;
	s->each = (ended - began) / (double)s->n;
	printf("%-20s %8u %8.0f %6.2f s %6.1f ms %6.0f ns %6.0f B %6.0f ns %6.0f B %7.1f ms %9.1f ms %s\n", s->shape->name,
	    s->n, n, ended - began, (opened - began) * 1e3, (made - opened) / n * 1e9,
	    (double)(made_kib - before) * 1024 / n, (ended - made) / n * 1e9,
	    (double)(status_kib("VmHWM:") - before) * 1024 / n, (made - opened) * 1e3, (double)held / 1e6, longest);
	if (in.stats.visits > in.stats.nodes + in.stats.edges) {
		printf("%s: TOO MANY VISITS\n", s->shape->name);
		return 1;
	}
	value_unref(root);
	instant_release(&in);
	program_free(p);
	return 0;
}

/* The smallest is there to be seen: what is the same for all sizes weighs on it. */
static int
measure_sizes(const struct shape *shape, struct sample *s)
{
	double last = 0;
	int bad = 0;

	for (unsigned n = bench.n / 100; n <= bench.n; n *= 10) {
		*s = (struct sample){ .shape = shape, .n = n };
		bad |= run_apart(measure, s);
		if (n >= 100000 && last > 0 && s->each > 2 * last) {
			printf("%s: NOT LINEAR: an exec costs %.1f times what it did\n", shape->name, s->each / last);
			bad = 1;
		}
		last = s->each;
	}
	return bad;
}

int
bench_source(void)
{
	struct sample *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int bad = 0;

	if (shared == MAP_FAILED)
		die("mmap");
	if (bench.n < 1000)
		bench.n = 1000;
	printf("source: from the text to the result on execs that end at once; CPU of the one thread, a node\n");
	printf("%-20s %8s %8s %8s %9s %9s %8s %9s %8s %10s %12s\n", "shape", "execs", "nodes", "all", "opened", "made", "",
	    "evaluated", "at most", "making", "held");
	for (size_t i = 0; i < nitems(shapes); i++)
		if (bench.shape == NULL || strncmp(shapes[i].name, bench.shape, strlen(bench.shape)) == 0)
			bad |= measure_sizes(&shapes[i], shared);
	munmap(shared, sizeof *shared);
	return bad;
}
