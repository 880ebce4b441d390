/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/executor/keepertest.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "store/object.h"

/* keepertest: drives a real keeper from one loop. Every wait is for an event, under the test's limit. */

void
world_connect(struct world *w)
{
	w->client = keeper_client_new(w->loop, &w->root, &w->options);
	w->repo = repo_file_new(w->loop, w->root.objects, "test");
	w->executor = executor_local_new(w->client, w->repo);
}

void
world_open(struct world *w, const struct keeper_options *o)
{
	memset(w, 0, sizeof *w);
	test_limit(60);
	w->loop = loop_new(NULL);
	w->dir = temp_dir_new();
	assert_ok(root_open(w->dir, NULL, true, &w->root));
	if (o != NULL)
		w->options = *o;
	if (w->options.idle == 0)
		w->options.idle = 0.3;
	world_connect(w);
}

void
world_join(struct world *w, struct world *first)
{
	memset(w, 0, sizeof *w);
	w->loop = first->loop;
	w->options = first->options;
	w->next = 1000;
	assert_ok(root_open(first->dir, NULL, true, &w->root));
	world_connect(w);
}

void
world_leave(struct world *w)
{
	executor_free(w->executor);
	repo_free(w->repo);
	keeper_client_free(w->client);
	if (w->dir != NULL)
		return;
	root_release(&w->root);
}

/* The keeper leaves by itself when idle: its lock says when. */
void
keeper_gone(struct world *w)
{
	char *path = xasprintf("%s/lock", w->root.keeper);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	free(path);
	if (fd < 0)
		return;
	flock(fd, LOCK_EX);
	close(fd);
}

/* The keeper's own faults are seen nowhere else: its sanitizers write to its log. */
static void
keeper_log_clean(struct world *w)
{
	char *path = xasprintf("%s/log", w->root.keeper);
	struct buf b = BUF_INIT;
	struct err *err = buf_read_file(&b, path, 1 << 24);

	if (strstr(buf_str(&b), "Sanitizer") != NULL || strstr(buf_str(&b), "runtime error") != NULL)
		fail_msg("%s", buf_str(&b));
	err_free(err);
	buf_release(&b);
	free(path);
}

void
world_close(struct world *w)
{
	pid_t pid = keeper_client_pid(w->client);

	world_leave(w);
	if (pid > 0)
		kill(pid, SIGTERM);
	keeper_gone(w);
	keeper_log_clean(w);
	root_release(&w->root);
	assert_int_equal(loop_nlive(w->loop), 0);
	loop_free(w->loop);
	if (getenv("WEIR_TEST_KEEP") == NULL)
		temp_dir_free(w->dir);
	resources_release(&w->options.resources);
}

void
key_of(struct world *w, struct digest *key)
{
	unsigned n = ++w->next;

	sha256_of(&n, sizeof n, key);
}

static void
wait_cb(struct exec_result *r, struct err *err, void *arg)
{
	struct running *g = arg;

	g->op = NULL;
	if (r != NULL)
		g->result = *r;
	g->err = err;
	g->done = true;
}

static void
state_cb(enum attempt_state state, void *arg)
{
	((struct running *)arg)->state = state;
}

static void
put_cb(struct exec *exec, struct err *err, void *arg)
{
	struct running *g = arg;

	g->op = NULL;
	g->exec = exec;
	g->err = err;
	g->put = true;
	if (err != NULL) {
		g->done = true;
		return;
	}
	exec->on_state = state_cb;
	exec->on_state_arg = g;
	g->op = exec_wait(exec, wait_cb, g);
}

void
start(struct world *w, struct spec *s, struct running *g)
{
	struct exec_config c = {
		.type = EXEC_COMMAND, .ident = "test", .key = s->key, .claim = s->claim, .image = s->image != NULL ? s->image : "host", .cmd = s->cmd,
		.holes = s->holes, .nholes = s->nholes, .env = s->env, .inputs = s->inputs, .ninputs = s->ninputs,
		.outputs = s->outputs, .noutputs = s->noutputs,
	};

	memset(g, 0, sizeof *g);
	if (digest_is_zero(&s->key))
		key_of(w, &s->key);
	c.key = s->key;
	if (c.claim.retain_ns == 0)
		c.claim.retain_ns = 3600000000000ull;
	if (s->mem > 0)
		resources_set(&c.resources, "mem", s->mem);
	if (s->cpu > 0)
		resources_set(&c.resources, "cpu", s->cpu);
	g->op = executor_put(w->executor, &c, put_cb, g);
	resources_release(&c.resources);
}

void
started(struct world *w, struct running *g)
{
	test_until(w->loop, &g->put);
}

void
finish(struct world *w, struct running *g)
{
	test_until(w->loop, &g->done);
}

void
drop(struct running *g)
{
	op_cancel(&g->op);
	exec_free(g->exec);
	exec_result_release(&g->result);
	err_free(g->err);
	memset(g, 0, sizeof *g);
}

void
run(struct world *w, struct spec *s, struct running *g)
{
	start(w, s, g);
	finish(w, g);
}

void
object_put(struct world *w, const char *text, struct file *f)
{
	assert_ok(object_put_bytes(w->root.objects, text, strlen(text), false, &f->id));
	f->size = strlen(text);
}

char *
object_text(struct world *w, const struct digest *id)
{
	char path[4096];
	struct buf b = BUF_INIT;

	object_path(w->root.objects, id, path, sizeof path);
	assert_ok(buf_read_file(&b, path, 1 << 20));
	buf_reserve(&b, 1);
	return buf_take(&b, NULL);
}

const struct file *
output_file(const struct running *g, size_t k, const char *path)
{
	const struct fileset_entry *e;

	assert_int_equal(g->result.state, ATTEMPT_OK);
	assert_true(fileset_is_list(g->result.fileset) && k < fileset_nlist(g->result.fileset));
	e = fileset_find(fileset_elem(g->result.fileset, k), path);
	return e != NULL ? &e->file : NULL;
}

void
assert_failed(const struct running *g, enum attempt_state state, const char *text)
{
	char *s = err_str(g->err != NULL ? g->err : g->result.err);

	assert_string_equal(s, text);
	free(s);
	if (g->err == NULL)
		assert_int_equal(g->result.state, state);
}

void
until_state(struct world *w, struct running *g, enum attempt_state state)
{
	started(w, g);
	while (g->state < state && !g->done)
		loop_turn(w->loop, true);
}

static void
nap_cb(void *arg)
{
	*(bool *)arg = true;
}

void
until_file(struct world *w, const char *path)
{
	struct timer t;
	bool over;

	timer_init(&t, w->loop, "until_file", nap_cb, &over);
	while (access(path, F_OK) != 0) {
		over = false;
		timer_set(&t, MILLIS(5));
		test_until(w->loop, &over);
	}
	timer_clear(&t);
}

pid_t
keeper_pid(struct world *w)
{
	return keeper_client_pid(w->client);
}

bool
process_gone(pid_t pid)
{
	char path[40], text[256] = "", *p;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return true;
	if (fgets(text, sizeof text, f) == NULL)
		text[0] = '\0';
	fclose(f);
	p = strrchr(text, ')');
	return p == NULL || p[2] == 'Z' || p[2] == 'X';	/* init may be slow to reap */
}

size_t
children_of(pid_t parent, pid_t *out, size_t max)
{
	char path[300], text[512], *p;
	struct dirent *e;
	size_t n = 0;
	FILE *f;
	int ppid;
	DIR *d = opendir("/proc");

	while (d != NULL && (e = readdir(d)) != NULL) {
		snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
		f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
		if (f == NULL)
			continue;
		if (fgets(text, sizeof text, f) != NULL && (p = strrchr(text, ')')) != NULL &&
		    sscanf(p + 1, " %*c %d", &ppid) == 1 && ppid == parent && n < max)
			out[n++] = (pid_t)atol(e->d_name);
		fclose(f);
	}
	if (d != NULL)
		closedir(d);
	return n;
}

struct exec_claim
claim_of(char run, uint32_t try_, uint32_t retry, bool join)
{
	struct exec_claim c = { .epoch = 1, .try_ = try_, .retry = retry, .join = join };

	memset(c.run.b, run, sizeof c.run.b);
	return c;
}

void
gate_open(struct world *w, struct gate *g)
{
	static unsigned n;

	g->path = xasprintf("%s/gate-%u", w->dir, n++);
	g->lifted = xasprintf("%s.lifted", g->path);
	g->cmd = xasprintf("touch %s; until test -e %s; do sleep 0.02; done", g->path, g->lifted);
}

void
gate_lift(struct gate *g)
{
	write_file(g->lifted, "", 0);
}

void
gate_free(struct gate *g)
{
	free(g->path);
	free(g->lifted);
	free(g->cmd);
}
