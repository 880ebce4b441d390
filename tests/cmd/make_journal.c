/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/frame.h"
#include "base/xalloc.h"
#include "run/record.h"

/*
 * make_journal ROOT: writes a root whose journals hold every kind of record that this program knows, one that it does
 * not, repetitions and a takeover. For tests of whatever reads journals.
 */
#define RUN_ONE	 0x11
#define RUN_TWO	 0x22
#define WALL	 SECONDS(1700000000)

static const char *root;

static struct digest
digest_of(uint8_t byte)
{
	struct digest d;

	memset(d.b, byte, sizeof d.b);
	return d;
}

static struct record_head
head(enum record_kind kind, uint8_t run, uint64_t seq, uint64_t epoch, uint64_t n)
{
	struct record_head h = { .kind = kind, .seq = seq, .epoch = epoch, .n = n, .time = WALL + (int64_t)seq * 1001 };

	if (run != 0)
		h.run = digest_of(run);
	return h;
}

static void
frame(struct buf *out, struct buf *payload)
{
	frame_add(out, payload->p, payload->len);
	buf_release(payload);
}

static void
add_header(struct buf *out, uint64_t seq, const char *controller)
{
	struct buf b = BUF_INIT;

	record_header(&b, seq, WALL, controller, "host.example", "0000-boot");
	frame(out, &b);
}

static void
full_state(struct run_state *s, uint8_t run, enum run_phase phase)
{
	state_init(s);
	s->ID = digest_of(run);
	s->Program = xstrdup("dir/tr\xc3\xa4um.rf");
	labels_set(&s->Params, "reads", "data/reads");
	labels_set(&s->Params, "n", "-4");
	s->Args = xcalloc(2, sizeof *s->Args);
	s->Args[s->nArgs++] = xstrdup("one");
	s->Args[s->nArgs++] = xstrdup("two\nlines");
	s->Phase = phase;
	s->NumTries = 2;
	s->LastTry = WALL + 1;
	s->Created = WALL;
	s->Resets = 1;
	s->Stalled = 1;
	s->Bundle = digest_of(0xbb);
	s->Dir = xstrdup("/home/somebody");
	s->Cause = xstrdup("evaluated");
	labels_set(&s->Labels, "who", "me");
	resources_set(&s->TotalResources, "cpu", 1.25);
	resources_set(&s->TotalResources, "mem", 3e9);
	s->Config.cache = CACHE_READ;
	s->Config.invalidate = xstrdup("align.*");
	s->Config.cluster = xstrdup("local");
}

static void
add_snapshot(struct buf *out, const struct record_head *h, enum run_phase phase, struct err *err)
{
	struct run_state s;
	struct buf b = BUF_INIT;

	full_state(&s, h->run.b[0], phase);
	if (phase == PHASE_EVAL) {
		s.AllocID = xstrdup("local/1");
		s.AllocInspect = xcalloc(1, sizeof *s.AllocInspect);
		s.AllocInspect->id = xstrdup("local/1");
		resources_set(&s.AllocInspect->resources, "cpu", 2);
		resources_set(&s.AllocInspect->meta.want, "intel_avx", 1);
		s.AllocInspect->meta.owner = xstrdup("<unknown>");
		s.AllocInspect->created = WALL;
	}
	if (phase == PHASE_DONE) {
		s.Completion = WALL + SECONDS(2);
		if (err == NULL) {
			s.Result = xstrdup("[1, 2]");
			s.ResultJSON = xstrdup("[1,2]");
			s.ResultType = xstrdup("[int]");
		}
	}
	s.Err = err;
	record_snapshot(&b, h, &s);
	state_release(&s);
	frame(out, &b);
}

static void
ended(struct exec_result *r, enum attempt_state state)
{
	struct file f = { digest_of(0xf1), 12 };
	struct fileset *fs = fileset_file(&f);

	memset(r, 0, sizeof *r);
	r->state = state;
	r->attempt = 1;
	r->status = state == ATTEMPT_OK ? 0 : 3 << 8;
	r->usage = (struct exec_usage){ WALL, WALL + 5, WALL + 9, 4, 2, 4096, RESOURCES_INIT };
	resources_set(&r->usage.admitted, "cpu", 1);
	r->errlog = digest_of(0xee);
	r->err_size = 7;
	r->host = xstrdup("host.example");
	r->isolated = true;
	if (state == ATTEMPT_OK)
		r->fileset = fileset_list(&fs, 1);
	else
		r->err = err_wrap(err_msg(ERR_EXEC, "exit status 3"), "exec", "align.Bam");
	fileset_unref(fs);
}

/* One event of the exec or the intern of a small graph. */
static void
add_event(struct buf *out, struct flow *node, enum eval_event_kind kind, uint64_t seq, uint64_t n,
    enum attempt_state state)
{
	struct record_head h = head(REC_EXEC, RUN_ONE, seq, 0, n);
	struct exec_config config = { .claim = { .try_ = 1002, .retry = 1 } };
	struct key_component part = { (char *)"cmd", digest_of(0xcc) };
	struct key_components parts = { &part, 1 };
	struct exec_result result;
	struct eval_event ev = { .kind = kind, .node = node, .logical = kind == EV_HIT };
	struct buf b = BUF_INIT;

	ended(&result, state);
	resources_set(&config.resources, "mem", 5e8);
	if (kind != EV_STARTED)
		ev.result = &result;
	if (kind == EV_STARTED || kind == EV_ENDED || kind == EV_LOST)
		ev.config = &config;
	ev.components = kind == EV_STARTED ? &parts : NULL;
	record_exec(&b, &h, &ev, true);
	exec_result_release(&result);
	resources_release(&config.resources);
	frame(out, &b);
}

/* A kind and fields that nobody knows yet, with every type of msgpack. */
static void
add_future(struct buf *out, uint64_t seq, uint64_t n)
{
	struct digest run = digest_of(RUN_ONE);
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 15);
	mpk_key(&w, "kind"), mpk_str(&w, "future");
	mpk_key(&w, "seq"), mpk_u64(&w, seq);
	mpk_key(&w, "time"), mpk_time(&w, WALL);
	mpk_key(&w, "run"), mpk_digest(&w, &run);
	mpk_key(&w, "n"), mpk_u64(&w, n);
	mpk_key(&w, "epoch"), mpk_u64(&w, 0);
	mpk_key(&w, "nil"), mpk_nil(&w);
	mpk_key(&w, "negative"), mpk_i64(&w, -1234567890123);
	mpk_key(&w, "large"), mpk_u64(&w, UINT64_MAX);
	mpk_key(&w, "float"), mpk_double(&w, 0.1);
	mpk_key(&w, "bytes"), mpk_bin(&w, "\x00\x01\xff", 3);
	mpk_key(&w, "text"), mpk_str(&w, "line one\nline \"two\"\t\xe2\x82\xac");
	mpk_key(&w, "old"), mpk_time(&w, -1);
	mpk_key(&w, "list"), mpk_array(&w, 3), mpk_bool(&w, true), mpk_array(&w, 0), mpk_map(&w, 0);
	mpk_key(&w, "late"), mpk_time(&w, SECONDS(5000000000));
	frame(out, &b);
}

static void
write_segment(const char *controller, const char *name, struct buf *b)
{
	char *dir = xasprintf("%s/journal/%s", root, controller), *path = xasprintf("%s/%s", dir, name);
	FILE *f;

	(void)mkdir(dir, 0700);
	f = fopen(path, "w");
	if (f == NULL || fwrite(b->p, 1, b->len, f) != b->len || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
	free(path);
	free(dir);
	buf_release(b);
}

static struct flow *
exec_node(struct graph *g, struct flow *dep)
{
	struct flow_arg args[] = { { .index = 0, .name = "reads" }, { .out = true, .index = 0, .name = "bam" } };
	struct flow_out outs[] = { { "bam", false } };
	struct flow_exec x = { .image = "host", .cmd = "align %s\n\t> %s\n", .args = args, .nargs = 2, .outs = outs,
	    .nouts = 1 };
	struct src_pos pos = { "align.rf", 3, 14 };
	struct flow *f = flow_exec(g, &x, &dep, 1, "align.Bam", &pos);

	f->has_pkey = f->has_lkey = true;
	f->pkey = digest_of(0xe1);
	f->lkey = digest_of(0xe2);
	return f;
}

static void
first_journal(struct graph *g)
{
	struct flow *in = flow_intern(g, "data/reads", true, "reads", NULL), *exec = exec_node(g, in);
	struct record_head h;
	struct buf b = BUF_INIT;

	add_header(&b, 2, "c1");
	h = head(REC_SNAPSHOT, RUN_ONE, 2, 0, 1);
	add_snapshot(&b, &h, PHASE_INIT, NULL);
	h = head(REC_SNAPSHOT, RUN_ONE, 3, 0, 2);
	add_snapshot(&b, &h, PHASE_EVAL, NULL);
	add_event(&b, in, EV_INTERN, 4, 3, ATTEMPT_OK);
	add_event(&b, exec, EV_STARTED, 5, 4, ATTEMPT_OK);
	add_event(&b, exec, EV_LOST, 6, 5, ATTEMPT_LOST);
	add_future(&b, 7, 6);
	write_segment("c1", "000001.wal", &b);
	/* The journal process died: another segment, in which the last records come again. */
	add_header(&b, 6, "c1");
	add_event(&b, exec, EV_LOST, 6, 5, ATTEMPT_LOST);
	add_future(&b, 7, 6);
	add_event(&b, exec, EV_ENDED, 8, 7, ATTEMPT_FAILED);
	h = head(REC_SNAPSHOT, RUN_TWO, 9, 0, 1);
	add_snapshot(&b, &h, PHASE_RETRY,
	    err_wrap_kind(err_msg(ERR_NET, "reset"), ERR_UNAVAILABLE, "keepalive", "local/1"));
	write_segment("c1", "000002.wal", &b);
}

static void
second_journal(struct graph *g)
{
	struct flow *exec = exec_node(g, flow_intern(g, "data/reads", true, "reads", NULL));
	struct record_head h = head(REC_EPOCH, RUN_ONE, 2, 1, 8);
	struct buf b = BUF_INIT, p = BUF_INIT;

	add_header(&b, 2, "c2");
	record_epoch(&p, &h, "c2", "takeover");
	frame(&b, &p);
	add_event(&b, exec, EV_HIT, 3, 9, ATTEMPT_OK);
	h = head(REC_NOTE, RUN_ONE, 4, 1, 10);
	record_note(&p, &h, "SIGINT");
	frame(&b, &p);
	h = head(REC_SNAPSHOT, RUN_ONE, 5, 1, 11);
	add_snapshot(&b, &h, PHASE_DONE, NULL);
	write_segment("c2", "000001.wal", &b);
}

int
main(int argc, char **argv)
{
	struct graph_config config = { "" };
	struct graph *g = graph_new(&config);
	char *journal;

	if (argc != 2)
		return 2;
	root = argv[1];
	journal = xasprintf("%s/journal", root);
	(void)mkdir(root, 0700);
	(void)mkdir(journal, 0700);
	free(journal);
	first_journal(g);
	second_journal(g);
	graph_free(g);
	return 0;
}
