/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/conform_executor.h"

#include <sys/wait.h>

#include "base/buf.h"
#include "tests/iface/conform_repo.h"

struct answer {
	bool		    done;
	struct exec	   *exec;
	struct exec_result *result;
	struct err	   *err;
};

static void
put_cb(struct exec *exec, struct err *err, void *arg)
{
	struct answer *a = arg;

	assert_true((exec == NULL) == (err != NULL));
	a->exec = exec;
	a->err = err;
	a->done = true;
}

static void
wait_cb(struct exec_result *result, struct err *err, void *arg)
{
	struct answer *a = arg;

	assert_true((result == NULL) == (err != NULL));
	if (result)
		*a->result = *result;
	a->err = err;
	a->done = true;
}

struct err *
sync_exec_put(struct executor *e, const struct exec_config *c, struct exec **out)
{
	struct answer a = { false };

	executor_put(e, c, put_cb, &a);
	assert_false(a.done);
	test_until(e->loop, &a.done);
	*out = a.exec;
	return a.err;
}

struct err *
sync_exec_get(struct executor *e, const struct digest *key, struct exec **out)
{
	struct answer a = { false };

	executor_get(e, key, put_cb, &a);
	assert_false(a.done);
	test_until(e->loop, &a.done);
	*out = a.exec;
	return a.err;
}

struct err *
sync_exec_wait(struct exec *exec, struct loop *loop, struct exec_result *out)
{
	struct answer a = { .result = out };

	exec_wait(exec, wait_cb, &a);
	assert_false(a.done);
	test_until(loop, &a.done);
	return a.err;
}

/* ---- the suite ---- */

static const struct exec_output outputs[] = { { "out", false } };
static const struct exec_hole holes[] = { { .output = true } };

static void
configure(struct exec_config *c, const char *ident, const char *key, const char *run)
{
	*c = (struct exec_config){
	    .type = EXEC_COMMAND, .ident = ident, .image = "host", .outputs = outputs, .noutputs = 1};
	c->holes = holes;
	c->nholes = 1;
	/* The words behind the colons are for commands that are simulated. */
	c->cmd = strcmp(ident, "bad") == 0    ? ": fails; exit 1; echo > %s"
		 : strcmp(ident, "long") == 0 ? ": takes 1h; sleep 3600; echo > %s"
					      : "echo out > %s";
	sha256_of(key, strlen(key), &c->key);
	sha256_of(run, strlen(run), &c->claim.run);
	c->claim.epoch = 1;
	c->claim.retain_ns = (uint64_t)SECONDS(3600);
	resources_set(&c->resources, "cpu", 1);
	resources_set(&c->resources, "mem", 64 << 20);
}

static struct exec *
put(struct executor *e, struct exec_config *c)
{
	struct exec *exec;

	assert_ok(sync_exec_put(e, c, &exec));
	assert_memory_equal(&exec->key, &c->key, sizeof c->key);
	return exec;
}

/* Puts, waits and frees: how it ended. Releases the config's resources. */
static void
run(struct executor *e, struct exec_config *c, struct exec_result *r)
{
	struct exec *exec = put(e, c);

	assert_ok(sync_exec_wait(exec, e->loop, r));
	exec_free(exec);
}

/* What the command has written is in the repository. */
static void
holds_output(struct executor *e, const struct file *file, bool names_only)
{
	struct buf text = BUF_INIT;
	struct file there;

	if (names_only) {
		assert_ok(sync_stat(executor_repo(e), &file->id, &there));
		assert_int_equal(there.size, file->size);
		return;
	}
	assert_ok(sync_get(executor_repo(e), &file->id, &text));
	assert_string_equal(buf_str(&text), "out\n");
	buf_release(&text);
}

static void
success(struct executor *e, bool names_only)
{
	struct exec_config c;
	struct exec_result r;
	struct file file;
	struct exec *again;

	configure(&c, "ok", "success", "run 1");
	run(e, &c, &r);
	assert_int_equal(r.state, ATTEMPT_OK);
	assert_int_equal(r.attempt, 1);
	assert_int_equal(r.status, 0);
	assert_null(r.err);
	assert_false(r.attached);
	assert_true(digest_equal(&r.owner, &c.claim.run));
	assert_int_equal(fileset_nlist(r.fileset), 1);
	assert_true(fileset_as_file(fileset_elem(r.fileset, 0), &file));
	holds_output(e, &file, names_only);
	exec_result_release(&r);
	assert_ok(sync_exec_get(e, &c.key, &again));	/* known from now on */
	assert_ok(sync_exec_wait(again, e->loop, &r));
	assert_int_equal(r.attempt, 1);
	exec_result_release(&r);
	exec_free(again);
	resources_release(&c.resources);
}

static void
failure(struct executor *e)
{
	struct exec_config c;
	struct exec_result r;

	configure(&c, "bad", "failure", "run 1");
	run(e, &c, &r);
	assert_int_equal(r.state, ATTEMPT_FAILED);
	assert_true(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 1);
	assert_non_null(r.err);
	exec_result_release(&r);
	run(e, &c, &r);			/* the same (try, retry): its failure stands */
	assert_int_equal(r.attempt, 1);
	assert_true(r.attached);
	exec_result_release(&r);
	c.claim.retry = 1;
	run(e, &c, &r);			/* another retry is another attempt */
	assert_int_equal(r.attempt, 2);
	assert_false(r.attached);
	exec_result_release(&r);
	resources_release(&c.resources);
}

static void
attaching(struct executor *e)
{
	struct exec_config c;
	struct exec_result r;

	configure(&c, "ok", "attaching", "run 1");
	run(e, &c, &r);
	exec_result_release(&r);
	run(e, &c, &r);			/* the same run: whatever its try */
	assert_true(r.attached && r.attempt == 1);
	exec_result_release(&r);
	c.claim.try_ = 5;
	run(e, &c, &r);
	assert_true(r.attached && r.attempt == 1);
	exec_result_release(&r);
	sha256_of("run 2", 5, &c.claim.run);
	c.claim.join = true;
	run(e, &c, &r);			/* another run that may */
	assert_true(r.attached && r.attempt == 1);
	assert_false(digest_equal(&r.owner, &c.claim.run));
	exec_result_release(&r);
	sha256_of("run 3", 5, &c.claim.run);
	c.claim.join = false;
	run(e, &c, &r);			/* another run that may not */
	assert_true(!r.attached && r.attempt == 2);
	exec_result_release(&r);
	resources_release(&c.resources);
}

/* The last subscriber's detach kills; a kill says nothing about the command. */
static void
killing(struct executor *e)
{
	struct exec *one, *two;
	struct exec_config c;
	struct exec_result r;
	struct answer a = { .result = &r };

	configure(&c, "long", "killing", "run 1");
	one = put(e, &c);
	two = put(e, &c);
	exec_wait(two, wait_cb, &a);
	exec_kill(one);
	test_turns(e->loop, 20);
	assert_false(a.done);
	exec_kill(two);
	test_until(e->loop, &a.done);
	assert_ok(a.err);
	assert_int_equal(r.state, ATTEMPT_LOST);
	assert_true(err_is(r.err, ERR_CANCELED));
	exec_result_release(&r);
	exec_free(one);
	exec_free(two);
	c.ident = "ok";			/* never attached to: the next put starts anew */
	c.cmd = "echo out > %s";
	run(e, &c, &r);
	assert_int_equal(r.state, ATTEMPT_OK);
	assert_int_equal(r.attempt, 2);
	exec_result_release(&r);
	resources_release(&c.resources);
}

static void
unknown(struct executor *e)
{
	struct exec *exec;
	struct digest key;
	struct err *err;

	sha256_of("nobody knows", 12, &key);
	err = sync_exec_get(e, &key, &exec);
	assert_true(err_is(err, ERR_NOT_EXIST));
	err_free(err);
}

static void
cancels(struct executor *e)
{
	struct answer a = { false };
	struct exec_config c;
	struct exec_result r;
	struct exec *exec;
	struct op *op;

	configure(&c, "ok", "cancels", "run 1");
	op = executor_put(e, &c, put_cb, &a);
	op_cancel(&op);
	op = executor_get(e, &c.key, put_cb, &a);
	op_cancel(&op);
	exec = put(e, &c);
	op = exec_wait(exec, wait_cb, &a);
	op_cancel(&op);
	assert_ok(sync_exec_wait(exec, e->loop, &r));	/* what was cancelled was the waiting, not the attempt */
	assert_int_equal(r.state, ATTEMPT_OK);
	exec_result_release(&r);
	exec_free(exec);
	assert_false(a.done);
	resources_release(&c.resources);
}

void
conform_executor(const struct conform_executor *c)
{
	struct clock *clock = c->real ? NULL : clock_virtual_new(SECONDS(1700000000));
	struct loop *loop = loop_new(clock);
	struct executor *e;

	test_limit(60);
	e = c->make(loop, c->arg);
	assert_non_null(executor_repo(e));
	unknown(e);
	success(e, c->names_only);
	failure(e);
	attaching(e);
	killing(e);
	cancels(e);
	executor_free(e);
	if (c->end)
		c->end(c->arg);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock);
	alarm(0);
}
