/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/frame.h"
#include "base/xalloc.h"
#include "run/rundb.h"

/*
 * make_runs ROOT RUNS EXECS: a root with as many finished runs, each of a controller of its own, with one input and so
 * many execs. make_runs ROOT: how much time the journals of a root take to be read, for all states and for the records
 * of one run. For figures of what many runs cost.
 */
#define WALL SECONDS(1700000000)

static struct digest
digest_of(uint64_t a, uint64_t b)
{
	uint64_t in[2] = { a, b };
	struct digest d;

	sha256_of(in, sizeof in, &d);
	return d;
}

struct maker {
	struct buf    out;
	struct digest run;
	uint64_t      seq;
};

static struct record_head
next_head(struct maker *m, enum record_kind kind)
{
	m->seq++;
	return (struct record_head){ .kind = kind, .seq = m->seq, .n = m->seq, .run = m->run, .time = WALL + (int64_t)m->seq };
}

static void
add(struct maker *m, struct buf *payload)
{
	frame_add(&m->out, payload->p, payload->len);
	buf_release(payload);
}

static void
add_state(struct maker *m, uint64_t number, enum run_phase phase, const char *cause)
{
	struct record_head h = next_head(m, REC_SNAPSHOT);
	struct run_state s;
	struct buf b = BUF_INIT;

	state_init(&s);
	s.ID = m->run;
	s.Phase = phase;
	s.Program = xstrdup("examples/variants/variants.rf");
	labels_set(&s.Params, "reads", "/data/reads/sample_1.fq");
	labels_set(&s.Params, "genome", "/data/genomes/lambda.fa");
	s.Created = WALL + (int64_t)number;
	s.Completion = phase == PHASE_DONE ? s.Created + SECONDS(9) : 0;
	s.AllocID = phase == PHASE_INIT ? NULL : xstrdup("local/0011223344556677");
	s.Result = phase == PHASE_DONE ? xstrdup("file(sha256=…)") : NULL;
	s.Dir = xstrdup("/home/somebody/project");
	s.Cause = xstrdup(cause);
	record_snapshot(&b, &h, &s);
	state_release(&s);
	add(m, &b);
}

static struct flow *
node_of(struct graph *g, struct flow *dep, uint64_t run, uint64_t i)
{
	struct flow_arg args[] = { { .index = 0, .name = "reads" }, { .out = true, .index = 0, .name = "bam" } };
	struct flow_out outs[] = { { "bam", false } };
	struct flow_exec x = { .image = "host", .args = args, .nargs = 2, .outs = outs, .nouts = 1 };
	struct src_pos pos = { "align.rf", 3, 14 };
	char *cmd = xasprintf("bowtie2 --seed 1 -p 1 -x genome -U %%s | samtools sort --no-PG -o %%s -   # %llu.%llu",
	    (unsigned long long)run, (unsigned long long)i);
	struct flow *f;

	x.cmd = cmd;
	f = flow_exec(g, &x, &dep, 1, "align.Bam", &pos);
	free(cmd);
	f->has_pkey = f->has_lkey = true;
	f->pkey = digest_of(run + 1, i);
	f->lkey = digest_of(run + 1, ~i);
	return f;
}

static void
result_of(struct exec_result *r, const struct digest *run, const struct digest *id)
{
	struct file f = { *id, 123456 };
	struct fileset *fs = fileset_file(&f);

	*r = (struct exec_result){ .state = ATTEMPT_OK, .attempt = 1, .fileset = fileset_list(&fs, 1), .owner = *run };
	r->usage = (struct exec_usage){ WALL, WALL + 5, WALL + 9, 4, 2, 4096, RESOURCES_INIT };
	resources_set(&r->usage.admitted, "cpu", 1);
	resources_set(&r->usage.admitted, "mem", 1e9);
	r->host = xstrdup("host.example");
	fileset_unref(fs);
}

static void
add_event(struct maker *m, struct eval_event *ev)
{
	struct record_head h = next_head(m, REC_EXEC);
	struct buf b = BUF_INIT;

	record_exec(&b, &h, ev, ev->components != NULL);
	add(m, &b);
}

static void
add_exec(struct maker *m, struct graph *g, struct flow *in, uint64_t run, uint64_t i)
{
	struct exec_config config = { .claim = { .try_ = 0 } };
	struct key_components parts;
	struct exec_result r;
	struct flow *f = node_of(g, in, run, i);
	struct flow_exec x = flow_exec_of(f);

	resources_set(&config.resources, "cpu", 1);
	resources_set(&config.resources, "mem", 1e9);
	flow_exec_components("", &x, &f->lkey, &parts);
	add_event(m, &(struct eval_event){ .kind = EV_STARTED, .node = f, .config = &config, .components = &parts });
	result_of(&r, &m->run, &f->pkey);
	add_event(m, &(struct eval_event){ .kind = EV_ENDED, .node = f, .config = &config, .result = &r });
	exec_result_release(&r);
	key_components_release(&parts);
	resources_release(&config.resources);
}

static void
write_journal(const struct root *root, uint64_t number, const struct buf *b)
{
	char *dir = xasprintf("%s/%012llx%08x", root->journal, (unsigned long long)number, 0);
	char *path = xasprintf("%s/000001.wal", dir);
	FILE *f;

	(void)mkdir(dir, 0700);
	f = fopen(path, "w");
	if (f == NULL || fwrite(b->p, 1, b->len, f) != b->len || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
	free(path);
	free(dir);
}

static void
make_run(const struct root *root, uint64_t number, uint64_t nexecs)
{
	struct graph_config config = { "" };
	struct graph *g = graph_new(&config);
	struct flow *in = flow_intern(g, "/data/reads/sample_1.fq", false, "reads", NULL);
	struct maker m = { .run = digest_of(0, number) };
	struct exec_result r;
	struct buf b = BUF_INIT;

	record_header(&b, 1, WALL, "c", "host.example", "boot");
	add(&m, &b);
	add_state(&m, number, PHASE_INIT, "created");
	add_state(&m, number, PHASE_EVAL, "allocated");
	result_of(&r, &m.run, &m.run);
	add_event(&m, &(struct eval_event){ .kind = EV_INTERN, .node = in, .result = &r });
	exec_result_release(&r);
	for (uint64_t i = 0; i < nexecs; i++)
		add_exec(&m, g, in, number, i);
	add_state(&m, number, PHASE_DONE, "evaluated");
	write_journal(root, number, &m.out);
	buf_release(&m.out);
	graph_free(g);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct err *
measure(const struct root *root, enum rundb_what what, const struct digest *only, const char *name,
    struct digest *newest)
{
	double began = now();
	struct rundb *db;
	struct err *err = rundb_open(root, what, only, NULL, NULL, &db);
	struct run_entry *e;
	uint64_t started = 0;
	size_t n;

	if (err != NULL)
		return err;
	e = rundb_runs(db, &n);
	for (size_t i = 0; i < n; i++)
		started += e[i].execs_started;
	if (n > 0 && newest != NULL)
		*newest = e[n - 1].state.ID;
	printf("%-16s %zu runs, %llu execs: %.3f s of CPU\n", name, n, (unsigned long long)started, now() - began);
	rundb_free(db);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct digest newest = { { 0 } };
	struct root root;
	struct err *err;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: make_runs ROOT [RUNS EXECS]\n");
		return 2;
	}
	err = root_open(argv[1], NULL, true, &root);
	if (err == NULL && argc == 4) {
		for (uint64_t i = 0; i < strtoull(argv[2], NULL, 10); i++)
			make_run(&root, i, strtoull(argv[3], NULL, 10));
	} else if (err == NULL) {
		err = measure(&root, RUNDB_STATES, NULL, "all states", &newest);
		if (err == NULL)
			err = measure(&root, RUNDB_RECORDS, &newest, "records of one", NULL);
	}
	if (err != NULL) {
		char *text = err_str(err);

		fprintf(stderr, "make_runs: %s\n", text);
		free(text);
		err_free(err);
		return 1;
	}
	root_release(&root);
	return 0;
}
