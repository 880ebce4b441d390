/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_client_priv.h"

#include <stdlib.h>

#include "base/xalloc.h"

/* keeper_ask: what lives on this host. Answers come one by one and end with a word of their own. */

void
ask_say(struct ask *a)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 3);
	mpk_key(&w, "m"), mpk_str(&w, "ask");
	mpk_key(&w, "id"), mpk_u64(&w, a->id);
	mpk_key(&w, "key"), mpk_digest(&w, &a->key);
	client_out_add(a->client, &b);
	client_out_flush(a->client);
}

void
ask_end(struct ask *a, struct err *err)
{
	a->err = err;
	a->over = true;
	TAILQ_REMOVE(&a->client->asks, a, link);
	a->client = NULL;
	op_wake(&a->op);
}

static void
ask_add(struct ask *a, const msgpack_object *o)
{
	struct keeper_attempt t = { .state = ATTEMPT_QUEUED };
	const char *state;
	uint64_t n = 0;
	size_t len;

	mpk_get_digest(o, "key", &t.key);
	mpk_get_digest(o, "run", &t.run);
	mpk_get_u64(o, "attempt", &n);
	t.attempt = (unsigned)n;
	if (mpk_get_str(o, "state", &state, &len))
		attempt_state_from_name(state, len, &t.state);
	t.ident = mpk_get_strdup(o, "ident");
	t.cmd = mpk_get_strdup(o, "cmd");
	mpk_get_time(o, "queued", &t.queued);
	mpk_get_time(o, "started", &t.started);
	a->got.a = xreallocarray(a->got.a, a->got.n + 1, sizeof *a->got.a);
	a->got.a[a->got.n++] = t;
}

void
asks_answer(struct keeper_client *c, const msgpack_object *o, bool end)
{
	struct ask *a;
	uint64_t id = 0;

	mpk_get_u64(o, "id", &id);
	TAILQ_FOREACH(a, &c->asks, link) {
		if (a->id != id)
			continue;
		if (end)
			ask_end(a, NULL);
		else
			ask_add(a, o);
		return;
	}
}

void
keeper_attempts_release(struct keeper_attempts *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->a[i].ident);
		free(s->a[i].cmd);
	}
	free(s->a);
	*s = (struct keeper_attempts){ NULL, 0 };
}

static void
ask_advance(struct op *op)
{
	struct ask *a = op_owner(op, struct ask, op);
	struct keeper_attempts got = a->got;
	struct err *err = a->err;
	keeper_ask_cb *cb = a->cb;
	void *arg = a->arg;

	if (!a->over)
		return;
	a->got = (struct keeper_attempts){ NULL, 0 };
	a->err = NULL;
	op_release(&a->op);
	cb(&got, err, arg);
}

static void
ask_release(struct op *op)
{
	struct ask *a = op_owner(op, struct ask, op);

	if (a->client != NULL)
		TAILQ_REMOVE(&a->client->asks, a, link);
	keeper_attempts_release(&a->got);
	err_free(a->err);
	free(a);
}

static const struct op_type ask_type = { "keeper_ask", ask_advance, ask_release };

struct op *
keeper_ask(struct keeper_client *c, const struct digest *key, keeper_ask_cb *cb, void *arg)
{
	struct ask *a = xcalloc(1, sizeof *a);

	op_init(&a->op, c->loop, &ask_type);
	a->client = c;
	a->id = c->next_id++;
	if (key != NULL)
		a->key = *key;
	a->cb = cb;
	a->arg = arg;
	TAILQ_INSERT_TAIL(&c->asks, a, link);
	if (c->state == KEEPER_IN)
		ask_say(a);
	else
		client_need(c);
	return &a->op;
}
