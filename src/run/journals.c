/* SPDX-License-Identifier: Apache-2.0 */
#include "run/journals.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * What a reader would get wrong: a folder's listing is no picture of one moment. A journal that goes into a pack
 * while we list may be missing from both; so we list until two listings agree, with the packs opened in
 * between. What is then moved from its folder is noticed by the reader, which goes on in the pack.
 */
#define LISTINGS 100

struct names {
	char **v;
	size_t n;
};

static int
cmp_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
names_release(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	memset(l, 0, sizeof *l);
}

static bool
has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n > k && strcmp(name + n - k, suffix) == 0;
}

/* Folders and packs, but not what is hidden or derived. */
static struct err *
list(const char *dir, struct names *l)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	memset(l, 0, sizeof *l);
	if (d == NULL)
		return errno == ENOENT ? NULL : err_errno(errno, "open", "%s", dir);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || has_suffix(e->d_name, ".idx"))
			continue;
		if ((l->n & (l->n - 1)) == 0)
			l->v = xreallocarray(l->v, l->n == 0 ? 1 : l->n * 2, sizeof *l->v);
		l->v[l->n++] = xstrdup(e->d_name);
	}
	closedir(d);
	if (l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, cmp_name);
	return NULL;
}

static bool
names_equal(const struct names *a, const struct names *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static void
close_packs(struct journals *j)
{
	for (size_t i = 0; i < j->npacks; i++)
		pack_close(j->packs[i]);
	free(j->packs);
	j->packs = NULL;
	j->npacks = 0;
}

/* NOT_EXIST: one of them has gone into another meanwhile. */
static struct err *
open_packs(struct journals *j, const struct names *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct pack *p;
		struct err *err;
		char *path;

		if (!has_suffix(l->v[i], PACK_SUFFIX))
			continue;
		path = xasprintf("%s/%s", j->root->journal, l->v[i]);
		err = pack_open(path, &p);
		free(path);
		if (err != NULL)
			return err;
		j->packs = xreallocarray(j->packs, j->npacks + 1, sizeof *j->packs);
		j->packs[j->npacks++] = p;
	}
	return NULL;
}

static int
cmp_place(const void *a, const void *b)
{
	const struct journal_place *x = a, *y = b;
	int c = strcmp(x->controller, y->controller);

	if (c == 0)
		c = (x->pack == NULL) - (y->pack == NULL);
	return c != 0 || x->pack == NULL ? c : strcmp(y->pack->path, x->pack->path);	/* of two packs the newer */
}

static void
add_place(struct journals *j, const char *controller, const struct pack *p, uint32_t section)
{
	if ((j->n & (j->n - 1)) == 0)
		j->places = xreallocarray(j->places, j->n == 0 ? 1 : j->n * 2, sizeof *j->places);
	j->places[j->n++] = (struct journal_place){ xstrdup(controller), p, section };
}

static void
set_of_section(struct journals *j)
{
	j->of_section = xcalloc(j->npacks + 1, sizeof *j->of_section);
	for (size_t i = 0; i < j->npacks; i++) {
		j->of_section[i] = xcalloc(j->packs[i]->nsections + 1, sizeof **j->of_section);
		for (uint32_t k = 0; k < j->packs[i]->nsections; k++)
			j->of_section[i][k] = SIZE_MAX;
	}
	for (size_t i = 0; i < j->n; i++) {
		for (size_t k = 0; j->places[i].pack != NULL && k < j->npacks; k++)
			if (j->packs[k] == j->places[i].pack)
				j->of_section[k][j->places[i].section] = i;
	}
}

/* Each controller once: what is in a pack is complete, whatever is left of its folder. */
static void
set_places(struct journals *j, const struct names *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!has_suffix(l->v[i], PACK_SUFFIX))
			add_place(j, l->v[i], NULL, 0);
	for (size_t i = 0; i < j->npacks; i++)
		for (uint32_t k = 0; k < j->packs[i]->nsections; k++)
			add_place(j, j->packs[i]->sections[k].controller, j->packs[i], k);
	if (j->n > 0)
		qsort(j->places, j->n, sizeof *j->places, cmp_place);
	for (size_t i = 0; i < j->n; i++) {
		if (n > 0 && strcmp(j->places[n - 1].controller, j->places[i].controller) == 0)
			free(j->places[i].controller);
		else
			j->places[n++] = j->places[i];
	}
	j->n = n;
	set_of_section(j);
}

struct err *
journals_open(const struct root *root, struct journals *j)
{
	struct names now, again;
	struct err *err;

	memset(j, 0, sizeof *j);
	j->root = root;
	err = list(root->journal, &now);
	for (int i = 0; err == NULL && i < LISTINGS; i++) {
		bool vanished;

		close_packs(j);
		err = open_packs(j, &now);
		vanished = err_is(err, ERR_NOT_EXIST);
		if (vanished) {
			err_free(err);
			err = NULL;
		}
		if (err == NULL)
			err = list(root->journal, &again);
		if (err != NULL)
			break;
		if (!vanished && names_equal(&now, &again)) {
			names_release(&again);
			break;
		}
		names_release(&now);
		now = again;
	}
	if (err == NULL)
		set_places(j, &now);
	else
		close_packs(j);
	names_release(&now);
	return err;
}

void
journals_close(struct journals *j)
{
	for (size_t i = 0; i < j->n; i++)
		free(j->places[i].controller);
	free(j->places);
	for (size_t i = 0; i < j->npacks && j->of_section != NULL; i++)
		free(j->of_section[i]);
	free(j->of_section);
	close_packs(j);
	memset(j, 0, sizeof *j);
}

/* Reading one. */

struct journal_reader {
	const struct root *root;
	char		  *dir;			/* while it is a folder, else NULL */
	struct wal_reader *wal;
	struct pack_reader pack;
	bool		   packed;
	const struct pack *of;			/* with blocks: theirs */
	const uint32_t	  *blocks;		/* that are still to be read */
	size_t		   nblocks;
	struct journals	   moved;		/* where it was found when the folder had gone */
	struct journal_item item;
	struct record_peek peek;
	char		  *controller;		/* NULL: of blocks of which none was read yet */
	uint64_t	   last_seq;
	wal_damage_cb	  *damage;
	void		  *arg;
};

/* A torn tail in a folder whose lock is held is a record being written. */
static void
reader_damage(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	struct journal_reader *r = arg;

	if (state == FRAME_TORN && r->item.live)
		return;
	if (r->damage != NULL)
		r->damage(pos, state, skipped, r->arg);
}

static struct journal_reader *
reader_new(const struct root *root, const char *controller, wal_damage_cb *damage, void *arg)
{
	struct journal_reader *r = xcalloc(1, sizeof *r);

	r->root = root;
	r->controller = controller == NULL ? NULL : xstrdup(controller);
	r->item.controller = r->controller;
	r->item.peek = &r->peek;
	r->damage = damage;
	r->arg = arg;
	return r;
}

static void
read_pack(struct journal_reader *r, const struct pack *p, uint64_t from, uint64_t to)
{
	pack_reader_init(&r->pack, p->fd, p->path, from, to, reader_damage, r);
	r->packed = true;
}

static void
read_section(struct journal_reader *r, const struct journal_place *place)
{
	const struct pack_section *s = &place->pack->sections[place->section];

	read_pack(r, place->pack, s->from, s->to);
}

static void
leave_folder(struct journal_reader *r)
{
	wal_reader_close(r->wal);
	r->wal = NULL;
	free(r->dir);
	r->dir = NULL;
}

/* The folder has gone: what was not read of it yet is in a pack. Nothing is in none. */
static struct err *
follow_into_pack(struct journal_reader *r)
{
	struct err *err;

	leave_folder(r);
	err = journals_open(r->root, &r->moved);
	for (size_t i = 0; err == NULL && i < r->moved.n; i++)
		if (r->moved.places[i].pack != NULL && strcmp(r->moved.places[i].controller, r->controller) == 0)
			read_section(r, &r->moved.places[i]);
	return err;
}

/* NOT_EXIST: it is not there. */
static struct err *
read_folder(struct journal_reader *r)
{
	r->dir = xasprintf("%s/%s", r->root->journal, r->controller);
	r->item.live = wal_is_live(r->dir);	/* before reading: what it wrote until it ended is then seen */
	return wal_reader_open(r->dir, reader_damage, r, &r->wal);
}

struct err *
journal_reader_open(const struct journals *j, const struct journal_place *place, wal_damage_cb *damage, void *arg,
    struct journal_reader **out)
{
	struct journal_reader *r = reader_new(j->root, place->controller, damage, arg);
	struct err *err = NULL;

	if (place->pack != NULL)
		read_section(r, place);
	else
		err = read_folder(r);
	if (err_is(err, ERR_NOT_EXIST)) {
		err_free(err);
		err = follow_into_pack(r);
	}
	if (err == NULL)
		*out = r;
	else
		journal_reader_close(r);
	return err;
}

struct journal_reader *
journal_reader_blocks(const struct pack *p, const uint32_t *blocks, size_t n, wal_damage_cb *damage, void *arg)
{
	struct journal_reader *r = reader_new(NULL, NULL, damage, arg);

	r->of = p;
	r->blocks = blocks;
	r->nblocks = n;
	return r;
}

/* Of the block that is open, or of the next that has any. */
static struct err *
next_packed(struct journal_reader *r, const char **payload, size_t *len)
{
	for (;;) {
		struct err *err = r->packed ? pack_reader_next(&r->pack, payload, len) : NULL;

		if (err != NULL || *payload != NULL || r->nblocks == 0)
			return err;
		pack_reader_release(&r->pack);
		read_pack(r, r->of, r->of->blocks[r->blocks[0]], r->of->blocks[r->blocks[0] + 1]);
		r->blocks++;
		r->nblocks--;
	}
}

static struct err *
next_payload(struct journal_reader *r, const char **payload, size_t *len)
{
	struct err *err;

	*payload = NULL;
	if (r->wal != NULL) {
		err = wal_reader_next(r->wal, payload, len);
		if (*payload != NULL || (err != NULL && !err_is(err, ERR_NOT_EXIST)))
			return err;
		err_free(err);
		if (r->item.live || access(r->dir, F_OK) == 0)
			return NULL;
		err = follow_into_pack(r);
		if (err != NULL)
			return err;
	}
	err = next_packed(r, payload, len);
	if (*payload != NULL && r->controller == NULL)
		r->item.controller = r->controller = xstrdup(r->pack.controller);
	return err;
}

/*
 * A seq that was seen is dropped: a journal process that died had its last records sent again. A header has the
 * seq of the record after it, and is no part of the sequence.
 */
struct err *
journal_reader_next(struct journal_reader *r, const struct journal_item **item)
{
	*item = NULL;
	for (;;) {
		struct err *err = next_payload(r, &r->item.payload, &r->item.len);

		if (err != NULL || r->item.payload == NULL)
			return err;
		if (!record_peek(r->item.payload, r->item.len, &r->peek) || r->peek.head.kind == REC_HEADER ||
		    r->peek.head.seq <= r->last_seq)
			continue;
		r->last_seq = r->peek.head.seq;
		*item = &r->item;
		return NULL;
	}
}

void
journal_reader_close(struct journal_reader *r)
{
	if (r == NULL)
		return;
	leave_folder(r);
	pack_reader_release(&r->pack);
	journals_close(&r->moved);
	free(r->controller);
	free(r);
}

/* Reading all. */

static struct err *
read_all(struct journal_reader *r, journals_cb *cb, void *arg)	/* takes r */
{
	const struct journal_item *item;
	struct err *err;

	while ((err = journal_reader_next(r, &item)) == NULL && item != NULL)
		cb(item, arg);
	journal_reader_close(r);
	return err;
}

struct err *
journals_each(const struct root *root, const char *skip, wal_damage_cb *damage, void *damage_arg, journals_cb *cb,
    void *arg)
{
	struct journal_reader *r;
	struct journals j;
	struct err *err = journals_open(root, &j);

	for (size_t i = 0; err == NULL && i < j.n; i++) {
		if (skip != NULL && strcmp(j.places[i].controller, skip) == 0)
			continue;
		err = journal_reader_open(&j, &j.places[i], damage, damage_arg, &r);
		if (err == NULL)
			err = read_all(r, cb, arg);
	}
	journals_close(&j);
	return err;
}

struct err *
journals_one(const struct root *root, const char *controller, journals_cb *cb, void *arg)
{
	struct journal_reader *r = reader_new(root, controller, NULL, NULL);
	struct err *err = read_folder(r);

	if (err != NULL) {
		journal_reader_close(r);
		if (!err_is(err, ERR_NOT_EXIST))
			return err;
		err_free(err);
		return NULL;
	}
	return read_all(r, cb, arg);
}

bool
journals_exist(const struct root *root, const char *except)
{
	DIR *d = opendir(root->journal);
	struct dirent *e;
	bool found = false;

	while (d != NULL && !found && (e = readdir(d)) != NULL)
		found = e->d_name[0] != '.' && strcmp(e->d_name, except) != 0;
	if (d != NULL)
		closedir(d);
	return found;
}
