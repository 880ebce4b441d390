/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/subject.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "cmd/text.h"
#include "store/object.h"

static struct err *
run_files(struct lookup *l, struct file_plan *plan)
{
	const struct run_entry *e = lookup_run(l, &l->id.digest);
	struct value *v = NULL;
	char id[ID_TEXT];
	struct err *err;
	json_t *j;

	id_text(ID_RUN, &l->id.digest, id);
	if (e->state.Phase != PHASE_DONE || e->state.Err != NULL || e->state.ResultJSON == NULL)
		return err_msg(ERR_PRECONDITION, "%s has no result: it %s; weir resume %s goes on", id,
		    e->state.Phase != PHASE_DONE ? "is not done" : "failed", id);
	j = json_loads(e->state.ResultJSON, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	err = value_from_json(j, &v);
	json_decref(j);
	if (err == NULL)
		err = plan_value(plan, v);
	value_unref(v);
	return err_wrap(err, "result of", id);
}

struct err *
subject_exec(const struct lookup *l, struct run_view *view, const struct exec_view **exec)
{
	struct rundb *db;
	struct run_entry *e;
	struct err *err = lookup_exec(l, &db);

	memset(view, 0, sizeof *view);
	if (err != NULL)
		return err;
	e = rundb_run(db, &l->id.run);
	if (e != NULL)
		view_init(view, e->records, e->nrecords);
	rundb_free(db);
	*exec = view_exec(view, &l->id.digest);
	return *exec != NULL ? NULL : err_msg(ERR_NOT_EXIST, "no record of its run tells of this exec");
}

/* The outputs by the names that the program has for them, which a record has. */
static struct err *
plan_outputs(struct file_plan *plan, const struct exec_view *x)
{
	size_t n = json_array_size(x->outputs);
	const char **names = xcalloc(n + 1, sizeof *names);
	struct err *err;

	for (size_t i = 0; i < n; i++)
		names[i] = json_string_value(json_array_get(x->outputs, i));
	err = plan_fileset(plan, x->result.fileset, names, n);
	free(names);
	return err;
}

static struct err *
exec_files(struct lookup *l, const char *text, struct file_plan *plan)
{
	const struct exec_view *x;
	struct run_view view;
	struct err *err = subject_exec(l, &view, &x);

	if (err == NULL && (!x->has_result || x->result.fileset == NULL))
		err = err_msg(ERR_PRECONDITION, "%s has no outputs: it is %s; weir logs %s shows what it wrote", text,
		    view_state_name(x, true), text);
	if (err == NULL)
		err = plan_outputs(plan, x);
	view_release(&view);
	return err;
}

static struct err *
object_files(struct lookup *l, struct file_plan *plan)
{
	struct file f = { .id = l->id.digest };
	struct err *err = object_stat(l->root.objects, &f.id, &f.size, NULL);

	if (err == NULL)
		plan_file(plan, &f);
	return err;
}

struct err *
subject_files(struct lookup *l, const char *text, struct file_plan *plan)
{
	struct err *err = lookup_id(l, text);

	memset(plan, 0, sizeof *plan);
	if (err != NULL)
		return err;
	switch (l->id.kind) {
	case ID_RUN:
		return run_files(l, plan);
	case ID_EXEC:
		return exec_files(l, text, plan);
	case ID_OBJ:
		break;
	}
	return object_files(l, plan);
}

struct err *
subject_unreadable(const struct lookup *l, struct err *err)
{
	struct err *e = err;
	char *msg;

	if (err == NULL || l->id.kind == ID_OBJ || !(err_is(err, ERR_NOT_EXIST) || err_is(err, ERR_INTEGRITY)))
		return err;
	while (e->msg == NULL && e->cause != NULL)
		e = e->cause;
	if (e->msg != NULL && e->op != NULL && strcmp(e->op, "object") == 0) {
		msg = xasprintf("%s; weir run on the same program makes it anew", e->msg);
		free(e->msg);
		e->msg = msg;
	}
	return err;
}
