/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/session.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "cmd/text.h"
#include "lang/bundle.h"
#include "loop/lag.h"
#include "store/object.h"

/*
 * One run in the foreground. What a reader would get wrong: the run's id is said when its first snapshot is
 * durable and not before, because only then does the run exist for anybody else.
 */
void
session_open(struct session *s, struct cmd_env *env, bool json)
{
	memset(s, 0, sizeof *s);
	s->env = env;
	s->json = json;
	s->loop = loop_new(NULL);
	/* Whoever reads our output may leave before we have closed all in order. */
	signal(SIGPIPE, SIG_IGN);
}

struct err *
session_control(struct session *s, const struct root *root)
{
	struct controller_config c = {
		.root = root->path,
		.scratch = config_text(&s->env->config, CFG_SCRATCH),
		.cluster = config_text(&s->env->config, CFG_CLUSTER),
		.compact = config_compact(&s->env->config),
	};
	struct err *err;

	config_resources(&s->env->config, &c.resources);
	err = controller_open(s->loop, &c, &s->controller);
	resources_release(&c.resources);
	return err;
}

void
session_close(struct session *s)
{
	if (s->controller != NULL)
		controller_close(s->controller);
	loop_free(s->loop);
	report_clear(&s->report);
	err_free(s->err);
	memset(s, 0, sizeof *s);
}

/* Signals. */

static void
session_signal_cb(int signo, void *arg)
{
	struct session *s = arg;

	if (s->nsignals++ > 0)
		_exit(EXIT_INTERRUPTED);
	s->on_signal(s, signo == SIGINT ? "SIGINT" : "SIGTERM");
}

void
session_done(struct session *s, struct err *err)
{
	s->op = NULL;
	s->err = err;
	loop_stop(s->loop);
}

void
session_wait(struct session *s, void (*on_signal)(struct session *, const char *))
{
	s->on_signal = on_signal;
	sig_init(&s->interrupt, s->loop, SIGINT, session_signal_cb, s);
	sig_init(&s->terminate, s->loop, SIGTERM, session_signal_cb, s);
	loop_run(s->loop);
	sig_clear(&s->interrupt);
	sig_clear(&s->terminate);
}

/* Sources. */

struct err *
session_bundle(struct session *s, struct program *p, struct digest *out)
{
	struct buf bytes = BUF_INIT;
	struct err *err = bundle_write(program_sources(p), program_path(p), NULL, 0, &bytes);

	if (err == NULL)
		err = object_put_bytes(s->controller->root.objects, bytes.p, bytes.len, true, out);
	buf_release(&bytes);
	return err_wrap(err, "keep the sources", NULL);
}

static struct err *
read_bundle(const struct root *root, const struct digest *d, struct buf *out)
{
	struct err *err = object_verify(root->objects, d);
	int fd;

	if (err == NULL)
		err = object_open(root->objects, d, &fd, NULL);
	if (err != NULL)
		return err;
	err = buf_read_fd(out, fd, "bundle", BUNDLE_MAX_BYTES);
	close(fd);
	return err;
}

struct err *
session_unbundle(const struct root *root, const struct digest *d, struct buf *diag, struct program **out)
{
	struct buf bytes = BUF_INIT;
	struct bundle *bundle = NULL;
	struct err *err = read_bundle(root, d, &bytes);
	char *entry;

	if (err == NULL)
		err = bundle_read(buf_str(&bytes), bytes.len, &bundle);
	if (err == NULL) {
		entry = xstrdup(bundle_entry(bundle));
		err = program_open(entry, sources_from_bundle(bundle), diag, out);
		free(entry);
	}
	buf_release(&bytes);
	return err_wrap(err, "sources of the run", NULL);
}

/* Results. */

struct err *
print_result(const char *text, const char *json, const char *type, const struct digest *run, bool as_json)
{
	struct err *err;
	char *id;

	if (as_json) {
		json_t *doc = json_document("weir-result", 1);

		if (run != NULL) {
			id = id_full(ID_RUN, run);
			json_object_set_new(doc, "run", json_string(id));
			free(id);
		}
		json_object_set_new(doc, "type", type == NULL ? json_null() : json_text(type, strlen(type)));
		json_object_set_new(doc, "value",
		    json_loads(json == NULL ? "null" : json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
		return print_json(doc);
	}
	err = text == NULL ? NULL : print_out(text, strlen(text));	/* it may be very long: without a copy */
	return err != NULL ? err : print_out("\n", 1);
}

int
session_finish(struct session *s, const struct run_state *state)
{
	struct err *err = NULL;

	if (state->Err == NULL)
		err = print_result(state->Result, state->ResultJSON, state->ResultType, &state->ID, s->json);
	report_end(&s->report, state);
	if (err != NULL)
		return exit_with(STAGE_OTHER, err);
	return exit_code(STAGE_EVAL, state->Err);
}

/* Evaluation. */

static void
session_transition(struct runner *r, void *arg)
{
	struct session *s = arg;
	const struct run_state *state = runner_state(r);
	struct buf b = BUF_INIT;

	report_begin(&s->report, state->Program);
	if (s->warnings != NULL) {
		fputs(buf_str(s->warnings), stderr);
		buf_clear(s->warnings);
	}
	if (log_level() >= LOG_DEBUG) {		/* it may hold a long result */
		state_str(state, &b);
		log_debug("%s", buf_str(&b));
		buf_release(&b);
	}
	if (state->Phase == PHASE_INIT)
		report_forget(&s->report);
	if (state->Phase == PHASE_RETRY) {
		char *why = err_str(state->Err);

		log_info("trying again: %s", why);
		free(why);
	}
}

static void
session_exec(struct runner *r unused_arg, const struct eval_event *ev, void *arg)
{
	struct session *s = arg;

	report_event(&s->report, ev);
}

/* It may be told often: said when it is another thing that is waited for. */
static void
session_waiting(struct runner *r unused_arg, const char *what, void *arg)
{
	struct session *s = arg;

	if (s->waiting != NULL && strcmp(s->waiting, what) == 0)
		return;
	free(s->waiting);
	s->waiting = xstrdup(what);
	log_info("%s", what);
}

static void
session_run_cb(struct err *err, void *arg)
{
	session_done(arg, err);
}

static void
session_interrupt(struct session *s, const char *name)
{
	log_info("%s: ending what runs; once more leaves at once", name);
	runner_interrupt(s->runner, name);
}

/* Failures that are no exec's: a panic, a missing file. Those of execs were seen as they happened. */
static void
other_failures(struct session *s)
{
	size_t n;
	struct flow *const *f = runner_failures(s->runner, &n);

	for (size_t i = 0; i < n; i++) {
		char *pos = NULL;

		if (f[i]->op == FLOW_EXEC || f[i]->err == NULL)
			continue;
		if (f[i]->place->pos.name != NULL)
			pos = xasprintf("%s:%d:%d", f[i]->place->pos.name, f[i]->place->pos.line, f[i]->place->pos.col);
		report_failure(&s->report, f[i]->place->ident, pos, f[i]->err);
		free(pos);
	}
}

static int
session_outcome(struct session *s)
{
	char id[ID_TEXT];
	int code;

	if (s->err == NULL) {
		other_failures(s);
		return session_finish(s, runner_state(s->runner));
	}
	id_text(ID_RUN, runner_id(s->runner), id);
	if (err_is(s->err, ERR_CANCELED)) {
		if (runner_left_execs(s->runner))
			log_error("the keeper does not answer: commands of the run may still be running");
		log_error("interrupted; weir resume %s goes on", id);
		return EXIT_INTERRUPTED;
	}
	code = exit_with(STAGE_OTHER, err_wrap(s->err, "stopped", NULL));
	s->err = NULL;
	if (s->report.said)
		log_error("weir resume %s goes on", id);
	return code;
}

/* Who kept the loop busy: for `--log debug`. */
static void
tell_lag(struct loop *loop)
{
	const struct lag_row *rows;
	size_t n;

	if (log_level() < LOG_DEBUG)
		return;
	rows = loop_lag(loop, &n);
	log_debug("loop: %-28s %10s %12s %10s", "callbacks of", "calls", "total ms", "max ms");
	for (size_t i = 0; i < n; i++)
		log_debug("loop: %-28s %10" PRIu64 " %12.3f %10.3f", rows[i].name, rows[i].calls,
		    (double)rows[i].total_ns / 1e6, (double)rows[i].max_ns / 1e6);
}

int
session_evaluate(struct session *s, struct runner_args *a)
{
	int code;

	if (digest_is_zero(&s->report.run))
		report_init(&s->report, s->controller->root.objects, &a->state->ID);
	a->controller = s->controller;
	a->events = (struct runner_events){ session_transition, session_exec, session_waiting, s };
	s->runner = runner_new(a);
	s->op = runner_run_start(s->runner, session_run_cb, s);
	session_wait(s, session_interrupt);
	code = session_outcome(s);
	tell_lag(s->loop);
	runner_free(s->runner);
	s->runner = NULL;
	return code;
}
