/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/command.h"
#include "sim/disk.h"
#include "sim/naive.h"
#include "sim/play_priv.h"
#include "sim/store.h"
#include "sim/watch.h"

/* What a scenario expects, and what is expected at the end of every one. */

/* What a later reader finds in the journals is what was acknowledged. */
static void
check_readable(struct play *p, struct play_run *r)
{
	const struct run_state *s = watch_run_state(r->run.watch);
	struct run_entry *e;
	struct rundb *db;
	struct err *err = rundb_open(&p->world->root, RUNDB_STATES, &r->run.id, NULL, NULL, &db);
	size_t n;

	if (err) {
		err_free(err);
		play_fail(p, "%s: the journals cannot be read", r->run.name);
		return;
	}
	e = rundb_runs(db, &n);
	if (n != 1)
		play_fail(p, "%s: its journal holds %zu runs of this id", r->run.name, n);
	else if (e->state.Phase != s->Phase || state_try(&e->state) != state_try(s) ||
	    (s->Result && (!e->state.Result || strcmp(e->state.Result, s->Result) != 0)))
		play_fail(p, "%s: the journal says phase %s, try %u; acknowledged was %s, try %u", r->run.name,
		    phase_name(e->state.Phase), state_try(&e->state), phase_name(s->Phase), state_try(s));
	rundb_free(db);
}

static void
check_success(struct play *p, struct play_run *r, const struct run_state *s)
{
	const char *missing;

	if (r->run.must_fail)
		play_fail(p, "%s: is Done without an error, though it must fail", r->run.name);
	else if (!s->Result || strcmp(s->Result, naive_result(r->naive)) != 0)
		play_fail(p, "%s: the result is %s, and not %s", r->run.name, s->Result ? s->Result : "(none)",
		    naive_result(r->naive));
	else if (!p->objects_lost && !naive_result_there(r->naive, watch_run_objects(p->world->watch, s)))
		play_fail(p, "%s: a file of the result is not in the repository", r->run.name);
	else if ((missing = naive_unexplained(r->naive, r->run.watch)) != NULL)
		play_fail(p, "%s: no record says where the result of %s comes from", r->run.name, missing);
}

/* Of the program, or that it asks for what there is not. */
static bool
is_own_error(const struct err *err)
{
	return err_is(err, ERR_EVAL) || err_is(err, ERR_RESOURCES_EXHAUSTED);
}

static void
expect_right(struct play *p, struct play_run *r)
{
	const struct run_state *s = watch_run_state(r->run.watch);
	char *text;

	if (!s || s->Phase != PHASE_DONE) {
		text = err_str(r->run.last);
		play_fail(p, "%s: it does not come to an end: phase %s%s%s", r->run.name, s ? phase_name(s->Phase) : "(no record)",
		    *text ? ", and " : "", text);
		free(text);
		return;
	}
	check_readable(p, r);
	if (!s->Err) {
		check_success(p, r, s);
	} else if (!r->run.must_fail) {
		text = err_str(s->Err);
		play_fail(p, "%s: it fails: %s", r->run.name, text);
		free(text);
	} else if (!is_own_error(s->Err)) {
		text = err_str(s->Err);
		play_fail(p, "%s: the error is no evaluation error: %s", r->run.name, text);
		free(text);
	}
}

static void
expect_clean(struct play *p)
{
	struct world *w = p->world;
	struct host *h;

	if (!TAILQ_EMPTY(&w->ctls))
		play_fail(p, "c%u has not left", TAILQ_FIRST(&w->ctls)->proc.number);
	TAILQ_FOREACH(h, &w->hosts, link) {
		if (host_nlive(h) > 0)
			play_fail(p, "%s: %u attempts still live", h->name, host_nlive(h));
		if (h->busy > 0 || !TAILQ_EMPTY(&h->waiting) || !TAILQ_EMPTY(&h->queue))
			play_fail(p, "%s: a slot or a request is left", h->name);
	}
	watch_total(w->watch);
}

/* Figures. */

static bool
figure(const struct play_run *r, const char *name, double *out)
{
	struct run_facts f;

	watch_run_facts(r->run.watch, &f);
	{
		const struct {
			const char *name;
			unsigned    v;
		} table[] = {
			{ "execs", f.execs }, { "started", f.started }, { "recomputed", f.recomputed }, { "ended", f.ended },
			{ "failed", f.failed }, { "lost", f.lost }, { "hits", f.hits }, { "interns", f.interns },
			{ "records", f.records }, { "tries", f.tries }, { "resets", f.resets }, { "epoch", f.epoch },
		};

		for (size_t i = 0; i < nitems(table); i++) {
			if (strcmp(table[i].name, name) == 0) {
				*out = table[i].v;
				return true;
			}
		}
	}
	return false;
}

static bool
compare(double a, const char *op, double b)
{
	bool less = a < b, more = a > b;

	if (strcmp(op, "=") == 0)
		return !less && !more;
	if (strcmp(op, "<=") == 0)
		return !more;
	if (strcmp(op, ">=") == 0)
		return !less;
	return strcmp(op, "<") == 0 ? less : more;
}

static void
expect_text(struct play *p, const struct play_run *r, const char *name, const char *op, const char *want)
{
	const struct run_state *s = watch_run_state(r->run.watch);
	char *err = err_str(s ? s->Err : NULL);
	const char *have = strcmp(name, "phase") == 0 ? s ? phase_name(s->Phase) : "none"
	    : strcmp(name, "result") == 0	      ? s && s->Result ? s->Result : ""
						      : err;

	if (strcmp(op, "~") == 0 ? strstr(have, want) == NULL : strcmp(have, want) != 0)
		play_fail(p, "%s: %s is \"%s\"", r->run.name, name, have);
	free(err);
}

static bool
is_text(const char *name)
{
	return strcmp(name, "phase") == 0 || strcmp(name, "result") == 0 || strcmp(name, "error") == 0;
}

static void
expect_one(struct play *p, const struct play_run *r, const char *name, const char *op, const char *want)
{
	double have;

	if (is_text(name))
		expect_text(p, r, name, op, want);
	else if (!figure(r, name, &have))
		play_bad(p, "%s is no figure of a run", name);
	else if (!compare(have, op, strtod(want, NULL)))
		play_fail(p, "%s: %s is %g, expected %s %s", r->run.name, name, have, op, want);
}

/* name=value, name<=value, or in three words. */
static void
expect_figures(struct play *p, const struct play_run *r, struct words *w)
{
	while (w->n > 0) {
		size_t n = strcspn(w->v[0], "=<>~"), used = 1;
		char *name = xstrndup(w->v[0], n), *op = xstrdup(w->v[0] + n), *want = NULL;

		if (*op == '\0' && w->n >= 3) {
			free(op);
			op = xstrdup(w->v[1]);
			want = xstrdup(w->v[2]);
			used = 3;
		} else if (*op) {
			size_t k = strspn(op, "=<>~");

			want = xstrdup(op + k);
			op[k] = '\0';
		}
		if (want)
			expect_one(p, r, name, op, want);
		else
			play_bad(p, "expect what of %s? %s", r->run.name, name);
		free(name);
		free(op);
		free(want);
		words_drop(w, used);
	}
}

/* expect time <= DURATION: since the start. */
static void
expect_time(struct play *p, const struct words *w)
{
	int64_t ns, now = p->world->clock.mono - p->started;

	if (w->n != 3 || !duration_parse(w->v[2], &ns))
		play_bad(p, "expect time <= DURATION");
	else if (!compare((double)now, w->v[1], (double)ns))
		play_fail(p, "%.3f s have gone by, expected %s %s", (double)now / 1e9, w->v[1], w->v[2]);
}

/* expect clean | expect right | expect RUN right | expect RUN FIGURE=VALUE... | expect time <= DURATION */
void
expect(struct play *p, struct words *w)
{
	struct play_run *r;

	words_drop(w, 1);
	if (w->n == 1 && strcmp(w->v[0], "clean") == 0) {
		expect_clean(p);
	} else if (w->n == 1 && strcmp(w->v[0], "right") == 0) {
		TAILQ_FOREACH(r, &p->runs, link)
			expect_right(p, r);
	} else if (w->n > 0 && strcmp(w->v[0], "time") == 0) {
		expect_time(p, w);
	} else if (w->n >= 2 && (r = play_run_find(p, w->v[0])) != NULL) {
		words_drop(w, 1);
		if (strcmp(w->v[0], "right") == 0) {
			expect_right(p, r);
			words_drop(w, 1);
		}
		expect_figures(p, r, w);
	} else {
		play_bad(p, "expect clean, right, RUN right, or RUN FIGURE=VALUE...");
	}
}
