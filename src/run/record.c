/* SPDX-License-Identifier: Apache-2.0 */
#include "run/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/mpk_scan.h"
#include "base/xalloc.h"

/*
 * Writing and reading of journal records. Maps are written with their size up front, so each writer
 * below counts its fields; a reader takes fields by name and ignores what it does not know, so that
 * old journals load for ever and newer ones as far as they are understood.
 */
static const char *const kind_names[] = { "unknown", "header", "snapshot", "exec", "epoch", "note" };
static const char *const event_names[] = { "intern", "started", "ended", "lost", "hit" };

const char *
record_kind_name(enum record_kind k)
{
	return kind_names[k];
}

const char *
exec_event_name(enum exec_event e)
{
	return event_names[e];
}

static bool
name_index(const char *const *names, size_t n, const char *s, size_t len, int *out)
{
	for (size_t i = 0; i < n; i++) {
		/* The first letter tells nearly all of them apart, and this is asked for each field of very many records. */
		if (len > 0 && names[i][0] == s[0] && strlen(names[i]) == len && memcmp(names[i], s, len) == 0) {
			*out = (int)i;
			return true;
		}
	}
	return false;
}

static inline void
put_str(struct mpk_w *w, const char *key, const char *s)
{
	mpk_key(w, key);
	mpk_str(w, s);
}

static inline void
put_u64(struct mpk_w *w, const char *key, uint64_t v)
{
	mpk_key(w, key);
	mpk_u64(w, v);
}

static inline void
put_digest(struct mpk_w *w, const char *key, const struct digest *d)
{
	mpk_key(w, key);
	mpk_digest(w, d);
}

/* Opens a record: nmore fields follow those of the head. */
static void
put_head(struct mpk_w *w, const struct record_head *h, size_t nmore)
{
	bool run = !digest_is_zero(&h->run);

	mpk_map(w, 3 + (run ? 3 : 0) + nmore);
	put_str(w, "kind", kind_names[h->kind]);
	put_u64(w, "seq", h->seq);
	mpk_key(w, "time");
	mpk_time(w, h->time);
	if (run) {
		put_digest(w, "run", &h->run);
		put_u64(w, "epoch", h->epoch);
		put_u64(w, "n", h->n);
	}
}

void
record_header(struct buf *out, uint64_t seq, int64_t time, const char *controller, const char *host,
    const char *boot_id)
{
	struct record_head h = { .kind = REC_HEADER, .seq = seq, .time = time };
	struct mpk_w w;

	mpk_w_init(&w, out);
	put_head(&w, &h, 5);
	put_u64(&w, "schema", STATE_SCHEMA);
	put_str(&w, "controller", controller);
	put_str(&w, "host", host);
	put_str(&w, "boot", boot_id);
	put_u64(&w, "first", seq);
}

void
record_snapshot(struct buf *out, const struct record_head *h, const struct run_state *s)
{
	struct mpk_w w;

	mpk_w_init(&w, out);
	buf_reserve(out, (s->Result == NULL ? 0 : strlen(s->Result)) + (s->ResultJSON == NULL ? 0 : strlen(s->ResultJSON)) + 4096);
	put_head(&w, h, 1);
	mpk_key(&w, "state");
	state_mpk(s, &w);
}

void
record_epoch(struct buf *out, const struct record_head *h, const char *controller, const char *why)
{
	struct mpk_w w;

	mpk_w_init(&w, out);
	put_head(&w, h, 2);
	put_str(&w, "controller", controller);
	put_str(&w, "why", why);
}

void
record_note(struct buf *out, const struct record_head *h, const char *text)
{
	struct mpk_w w;

	mpk_w_init(&w, out);
	put_head(&w, h, 1);
	put_str(&w, "text", text);
}

static void
put_components(struct mpk_w *w, const struct key_components *c)
{
	mpk_key(w, "components");
	mpk_array(w, c->n);
	for (size_t i = 0; i < c->n; i++) {
		mpk_array(w, 2);
		mpk_str(w, c->v[i].name);
		mpk_digest(w, &c->v[i].digest);
	}
}

static void
put_outputs(struct mpk_w *w, const struct flow_exec *x)
{
	mpk_key(w, "outputs");
	mpk_array(w, x->nouts);
	for (uint32_t i = 0; i < x->nouts; i++)
		mpk_str(w, x->outs[i].name == NULL ? "" : x->outs[i].name);
}

static void
add_colon_number(struct buf *b, int v)
{
	buf_addch(b, ':');
	buf_add_u64(b, v < 0 ? 0 : (uint64_t)v);
}

/* There are very many of them: printf would take a tenth of all that a hit costs. */
static void
put_pos(struct mpk_w *w, const struct src_pos *p)
{
	struct buf b = BUF_INIT;

	buf_addstr(&b, p->name == NULL ? "?" : p->name);
	add_colon_number(&b, p->line);
	add_colon_number(&b, p->col);
	mpk_key(w, "pos");
	mpk_strn(w, b.p, b.len);
	buf_release(&b);
}

static void
put_ended(struct mpk_w *w, const struct eval_event *ev)
{
	put_u64(w, "asked", (uint64_t)ev->asked);
	mpk_key(w, "again");
	mpk_bool(w, ev->again != NULL);
}

static const enum exec_event event_of[] = {
	[EV_INTERN] = XEV_INTERN, [EV_STARTED] = XEV_STARTED, [EV_ENDED] = XEV_ENDED, [EV_LOST] = XEV_LOST, [EV_HIT] = XEV_HIT,
};

void
record_exec(struct buf *out, const struct record_head *h, const struct eval_event *ev, bool with_components)
{
	const struct flow *f = ev->node;
	bool exec = f->op == FLOW_EXEC, started = ev->kind == EV_STARTED && exec;
	bool asked = ev->kind == EV_ENDED && exec;
	bool components = started && with_components && ev->components != NULL;
	struct mpk_w w;

	mpk_w_init(&w, out);
	put_head(&w, h, 6 + (exec ? 2 : 1) + (started ? 5 : 0) + (components ? 1 : 0) + (ev->config != NULL ? 2 : 0) +
	    (ev->result != NULL ? 1 : 0) + (ev->object != NULL ? 1 : 0) + (asked ? 2 : 0));
	put_str(&w, "event", event_names[event_of[ev->kind]]);
	put_digest(&w, "node", &f->digest);
	put_digest(&w, "lkey", f->has_lkey ? &f->lkey : NULL);
	put_str(&w, "ident", f->place->ident);
	put_pos(&w, &f->place->pos);
	mpk_key(&w, "logical");
	mpk_bool(&w, ev->logical);
	if (exec) {
		put_str(&w, "op", "exec");
		put_digest(&w, "key", f->has_pkey ? &f->pkey : NULL);
	} else {
		put_str(&w, "url", f->u.intern.url);
	}
	if (started) {
		put_str(&w, "image", f->u.exec.form->image);
		put_str(&w, "cmd", f->u.exec.cmd);
		mpk_key(&w, "resources");
		resources_mpk(&ev->config->resources, &w);
		put_u64(&w, "noutputs", f->u.exec.form->nouts);
		put_outputs(&w, f->u.exec.form);
	}
	if (components)
		put_components(&w, ev->components);
	if (ev->config != NULL) {
		put_u64(&w, "try", ev->config->claim.try_);
		put_u64(&w, "retry", ev->config->claim.retry);
	}
	if (asked)
		put_ended(&w, ev);
	if (ev->object != NULL)
		put_digest(&w, "object", ev->object);
	if (ev->raw != NULL) {
		mpk_key(&w, "result");
		mpk_raw(&w, ev->raw, ev->nraw);
	} else if (ev->result != NULL) {
		mpk_key(&w, "result");
		if (ev->kind == EV_HIT)
			exec_result_brief_mpk(ev->result, &w);
		else
			exec_result_mpk(ev->result, &w);
	}
}

struct err *
record_head(const msgpack_object *o, struct record_head *h)
{
	const char *kind;
	size_t n;
	int k;

	memset(h, 0, sizeof *h);
	if (o == NULL || o->type != MSGPACK_OBJECT_MAP || !mpk_get_str(o, "kind", &kind, &n) ||
	    !mpk_get_u64(o, "seq", &h->seq))
		return err_msg(ERR_INVALID, "not a record: kind or seq is missing");
	h->kind = name_index(kind_names, nitems(kind_names), kind, n, &k) ? (enum record_kind)k : REC_UNKNOWN;
	(void)mpk_get_time(o, "time", &h->time);
	(void)mpk_get_digest(o, "run", &h->run);
	(void)mpk_get_u64(o, "epoch", &h->epoch);
	(void)mpk_get_u64(o, "n", &h->n);
	return NULL;
}

static bool
slice_index(const char *const *names, size_t n, const struct mpk_slice *v, int *out)
{
	const char *s;
	size_t len;

	return mpk_slice_str(v, &s, &len) && name_index(names, n, s, len, out);
}

static bool
peek_failed(const struct mpk_slice *result)
{
	struct mpk_slice key, value;
	struct mpk_scan s;

	if (!mpk_scan_map(&s, result->p, (size_t)(result->end - result->p)))
		return false;
	while (mpk_scan_next(&s, &key, &value)) {
		if (mpk_slice_is(&key, "state"))
			return !mpk_slice_is(&value, attempt_state_name(ATTEMPT_OK));
	}
	return false;
}

static bool
peek_state(const struct mpk_slice *state)
{
	struct mpk_slice key, value;
	bool has_id = false, has_phase = false;
	enum run_phase phase;
	struct digest id;
	struct mpk_scan s;
	const char *name;
	size_t n;

	if (!mpk_scan_map(&s, state->p, (size_t)(state->end - state->p)))
		return false;
	while ((!has_id || !has_phase) && mpk_scan_next(&s, &key, &value)) {
		if (mpk_slice_is(&key, "ID"))
			has_id = mpk_slice_digest(&value, &id);
		else if (mpk_slice_is(&key, "Phase"))
			has_phase = mpk_slice_str(&value, &name, &n) && phase_from_name(name, n, &phase);
	}
	return has_id && has_phase;
}

enum peek_field {
	PEEK_KIND, PEEK_SEQ, PEEK_TIME, PEEK_RUN, PEEK_EPOCH, PEEK_N, PEEK_EVENT, PEEK_KEY, PEEK_RESULT, PEEK_STATE,
	PEEK_IDENT,
};
static const char *const peek_names[] = {
	"kind", "seq", "time", "run", "epoch", "n", "event", "key", "result", "state", "ident",
};

static void
peek_field(struct record_peek *out, enum peek_field field, const struct mpk_slice *v, bool *has_seq)
{
	struct record_head *h = &out->head;
	int k;

	switch (field) {
	case PEEK_KIND:
		h->kind = slice_index(kind_names, nitems(kind_names), v, &k) ? (enum record_kind)k : REC_UNKNOWN;
		break;
	case PEEK_SEQ:
		*has_seq = mpk_slice_u64(v, &h->seq);
		break;
	case PEEK_TIME:
		(void)mpk_slice_time(v, &h->time);
		break;
	case PEEK_RUN:
		(void)mpk_slice_digest(v, &h->run);
		break;
	case PEEK_EPOCH:
		(void)mpk_slice_u64(v, &h->epoch);
		break;
	case PEEK_N:
		(void)mpk_slice_u64(v, &h->n);
		break;
	case PEEK_EVENT:
		out->is_exec = slice_index(event_names, nitems(event_names), v, &k);
		out->event = out->is_exec ? (enum exec_event)k : XEV_INTERN;
		break;
	case PEEK_KEY:
		(void)mpk_slice_digest(v, &out->pkey);
		break;
	case PEEK_RESULT:
		out->failed = peek_failed(v);
		break;
	case PEEK_STATE:
		out->is_state = peek_state(v);
		break;
	case PEEK_IDENT:
		(void)mpk_slice_str(v, &out->ident, &out->ident_len);
		break;
	}
}

bool
record_peek(const char *payload, size_t len, struct record_peek *out)
{
	struct mpk_slice key, value;
	bool has_seq = false, has_kind = false;
	struct mpk_scan s;
	int k;

	memset(out, 0, sizeof *out);
	if (!mpk_scan_map(&s, payload, len))
		return false;
	while (mpk_scan_next(&s, &key, &value)) {
		if (!slice_index(peek_names, nitems(peek_names), &key, &k))
			continue;
		has_kind = has_kind || k == PEEK_KIND;
		peek_field(out, (enum peek_field)k, &value, &has_seq);
	}
	out->is_exec = out->is_exec && out->head.kind == REC_EXEC;
	out->is_state = out->is_state && out->head.kind == REC_SNAPSHOT;
	out->failed = out->failed && out->event == XEV_ENDED;
	return has_seq && has_kind && s.left == 0 && s.p == s.end;
}

struct err *
record_as_state(const msgpack_object *o, struct run_state *s)
{
	return state_from_mpk(mpk_get(o, "state"), s);
}

static void
get_components(const msgpack_object *o, struct key_components *out)
{
	const msgpack_object *a = mpk_get(o, "components");

	if (a == NULL || a->type != MSGPACK_OBJECT_ARRAY || a->via.array.size == 0)
		return;
	out->v = xcalloc(a->via.array.size, sizeof *out->v);
	for (uint32_t i = 0; i < a->via.array.size; i++) {
		const msgpack_object *p = &a->via.array.ptr[i];

		if (p->type != MSGPACK_OBJECT_ARRAY || p->via.array.size != 2 ||
		    p->via.array.ptr[0].type != MSGPACK_OBJECT_STR ||
		    !mpk_as_digest(&p->via.array.ptr[1], &out->v[out->n].digest))
			continue;
		out->v[out->n++].name = xstrndup(p->via.array.ptr[0].via.str.ptr, p->via.array.ptr[0].via.str.size);
	}
}

static uint32_t
get_u32(const msgpack_object *o, const char *key)
{
	uint64_t v = 0;

	return mpk_get_u64(o, key, &v) && v <= UINT32_MAX ? (uint32_t)v : 0;
}

struct err *
record_as_exec(const msgpack_object *o, struct exec_record *r)
{
	const msgpack_object *sub;
	const char *event;
	size_t n;
	int k;

	memset(r, 0, sizeof *r);
	if (!mpk_get_str(o, "event", &event, &n) || !name_index(event_names, nitems(event_names), event, n, &k))
		return err_msg(ERR_INVALID, "exec record: its event is none that is known");
	r->event = (enum exec_event)k;
	(void)mpk_get_digest(o, "node", &r->node);
	(void)mpk_get_digest(o, "lkey", &r->lkey);
	(void)mpk_get_digest(o, "key", &r->pkey);
	(void)mpk_get_digest(o, "object", &r->object);
	(void)mpk_get_str(o, "ident", &r->ident, &r->ident_len);
	(void)mpk_get_str(o, "image", &r->image, &r->image_len);
	(void)mpk_get_str(o, "cmd", &r->cmd, &r->cmd_len);
	(void)mpk_get_str(o, "url", &r->url, &r->url_len);
	(void)mpk_get_str(o, "pos", &r->pos, &r->pos_len);
	(void)mpk_get_bool(o, "logical", &r->logical);
	(void)mpk_get_u64(o, "asked", &r->asked);
	(void)mpk_get_bool(o, "again", &r->again);
	r->try_ = get_u32(o, "try");
	r->retry = get_u32(o, "retry");
	if ((sub = mpk_get(o, "resources")) != NULL)
		resources_from_mpk(&r->resources, sub);
	get_components(o, &r->components);
	sub = mpk_get(o, "result");
	if (sub != NULL && sub->type == MSGPACK_OBJECT_MAP) {
		struct err *err = exec_result_from_mpk(sub, &r->result);

		if (err != NULL) {
			exec_record_release(r);
			return err_wrap(err, "exec record", NULL);
		}
		r->has_result = true;
	}
	return NULL;
}

void
exec_record_release(struct exec_record *r)
{
	if (r->has_result)
		exec_result_release(&r->result);
	resources_release(&r->resources);
	key_components_release(&r->components);
	memset(r, 0, sizeof *r);
}
