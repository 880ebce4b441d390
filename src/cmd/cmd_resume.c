/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "cmd/session.h"
#include "cmd/text.h"
#include "run/follow.h"
#include "run/takeover.h"

/*
 * resume: whatever state a run is in, its result. One that another process evaluates is followed to its end;
 * should that process die meanwhile, we go on in its place. If it was told to end the run, that is the end.
 */
static bool json;
static const struct opt opts[] = {
	{ .name = "json", .flag = &json, .help = "print the value as typed JSON" },
	{ NULL },
};

struct resume {
	struct session	  s;
	struct digest	  run;
	struct root	 *root;		/* kept */
	/* from the takeover */
	struct run_state  state;
	struct run_knowledge *known;
	uint64_t	  epoch, n;
	/* from following */
	uint64_t	  seen;		/* n of the newest record that was reported */
	bool		  over;		/* Done, as the other process left it */
	bool		  interrupted;	/* while we followed */
	uint64_t	  first;	/* n of the newest record when we first looked */
	bool		  detached;
	bool		  failed_before;	/* Done with an error when we first looked: only that is reset */
};

/* Following. */

static void
resume_record_cb(const struct run_record *rec, void *arg)
{
	struct resume *r = arg;
	struct mpk_doc doc;
	struct err *err;

	if (rec->head.n <= r->seen)
		return;
	r->seen = rec->head.n;
	err = mpk_parse(&doc, rec->payload, rec->len);
	if (err != NULL) {
		err_free(err);
		return;
	}
	report_record(&r->s.report, mpk_root(&doc));
	mpk_doc_release(&doc);
}

static void
resume_followed_cb(const struct run_entry *e, struct err *err, void *arg)
{
	struct resume *r = arg;

	if (err == NULL && e->state.Phase == PHASE_DONE) {
		r->over = true;
		state_copy(&r->state, &e->state);
	}
	/* A note that was there before belongs to what we are to go on with. */
	r->interrupted = err == NULL && e->interrupted && e->n > r->first;
	session_done(&r->s, err);
}

static void
resume_detach(struct session *s, const char *name unused_arg)
{
	struct resume *r = container_of(s, struct resume, s);

	r->detached = true;
	op_cancel(&s->op);
	session_done(s, NULL);
}

/* Gives true, with the exit status, when that was all. */
static bool
follow(struct resume *r, int *code)
{
	char id[ID_TEXT];

	id_text(ID_RUN, &r->run, id);
	log_info("another process evaluates it: following; ^C detaches");
	r->over = r->interrupted = false;
	r->s.op = follow_start(r->s.loop, r->root, &r->run, resume_record_cb, resume_followed_cb, r);
	session_wait(&r->s, resume_detach);
	if (r->detached) {
		log_info("detached; %s goes on", id);
		*code = EXIT_INTERRUPTED;
	} else if (r->s.err != NULL) {
		*code = exit_with(STAGE_OTHER, r->s.err);
		r->s.err = NULL;
	} else if (r->over) {
		*code = session_finish(&r->s, &r->state);
		state_release(&r->state);
	} else if (r->interrupted) {
		log_error("%s was interrupted; weir resume %s goes on", id, id);
		*code = EXIT_INTERRUPTED;
	} else {
		log_info("its process is gone: going on in its place");
		return false;
	}
	return true;
}

/* Taking over. */

static void
resume_taken_cb(const struct takeover *t, struct err *err, void *arg)
{
	struct resume *r = arg;

	if (err == NULL) {
		state_copy(&r->state, &t->entry->state);
		r->known = *t->known;
		*t->known = NULL;
		r->epoch = t->epoch;
		r->n = t->n;
	}
	session_done(&r->s, err);
}

static void
resume_cancel(struct session *s, const char *name unused_arg)
{
	op_cancel(&s->op);
	session_done(s, err_new(ERR_CANCELED, "resume", NULL));
}

static void
params_from(const struct run_state *s, struct param_set *out)
{
	memset(out, 0, sizeof *out);
	out->v = xcalloc(s->Params.n + 1, sizeof *out->v);
	for (size_t i = 0; i < s->Params.n; i++) {
		out->v[out->n].name = xstrdup(s->Params.v[i].name);
		out->v[out->n++].text = xstrdup(s->Params.v[i].value);
	}
	out->args = xcalloc(s->nArgs + 1, sizeof *out->args);
	for (size_t i = 0; i < s->nArgs; i++)
		out->args[out->nargs++] = xstrdup(s->Args[i]);
}

/* Takes state and knowledge. */
static int
go_on(struct resume *r)
{
	struct runner_args a = { .state = &r->state, .epoch = r->epoch, .n = r->n, .known = r->known,
	    .cause = "resumed" };
	struct program *program = NULL;
	struct param_set params;
	struct buf diag = BUF_INIT;
	struct err *err;
	int code;

	if (r->state.Phase == PHASE_DONE) {
		state_reset(&r->state);
		a.cause = "reset";
	}
	err = session_unbundle(r->root, &r->state.Bundle, &diag, &program);
	buf_release(&diag);
	if (err != NULL) {
		state_release(&r->state);
		run_knowledge_free(r->known);
		return exit_with(STAGE_OTHER, err);
	}
	params_from(&r->state, &params);
	a.program = program;
	a.params = &params;
	code = session_evaluate(&r->s, &a);
	param_set_release(&params);
	program_free(program);
	return code;
}

/* It may have come to its end between our look and the takeover. */
static int
finish_taken(struct resume *r)
{
	int code = session_finish(&r->s, &r->state);

	state_release(&r->state);
	run_knowledge_free(r->known);
	return code;
}

/* Gives false when another process was faster. */
static bool
take_over(struct resume *r, int *code)
{
	struct err *err = r->s.controller != NULL ? NULL : session_control(&r->s, r->root);

	if (err == NULL) {
		r->s.op = takeover_start(r->s.controller, &r->run, resume_taken_cb, r);
		session_wait(&r->s, resume_cancel);
		err = r->s.err;
		r->s.err = NULL;
		if (err != NULL && err_is(err, ERR_UNAVAILABLE) && !r->failed_before) {
			err_free(err);
			return false;
		}
	}
	if (err != NULL)
		*code = exit_with(STAGE_OTHER, err);
	else if (r->state.Phase == PHASE_DONE && (r->state.Err == NULL || !r->failed_before))
		*code = finish_taken(r);
	else
		*code = go_on(r);
	return true;
}

static int
resume_entry(struct resume *r, const struct run_entry *e)
{
	int code;

	report_init(&r->s.report, r->root->objects, &r->run);
	report_begin(&r->s.report, e->state.Program == NULL ? "" : e->state.Program);
	if (e->state.Phase == PHASE_DONE && e->state.Err == NULL)
		return session_finish(&r->s, &e->state);
	r->first = e->n;
	r->failed_before = e->state.Phase == PHASE_DONE;
	if (e->live && !r->failed_before && follow(r, &code))
		return code;
	while (!take_over(r, &code)) {
		if (follow(r, &code))
			return code;
	}
	return code;
}

static int
run(struct cmd_env *env, int argc unused_arg, char **argv)
{
	struct resume r = { .root = NULL };
	struct lookup l;
	struct err *err = lookup_open(env, RUNDB_STATES, &l);
	int code;

	if (err != NULL)
		return exit_with(STAGE_OTHER, err);
	err = lookup_id(&l, argv[0]);
	if (err == NULL && l.id.kind != ID_RUN)
		err = err_msg(ERR_INVALID, "%s: this is not a run; `weir ps -a` lists the runs", argv[0]);
	if (err != NULL) {
		code = exit_with(STAGE_OTHER, err);
	} else {
		r.root = &l.root;
		r.run = l.id.digest;
		session_open(&r.s, env, json);
		code = resume_entry(&r, lookup_run(&l, &r.run));
		session_close(&r.s);
	}
	lookup_close(&l);
	return code;
}

const struct cmd cmd_resume = {
	.name = "resume",
	.args = "RUN",
	.help = "Goes on with a run: one that was interrupted or has failed; of others the value is printed.\n"
		"A run that another process evaluates is followed to its end.",
	.groups = CONFIG_ROOT | CONFIG_HOST,
	.minargs = 1,
	.maxargs = 1,
	.opts = opts,
	.run = run,
};
