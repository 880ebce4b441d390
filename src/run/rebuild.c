/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rebuild.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <uthash.h>

#include "base/xalloc.h"
#include "loop/loop.h"
#include "run/journals.h"
#include "store/assoc_lmdb.h"
#include "store/db_mark.h"
#include "store/db_read.h"

/*
 * What a reader would get wrong: the mark is set by the writer when it opens the databases, which may be after we have
 * looked, or only for our own first put. So whether the databases will be dropped is foreseen here, by the same signs,
 * and the mark removed after the last put, whoever set it.
 */
#define PENDING_MAX 4096	/* undecided puts, lest all results of a root lie in memory */
#define META_KEY    "rebuilt"	/* makes the database, also when there was nothing to put */

struct run_mode {
	struct digest  run;
	bool	       writes;	/* its CacheMode, as its newest snapshot has it */
	UT_hash_handle hh;
};
struct rebuilding {
	struct loop	*loop;
	struct assoc	*assoc;
	struct sizes	*sizes;
	struct run_mode *modes;
	size_t		 results;
	bool		 done;		/* the flush is over */
	struct err	*err;
};

/* The marks last: the writer sets its own before it removes a file that it has found damaged. */
bool
rebuild_wanted(const struct root *root, const char *own)
{
	char *path = xasprintf("%s/data.mdb", root->db);
	struct stat st;
	bool there = stat(path, &st) == 0 && st.st_size > 0, damaged = there && db_read_damaged(root->db);

	free(path);
	return damaged || db_mark_wants_rebuild(root->db) || db_mark_is_stale(root->db) ||
	    (!there && journals_exist(root, own));
}

static struct run_mode *
mode_of(struct rebuilding *b, const struct digest *run)
{
	struct run_mode *m;

	HASH_FIND(hh, b->modes, run, sizeof *run, m);
	if (m == NULL) {
		m = xcalloc(1, sizeof *m);
		m->run = *run;
		HASH_ADD(hh, b->modes, run, sizeof *run, m);
	}
	return m;
}

static void
modes_release(struct rebuilding *b)
{
	struct run_mode *m, *tmp;

	HASH_ITER(hh, b->modes, m, tmp) {
		HASH_DEL(b->modes, m);
		free(m);
	}
}

static void
rebuild_flushed_cb(struct err *err, void *arg)
{
	struct rebuilding *b = arg;

	b->done = true;
	if (b->err == NULL)
		b->err = err;
	else
		err_free(err);
}

/* Until every put so far is decided. */
static void
settle(struct rebuilding *b)
{
	struct op *op = assoc_lmdb_flush_start(b->assoc, rebuild_flushed_cb, b);

	b->done = false;
	while (!b->done && loop_turn(b->loop, true))
		;
	if (!b->done)
		op_cancel(&op);
}

static void
ignore_cb(struct err *err, void *arg unused_arg)
{
	err_free(err);
}

static void
put(struct rebuilding *b, const struct digest *key, const struct buf *value)
{
	struct op *op;

	if (digest_is_zero(key))
		return;
	op = assoc_put(b->assoc, ASSOC_FILESET, key, value->p, value->len, ignore_cb, NULL);
	op_cancel(&op);		/* it is sent all the same; settle has the outcome of all */
	b->results++;
	if (assoc_lmdb_npending(b->assoc) >= PENDING_MAX)
		settle(b);
}

/* A local input is looked at anew by every run, and never looked up. */
static bool
is_local(const struct exec_record *r)
{
	char *url = r->url == NULL ? NULL : xstrndup(r->url, r->url_len);
	struct flow f = { .op = FLOW_INTERN, .u.intern.url = url };
	bool local = url != NULL && flow_is_local_intern(&f);

	free(url);
	return local;
}

static void
put_back(struct rebuilding *b, const struct exec_record *r)
{
	struct exec_result result = r->result;	/* borrows its parts */
	struct buf value = BUF_INIT;
	struct mpk_w w;

	if (!r->has_result || r->result.state != ATTEMPT_OK || is_local(r))
		return;
	if (!digest_is_zero(&r->pkey))
		result.exec = r->pkey;
	mpk_w_init(&w, &value);
	exec_result_brief_mpk(&result, &w);
	put(b, &r->pkey, &value);
	put(b, &r->lkey, &value);
	buf_release(&value);
}

static void
rebuild_mode(const struct journal_item *item, void *arg)
{
	struct rebuilding *b = arg;
	struct mpk_doc doc;
	struct run_state s;
	struct err *err;

	if (!item->peek->is_state)
		return;
	err = mpk_parse(&doc, item->payload, item->len);
	if (err == NULL) {
		err = record_as_state(mpk_root(&doc), &s);
		mpk_doc_release(&doc);
	}
	if (err == NULL) {
		mode_of(b, &item->peek->head.run)->writes = (s.Config.cache & CACHE_WRITE) != 0;
		state_release(&s);
	}
	err_free(err);	/* of a newer schema: what is not understood is not put back */
}

static void
rebuild_exec(const struct journal_item *item, void *arg)
{
	const struct record_peek *p = item->peek;
	struct rebuilding *b = arg;
	struct exec_record r;
	struct mpk_doc doc;
	struct err *err;

	if (b->err != NULL || !p->is_exec || p->event == XEV_STARTED || p->event == XEV_LOST)
		return;
	if (!mode_of(b, &p->head.run)->writes && p->event != XEV_ENDED)
		return;
	err = mpk_parse(&doc, item->payload, item->len);
	if (err == NULL) {
		err = record_as_exec(mpk_root(&doc), &r);
		if (err == NULL) {
			if (mode_of(b, &p->head.run)->writes)
				put_back(b, &r);
			sizes_relearn(b->sizes, &p->head.run, &r);
			exec_record_release(&r);
		}
		mpk_doc_release(&doc);
	}
	err_free(err);
}

static void
put_meta(struct rebuilding *b)
{
	struct buf value = BUF_INIT;
	struct mpk_w w;
	struct op *op;

	mpk_w_init(&w, &value);
	mpk_time(&w, loop_wall(b->loop));
	op = assoc_lmdb_meta_put(b->assoc, META_KEY, strlen(META_KEY), value.p, value.len, ignore_cb, NULL);
	op_cancel(&op);
	buf_release(&value);
}

struct err *
rebuild(struct loop *loop, const struct root *root, const char *own, struct assoc *assoc, struct sizes *sizes,
    size_t *results)
{
	struct rebuilding b = { .loop = loop, .assoc = assoc, .sizes = sizes };
	struct err *err = journals_each(root, own, NULL, NULL, rebuild_mode, &b);

	if (err == NULL)
		err = journals_each(root, own, NULL, NULL, rebuild_exec, &b);
	if (err == NULL) {
		put_meta(&b);
		settle(&b);
		err = b.err;
		b.err = NULL;
	}
	err_free(b.err);
	modes_release(&b);
	if (err == NULL && db_mark_wants_rebuild(root->db))
		err = db_mark_rebuilt(root->db);
	*results = b.results;
	return err;
}
