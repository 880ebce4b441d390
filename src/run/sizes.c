/* SPDX-License-Identifier: Apache-2.0 */
#include "run/sizes.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/xalloc.h"
#include "store/assoc_lmdb.h"
#include "store/db_read.h"

/*
 * Notes lie in the databases under a digest; each is read once in a process and kept, because a flow asks for the same
 * few again and again. Another controller that learns meanwhile is heard of by the next process.
 */
struct size {
	struct digest  key;
	double	       worked;		/* 0: none */
	UT_hash_handle hh;
};
struct sizes {
	struct assoc *assoc;	/* kept */
	struct size  *known;
};

struct sizes *
sizes_new(struct assoc *assoc)
{
	struct sizes *s = xcalloc(1, sizeof *s);

	s->assoc = assoc;
	return s;
}

void
sizes_free(struct sizes *s)
{
	struct size *z, *tmp;

	if (s == NULL)
		return;
	HASH_ITER(hh, s->known, z, tmp) {
		HASH_DEL(s->known, z);
		free(z);
	}
	free(s);
}

static void
size_key(const char *ident, double asked, struct digest *key)
{
	struct w1 w;

	w1_init(&w, "memory");
	w1_add_str(&w, W1_TEXT, 0, ident);
	w1_add_u64(&w, 1, (uint64_t)asked);
	w1_final(&w, key);
}

/* `m` and the digest: the names of other facts are words. */
static size_t
db_key(const struct digest *key, char out[2 + DIGEST_LEN])
{
	memcpy(out, "m:", 2);
	memcpy(out + 2, key->b, DIGEST_LEN);
	return 2 + DIGEST_LEN;
}

static double
size_read(struct sizes *s, const struct digest *key)
{
	char name[2 + DIGEST_LEN];
	struct buf value = BUF_INIT;
	struct mpk_doc doc;
	uint64_t worked = 0;
	bool found = false;
	struct err *err = db_read_get(assoc_lmdb_reader(s->assoc), DB_META, name, db_key(key, name), &value, &found);

	if (err == NULL && found)
		err = mpk_parse(&doc, value.p, value.len);
	if (err == NULL && found) {
		(void)mpk_get_u64(mpk_root(&doc), "worked", &worked);
		mpk_doc_release(&doc);
	}
	err_free(err);		/* not readable is not known: it is learned again, by being killed once more */
	buf_release(&value);
	return (double)worked;
}

static struct size *
size_of(struct sizes *s, const char *ident, double asked)
{
	struct digest key;
	struct size *z;

	size_key(ident, asked, &key);
	HASH_FIND(hh, s->known, &key, sizeof key, z);
	if (z == NULL) {
		z = xcalloc(1, sizeof *z);
		z->key = key;
		z->worked = size_read(s, &key);
		HASH_ADD(hh, s->known, key, sizeof z->key, z);
	}
	return z;
}

double
sizes_get(struct sizes *s, const char *ident, double asked)
{
	return s == NULL || ident == NULL ? 0 : size_of(s, ident, asked)->worked;
}

static void
ignore_cb(struct err *err, void *arg unused_arg)
{
	err_free(err);
}

static void
size_write(struct sizes *s, const struct size *z, const char *ident, double asked)
{
	char name[2 + DIGEST_LEN];
	struct buf value = BUF_INIT;
	struct mpk_w w;
	struct op *op;

	mpk_w_init(&w, &value);
	mpk_map(&w, 3);
	mpk_key(&w, "ident"), mpk_str(&w, ident);
	mpk_key(&w, "asked"), mpk_u64(&w, (uint64_t)asked);
	mpk_key(&w, "worked"), mpk_u64(&w, (uint64_t)z->worked);
	op = assoc_lmdb_meta_put(s->assoc, name, db_key(&z->key, name), value.p, value.len, ignore_cb, NULL);
	op_cancel(&op);		/* it is sent all the same, and nobody waits for it */
	buf_release(&value);
}

/* It had more than it asked for, and more than is known: then that was needed. */
void
sizes_learn(struct sizes *s, const char *ident, double asked, const struct exec_result *r)
{
	double worked = r->usage.admitted.mem;
	struct size *z;

	if (s == NULL || ident == NULL || asked <= 0 || worked <= asked || r->state != ATTEMPT_OK || r->attached)
		return;
	z = size_of(s, ident, asked);
	if (worked <= z->worked)
		return;
	z->worked = worked;
	size_write(s, z, ident, asked);
}

void
sizes_relearn(struct sizes *s, const struct digest *run, const struct exec_record *r)
{
	char *ident;

	if (r->event != XEV_ENDED || !r->has_result || r->ident == NULL || !digest_equal(&r->result.owner, run))
		return;
	ident = xstrndup(r->ident, r->ident_len);
	sizes_learn(s, ident, (double)r->asked, &r->result);
	free(ident);
}
