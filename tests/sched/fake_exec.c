/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sched/fake.h"

#include "base/xalloc.h"
#include "iface/later.h"
#include "loop/loop.h"

/* The executor of the fake: attempts are timers, waits are operations on them. */

struct fake_wait {
	struct op	     op;
	struct fake_attempt *attempt;
	exec_result_cb	    *cb;
	void		    *arg;
	TAILQ_ENTRY(fake_wait) link;
};
struct fake_attempt {
	struct fake	  *fake;
	struct digest	   key;
	struct exec_claim  claim;
	char		  *ident;
	struct timer	   end;
	int64_t		   takes;
	struct resources   wants;	/* of the ledger */
	bool		   begun, over;
	bool		   whole;	/* scratch */
	bool		   stores;	/* its files are in the repository when it has ended */
	struct exec_result result;
	TAILQ_HEAD(, fake_wait) waits;
	TAILQ_ENTRY(fake_attempt) link;
	struct fake_attempt *same, *last;	/* the next of its key; of the first: the last */
	UT_hash_handle	   hh;	/* of the first of a key */
	TAILQ_ENTRY(fake_attempt) turn;	/* of those that have not begun */
};
struct fake_exec {
	struct exec	     exec;
	struct fake_attempt *attempt;
};

struct err *
fake_fault(struct fake *f, const char *op)
{
	return f->torture ? torture_fault(f->torture, op) : NULL;
}

static void
attempt_begin(struct fake_attempt *a)
{
	struct fake *f = a->fake;

	a->begun = true;
	if (f->ledger)
		resources_sub(&f->room, &a->wants);
	if (++f->nrunning > f->max_running)
		f->max_running = f->nrunning;
	timer_set(&a->end, a->takes > 0 ? a->takes : 1);
}

/* Nobody overtakes. */
static void
begin_waiting(struct fake *f)
{
	struct fake_attempt *a;

	while ((a = TAILQ_FIRST(&f->waiting)) != NULL && resources_available(&f->room, &a->wants)) {
		TAILQ_REMOVE(&f->waiting, a, turn);
		attempt_begin(a);
	}
}

static void
attempt_over(struct fake_attempt *a)
{
	struct fake *f = a->fake;
	struct fake_wait *w;

	if (!a->over && a->begun)
		f->nrunning--;
	if (!a->over && f->ledger) {
		if (a->begun)
			resources_add(&f->room, &a->wants);
		else
			TAILQ_REMOVE(&f->waiting, a, turn);
		a->over = true;
		begin_waiting(f);
	}
	a->over = true;
	TAILQ_FOREACH(w, &a->waits, link)
		op_wake(&w->op);
}

static void
keep_object(unused_arg const char *path, const struct file *file, void *arg)
{
	fake_object_add(arg, file);
}

static void
attempt_end(void *arg)
{
	struct fake_attempt *a = arg;

	if (a->stores && a->result.state == ATTEMPT_OK && a->result.fileset)
		fileset_each(a->result.fileset, keep_object, a->fake);
	attempt_over(a);
}

static void
wait_advance(struct op *op)
{
	struct fake_wait *w = op_owner(op, struct fake_wait, op);
	struct fake_attempt *a = w->attempt;
	exec_result_cb *cb = w->cb;
	void *arg = w->arg;
	struct exec_result r;
	struct err *err = fake_fault(a->fake, "wait");

	if (!err && a->fake->wait_fails_once) {
		a->fake->wait_fails_once = false;
		err = err_new(ERR_NET, "wait", NULL);
	}
	if (err) {
		op_release(op);
		cb(NULL, err, arg);
		return;
	}
	if (!a->over)
		return;
	exec_result_copy(&r, &a->result);
	op_release(op);
	cb(&r, NULL, arg);
}

static void
wait_release(struct op *op)
{
	struct fake_wait *w = op_owner(op, struct fake_wait, op);

	TAILQ_REMOVE(&w->attempt->waits, w, link);
	free(w);
}

static const struct op_type wait_type = { "fake_wait", wait_advance, wait_release };

static struct op *
exec_wait_start(struct exec *e, exec_result_cb *cb, void *arg)
{
	struct fake_attempt *a = container_of(e, struct fake_exec, exec)->attempt;
	struct fake_wait *w = xcalloc(1, sizeof *w);

	op_init(&w->op, a->fake->loop, &wait_type);
	w->attempt = a;
	w->cb = cb;
	w->arg = arg;
	TAILQ_INSERT_TAIL(&a->waits, w, link);
	op_wake(&w->op);
	if (e->on_state && !a->over)
		e->on_state(ATTEMPT_RUNNING, e->on_state_arg);
	return &w->op;
}

static void
exec_kill_now(struct exec *e)
{
	struct fake_attempt *a = container_of(e, struct fake_exec, exec)->attempt;

	if (a->over || a->result.state == ATTEMPT_LOST)
		return;
	a->fake->nkilled++;
	buf_addf(&a->fake->log, "kill %s\n", a->ident);
	exec_result_release(&a->result);
	memset(&a->result, 0, sizeof a->result);
	a->result.state = ATTEMPT_LOST;
	a->result.err = err_new(ERR_CANCELED, "exec", "%s", a->ident);
	timer_set(&a->end, MILLIS(5));
}

static void
exec_free_now(struct exec *e)
{
	free(container_of(e, struct fake_exec, exec));
}

static const struct exec_ops exec_ops = { .wait = exec_wait_start, .kill = exec_kill_now, .free = exec_free_now };

/* Each output is a file whose content is the key and its place; a directory has two of them. */
static struct fileset *
default_output(const struct exec_config *c, size_t k)
{
	struct fileset_builder *b = fileset_builder_new();
	struct file f = { .size = 10 + k };
	struct w1 w;

	for (unsigned i = 0; i < (c->outputs[k].dir ? 2 : 1); i++) {
		w1_init(&w, "fake-output");
		w1_add_digest(&w, W1_DIGEST, 0, &c->key);
		w1_add_u64(&w, 0, k);
		w1_add_u64(&w, 1, i);
		w1_final(&w, &f.id);
		fileset_builder_add(b, !c->outputs[k].dir ? "." : i ? "b" : "a", &f);
	}
	return fileset_builder_finish(b);
}

static void
default_result(const struct exec_config *c, struct exec_result *r)
{
	struct fileset **v = xcalloc(c->noutputs + 1, sizeof *v);

	for (size_t i = 0; i < c->noutputs; i++)
		v[i] = default_output(c, i);
	r->state = ATTEMPT_OK;
	r->fileset = fileset_list(v, c->noutputs);
	for (size_t i = 0; i < c->noutputs; i++)
		fileset_unref(v[i]);
	free(v);
}

static void
intern_result(struct fake *f, const struct exec_config *c, struct exec_result *r)
{
	const char *text = f->content ? f->content(f, c->url, f->arg) : NULL;
	struct fileset_builder *b;
	struct file file;

	if (!text) {
		r->state = ATTEMPT_FAILED;
		r->err = err_new(ERR_NOT_EXIST, "open", "%s", c->url);
		return;
	}
	sha256_of(text, strlen(text), &file.id);
	file.size = strlen(text);
	b = fileset_builder_new();
	fileset_builder_add(b, c->dir ? "x" : ".", &file);
	r->state = ATTEMPT_OK;
	r->fileset = fileset_builder_finish(b);
}

static bool
inputs_missing(struct fake *f, const struct exec_config *c, struct exec_result *r)
{
	struct fileset_builder *b = fileset_builder_new();

	for (size_t i = 0; i < c->ninputs; i++) {
		const struct exec_input *in = &c->inputs[i];

		if (!in->dir && !in->origin && !fake_object_has(f, &in->file.id))
			fileset_builder_add(b, in->path, &in->file);
	}
	r->missing = fileset_builder_finish(b);
	if (fileset_nmap(r->missing) > 0)
		return true;
	fileset_unref(r->missing);
	r->missing = NULL;
	return false;
}

static void
command_result(struct fake *f, const struct exec_config *c, struct exec_result *r, int64_t *ns)
{
	if (inputs_missing(f, c, r)) {
		r->state = ATTEMPT_LOST;
		r->err = err_msg(ERR_NOT_EXIST, "objects are missing");
		*ns = 1;
		return;
	}
	default_result(c, r);
	if (f->run)
		f->run(f, c, r, ns, f->arg);
}

/* In the order of their puts, those of one key. */
static void
attempt_enter(struct fake *f, struct fake_attempt *a)
{
	struct fake_attempt *first;

	HASH_FIND(hh, f->by_key, &a->key, sizeof a->key, first);
	if (first) {
		first->last->same = a;
		first->last = a;
	} else {
		a->last = a;
		HASH_ADD(hh, f->by_key, key, sizeof a->key, a);
	}
}

static struct fake_attempt *
attempt_new(struct fake *f, const struct exec_config *c)
{
	struct fake_attempt *a = xcalloc(1, sizeof *a);
	int64_t ns = f->takes;

	a->fake = f;
	a->key = c->key;
	a->claim = c->claim;
	a->ident = xstrdup(c->ident ? c->ident : "-");
	TAILQ_INIT(&a->waits);
	timer_init(&a->end, f->loop, "fake_exec", attempt_end, a);
	TAILQ_INSERT_TAIL(&f->attempts, a, link);
	attempt_enter(f, a);
	a->result.attempt = 1;
	a->stores = c->type == EXEC_COMMAND || c->install;
	if (c->type == EXEC_INTERN)
		intern_result(f, c, &a->result);
	if (c->type == EXEC_INTERN && f->run)
		f->run(f, c, &a->result, &ns, f->arg);
	if (c->type == EXEC_COMMAND)
		command_result(f, c, &a->result, &ns);
	resources_copy(&a->result.usage.admitted, &c->resources);
	resources_copy(&a->wants, &c->resources);
	f->nstarted++;
	a->takes = ns;
	if (f->ledger) {
		TAILQ_INSERT_TAIL(&f->waiting, a, turn);
		begin_waiting(f);
	} else {
		attempt_begin(a);
	}
	return a;
}

static void
look_for_object(unused_arg const char *path, const struct file *file, void *arg)
{
	struct fake_attempt *a = arg;

	a->whole = a->whole && fake_object_has(a->fake, &file->id);
}

/* A success whose objects are gone is no answer. */
static bool
attempt_whole(struct fake_attempt *a)
{
	a->whole = true;
	if (a->over && a->result.fileset)
		fileset_each(a->result.fileset, look_for_object, a);
	return a->whole;
}

/* As the executor's promise says. */
static struct fake_attempt *
attempt_find(struct fake *f, const struct exec_config *c)
{
	struct fake_attempt *a;

	HASH_FIND(hh, f->by_key, &c->key, sizeof c->key, a);
	for (; a; a = a->same) {
		bool ours = digest_equal(&a->claim.run, &c->claim.run);
		bool alive = !a->over && a->result.state != ATTEMPT_LOST, ok = a->over && a->result.state == ATTEMPT_OK;
		bool failed = a->over && a->result.state == ATTEMPT_FAILED && a->claim.try_ == c->claim.try_ &&
		    a->claim.retry == c->claim.retry;

		if (c->type == EXEC_COMMAND &&
		    (ours ? alive || ok || failed : c->claim.join && (alive || ok)) && attempt_whole(a))
			return a;
	}
	return NULL;
}

struct put {
	struct fake	   *fake;
	struct exec	   *exec;
	struct err	   *err;
	executor_put_cb	   *cb;
	void		   *arg;
};

static void
put_run(void *data)
{
	struct put p = *(struct put *)data;

	free(data);
	p.cb(p.exec, p.err, p.arg);
}

static void
put_drop(void *data)
{
	struct put *p = data;

	exec_free(p->exec);
	err_free(p->err);
	free(p);
}

static struct op *
put(struct executor *e, const struct exec_config *c, executor_put_cb *cb, void *arg)
{
	struct fake *f = container_of(e, struct fake, executor);
	struct put *p = xcalloc(1, sizeof *p);
	struct fake_attempt *a;
	struct fake_exec *x;

	*p = (struct put){ f, NULL, NULL, cb, arg };
	f->nput++;
	buf_addf(&f->log, "put %s\n", c->ident ? c->ident : "-");
	p->err = fake_fault(f, "put");
	if (!p->err && f->put_fault)
		p->err = f->put_fault(f, c, f->arg);
	if (!p->err) {
		a = attempt_find(f, c);
		if (a)
			a->result.attached = true;
		x = xcalloc(1, sizeof *x);
		x->exec.ops = &exec_ops;
		x->exec.key = c->key;
		x->attempt = a ? a : attempt_new(f, c);
		p->exec = &x->exec;
	}
	return later_start(f->loop, "fake_put", put_run, put_drop, p);
}

static struct repo *
executor_repo_of(struct executor *e)
{
	return &container_of(e, struct fake, executor)->repo;
}

static const struct executor_ops executor_ops = { .put = put, .repo = executor_repo_of };

void
fake_executor_init(struct fake *f)
{
	f->executor = (struct executor){ &executor_ops, f->loop, 0 };
	f->takes = SECONDS(1);
	TAILQ_INIT(&f->attempts);
	TAILQ_INIT(&f->waiting);
}

void
fake_quiet(struct fake *f)
{
	struct fake_attempt *a;

	TAILQ_FOREACH(a, &f->attempts, link)
		timer_clear(&a->end);
}

void
fake_ledger(struct fake *f, unsigned lookahead)
{
	f->ledger = true;
	f->executor.lookahead = lookahead;
	resources_copy(&f->room, &f->capacity);
}

void
fake_executor_release(struct fake *f)
{
	struct fake_attempt *a;

	HASH_CLEAR(hh, f->by_key);
	while ((a = TAILQ_FIRST(&f->attempts)) != NULL) {
		TAILQ_REMOVE(&f->attempts, a, link);
		assert_true(TAILQ_EMPTY(&a->waits));
		timer_clear(&a->end);
		exec_result_release(&a->result);
		resources_release(&a->wants);
		free(a->ident);
		free(a);
	}
}
