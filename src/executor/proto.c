/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/proto.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * proto: the documents. Decoding is the keeper's whole defence: what request_decode lets through is
 * used as paths and counts without another look.
 */

static const char *const type_names[] = { "command", "intern", "extern" };
static const char *const report_names[] = { "taken", "state", "done", "refused" };

static int
name_index(const msgpack_object *map, const char *key, const char *const *names, size_t n)
{
	const char *s;
	size_t len;

	if (!mpk_get_str(map, key, &s, &len))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (strlen(names[i]) == len && memcmp(names[i], s, len) == 0)
			return (int)i;
	}
	return -1;
}

bool
proto_get_name(const msgpack_object *map, const char *key, char *out, size_t size)
{
	const char *s;
	size_t len;

	if (!mpk_get_str(map, key, &s, &len) || len >= size || memchr(s, '\0', len) != NULL)
		return false;
	memcpy(out, s, len);
	out[len] = '\0';
	return true;
}

bool
proto_name_ok(const char *name)
{
	return strncmp(name, "c-", 2) == 0 && strchr(name, '/') == NULL;
}

static void
encode_claim(const struct exec_claim *c, struct mpk_w *w)
{
	mpk_key(w, "run"), mpk_digest(w, &c->run);
	mpk_key(w, "epoch"), mpk_u64(w, c->epoch);
	mpk_key(w, "try"), mpk_u64(w, c->try_);
	mpk_key(w, "retry"), mpk_u64(w, c->retry);
	mpk_key(w, "join"), mpk_bool(w, c->join);
	mpk_key(w, "retain"), mpk_u64(w, c->retain_ns);
}
#define CLAIM_FIELDS 6

static void
decode_claim(const msgpack_object *o, struct exec_claim *c)
{
	uint64_t v;

	mpk_get_digest(o, "run", &c->run);
	mpk_get_u64(o, "epoch", &c->epoch);
	if (mpk_get_u64(o, "try", &v))
		c->try_ = (uint32_t)v;
	if (mpk_get_u64(o, "retry", &v))
		c->retry = (uint32_t)v;
	mpk_get_bool(o, "join", &c->join);
	mpk_get_u64(o, "retain", &c->retain_ns);
}

static void
encode_inputs(const struct exec_config *c, struct mpk_w *w)
{
	mpk_array(w, c->ninputs);
	for (size_t i = 0; i < c->ninputs; i++) {
		const struct exec_input *in = &c->inputs[i];

		mpk_array(w, 5);
		mpk_str(w, in->path);
		mpk_bool(w, in->dir);
		mpk_digest(w, &in->file.id);
		mpk_u64(w, in->file.size);
		mpk_str(w, in->origin);
	}
}

static void
encode_command(const struct exec_config *c, struct mpk_w *w)
{
	size_t nenv = 0;

	while (c->env != NULL && c->env[nenv] != NULL)
		nenv++;
	mpk_key(w, "image"), mpk_str(w, c->image);
	mpk_key(w, "cmd"), mpk_str(w, c->cmd);
	mpk_key(w, "holes"), mpk_array(w, c->nholes);
	for (size_t i = 0; i < c->nholes; i++) {
		mpk_array(w, 3);
		mpk_bool(w, c->holes[i].output);
		mpk_u64(w, c->holes[i].index);
		mpk_u64(w, c->holes[i].n);
	}
	mpk_key(w, "env"), mpk_array(w, nenv);
	for (size_t i = 0; i < nenv; i++)
		mpk_str(w, c->env[i]);
	mpk_key(w, "inputs"), encode_inputs(c, w);
	mpk_key(w, "outputs"), mpk_array(w, c->noutputs);
	for (size_t i = 0; i < c->noutputs; i++) {
		mpk_array(w, 2);
		mpk_str(w, c->outputs[i].name);
		mpk_bool(w, c->outputs[i].dir);
	}
}
#define COMMAND_FIELDS 6

void
request_encode(const struct exec_config *c, const struct ledger_sub *from, struct buf *out)
{
	struct mpk_w w;
	bool command = c->type == EXEC_COMMAND;

	mpk_w_init(&w, out);
	mpk_map(&w, 7 + CLAIM_FIELDS + (command ? COMMAND_FIELDS : 3));
	mpk_key(&w, "v"), mpk_u64(&w, PROTO_VERSION);
	mpk_key(&w, "from"), mpk_str(&w, from->name);
	mpk_key(&w, "id"), mpk_u64(&w, from->id);
	mpk_key(&w, "type"), mpk_str(&w, type_names[c->type]);
	mpk_key(&w, "ident"), mpk_str(&w, c->ident);
	mpk_key(&w, "key"), mpk_digest(&w, &c->key);
	encode_claim(&c->claim, &w);
	mpk_key(&w, "resources"), resources_mpk(&c->resources, &w);
	if (command) {
		encode_command(c, &w);
		return;
	}
	mpk_key(&w, "url"), mpk_str(&w, c->url);
	mpk_key(&w, "dir"), mpk_bool(&w, c->dir);
	mpk_key(&w, "install"), mpk_bool(&w, c->install);
}

static struct err *
bad(const char *what)
{
	return err_msg(ERR_INVALID, "bad request: %s", what);
}

/* A text without NUL inside, copied; NULL when it is something else. */
static const char *
object_text(struct arena *a, const msgpack_object *o)
{
	if (o->type != MSGPACK_OBJECT_STR || memchr(o->via.str.ptr, '\0', o->via.str.size) != NULL)
		return NULL;
	return arena_strndup(a, o->via.str.ptr, o->via.str.size);
}

static const char *
map_text(struct arena *a, const msgpack_object *map, const char *key)
{
	const msgpack_object *o = mpk_get(map, key);

	return o != NULL ? object_text(a, o) : NULL;
}

static bool
object_u32(const msgpack_object *o, uint32_t *out)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > UINT32_MAX)
		return false;
	*out = (uint32_t)o->via.u64;
	return true;
}

static bool
is_array(const msgpack_object *o, size_t n)
{
	return o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size == n;
}

/* `I/J` or `I/J/rest`: relative, no empty, `.` or `..` part, and the first two are numbers. */
static bool
input_path_ok(const char *path)
{
	unsigned part = 0;

	for (const char *p = path;; p++, part++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || n > 255 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (part < 2 && strspn(p, "0123456789") != n)
			return false;
		p += n;
		if (*p == '\0')
			return part >= 1;
	}
}

static struct err *
decode_input(struct arena *a, const msgpack_object *o, struct exec_input *in)
{
	const msgpack_object *f;

	if (!is_array(o, 5))
		return bad("an input is not a list of five");
	f = o->via.array.ptr;
	in->path = object_text(a, &f[0]);
	if (in->path == NULL || !input_path_ok(in->path))
		return bad("an input's path leaves arg/");
	if (f[1].type != MSGPACK_OBJECT_BOOLEAN)
		return bad("an input does not say whether it is a directory");
	in->dir = f[1].via.boolean;
	if (!in->dir && !mpk_as_digest(&f[2], &in->file.id))
		return bad("an input has no digest");
	if (f[3].type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		in->file.size = f[3].via.u64;
	in->origin = object_text(a, &f[4]);
	if (in->origin != NULL && in->origin[0] != '/')
		return bad("an input's origin is not absolute");
	return NULL;
}

static struct err *
decode_inputs(struct arena *a, const msgpack_object *o, struct exec_config *c)
{
	struct exec_input *in;
	struct err *err = NULL;

	if (o == NULL || o->type != MSGPACK_OBJECT_ARRAY)
		return bad("no inputs");
	c->ninputs = o->via.array.size;
	c->inputs = in = arena_alloc(a, c->ninputs * sizeof *in + 1);
	for (size_t i = 0; i < c->ninputs && err == NULL; i++)
		err = decode_input(a, &o->via.array.ptr[i], &in[i]);
	return err;
}

static struct err *
decode_outputs(struct arena *a, const msgpack_object *o, struct exec_config *c)
{
	struct exec_output *out;
	const msgpack_object *f;

	if (o == NULL || o->type != MSGPACK_OBJECT_ARRAY)
		return bad("no outputs");
	c->noutputs = o->via.array.size;
	c->outputs = out = arena_alloc(a, c->noutputs * sizeof *out + 1);
	for (size_t i = 0; i < c->noutputs; i++) {
		if (!is_array(&o->via.array.ptr[i], 2))
			return bad("an output is not a pair");
		f = o->via.array.ptr[i].via.array.ptr;
		out[i].name = object_text(a, &f[0]);
		if (out[i].name == NULL || f[1].type != MSGPACK_OBJECT_BOOLEAN)
			return bad("an output has no name or kind");
		out[i].dir = f[1].via.boolean;
	}
	return NULL;
}

static struct err *
decode_env(struct arena *a, const msgpack_object *o, struct exec_config *c)
{
	const char **env;

	if (o == NULL || o->type != MSGPACK_OBJECT_ARRAY)
		return bad("no environment");
	c->env = env = arena_alloc(a, (o->via.array.size + 1) * sizeof *env);
	for (size_t i = 0; i < o->via.array.size; i++) {
		env[i] = object_text(a, &o->via.array.ptr[i]);
		if (env[i] == NULL || env[i][0] == '=' || strchr(env[i], '=') == NULL)
			return bad("the environment holds something other than NAME=VALUE");
	}
	return NULL;
}

static struct err *
decode_holes(struct arena *a, const msgpack_object *o, struct exec_config *c)
{
	struct exec_hole *h;
	const msgpack_object *f;

	if (o == NULL || o->type != MSGPACK_OBJECT_ARRAY)
		return bad("no holes");
	c->nholes = o->via.array.size;
	c->holes = h = arena_alloc(a, c->nholes * sizeof *h + 1);
	for (size_t i = 0; i < c->nholes; i++) {
		if (!is_array(&o->via.array.ptr[i], 3))
			return bad("a hole is not a list of three");
		f = o->via.array.ptr[i].via.array.ptr;
		if (f[0].type != MSGPACK_OBJECT_BOOLEAN || !object_u32(&f[1], &h[i].index) ||
		    !object_u32(&f[2], &h[i].n))
			return bad("a hole has no kind, index or count");
		h[i].output = f[0].via.boolean;
		if (h[i].output && h[i].index >= c->noutputs)
			return bad("a hole names an output that there is not");
		/* Each element needs at least an input of its own. */
		if (!h[i].output && h[i].n > c->ninputs)
			return bad("a hole names more elements than there are inputs");
	}
	return NULL;
}

static struct err *
check_template(const struct exec_config *c)
{
	size_t n = 0;

	for (const char *p = c->cmd; *p != '\0'; p++) {
		if (*p != '%')
			continue;
		p++;
		if (*p == 's')
			n++;
		else if (*p != '%')
			return bad("the command holds a % that is neither %s nor %%");
	}
	return n == c->nholes ? NULL : bad("the command and its holes do not agree");
}

static struct err *
decode_command(const msgpack_object *o, struct arena *a, struct exec_config *c)
{
	struct err *err;

	c->image = map_text(a, o, "image");
	c->cmd = map_text(a, o, "cmd");
	if (c->cmd == NULL)
		return bad("no command");
	err = decode_inputs(a, mpk_get(o, "inputs"), c);
	if (err == NULL)
		err = decode_outputs(a, mpk_get(o, "outputs"), c);
	if (err == NULL)
		err = decode_env(a, mpk_get(o, "env"), c);
	if (err == NULL)
		err = decode_holes(a, mpk_get(o, "holes"), c);
	if (err == NULL)
		err = check_template(c);
	return err;
}

static struct err *
decode_intern(const msgpack_object *o, struct arena *a, struct exec_config *c)
{
	const char *scheme;

	c->url = map_text(a, o, "url");
	if (c->url != NULL && (scheme = strstr(c->url, "://")) != NULL && c->url[0] != '/')
		return err_msg(ERR_NOT_SUPPORTED, "%s: inputs by %.*s are not supported yet", c->url,
		    (int)(scheme - c->url), c->url);
	if (c->url == NULL || c->url[0] != '/')
		return bad("what to intern is not an absolute path");
	mpk_get_bool(o, "dir", &c->dir);
	mpk_get_bool(o, "install", &c->install);
	return NULL;
}

static struct err *
decode_body(const msgpack_object *o, struct arena *a, struct exec_config *c)
{
	int type = name_index(o, "type", type_names, nitems(type_names));

	if (type < 0)
		return bad("unknown type");
	c->type = (enum exec_type)type;
	c->ident = map_text(a, o, "ident");
	mpk_get_digest(o, "key", &c->key);
	decode_claim(o, &c->claim);
	resources_from_mpk(&c->resources, mpk_get(o, "resources"));
	if (c->type == EXEC_EXTERN)
		return err_msg(ERR_NOT_SUPPORTED, "extern is not supported by this executor");
	if (c->type == EXEC_INTERN)
		return decode_intern(o, a, c);
	if (digest_is_zero(&c->key))
		return bad("no key");
	return decode_command(o, a, c);
}

struct err *
request_decode(const void *p, size_t n, struct request *r)
{
	const msgpack_object *o;
	struct mpk_doc doc;
	struct err *err;
	uint64_t v;

	memset(r, 0, sizeof *r);
	err = mpk_parse(&doc, p, n);
	if (err != NULL)
		return err;
	o = mpk_root(&doc);
	r->arena = arena_new();
	/* The sender first: whatever else is wrong can then be answered. */
	if (!proto_get_name(o, "from", r->from.name, sizeof r->from.name) || !proto_name_ok(r->from.name) ||
	    !mpk_get_u64(o, "id", &r->from.id)) {
		r->from.name[0] = '\0';
		err = bad("no sender");
	} else if (!mpk_get_u64(o, "v", &v) || v != PROTO_VERSION) {
		err = bad("another version of the protocol");
	} else {
		err = decode_body(o, r->arena, &r->config);
	}
	sha256_of(p, n, &r->digest);
	mpk_doc_release(&doc);
	return err;
}

void
request_release(struct request *r)
{
	resources_release(&r->config.resources);
	arena_free(r->arena);
	memset(r, 0, sizeof *r);
}

void
report_encode(const struct report *r, const void *manifest, size_t len, struct buf *out)
{
	struct mpk_w w;

	mpk_w_init(&w, out);
	mpk_map(&w, 7 + (manifest != NULL));
	mpk_key(&w, "r"), mpk_str(&w, report_names[r->kind]);
	mpk_key(&w, "id"), mpk_u64(&w, r->id);
	mpk_key(&w, "key"), mpk_digest(&w, &r->key);
	mpk_key(&w, "attempt"), mpk_u64(&w, r->attempt);
	mpk_key(&w, "state"), mpk_str(&w, attempt_state_name(r->state));
	mpk_key(&w, "attached"), mpk_bool(&w, r->attached);
	mpk_key(&w, "error"), mpk_err(&w, r->err);
	if (manifest != NULL) {
		mpk_key(&w, "result");
		buf_add(out, manifest, len);
	}
}

struct err *
report_decode(const msgpack_object *o, struct report *out)
{
	struct report r = { .result.status = -1 };
	const msgpack_object *result = mpk_get(o, "result");
	int kind = name_index(o, "r", report_names, nitems(report_names));
	const char *state;
	struct err *err = NULL;
	uint64_t v;
	size_t len;

	if (kind < 0 || !mpk_get_u64(o, "id", &r.id))
		return err_msg(ERR_INVALID, "bad report of the keeper: no kind or id");
	r.kind = (enum report_kind)kind;
	mpk_get_digest(o, "key", &r.key);
	if (mpk_get_u64(o, "attempt", &v))
		r.attempt = (uint32_t)v;
	if (mpk_get_str(o, "state", &state, &len))
		attempt_state_from_name(state, len, &r.state);
	mpk_get_bool(o, "attached", &r.attached);
	if (result != NULL) {
		err = exec_result_from_mpk(result, &r.result);
		r.has_result = err == NULL;
	}
	if (err != NULL)
		return err;
	r.err = mpk_as_err(mpk_get(o, "error"));
	*out = r;
	return NULL;
}

void
report_release(struct report *r)
{
	if (r->has_result)
		exec_result_release(&r->result);
	err_free(r->err);
	memset(r, 0, sizeof *r);
}

void
manifest_encode(const struct manifest *m, struct buf *out)
{
	struct mpk_w w;

	mpk_w_init(&w, out);
	mpk_map(&w, 5 + CLAIM_FIELDS);
	mpk_key(&w, "v"), mpk_u64(&w, PROTO_VERSION);
	mpk_key(&w, "key"), mpk_digest(&w, &m->key);
	mpk_key(&w, "ident"), mpk_str(&w, m->ident);
	encode_claim(&m->claim, &w);
	mpk_key(&w, "config"), mpk_digest(&w, &m->config);
	mpk_key(&w, "result"), exec_result_mpk(&m->result, &w);
}

struct err *
manifest_decode(const void *p, size_t n, struct manifest *m)
{
	const msgpack_object *o;
	struct mpk_doc doc;
	struct err *err;

	memset(m, 0, sizeof *m);
	err = mpk_parse(&doc, p, n);
	if (err != NULL)
		return err;
	o = mpk_root(&doc);
	err = exec_result_from_mpk(mpk_get(o, "result"), &m->result);
	if (err == NULL) {
		mpk_get_digest(o, "key", &m->key);
		mpk_get_digest(o, "config", &m->config);
		decode_claim(o, &m->claim);
		m->ident = mpk_get_strdup(o, "ident");
	}
	mpk_doc_release(&doc);
	return err;
}

void
manifest_release(struct manifest *m)
{
	free(m->ident);
	exec_result_release(&m->result);
	memset(m, 0, sizeof *m);
}

static void
hole_fill(const struct exec_hole *h, const char *prefix, struct buf *out)
{
	if (h->output) {
		buf_addf(out, "%s/return/%u", prefix, h->index);
		return;
	}
	for (uint32_t j = 0; j < h->n; j++)
		buf_addf(out, "%s%s/arg/%u/%u", j > 0 ? " " : "", prefix, h->index, j);
}

void
command_fill(const struct exec_config *c, const char *prefix, struct buf *out)
{
	const struct exec_hole *hole = c->holes;

	for (const char *p = c->cmd; *p != '\0'; p++) {
		size_t n = strcspn(p, "%");

		buf_add(out, p, n);
		p += n;
		if (*p == '\0')
			break;
		p++;
		if (*p == 's')
			hole_fill(hole++, prefix, out);
		else
			buf_addch(out, '%');
	}
}
