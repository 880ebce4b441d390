/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/run/world.h"

/* See the header. */
#define WALL	 SECONDS(1000)
#define EXEC_TIME SECONDS(10)

struct program *
world_program(const char *text)
{
	struct sources *s = sources_new();
	struct program *p = NULL;
	struct buf diag = BUF_INIT;

	assert_ok(sources_add(s, "t.rf", text, strlen(text), NULL));
	assert_ok(program_open("t.rf", s, &diag, &p));
	assert_string_equal(buf_str(&diag), "");
	buf_release(&diag);
	return p;
}

void
world_begin(struct world *w, struct loop *loop, struct program *program, const char *journal)
{
	struct resources total = RESOURCES_INIT;

	memset(w, 0, sizeof *w);
	w->loop_is_ours = loop == NULL;
	w->clock = loop == NULL ? clock_virtual_new(WALL) : NULL;
	w->loop = loop == NULL ? loop_new(w->clock) : loop;
	w->program = program;
	fake_init(&w->fake, w->loop);
	w->repo = fake_repo_new(&w->fake, "repo");
	w->executor = fake_executor_new(&w->fake, w->repo);
	fake_executor_duration(w->executor, EXEC_TIME);
	w->c.loop = w->loop;
	w->c.assoc = fake_assoc_new(&w->fake);
	w->c.pool = fake_pool_new(&w->fake, "p");
	assert_ok(resources_parse(&total, "cpu=4,mem=8GiB,disk=1TiB"));
	fake_pool_add(w->c.pool, &total, w->executor);
	resources_release(&total);
	w->c.cluster = fake_cluster_new(&w->fake, w->c.pool);
	w->c.journal = fake_journal_new(w->loop, journal);
	w->c.sched = sched_new(w->loop, w->c.cluster);
	strcpy(w->c.id, "c1");
}

void
world_end(struct world *w)
{
	op_cancel(&w->op);
	runner_free(w->runner);
	w->runner = NULL;
	sched_free(w->c.sched);
	journal_close(w->c.journal);
	cluster_free(w->c.cluster);
	pool_free(w->c.pool);
	assoc_free(w->c.assoc);
	executor_free(w->executor);
	repo_free(w->repo);
	err_free(w->err);
	buf_release(&w->told);
	for (size_t i = 0; i < w->nhistory; i++)
		free(w->history[i].payload);
	free(w->history);
	param_set_release(&w->params);
	if (loop_nlive(w->loop) > 0) {
		loop_report_live(w->loop);
		fail_msg("the loop is not empty");
	}
	if (w->loop_is_ours)
		loop_free(w->loop);
	clock_virtual_free(w->clock);
}

/* Runs. */

void
world_state(struct run_state *s)
{
	state_init(s);
	memset(s->ID.b, 0xab, sizeof s->ID.b);
	s->Program = xstrdup("t.rf");
	s->Dir = xstrdup("/data");
}

static void
transition_cb(struct runner *r, void *arg)
{
	struct world *w = arg;
	size_t n = 1;

	for (const char *p = w->told.p; p != NULL && (p = strchr(p, '\n')) != NULL; p++)
		n++;
	buf_addf(&w->told, "%s\n", phase_name(runner_state(r)->Phase));
	if (w->interrupt_at != 0 && n == (size_t)w->interrupt_at)
		runner_interrupt(r, "SIGINT");
}

static void
waiting_cb(struct runner *r unused_arg, const char *what, void *arg)
{
	struct world *w = arg;

	if (strstr(buf_str(&w->told), "waiting") == NULL)
		buf_addf(&w->told, "waiting for %s\n", what);
}

struct runner_args
world_args(struct world *w, struct run_state *s)
{
	return (struct runner_args){
		.controller = &w->c, .program = w->program, .params = &w->params, .state = s, .cause = "created",
		.events = { .transition = transition_cb, .waiting = waiting_cb, .arg = w },
	};
}

void
world_runner(struct world *w, const struct runner_args *a)
{
	assert_null(w->runner);
	w->runner = runner_new(a);
}

void
world_new_run(struct world *w)
{
	struct run_state s;
	struct runner_args a;

	world_state(&s);
	a = world_args(w, &s);
	world_runner(w, &a);
}

static void
world_do_cb(bool more, struct err *err, void *arg)
{
	struct world *w = arg;

	assert_false(w->done);
	w->op = NULL;
	w->done = true;
	w->more = more;
	w->err = err;
}

static void
world_run_cb(struct err *err, void *arg)
{
	world_do_cb(false, err, arg);
}

static void
before_start(struct world *w)
{
	assert_null(w->op);
	w->done = false;
	err_free(w->err);
	w->err = NULL;
}

void
world_do(struct world *w)
{
	before_start(w);
	w->op = runner_do_start(w->runner, world_do_cb, w);
}

void
world_run(struct world *w)
{
	before_start(w);
	w->op = runner_run_start(w->runner, world_run_cb, w);
}

void
world_wait(struct world *w)
{
	test_until(w->loop, &w->done);
}

void
world_turns(struct world *w, int n)
{
	test_turns(w->loop, n);
}

static bool
planned(const struct exec_config *c, struct exec_result *out, const char *ident)
{
	if (c->type != EXEC_COMMAND || (ident != NULL && strcmp(c->ident, ident) != 0))
		return false;
	out->usage.wall_ns = 0;
	return true;
}

bool
plan_lost(const struct exec_config *c, struct exec_result *out, void *arg)
{
	if (!planned(c, out, arg))
		return false;
	out->state = ATTEMPT_LOST;
	out->err = err_msg(ERR_TEMPORARY, "no room");
	return true;
}

bool
plan_failed(const struct exec_config *c, struct exec_result *out, void *arg)
{
	if (!planned(c, out, arg))
		return false;
	out->state = ATTEMPT_FAILED;
	out->status = 1 << 8;
	out->err = err_msg(ERR_EXEC, "exit status 1");
	return true;
}

static void
lease_inspect_cb(struct alloc_inspect *i, struct err *err, void *arg)
{
	assert_ok(err);
	*(int64_t *)arg = i->expires;
	alloc_inspect_release(i);
}

static void
lease_alloc_cb(struct alloc *a, struct err *err, void *arg)
{
	assert_ok(err);
	*(struct alloc **)arg = a;
}

int64_t
world_lease(struct world *w, const char *uri)
{
	struct alloc *a = NULL;
	int64_t expires = 0;

	(void)cluster_alloc(w->c.cluster, uri, NULL, lease_alloc_cb, &a);
	while (a == NULL)
		loop_turn(w->loop, true);
	(void)alloc_inspect_start(a, lease_inspect_cb, &expires);
	while (expires == 0)
		loop_turn(w->loop, true);
	alloc_drop(a);
	return expires - loop_wall(w->loop);
}

size_t
world_puts(const struct world *w, const char *ident)
{
	size_t n, found = 0;
	const struct fake_put *p = fake_executor_puts(w->executor, &n);

	for (size_t i = 0; i < n; i++)
		found += !p[i].attached && p[i].is_intern == (ident == NULL) && (ident == NULL || strcmp(p[i].ident, ident) == 0);
	return found;
}

static void
keep_record(struct world *w, const struct fake_record *rec)
{
	struct run_record *r;
	struct mpk_doc doc;

	w->history = xreallocarray(w->history, w->nhistory + 1, sizeof *w->history);
	r = &w->history[w->nhistory++];
	*r = (struct run_record){ .payload = xmemdup(rec->p, rec->len), .len = rec->len };
	assert_ok(mpk_parse(&doc, r->payload, r->len));
	assert_ok(record_head(mpk_root(&doc), &r->head));
	mpk_doc_release(&doc);
}

static void
newest_state(const struct world *w, struct run_state *s)
{
	struct mpk_doc doc;

	state_init(s);
	for (size_t i = w->nhistory; i-- > 0;) {
		if (w->history[i].head.kind != REC_SNAPSHOT)
			continue;
		assert_ok(mpk_parse(&doc, w->history[i].payload, w->history[i].len));
		assert_ok(record_as_state(mpk_root(&doc), s));
		mpk_doc_release(&doc);
		return;
	}
}

struct runner_args
world_restart(struct world *w, struct run_state *s)
{
	size_t n, durable = journal_durable_seq(w->c.journal);
	const struct fake_record *rec = fake_journal_records(w->c.journal, &n);
	struct runner_args a = world_args(w, s);

	for (size_t i = 0; i < durable; i++)
		keep_record(w, &rec[i]);
	newest_state(w, s);
	if (w->nhistory > 0) {
		a.n = w->history[w->nhistory - 1].head.n;
		a.epoch = w->history[w->nhistory - 1].head.epoch + 1;
	}
	a.known = run_knowledge_new(&s->ID, w->history, w->nhistory);
	a.cause = "resumed";
	op_cancel(&w->op);
	runner_free(w->runner);
	w->runner = NULL;
	journal_close(w->c.journal);
	w->c.journal = fake_journal_new(w->loop, NULL);
	buf_clear(&w->told);
	return a;
}

/* Records as text. */

static void
add_time(struct buf *out, const char *what, int64_t at)
{
	if (at != 0)
		buf_addf(out, "; %s at %.1f", what, (double)(at - WALL) / 1e9);
}

static void
add_snapshot(struct buf *out, const msgpack_object *o)
{
	struct run_state s;
	char *text;

	assert_ok(record_as_state(o, &s));
	assert_string_equal(s.Program, "t.rf");
	assert_true(s.Created != 0);
	buf_addf(out, "%s: %s", phase_name(s.Phase), s.Cause);
	if (s.NumTries > 0)
		buf_addf(out, "; tries %u", s.NumTries);
	if (s.Stalled > 0)
		buf_addf(out, "; stalled %u", s.Stalled);
	if (s.AllocID != NULL)
		buf_addf(out, "; alloc %s", s.AllocID);
	if (s.AllocID != NULL && s.AllocInspect == NULL)
		buf_addstr(out, " not inspected");
	add_time(out, "try", s.LastTry);
	add_time(out, "over", s.Completion);
	if (s.Err != NULL) {
		text = err_str(s.Err);
		buf_addf(out, "; error %s", text);
		free(text);
	}
	if (s.Result != NULL)
		buf_addf(out, "; result %s", s.Result);
	buf_addch(out, '\n');
	state_release(&s);
}

static void
add_exec(struct buf *out, const msgpack_object *o)
{
	struct exec_record r;

	assert_ok(record_as_exec(o, &r));
	buf_addf(out, "%s %.*s", exec_event_name(r.event), (int)(r.url != NULL ? r.url_len : r.ident_len),
	    r.url != NULL ? r.url : r.ident);
	if (r.event == XEV_STARTED)
		buf_addf(out, " try %u.%u%s", r.try_, r.retry, r.components.n > 0 ? " components" : "");
	if (r.has_result)
		buf_addf(out, " %s%s", attempt_state_name(r.result.state), r.result.attached ? " attached" : "");
	buf_addch(out, '\n');
	exec_record_release(&r);
}

void
world_records(const struct world *w, struct buf *out)
{
	uint64_t last_n = 0;
	size_t n, len;
	const struct fake_record *rec = fake_journal_records(w->c.journal, &n);
	struct record_head h;
	struct mpk_doc doc;
	const char *text;

	for (size_t i = 0; i < n; i++) {
		assert_ok(mpk_parse(&doc, rec[i].p, rec[i].len));
		assert_ok(record_head(mpk_root(&doc), &h));
		assert_int_equal(h.seq, i + 1);
		if (i > 0)
			assert_int_equal(h.n, last_n + 1);
		last_n = h.n;
		if (h.kind == REC_SNAPSHOT)
			add_snapshot(out, mpk_root(&doc));
		else if (h.kind == REC_EXEC)
			add_exec(out, mpk_root(&doc));
		else if (h.kind == REC_NOTE && mpk_get_str(mpk_root(&doc), "text", &text, &len))
			buf_addf(out, "note: %.*s\n", (int)len, text);
		else
			buf_addf(out, "%s\n", record_kind_name(h.kind));
		mpk_doc_release(&doc);
	}
}

size_t
world_count(const struct world *w, const char *prefix)
{
	struct buf b = BUF_INIT;
	size_t n = 0, len = strlen(prefix);

	world_records(w, &b);
	for (const char *p = buf_str(&b); *p != '\0'; p = strchr(p, '\n') + 1)
		n += strncmp(p, prefix, len) == 0;
	buf_release(&b);
	return n;
}

void
world_until(struct world *w, const char *record)
{
	while (world_count(w, record) == 0)
		if (!loop_turn(w->loop, true))
			fail_msg("nothing is left that could wake the loop; no record: %s", record);
}

void
check_text(const struct world *w, const struct buf *text, const char *want, const char *file, int line)
{
	struct buf records = BUF_INIT;
	bool same;

	if (text == NULL)
		world_records(w, &records);
	text = text != NULL ? text : &records;
	same = strcmp(buf_str(text), want) == 0;
	if (!same)
		fprintf(stderr, "came:\n%sexpected:\n%s", buf_str(text), want);
	buf_release(&records);
	if (!same)
		_fail(file, line);
}
