/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xalloc.h"
#include "cmd/text.h"

/* ps: the runs of a root, newest last. Without -a those that still matter: not done, or of the last day. */
#define RECENT SECONDS(86400)

static bool all, json;
static const struct opt opts[] = {
	{ .name = "a", .flag = &all, .help = "all runs, not only those not done or of the last day" },
	{ .name = "json", .flag = &json, .help = "print one JSON document" },
	{ NULL },
};

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return SECONDS(t.tv_sec) + t.tv_nsec;
}

/* What a run is, in a word. */
static const char *
state_word(const struct run_entry *e)
{
	if (e->state.Phase == PHASE_DONE)
		return e->state.Err == NULL ? "done" : "failed";
	if (e->live)
		return e->state.Phase == PHASE_INIT ? "waiting" : "running";
	return "interrupted";
}

static int64_t
duration_of(const struct run_entry *e)
{
	int64_t end = e->state.Completion != 0 ? e->state.Completion : e->live ? now() : e->last_time;

	return e->state.Created == 0 ? 0 : end - e->state.Created;
}

static bool
shown(const struct run_entry *e)
{
	return all || e->state.Phase != PHASE_DONE || e->state.Created > now() - RECENT;
}

static void
add_row(struct table *t, const struct run_entry *e)
{
	char id[ID_TEXT];
	struct buf b = BUF_INIT;

	table_add(t, id_text(ID_RUN, &e->state.ID, id));
	table_add(t, state_word(e));
	time_text(e->state.Created, &b);
	table_add(t, buf_str(&b));
	buf_clear(&b);
	duration_text(duration_of(e), &b);
	table_add(t, buf_str(&b));
	buf_clear(&b);
	buf_addf(&b, "%llu", (unsigned long long)e->execs);
	table_add(t, buf_str(&b));
	buf_clear(&b);
	buf_addf(&b, "%llu", (unsigned long long)e->hits);
	table_add(t, buf_str(&b));
	table_add(t, e->state.Program == NULL ? "" : e->state.Program);
	buf_release(&b);
}

static struct err *
print_table(const struct run_entry *e, size_t n)
{
	static const char *const heads[] = { "run", "state", "created", "duration", "execs", "known", "program" };
	struct table t = { .ncols = nitems(heads) };
	struct buf out = BUF_INIT;
	struct err *err;

	for (size_t i = 0; i < nitems(heads); i++)
		table_add(&t, heads[i]);
	for (size_t i = 0; i < n; i++) {
		if (shown(&e[i]))
			add_row(&t, &e[i]);
	}
	table_print(&t, &out);
	table_release(&t);
	err = print_out(buf_str(&out), out.len);
	buf_release(&out);
	return err;
}

static json_t *
row_json(const struct run_entry *e)
{
	json_t *j = json_object();
	char *id = id_full(ID_RUN, &e->state.ID);

	json_object_set_new(j, "id", json_string(id));
	json_object_set_new(j, "state", json_string(state_word(e)));
	json_object_set_new(j, "phase", json_string(phase_name(e->state.Phase)));
	json_object_set_new(j, "live", json_boolean(e->live));
	json_object_set_new(j, "program", e->state.Program == NULL ? json_null() :
	    json_text(e->state.Program, strlen(e->state.Program)));
	json_object_set_new(j, "created", e->state.Created == 0 ? json_null() : json_time(e->state.Created));
	json_object_set_new(j, "completion", e->state.Completion == 0 ? json_null() : json_time(e->state.Completion));
	json_object_set_new(j, "duration", json_real((double)duration_of(e) / 1e9));
	json_object_set_new(j, "execs", json_integer((json_int_t)e->execs));
	json_object_set_new(j, "started", json_integer((json_int_t)e->execs_started));
	json_object_set_new(j, "ended", json_integer((json_int_t)e->execs_ended));
	json_object_set_new(j, "failed", json_integer((json_int_t)e->execs_failed));
	json_object_set_new(j, "known", json_integer((json_int_t)e->hits));
	free(id);
	return j;
}

static struct err *
print_document(const struct run_entry *e, size_t n)
{
	json_t *doc = json_document("weir-ps", 1), *runs = json_array();

	for (size_t i = 0; i < n; i++) {
		if (shown(&e[i]))
			json_array_append_new(runs, row_json(&e[i]));
	}
	json_object_set_new(doc, "runs", runs);
	return print_json(doc);
}

static int
run(struct cmd_env *env, int argc unused_arg, char **argv unused_arg)
{
	struct lookup l;
	const struct run_entry *e;
	size_t n;
	struct err *err = lookup_open(env, RUNDB_STATES, &l);

	if (err != NULL)
		return exit_with(STAGE_OTHER, err);
	rundb_count_execs(l.db);
	e = rundb_runs(l.db, &n);
	err = json ? print_document(e, n) : print_table(e, n);
	lookup_close(&l);
	return exit_with(STAGE_OTHER, err);
}

const struct cmd cmd_ps = {
	.name = "ps",
	.args = "",
	.help = "Lists runs: those that are not done, and those of the last day.",
	.groups = CONFIG_ROOT,
	.opts = opts,
	.run = run,
};
