/* SPDX-License-Identifier: Apache-2.0 */
#include "run/journals.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * A seq that was seen is dropped, because a journal process that died had its last records sent again.
 * What a reader would get wrong: a torn tail in a folder whose lock is held is a record being written.
 */
struct reading {
	struct journal_item item;	/* controller and live of the folder that is read */
	uint64_t	    last_seq;
	wal_damage_cb	   *damage;
	void		   *damage_arg;
	journals_cb	   *cb;
	void		   *arg;
};

static struct err *
journals_record(const struct wal_pos *pos unused_arg, const char *payload, size_t len, void *arg)
{
	struct reading *r = arg;
	struct record_peek peek;

	/* A header has the seq of the record after it, and is no part of the sequence. */
	if (!record_peek(payload, len, &peek) || peek.head.kind == REC_HEADER || peek.head.seq <= r->last_seq)
		return NULL;
	r->last_seq = peek.head.seq;
	r->item.peek = &peek;
	r->item.payload = payload;
	r->item.len = len;
	r->cb(&r->item, r->arg);
	return NULL;
}

static void
journals_damage(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	struct reading *r = arg;

	if (state == FRAME_TORN && r->item.live)
		return;
	if (r->damage != NULL)
		r->damage(pos, state, skipped, r->damage_arg);
}

static struct err *
read_folder(struct reading *r, const struct root *root, const char *controller)
{
	char *dir = xasprintf("%s/%s", root->journal, controller);
	struct err *err;

	r->item.controller = controller;
	r->item.live = wal_is_live(dir);	/* before reading: what it wrote until it ended is then seen */
	r->last_seq = 0;
	err = wal_scan_dir(dir, journals_record, journals_damage, r);
	free(dir);
	return err;
}

static int
cmp_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct err *
list_controllers(const char *dir, char ***names, size_t *n)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	*names = NULL;
	*n = 0;
	if (d == NULL)
		return errno == ENOENT ? NULL : err_errno(errno, "open", "%s", dir);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		*names = xreallocarray(*names, *n + 1, sizeof **names);
		(*names)[(*n)++] = xstrdup(e->d_name);
	}
	closedir(d);
	if (*n > 0)
		qsort(*names, *n, sizeof **names, cmp_name);
	return NULL;
}

static void
free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

struct err *
journals_each(const struct root *root, const char *skip, wal_damage_cb *damage, void *damage_arg, journals_cb *cb,
    void *arg)
{
	struct reading r = { .damage = damage, .damage_arg = damage_arg, .cb = cb, .arg = arg };
	char **names;
	size_t n;
	struct err *err = list_controllers(root->journal, &names, &n);

	for (size_t i = 0; err == NULL && i < n; i++) {
		if (skip == NULL || strcmp(names[i], skip) != 0)
			err = read_folder(&r, root, names[i]);
	}
	free_names(names, n);
	return err;
}

struct err *
journals_one(const struct root *root, const char *controller, journals_cb *cb, void *arg)
{
	struct reading r = { .cb = cb, .arg = arg };
	struct err *err = read_folder(&r, root, controller);

	if (err_is(err, ERR_NOT_EXIST)) {
		err_free(err);
		err = NULL;
	}
	return err;
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
