/* SPDX-License-Identifier: Apache-2.0 */
#include "run/id.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * Ids as people type them. What a reader would get wrong: a prefix must be unique over all kinds at
 * once, so every kind that it may name is searched before anything is said.
 */

struct candidates {
	const char *hex;	/* what is looked for */
	size_t	    nhex;
	struct id   first;
	size_t	    n;
	struct buf  text;	/* the first few, for the message */
};
#define CANDIDATES_SHOWN 5

static void
add_candidate(struct candidates *c, enum id_kind kind, const struct digest *d, const struct digest *run)
{
	static const char *const prefix[] = { "run", "exec", "obj" };
	char hex[DIGEST_HEX + 1];

	if (c->n == 0) {
		c->first.kind = kind;
		c->first.digest = *d;
		c->first.run = run != NULL ? *run : (struct digest){ { 0 } };
	}
	if (c->n++ >= CANDIDATES_SHOWN)
		return;
	digest_hex(d, hex);
	buf_addf(&c->text, "%s%s:%.16s", c->text.len > 0 ? ", " : "", prefix[kind], hex);
}

static bool
fits(const struct candidates *c, const struct digest *d)
{
	char full[DIGEST_HEX + 1];

	digest_hex(d, full);
	return strncmp(full, c->hex, c->nhex) == 0;
}

static void
find_runs(const struct run_entry *runs, size_t n, struct candidates *c)
{
	for (size_t i = 0; i < n; i++) {
		if (fits(c, &runs[i].state.ID))
			add_candidate(c, ID_RUN, &runs[i].state.ID, &runs[i].state.ID);
	}
}

/* The least and the greatest digest that the digits admit. */
static void
bounds(const struct candidates *c, struct digest *from, struct digest *to)
{
	char hex[DIGEST_HEX + 1];
	struct err *err;

	hex[DIGEST_HEX] = '\0';
	memcpy(hex, c->hex, c->nhex);
	memset(hex + c->nhex, '0', DIGEST_HEX - c->nhex);
	err = digest_parse(hex, DIGEST_HEX, from);
	memset(hex + c->nhex, 'f', DIGEST_HEX - c->nhex);
	if (err == NULL)
		err = digest_parse(hex, DIGEST_HEX, to);
	assert(err == NULL);	/* they are digits */
	err_free(err);
}

static void
find_exec_cb(const struct digest *pkey, const struct digest *run, void *arg)
{
	add_candidate(arg, ID_EXEC, pkey, run);
}

static void
find_objects(const struct root *root, struct candidates *c)
{
	const char *hex = c->hex;
	size_t n = c->nhex;

	for (int i = 0; i < 256; i++) {
		char hh[3], text[DIGEST_HEX + 1], *dir;
		struct dirent *e;
		struct digest d;
		DIR *dp;

		snprintf(hh, sizeof hh, "%02x", (unsigned)i);
		if (strncmp(hh, hex, n < 2 ? n : 2) != 0)
			continue;
		dir = xasprintf("%s/%s", root->objects, hh);
		dp = opendir(dir);
		free(dir);
		while (dp != NULL && (e = readdir(dp)) != NULL) {
			if (strlen(e->d_name) != DIGEST_HEX - 2 || (n > 2 && strncmp(e->d_name, hex + 2, n - 2) != 0))
				continue;
			snprintf(text, sizeof text, "%s%.62s", hh, e->d_name);
			struct err *err = digest_parse(text, DIGEST_HEX, &d);
			if (err == NULL)
				add_candidate(c, ID_OBJ, &d, NULL);
			err_free(err);
		}
		if (dp != NULL)
			closedir(dp);
	}
}

static struct err *
resolve_last(const struct run_entry *runs, size_t n, struct id *out)
{
	if (n == 0)
		return err_msg(ERR_NOT_EXIST, "last: there is no run in this root yet; start one with `weir run PROGRAM.rf`");
	out->kind = ID_RUN;
	out->digest = out->run = runs[n - 1].state.ID;
	return NULL;
}

/* Which kinds a prefix such as `run:` admits, as a bit set; moves text past it. */
static unsigned
id_kinds(const char **text)
{
	static const struct { const char *prefix; unsigned kinds; } table[] = {
		{ "run:", 1u << ID_RUN }, { "exec:", 1u << ID_EXEC }, { "obj:", 1u << ID_OBJ }, { "sha256:", 7 },
	};

	for (size_t i = 0; i < nitems(table); i++) {
		size_t n = strlen(table[i].prefix);

		if (strncmp(*text, table[i].prefix, n) == 0) {
			*text += n;
			return table[i].kinds;
		}
	}
	return 7;
}

struct err *
id_resolve(struct rundb *db, const struct root *root, const char *text, struct id *out)
{
	struct candidates c = { .hex = text };
	struct run_entry *runs;
	struct digest from, to;
	struct err *err = NULL;
	unsigned kinds;
	size_t nruns;

	runs = rundb_runs(db, &nruns);
	if (strcmp(text, "last") == 0)
		return resolve_last(runs, nruns, out);
	kinds = id_kinds(&c.hex);
	c.nhex = strlen(c.hex);
	if (c.nhex == 0 || c.nhex > DIGEST_HEX || strspn(c.hex, "0123456789abcdef") != c.nhex)
		return err_msg(ERR_INVALID,
		    "%s: not an id: write run:HEX, exec:HEX, obj:HEX, the first digits of one, or last", text);
	if (kinds & 1u << ID_RUN)
		find_runs(runs, nruns, &c);
	if (kinds & 1u << ID_EXEC) {
		bounds(&c, &from, &to);
		rundb_each_exec(db, &from, &to, find_exec_cb, &c);
	}
	if (kinds & 1u << ID_OBJ)
		find_objects(root, &c);
	if (c.n == 0)
		err = err_msg(ERR_NOT_EXIST, "%s: no run, exec or object has this id; `weir ps -a` lists the runs", text);
	else if (c.n > 1)
		err = err_msg(ERR_INVALID, "%s: ambiguous, could be %s%s; give more digits", text, buf_str(&c.text),
		    c.n > CANDIDATES_SHOWN ? ", …" : "");
	else
		*out = c.first;
	buf_release(&c.text);
	return err;
}
