/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "cmd/fields.h"
#include "cmd/subject.h"
#include "cmd/text.h"
#include "store/object.h"

/*
 * info: all that is known of an id. Each kind is first made a JSON document; for people the same document is
 * printed field by field, so that neither form can lack what the other has.
 */
static bool json;
static const struct opt opts[] = {
	{ .name = "json", .flag = &json, .help = "print one JSON document" },
	{ NULL },
};

static struct err *
print_document(json_t *doc)	/* takes */
{
	struct buf b = BUF_INIT;
	struct err *err;

	if (json)
		return print_json(doc);
	json_object_del(doc, "schema");
	json_object_del(doc, "version");
	fields_print(doc, 0, &b);
	json_decref(doc);
	err = print_out(b.p, b.len);
	buf_release(&b);
	return err;
}

/* Runs. */

static json_t *
state_json(const struct run_state *s)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;
	json_t *j;

	mpk_w_init(&w, &b);
	state_mpk(s, &w);
	j = json_as_written(&b);
	buf_release(&b);
	return j;
}

static json_t *
inputs_json(const struct run_view *v)
{
	json_t *a = json_array();

	for (size_t i = 0; i < v->ninputs; i++) {
		const struct fileset *fs = v->inputs[i].result.fileset;
		json_t *j = json_object();

		json_object_set_new(j, "url", json_text(v->inputs[i].url, strlen(v->inputs[i].url)));
		json_object_set_new(j, "files", json_integer(fs == NULL ? 0 : (json_int_t)fileset_n(fs)));
		json_object_set_new(j, "size", json_integer(fs == NULL ? 0 : (json_int_t)fileset_size(fs)));
		json_array_append_new(a, j);
	}
	return a;
}

static json_t *
run_json(const struct run_entry *e, const struct run_view *v)
{
	json_t *doc = json_document("weir-run", 1), *execs = json_array();
	char *id = id_full(ID_RUN, &e->state.ID);
	struct buf b = BUF_INIT;

	json_object_set_new(doc, "id", json_string(id));
	free(id);
	state_str(&e->state, &b);
	json_object_set_new(doc, "is", json_text(buf_str(&b), b.len));
	buf_release(&b);
	json_object_set_new(doc, "live", json_boolean(e->live));
	json_object_set_new(doc, "interrupted", json_boolean(e->interrupted));
	json_object_set_new(doc, "controller", e->controller == NULL ? json_null() : json_string(e->controller));
	json_object_set_new(doc, "epoch", json_integer((json_int_t)e->epoch));
	json_object_set_new(doc, "records", json_integer((json_int_t)e->n));
	json_object_set_new(doc, "state", state_json(&e->state));
	json_object_set_new(doc, "inputs", inputs_json(v));
	json_object_set_new(doc, "usage", usage_json(&v->usage));
	for (size_t i = 0; i < v->nexecs; i++)
		json_array_append_new(execs, view_exec_json(&v->execs[i], e->live));
	json_object_set_new(doc, "execs", execs);
	return doc;
}

static struct err *
print_usage(const struct run_view *v)
{
	struct buf b = BUF_INIT;
	struct err *err;

	buf_addstr(&b, v->usage.rows != NULL ? "usage:\n" : "usage: none\n");
	usage_table(&v->usage, &b);
	err = print_out(b.p, b.len);
	buf_release(&b);
	return err;
}

/* For people the execs are a table. */
static struct err *
print_execs(const struct run_view *v, bool live)
{
	struct table t = { .ncols = 5 };
	struct buf b = BUF_INIT;
	struct err *err;

	for (size_t i = 0; i < v->nexecs; i++) {
		const struct exec_view *x = &v->execs[i];
		char id[ID_TEXT] = "-", attempts[16];

		if (!digest_is_zero(&x->key))
			id_text(ID_EXEC, &x->key, id);
		snprintf(attempts, sizeof attempts, "%u", x->attempts);
		table_add(&t, id);
		table_add(&t, view_state_name(x, live));
		table_add(&t, attempts);
		table_add(&t, x->has_result && x->result.host != NULL ? x->result.host : "-");
		table_add(&t, x->ident == NULL ? "" : x->ident);
	}
	buf_addstr(&b, v->nexecs > 0 ? "execs: id, state, attempts, node, ident\n" : "execs: none\n");
	table_print(&t, &b);
	table_release(&t);
	err = print_out(b.p, b.len);
	buf_release(&b);
	return err;
}

static struct err *
info_run(struct lookup *l)
{
	const struct run_entry *e = lookup_run(l, &l->id.digest);
	struct run_view v;
	struct err *err = view_open(&l->root, &l->id.digest, &v);
	json_t *doc;

	if (err == NULL) {
		doc = run_json(e, &v);
		if (!json) {
			json_object_del(doc, "usage");
			json_object_del(doc, "execs");
		}
		err = print_document(doc);
	}
	if (err == NULL && !json)
		err = print_usage(&v);
	if (err == NULL && !json)
		err = print_execs(&v, e->live);
	view_release(&v);
	return err;
}

/* Execs. */

static struct err *
info_exec(struct lookup *l)
{
	const struct run_entry *e = lookup_run(l, &l->id.run);
	const struct exec_view *x;
	struct run_view v;
	struct err *err = subject_exec(l, &v, &x);

	if (err == NULL)
		err = print_document(view_exec_full(x, &l->id.run, e != NULL && e->live));
	view_release(&v);
	return err;
}

/* Objects. */

struct search {
	const struct digest *object;
	bool		     found;
};

static void
search_cb(const char *path unused_arg, const struct file *f, void *arg)
{
	struct search *s = arg;

	s->found |= digest_equal(&f->id, s->object);
}

static const char *
role_of(const struct exec_view *x, const struct digest *object)
{
	struct search s = { object, false };

	if (!x->has_result)
		return NULL;
	if (digest_equal(&x->result.out, object))
		return "stdout";
	if (digest_equal(&x->result.errlog, object))
		return "stderr";
	if (x->result.fileset != NULL)
		fileset_each(x->result.fileset, search_cb, &s);
	return s.found ? "output" : NULL;
}

/* An exec is named once, with the newest run that knows it. */
static void
add_makers(json_t *made_by, const struct digest *run, const struct run_view *v, const struct digest *object)
{
	for (size_t i = 0; i < v->nexecs; i++) {
		const struct exec_view *x = &v->execs[i];
		const char *role = role_of(x, object);
		char *exec, *id;
		json_t *j;

		if (role == NULL || digest_is_zero(&x->key))
			continue;
		exec = id_full(ID_EXEC, &x->key);
		id = id_full(ID_RUN, run);
		j = json_object();
		json_object_set_new(j, "ident", x->ident == NULL ? json_null() : json_text(x->ident, strlen(x->ident)));
		json_object_set_new(j, "as", json_string(role));
		json_object_set_new(j, "run", json_string(id));
		json_object_set_new(made_by, exec, j);
		free(exec);
		free(id);
	}
}

static void
add_inputs(json_t *inputs, const struct run_view *v, const struct digest *object)
{
	for (size_t i = 0; i < v->ninputs; i++) {
		struct search s = { object, false };

		if (v->inputs[i].result.fileset != NULL)
			fileset_each(v->inputs[i].result.fileset, search_cb, &s);
		if (s.found)
			json_object_set_new(inputs, v->inputs[i].url, json_true());
	}
}

static struct err *
find_makers(struct lookup *l, json_t *made_by, json_t *inputs)
{
	struct rundb *db;
	struct err *err = rundb_open(&l->root, RUNDB_RECORDS, NULL, NULL, NULL, &db);
	struct run_entry *e;
	size_t n;

	if (err != NULL)
		return err;
	e = rundb_runs(db, &n);
	for (size_t i = 0; i < n; i++) {
		struct run_view v;

		view_init(&v, e[i].records, e[i].nrecords);
		add_makers(made_by, &e[i].state.ID, &v, &l->id.digest);
		add_inputs(inputs, &v, &l->id.digest);
		view_release(&v);
	}
	rundb_free(db);
	return NULL;
}

/* A set, as an array of its names. */
static json_t *
names_of(json_t *set)	/* takes */
{
	json_t *a = json_array(), *v;
	const char *name;

	json_object_foreach(set, name, v)
		json_array_append_new(a, json_string(name));
	json_decref(set);
	return a;
}

static struct err *
info_object(struct lookup *l)
{
	json_t *doc = json_document("weir-object", 1), *made_by = json_object(), *inputs = json_object();
	char digest[DIGEST_STR + 1], *id = id_full(ID_OBJ, &l->id.digest);
	uint64_t size = 0;
	struct err *err;

	digest_str(&l->id.digest, digest);
	json_object_set_new(doc, "id", json_string(id));
	json_object_set_new(doc, "digest", json_string(digest));
	free(id);
	err = object_stat(l->root.objects, &l->id.digest, &size, NULL);
	if (err == NULL)
		err = find_makers(l, made_by, inputs);
	json_object_set_new(doc, "size", json_integer((json_int_t)size));
	json_object_set_new(doc, "made_by", made_by);
	json_object_set_new(doc, "input_of_url", names_of(inputs));
	if (err == NULL)
		return print_document(doc);
	json_decref(doc);
	return err;
}

static struct err *
info(struct lookup *l, const char *text)
{
	struct err *err = lookup_id(l, text);

	if (err != NULL)
		return err;
	switch (l->id.kind) {
	case ID_RUN:
		return info_run(l);
	case ID_EXEC:
		return info_exec(l);
	case ID_OBJ:
		break;
	}
	return info_object(l);
}

static int
run(struct cmd_env *env, int argc unused_arg, char **argv)
{
	struct lookup l;
	struct err *err = lookup_open(env, RUNDB_STATES, &l);

	if (err == NULL)
		err = info(&l, argv[0]);
	lookup_close(&l);
	return exit_with(STAGE_OTHER, err);
}

const struct cmd cmd_info = {
	.name = "info",
	.args = "ID",
	.help = "Describes a run, an exec or an object.",
	.groups = CONFIG_ROOT,
	.minargs = 1,
	.maxargs = 1,
	.opts = opts,
	.run = run,
};
