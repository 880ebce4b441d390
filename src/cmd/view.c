/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <uthash.h>

#include "base/xalloc.h"
#include "cmd/text.h"

/*
 * Records folded into execs. What a reader would get wrong: an exec is its node of the graph until it is
 * started or found, because only then has it a key; two nodes may turn out to have the same key.
 */
struct slot {		/* node digest to place in the array */
	struct digest  node;
	size_t	       at;
	UT_hash_handle hh;
};
struct builder {
	struct run_view *v;
	struct slot	*slots;
};

static void
exec_view_release(struct exec_view *x)
{
	free(x->ident);
	free(x->pos);
	free(x->image);
	free(x->cmd);
	json_decref(x->outputs);
	resources_release(&x->resources);
	key_components_release(&x->components);
	if (x->has_result)
		exec_result_release(&x->result);
}

void
view_release(struct run_view *v)
{
	for (size_t i = 0; i < v->nexecs; i++)
		exec_view_release(&v->execs[i]);
	free(v->execs);
	for (size_t i = 0; i < v->ninputs; i++) {
		free(v->inputs[i].url);
		exec_result_release(&v->inputs[i].result);
	}
	free(v->inputs);
	usage_release(&v->usage);
	memset(v, 0, sizeof *v);
}

static struct exec_view *
exec_of(struct builder *b, const struct digest *node)
{
	struct run_view *v = b->v;
	struct slot *s;

	HASH_FIND(hh, b->slots, node, sizeof *node, s);
	if (s != NULL)
		return &v->execs[s->at];
	s = xcalloc(1, sizeof *s);
	s->node = *node;
	s->at = v->nexecs;
	HASH_ADD(hh, b->slots, node, sizeof *node, s);
	if ((v->nexecs & (v->nexecs - 1)) == 0)		/* grows at each power of two */
		v->execs = xreallocarray(v->execs, v->nexecs == 0 ? 1 : v->nexecs * 2, sizeof *v->execs);
	memset(&v->execs[v->nexecs], 0, sizeof *v->execs);
	return &v->execs[v->nexecs++];
}

static void
keep_text(char **to, const char *p, size_t n)
{
	if (p == NULL)
		return;
	free(*to);
	*to = xstrndup(p, n);
}

static void
take_input(struct run_view *v, const struct exec_record *r)
{
	struct input_view *in;

	if (r->url == NULL || !r->has_result)
		return;
	v->inputs = xreallocarray(v->inputs, v->ninputs + 1, sizeof *v->inputs);
	in = &v->inputs[v->ninputs++];
	in->url = xstrndup(r->url, r->url_len);
	exec_result_copy(&in->result, &r->result);
}

static enum view_state
state_of(const struct exec_record *r)
{
	switch (r->event) {
	case XEV_HIT:
		return VIEW_KNOWN;
	case XEV_LOST:
		return VIEW_LOST;
	case XEV_ENDED:
		return !r->has_result || r->result.state == ATTEMPT_OK ? VIEW_OK : VIEW_FAILED;
	case XEV_INTERN:
	case XEV_STARTED:
		break;
	}
	return VIEW_RUNNING;
}

static void
take_exec(struct builder *b, const struct exec_record *r, int64_t time)
{
	struct exec_view *x = exec_of(b, &r->node);

	x->node = r->node;
	if (!digest_is_zero(&r->pkey))
		x->key = r->pkey;
	else if (r->has_result && !digest_is_zero(&r->result.exec))
		x->key = r->result.exec;
	if (!digest_is_zero(&r->lkey))
		x->lkey = r->lkey;
	keep_text(&x->ident, r->ident, r->ident_len);
	keep_text(&x->pos, r->pos, r->pos_len);
	keep_text(&x->image, r->image, r->image_len);
	keep_text(&x->cmd, r->cmd, r->cmd_len);
	x->state = state_of(r);
	if (r->event == XEV_STARTED) {
		x->attempts++;
		x->started = time;
		resources_copy(&x->resources, &r->resources);
	}
	if (r->event == XEV_ENDED && r->has_result)
		usage_add(&b->v->usage, r->ident, r->ident_len, (double)r->asked, &r->result);
	if (r->has_result) {
		if (x->has_result)
			exec_result_release(&x->result);
		exec_result_copy(&x->result, &r->result);
		x->has_result = true;
	}
}

static void
take_outputs(struct exec_view *x, const msgpack_object *names)
{
	if (names == NULL || names->type != MSGPACK_OBJECT_ARRAY)
		return;
	json_decref(x->outputs);
	x->outputs = json_array();
	for (uint32_t i = 0; i < names->via.array.size; i++) {
		const msgpack_object *name = &names->via.array.ptr[i];

		if (name->type == MSGPACK_OBJECT_STR)
			json_array_append_new(x->outputs, json_text(name->via.str.ptr, name->via.str.size));
	}
}

static void
take_record(struct builder *b, const struct run_record *rec)
{
	struct exec_record r;
	struct mpk_doc doc;
	struct err *err;

	if (rec->head.kind != REC_EXEC)
		return;
	err = mpk_parse(&doc, rec->payload, rec->len);
	if (err != NULL) {
		err_free(err);
		return;
	}
	err = record_as_exec(mpk_root(&doc), &r);
	if (err == NULL && r.event == XEV_INTERN) {
		take_input(b->v, &r);
	} else if (err == NULL) {
		take_exec(b, &r, rec->head.time);
		(void)mpk_get_u64(mpk_root(&doc), "noutputs", &exec_of(b, &r.node)->noutputs);
		take_outputs(exec_of(b, &r.node), mpk_get(mpk_root(&doc), "outputs"));
		if (r.components.n > 0) {	/* moved over: the record's are ours to keep */
			struct exec_view *x = exec_of(b, &r.node);

			key_components_release(&x->components);
			x->components = r.components;
			memset(&r.components, 0, sizeof r.components);
		}
	}
	if (err == NULL)
		exec_record_release(&r);
	err_free(err);
	mpk_doc_release(&doc);
}

void
view_init(struct run_view *v, const struct run_record *records, size_t n)
{
	struct builder b = { v, NULL };
	struct slot *s, *tmp;

	memset(v, 0, sizeof *v);
	for (size_t i = 0; i < n; i++)
		take_record(&b, &records[i]);
	HASH_ITER(hh, b.slots, s, tmp) {
		HASH_DEL(b.slots, s);
		free(s);
	}
}

struct err *
view_open(const struct root *root, const struct digest *run, struct run_view *v)
{
	struct rundb *db;
	struct run_entry *e;
	struct err *err = rundb_open(root, RUNDB_RECORDS, run, NULL, NULL, &db);
	size_t n;

	memset(v, 0, sizeof *v);
	if (err != NULL)
		return err;
	e = rundb_runs(db, &n);
	if (n > 0)
		view_init(v, e->records, e->nrecords);
	rundb_free(db);
	return NULL;
}

const struct exec_view *
view_exec(const struct run_view *v, const struct digest *key)
{
	for (size_t i = 0; i < v->nexecs; i++) {
		if (digest_equal(&v->execs[i].key, key))
			return &v->execs[i];
	}
	return NULL;
}

const char *
view_state_name(const struct exec_view *x, bool live)
{
	static const char *const names[] = { "running", "ok", "known", "failed", "lost" };

	return x->state == VIEW_RUNNING && !live ? "unfinished" : names[x->state];
}

/* JSON. */

static void
set_id(json_t *j, const char *name, enum id_kind kind, const struct digest *d)
{
	char *id = digest_is_zero(d) ? NULL : id_full(kind, d);

	json_object_set_new(j, name, id == NULL ? json_null() : json_string(id));
	free(id);
}

static void
set_text(json_t *j, const char *name, const char *text)
{
	json_object_set_new(j, name, text == NULL ? json_null() : json_text(text, strlen(text)));
}

json_t *
view_exec_json(const struct exec_view *x, bool live)
{
	json_t *j = json_object();

	set_id(j, "id", ID_EXEC, &x->key);
	set_text(j, "ident", x->ident);
	set_text(j, "state", view_state_name(x, live));
	json_object_set_new(j, "attempts", json_integer((json_int_t)x->attempts));
	set_text(j, "node", x->has_result ? x->result.host : NULL);
	return j;
}

static json_t *
components_json(const struct key_components *c)
{
	json_t *a = json_array();

	for (size_t i = 0; i < c->n; i++) {
		json_t *j = json_object();

		set_text(j, "name", c->v[i].name);
		json_object_set_new(j, "digest", json_digest(&c->v[i].digest));
		json_array_append_new(a, j);
	}
	return a;
}

/* What the hole at i stands for, as the program calls it: `arg[2] output bam` is the component of `{{bam}}`. */
static const char *
hole_name(const struct key_components *c, size_t i)
{
	char prefix[32];
	size_t n = (size_t)snprintf(prefix, sizeof prefix, "arg[%zu] ", i);

	for (size_t k = 0; k < c->n; k++) {
		const char *name = c->v[k].name + n;

		if (strncmp(c->v[k].name, prefix, n) == 0)
			return strncmp(name, "output ", 7) == 0 ? name + 7 : name;
	}
	return "...";
}

/* The command as it stands in the program. */
static char *
command_text(const struct exec_view *x)
{
	struct buf b = BUF_INIT;
	size_t hole = 0;

	for (const char *p = x->cmd; *p != '\0'; p++) {
		if (p[0] == '%' && p[1] == 's')
			buf_addf(&b, "{{%s}}", hole_name(&x->components, hole++));
		else
			buf_addch(&b, *p);
		if (p[0] == '%' && (p[1] == 's' || p[1] == '%'))
			p++;
	}
	return buf_take(&b, NULL);
}

json_t *
json_as_written(const struct buf *b)
{
	struct mpk_doc doc;
	json_t *j = NULL;
	struct err *err = mpk_parse(&doc, b->p, b->len);

	if (err == NULL) {
		j = json_from_mpk(mpk_root(&doc));
		mpk_doc_release(&doc);
	}
	err_free(err);
	return j == NULL ? json_null() : j;
}

/* Of one that is only known, what its own record says is said there. */
static json_t *
result_json(const struct exec_result *r, bool known)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;
	json_t *j;

	mpk_w_init(&w, &b);
	if (known)
		exec_result_brief_mpk(r, &w);
	else
		exec_result_mpk(r, &w);
	j = json_as_written(&b);
	buf_release(&b);
	return j;
}

json_t *
view_exec_full(const struct exec_view *x, const struct digest *run, bool live)
{
	json_t *j = json_document("weir-exec", 1), *brief = view_exec_json(x, live);
	struct buf b = BUF_INIT;

	json_object_update(j, brief);
	json_decref(brief);
	set_id(j, "run", ID_RUN, run);
	set_text(j, "pos", x->pos);
	set_text(j, "image", x->image);
	if (x->cmd != NULL) {
		char *command = command_text(x);

		set_text(j, "command", command);
		free(command);
	}
	json_object_set_new(j, "noutputs", json_integer((json_int_t)x->noutputs));
	if (x->outputs != NULL)
		json_object_set(j, "outputs", x->outputs);
	json_object_set_new(j, "logical_key", json_digest(&x->lkey));
	json_object_set_new(j, "started", x->started == 0 ? json_null() : json_time(x->started));
	resources_str(&x->resources, &b);
	set_text(j, "resources", buf_str(&b));
	buf_release(&b);
	json_object_set_new(j, "components", components_json(&x->components));
	if (x->has_result && x->result.status > 0) {
		status_text(x->result.status, &b);
		set_text(j, "status", buf_str(&b));
		buf_release(&b);
	}
	json_object_set_new(j, "result", x->has_result ? result_json(&x->result, x->state == VIEW_KNOWN) : json_null());
	return j;
}
