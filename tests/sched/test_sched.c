/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "loop/loop.h"
#include "sched/sched.h"
#include "tests/sched/fake.h"

/* The scheduler over a cluster in memory, on a virtual clock. */

struct world {
	struct clock  *clock;
	struct loop   *loop;
	struct fake    fake;
	struct sched  *sched;
	struct sched_alloc *hold;
	struct sched_run *run[3];
	struct err    *lost;
	struct buf     log;
};
struct wish {
	struct world	  *w;
	const char	  *name;
	struct exec_config config;
	struct task	  *task;
	struct exec_result result;
	bool		   over, ok, joined;
	unsigned	   starts, states;
	struct err	  *err;
};

/* Turns until the flag is set. */
static void
until_set(struct loop *loop, const bool *flag)
{
	while (!*flag)
		assert_true(loop_turn(loop, true) || *flag);
}

static void
hold_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	struct world *w = arg;

	assert_ok(err);
	w->hold = hold;
}

static void
lost_cb(struct err *err, void *arg)
{
	((struct world *)arg)->lost = err;
}

static void
begin(struct world *w, const char *resources)
{
	struct requirements req = REQUIREMENTS_INIT;

	memset(w, 0, sizeof *w);
	w->clock = clock_virtual_new(SECONDS(1700000000));
	w->loop = loop_new(w->clock);
	fake_init(&w->fake, w->loop, resources);
	w->sched = sched_new(w->loop, &w->fake.cluster);
	sched_allocate_start(w->sched, &req, NULL, NULL, hold_cb, w);
	while (!w->hold)
		loop_turn(w->loop, true);
	sched_alloc_watch(w->hold, lost_cb, w);
	for (unsigned i = 0; i < 3; i++) {
		struct digest id = { { (uint8_t)(i + 1) } };

		w->run[i] = sched_run_new(w->sched, &id, w->hold);
	}
}

static void
released_cb(struct err *err, void *arg)
{
	assert_ok(err);
	*(bool *)arg = true;
}

static void
finish(struct world *w)
{
	bool released = false;

	for (unsigned i = 0; i < 3; i++)
		sched_run_free(w->run[i]);
	sched_alloc_release_start(w->hold, 0, released_cb, &released);
	until_set(w->loop, &released);
	sched_free(w->sched);
	err_free(w->lost);
	fake_release(&w->fake);
	assert_int_equal(loop_nlive(w->loop), 0);
	loop_free(w->loop);
	clock_virtual_free(w->clock);
	buf_release(&w->log);
}

static const struct exec_config *
wish_starting(bool joined, void *arg)
{
	struct wish *t = arg;

	t->starts++;
	t->joined = joined;
	return &t->config;
}

static void
wish_state(unused_arg enum attempt_state state, void *arg)
{
	((struct wish *)arg)->states++;
}

static void
wish_done(struct exec_result *r, struct err *err, void *arg)
{
	struct wish *t = arg;

	assert_false(t->over);
	assert_true(!r != !err);
	t->over = true;
	t->task = NULL;
	t->err = err;
	if (r) {
		t->ok = r->state == ATTEMPT_OK;
		t->result = *r;
	}
	buf_addf(&t->w->log, "%s%s", t->w->log.len ? " " : "", t->name);
}

static const struct task_events wish_events = { wish_starting, wish_state, wish_done };

/* want: resources, or NULL. */
static void
submit(struct world *w, unsigned run, struct wish *t, const char *name, const char *want, bool join)
{
	static const struct exec_output out = { "out", false };
	struct task_want tw = { .join = join };
	struct resources res = RESOURCES_INIT;

	memset(t, 0, sizeof *t);
	t->w = w;
	t->name = name;
	sha256_of(name, strlen(name), &tw.key);
	if (want)
		assert_ok(resources_parse(&res, want));
	tw.resources = want ? &res : NULL;
	t->config = (struct exec_config){ .type = EXEC_COMMAND, .ident = name, .key = tw.key, .outputs = &out,
		.noutputs = 1 };
	t->config.claim.run.b[0] = (uint8_t)(run + 1);
	t->config.claim.join = join;
	t->task = sched_submit(w->run[run], &tw, &wish_events, t);
	resources_release(&res);
}

static void
until(struct world *w, const struct wish *t)
{
	until_set(w->loop, &t->over);
}

static void
wish_free(struct wish *t)
{
	exec_result_release(&t->result);
	err_free(t->err);
}

static void
test_one(unused_arg void **state)
{
	struct world w;
	struct wish t;
	struct sched_stats st;

	begin(&w, "cpu=2,mem=4GiB");
	submit(&w, 0, &t, "a", "cpu=1", true);
	assert_int_equal(t.starts, 0);
	until(&w, &t);
	assert_true(t.ok);
	assert_false(t.result.attached);
	assert_int_equal(t.starts, 1);
	assert_true(t.states > 0);
	assert_int_equal(fileset_nlist(t.result.fileset), 1);
	sched_stats(w.sched, &st);
	assert_int_equal(st.submitted, 1);
	assert_int_equal(st.started, 1);
	assert_int_equal(st.done, 1);
	assert_int_equal(st.running, 0);
	wish_free(&t);
	finish(&w);
}

static void
test_admission(unused_arg void **state)
{
	struct world w;
	struct wish t[6];
	static const char *const names[] = { "a", "b", "c", "d", "e", "f" };

	begin(&w, "cpu=2,mem=4GiB");
	for (int i = 0; i < 6; i++)
		submit(&w, 0, &t[i], names[i], "cpu=1", true);
	for (int i = 0; i < 6; i++)
		until(&w, &t[i]);
	assert_int_equal(w.fake.max_running, 2);
	assert_string_equal(buf_str(&w.log), "a b c d e f");
	for (int i = 0; i < 6; i++)
		wish_free(&t[i]);
	finish(&w);
}

static void
test_too_much(unused_arg void **state)
{
	struct resources large = RESOURCES_INIT;
	struct world w;
	struct wish t, u;

	begin(&w, "cpu=2,mem=4GiB");
	submit(&w, 0, &t, "a", "cpu=3,mem=1GiB", true);
	until(&w, &t);
	assert_err(t.err, "requested resources {mem:1.0GiB cpu:3 disk:0B} exceed the total available "
	    "{mem:4.0GiB cpu:2 disk:0B}");
	assert_true(sched_run_need(w.run[0])->cpu == 0);

	/* Another machine has it: another alloc may be had, and what it must have is remembered. */
	assert_ok(resources_parse(&large, "cpu=8,mem=16GiB"));
	w.fake.largest = &large;
	submit(&w, 0, &t, "a", "cpu=3,mem=1GiB", true);
	submit(&w, 0, &u, "b", "cpu=1,mem=5GiB", true);
	until(&w, &t);
	until(&w, &u);
	assert_true(err_is(t.err, ERR_UNAVAILABLE) && err_restartable(u.err));
	err_free(t.err);
	err_free(u.err);
	assert_true(sched_run_need(w.run[0])->cpu == 3 && sched_run_need(w.run[0])->mem == 5.0 * (1 << 30));
	resources_release(&large);
	finish(&w);
}

static void
test_join(unused_arg void **state)
{
	struct world w;
	struct wish a, b, c;
	struct sched_stats st;

	begin(&w, "cpu=1,mem=4GiB");
	submit(&w, 0, &a, "x", "cpu=1", true);
	submit(&w, 1, &b, "x", "cpu=1", true);
	for (int i = 0; i < 6; i++)
		loop_turn(w.loop, false);
	submit(&w, 2, &c, "x", "cpu=1", true);
	sched_stats(w.sched, &st);
	assert_int_equal(st.joined, 2);
	until(&w, &a);
	until(&w, &b);
	until(&w, &c);
	assert_int_equal(w.fake.nput, 1);
	assert_true(a.ok && b.ok && c.ok);
	assert_true(!a.joined && b.joined && c.joined);
	assert_true(!a.result.attached && b.result.attached && c.result.attached);
	assert_true(c.starts == 1 && c.states == 1);
	assert_true(fileset_equal(a.result.fileset, c.result.fileset));
	wish_free(&a);
	wish_free(&b);
	wish_free(&c);
	finish(&w);
}

static void
test_no_join(unused_arg void **state)
{
	struct world w;
	struct wish a, b, c;

	begin(&w, "cpu=4,mem=4GiB");
	submit(&w, 0, &a, "x", "cpu=1", false);
	submit(&w, 1, &b, "x", "cpu=1", true);
	submit(&w, 2, &c, "x", "cpu=1", false);
	until(&w, &c);
	until(&w, &a);
	until(&w, &b);
	assert_int_equal(w.fake.nput, 3);
	wish_free(&a);
	wish_free(&b);
	wish_free(&c);
	finish(&w);
}

/* The first subscriber leaves at any moment: the second one still gets the result. */
static void
test_owner_leaves(unused_arg void **state)
{
	for (int turns = 0; turns < 12; turns++) {
		struct world w;
		struct wish a, b;

		begin(&w, "cpu=1,mem=4GiB");
		submit(&w, 0, &a, "x", "cpu=1", true);
		submit(&w, 1, &b, "x", "cpu=1", true);
		for (int i = 0; i < turns && !a.over; i++)
			loop_turn(w.loop, false);
		if (turns % 2)
			task_cancel(&a.task);
		else
			task_detach(&a.task);
		until(&w, &b);
		assert_true(b.ok);
		assert_int_equal(w.fake.nkilled, 0);
		assert_int_equal(w.fake.nstarted, 1);
		wish_free(&a);
		wish_free(&b);
		finish(&w);
	}
}

static void
test_cancel_kills_and_detach_does_not(unused_arg void **state)
{
	struct world w;
	struct wish a, b;

	begin(&w, "cpu=2,mem=4GiB");
	submit(&w, 0, &a, "a", "cpu=1", true);
	submit(&w, 0, &b, "b", "cpu=1", true);
	while (w.fake.nstarted < 2 || !a.states || !b.states)
		loop_turn(w.loop, false);
	task_cancel(&a.task);
	task_detach(&b.task);
	task_cancel(&a.task);
	task_cancel(NULL);
	assert_string_equal(buf_str(&w.fake.log), "put a\nput b\nkill a\n");
	finish(&w);
}

/* Killed at any moment: done comes once, CANCELED or with the attempt's own end; then nothing runs. */
/* What waits for room was queued by a run that goes before the one that shares it. */
static void
test_queued_for_another(unused_arg void **state)
{
	struct world w;
	struct wish a, b, c;

	begin(&w, "cpu=1,mem=4GiB");
	submit(&w, 2, &a, "a", "cpu=1", true);
	while (w.fake.nstarted < 1)
		loop_turn(w.loop, false);
	submit(&w, 0, &b, "b", "cpu=1", true);
	submit(&w, 1, &c, "b", "cpu=1", true);
	task_detach(&b.task);
	sched_run_free(w.run[0]);
	w.run[0] = NULL;
	until(&w, &a);
	until(&w, &c);
	assert_true(a.ok && c.ok && !c.joined);
	assert_string_equal(buf_str(&w.fake.log), "put a\nput b\n");
	wish_free(&a);
	wish_free(&c);
	finish(&w);
}

static void
test_kill(unused_arg void **state)
{
	for (int turns = 0; turns < 12; turns++) {
		struct world w;
		struct wish a;

		begin(&w, "cpu=1,mem=4GiB");
		submit(&w, 0, &a, "a", "cpu=1", true);
		for (int i = 0; i < turns && !a.over; i++)
			loop_turn(w.loop, false);
		task_kill(a.task);
		assert_false(a.over);
		until(&w, &a);
		if (a.err)
			assert_true(err_is(a.err, ERR_CANCELED));
		else
			assert_true(a.result.state == ATTEMPT_LOST && err_is(a.result.err, ERR_CANCELED));
		assert_int_equal(w.fake.nrunning, 0);
		assert_int_equal(w.fake.nkilled, w.fake.nstarted);
		wish_free(&a);
		finish(&w);
	}
}

static void
test_kill_of_a_shared_one_detaches(unused_arg void **state)
{
	struct world w;
	struct wish a, b;

	begin(&w, "cpu=1,mem=4GiB");
	submit(&w, 0, &a, "x", "cpu=1", true);
	submit(&w, 1, &b, "x", "cpu=1", true);
	while (w.fake.nstarted < 1)
		loop_turn(w.loop, false);
	task_kill(a.task);
	until(&w, &a);
	assert_err(a.err, "canceled");
	until(&w, &b);
	assert_true(b.ok);
	wish_free(&b);
	finish(&w);
}

static void
test_lost_lease(unused_arg void **state)
{
	struct world w;
	struct wish a, b, c;

	begin(&w, "cpu=1,mem=4GiB");
	w.fake.takes = SECONDS(3600);
	submit(&w, 0, &a, "x", "cpu=1", true);
	submit(&w, 1, &b, "x", "cpu=1", true);
	submit(&w, 1, &c, "y", "cpu=1", true);
	while (w.fake.nstarted < 1)
		loop_turn(w.loop, false);
	w.fake.no_lease = true;
	until(&w, &a);
	until(&w, &b);
	until(&w, &c);
	while (!w.lost)
		loop_turn(w.loop, false);
	assert_true(err_restartable(w.lost) && err_restartable(a.err));
	assert_true(err_restartable(b.err) && err_restartable(c.err));
	assert_err(a.err, "lease fake/1: unavailable: alloc expired");
	err_free(b.err);
	err_free(c.err);
	assert_int_equal(w.fake.nkilled, 0);
	/* What comes later hears it at once. */
	submit(&w, 0, &a, "z", "cpu=1", true);
	until(&w, &a);
	err_free(a.err);
	finish(&w);
}

static void
ends_killed(unused_arg struct fake *f, unused_arg const struct exec_config *c, struct exec_result *out, int64_t *ns,
    unused_arg void *arg)
{
	out->state = ATTEMPT_LOST;
	fileset_unref(out->fileset);
	out->fileset = NULL;
	out->err = err_msg(ERR_CANCELED, "killed");
	*ns = SECONDS(1);
}

/* An alloc that ends takes its execs along, and may do so long before the lease is asked about. */
static void
test_ended_with_its_alloc(unused_arg void **state)
{
	struct world w;
	struct wish a, b;

	begin(&w, "cpu=1,mem=4GiB");
	w.fake.run = ends_killed;
	submit(&w, 0, &a, "x", "cpu=1", true);
	until(&w, &a);
	assert_null(a.err);	/* the alloc is well: somebody killed the exec */
	assert_int_equal(a.result.state, ATTEMPT_LOST);
	wish_free(&a);
	submit(&w, 0, &a, "y", "cpu=1", true);
	submit(&w, 1, &b, "z", "cpu=1", true);
	while (w.fake.nstarted < 2)
		loop_turn(w.loop, false);
	w.fake.no_lease = true;
	until(&w, &a);
	until(&w, &b);
	assert_err(a.err, "lease fake/1: unavailable: alloc expired");
	assert_true(err_restartable(b.err));
	err_free(b.err);
	while (!w.lost)
		loop_turn(w.loop, false);
	finish(&w);
}

static struct err *
put_fails(struct fake *f, const struct exec_config *c, unused_arg void *arg)
{
	if (strcmp(c->ident, "never") == 0)
		return err_new(ERR_NOT_SUPPORTED, "put", "docker");
	if (strcmp(c->ident, "hard") == 0 || f->nput <= 3)
		return err_new(ERR_NET, "put", NULL);
	return NULL;
}

static void
test_trouble(unused_arg void **state)
{
	struct world w;
	struct wish a, b, c, d;
	int64_t t0;

	begin(&w, "cpu=4,mem=4GiB");
	w.fake.put_fault = put_fails;
	t0 = loop_now(w.loop);
	submit(&w, 0, &a, "a", "cpu=1", true);
	until(&w, &a);
	assert_true(a.ok);
	assert_int_equal(w.fake.nput, 4);
	/* 0.1 + 0.2 + 0.4 s of patience, 1 s of work */
	assert_int_equal((loop_now(w.loop) - t0) / MILLIS(100), 17);
	assert_int_equal(a.starts, 1);
	submit(&w, 0, &b, "hard", "cpu=1", true);
	until(&w, &b);
	assert_err(b.err, "put: network error");
	assert_int_equal(w.fake.nput, 9);
	submit(&w, 0, &c, "never", "cpu=1", true);
	until(&w, &c);
	assert_err(c.err, "put docker: operation not supported");
	assert_int_equal(w.fake.nput, 10);
	/* A wait that breaks is followed by a put that attaches. */
	w.fake.wait_fails_once = true;
	submit(&w, 0, &d, "d", "cpu=1", true);
	until(&w, &d);
	assert_true(d.ok && d.result.attached);
	assert_int_equal(w.fake.nstarted, 2);
	wish_free(&a);
	wish_free(&d);
	finish(&w);
}

static void
test_fairness(unused_arg void **state)
{
	struct world w;
	struct wish t[9];
	static const char *const names[] = { "a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1", "c2" };

	begin(&w, "cpu=1,mem=4GiB");
	for (unsigned i = 0; i < 9; i++)
		submit(&w, i < 5 ? 0 : i < 7 ? 1 : 2, &t[i], names[i], "cpu=1", true);
	for (int i = 0; i < 9; i++)
		until(&w, &t[i]);
	assert_string_equal(buf_str(&w.log), "a1 b1 c1 a2 b2 c2 a3 a4 a5");
	for (int i = 0; i < 9; i++)
		wish_free(&t[i]);
	finish(&w);
}

struct asked {
	struct sched_alloc *hold;
	struct err *err;
	bool	    over;
	int	    waits;
};

static void
asked_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	struct asked *a = arg;

	a->hold = hold;
	a->err = err;
	a->over = true;
}

static void
asked_waiting(const char *what, void *arg)
{
	assert_string_equal(what, "a free machine");
	((struct asked *)arg)->waits++;
}

static void
turns(struct world *w, int n)
{
	while (n-- > 0)
		loop_turn(w->loop, false);
}

static void
test_holds_are_shared(unused_arg void **state)
{
	struct world w;
	struct asked a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	struct requirements req = REQUIREMENTS_INIT, big = REQUIREMENTS_INIT;
	struct op *first;
	bool released = false;

	begin(&w, "cpu=4,mem=4GiB");
	assert_ok(resources_parse(&req.min, "cpu=2"));
	assert_ok(resources_parse(&big.min, "cpu=5"));
	sched_allocate_start(w.sched, &req, NULL, asked_waiting, asked_cb, &a);
	sched_allocate_start(w.sched, &big, NULL, asked_waiting, asked_cb, &b);
	sched_lookup_start(w.sched, "fake/1", NULL, asked_cb, &c);
	turns(&w, 4);
	assert_true(a.over && b.over && c.over);
	assert_ptr_equal(sched_alloc_get(a.hold), sched_alloc_get(w.hold));
	assert_ptr_equal(sched_alloc_get(c.hold), sched_alloc_get(w.hold));
	assert_err(b.err, "no machine is that large");
	/* Two that come together are one request; a release in between wakes nobody for nothing. */
	w.fake.capacity.cpu = 8;
	w.fake.asked = 1;
	b.over = false;
	first = sched_allocate_start(w.sched, &big, NULL, asked_waiting, asked_cb, &b);
	sched_allocate_start(w.sched, &big, NULL, asked_waiting, asked_cb, &d);
	turns(&w, 4);
	assert_int_equal(w.fake.asked, 2);
	assert_true(b.waits > 0 && !b.over && !d.over);
	/* The leader goes: the follower asks in its place. */
	op_cancel(&first);
	turns(&w, 4);
	assert_int_equal(w.fake.asked, 3);
	w.fake.max_allocs = 2;
	fake_room(&w.fake);
	turns(&w, 4);
	assert_true(d.over && !d.err);
	assert_string_equal(sched_alloc_get(d.hold)->uri, "fake/3");
	sched_alloc_release_start(d.hold, 0, released_cb, &released);
	sched_alloc_release_start(a.hold, SECONDS(60), released_cb, &released);
	sched_alloc_release_start(c.hold, 0, released_cb, &released);
	turns(&w, 4);
	resources_release(&req.min);
	resources_release(&big.min);
	finish(&w);
	/* The longest retention that was asked for is kept. */
	assert_in_range(w.fake.retained, SECONDS(59), SECONDS(60));
}

/* Nobody waits for the end of the hold: it comes by itself, or with the scheduler's. */
static void
test_release_that_nobody_waits_for(unused_arg void **state)
{
	for (int n = 0; n < 6; n++) {
		struct world w;

		begin(&w, "cpu=1,mem=4GiB");
		for (unsigned i = 0; i < 3; i++)
			sched_run_free(w.run[i]);
		sched_alloc_release_start(w.hold, 0, NULL, NULL);
		turns(&w, n);
		sched_free(w.sched);
		assert_int_equal(w.fake.nallocs, 0);
		fake_release(&w.fake);
		assert_int_equal(loop_nlive(w.loop), 0);
		loop_free(w.loop);
		clock_virtual_free(w.clock);
	}
}

/* Torture: allocate, submit two tasks that share and one that does not, release. */
struct story {
	struct fake   fake;
	struct sched *sched;
	struct op    *want;
	struct sched_alloc *hold;
	struct sched_run *run;
	struct wish   t[3];
	struct world  w;
	unsigned      over;
};

static void
story_setup(struct torture *t)
{
	struct story *s = xcalloc(1, sizeof *s);

	t->world = s;
	fake_init(&s->fake, t->loop, "cpu=1,mem=4GiB");
	s->fake.torture = t;
	s->sched = sched_new(t->loop, &s->fake.cluster);
}

static void
story_end(struct torture *t, struct err *err)
{
	struct story *s = t->world;

	for (int i = 0; i < 3; i++)
		if (s->run)
			task_cancel(&s->t[i].task);
	sched_run_free(s->run);
	s->run = NULL;
	(void)err;
}

static void
story_released(struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct story *)t->world)->want = NULL;
	torture_done(t, err);
}

static void
story_done(struct exec_result *r, struct err *err, void *arg)
{
	struct wish *x = arg;
	struct torture *t = x->w->fake.torture;
	struct story *s = t->world;

	x->task = NULL;
	if (r)
		exec_result_release(r);
	err_free(err);
	if (++s->over < 3)
		return;
	sched_run_free(s->run);
	s->run = NULL;
	s->want = sched_alloc_release_start(s->hold, 0, story_released, t);
	s->hold = NULL;
}

static void
story_hold(struct sched_alloc *hold, struct err *err, void *arg)
{
	static const struct task_events events = { wish_starting, NULL, story_done };
	struct torture *t = arg;
	struct story *s = t->world;
	struct digest id = { { 1 } };

	s->want = NULL;
	if (err) {
		torture_done(t, err);
		return;
	}
	s->hold = hold;
	s->run = sched_run_new(s->sched, &id, hold);
	s->w.fake.torture = t;
	for (int i = 0; i < 3; i++) {
		struct task_want tw = { .key = { { (uint8_t)(i / 2 + 1) } }, .join = true };

		s->t[i].w = &s->w;
		s->t[i].config = (struct exec_config){ .ident = "t", .key = tw.key };
		s->t[i].task = sched_submit(s->run, &tw, &events, &s->t[i]);
	}
}

static void
story_make(struct torture *t)
{
	struct story *s = t->world;
	struct requirements req = REQUIREMENTS_INIT;

	s->want = sched_allocate_start(s->sched, &req, NULL, NULL, story_hold, t);
}

/* As a runner tears down: tasks, run, hold (whose release is cancelled at once). */
static void
story_cancel(struct torture *t)
{
	struct story *s = t->world;

	story_end(t, NULL);
	if (s->hold)
		s->want = sched_alloc_release_start(s->hold, 0, story_released, t);
	s->hold = NULL;
	op_cancel(&s->want);
	while (!s->hold && s->fake.nallocs > 0)
		loop_turn(t->loop, true);
	fake_quiet(&s->fake);
}

static void
story_teardown(struct torture *t)
{
	struct story *s = t->world;

	sched_free(s->sched);
	fake_release(&s->fake);
	free(s);
}

static void
test_torture(unused_arg void **state)
{
	static const struct torture_spec spec = { .name = "sched", .setup = story_setup, .make = story_make,
		.cancel = story_cancel, .teardown = story_teardown };

	torture(&spec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_admission),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_no_join),
		cmocka_unit_test(test_owner_leaves),
		cmocka_unit_test(test_cancel_kills_and_detach_does_not),
		cmocka_unit_test(test_queued_for_another),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_kill_of_a_shared_one_detaches),
		cmocka_unit_test(test_lost_lease),
		cmocka_unit_test(test_ended_with_its_alloc),
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_holds_are_shared),
		cmocka_unit_test(test_release_that_nobody_waits_for),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
