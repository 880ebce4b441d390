/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"
#include "eval/eval_priv.h"

/*
 * Which files of a long result were seen to be there by a run before, and have not left the repository since: a look at
 * each would cost more than all the rest of a run in which everything is known. The assoc remembers the repository's
 * stamps as they stood before the files were looked at. A part whose stamp is the same now need not be looked at.
 */
#define SEEN_MIN  1000	/* parts of the result: below, a look at each costs next to nothing, and sees changed bytes as well */

struct seen {
	struct sha256 sha;
	struct digest key;		/* of all files, in order */
	uint64_t      now[REPO_PARTS];	/* before anything was looked at */
	bool	      same[REPO_PARTS];
	bool	      differs;		/* what is remembered is another */
};

void
seen_free(struct seen *s)
{
	free(s);
}

static void
add_file(unused_arg const char *path, const struct file *file, void *arg)
{
	struct seen *s = arg;

	sha256_add(&s->sha, file->id.b, DIGEST_LEN);
}

static void
compare(struct eval *e, struct seen *s)
{
	const void *p = NULL;
	uint64_t before[REPO_PARTS] = { 0 };
	size_t len = 0;

	s->differs = true;
	if (!repo_stamps(executor_repo(alloc_executor(eval_alloc(e))), s->now)) {
		s->differs = false;	/* nothing to be remembered */
		return;
	}
	if (assoc_peek(e->args.assoc, ASSOC_SEEN, &s->key, &p, &len) && p != NULL && len == sizeof before)
		memcpy(before, p, sizeof before);
	s->differs = memcmp(before, s->now, sizeof before) != 0;
	for (unsigned i = 0; i < REPO_PARTS; i++)
		s->same[i] = s->now[i] != 0 && s->now[i] == before[i];
}

struct seen *
seen_ask(struct eval *e)
{
	const struct value *v = e->root->value;
	struct seen *s;

	if (value_nparts(v) < SEEN_MIN)
		return NULL;
	s = xcalloc(1, sizeof *s);
	sha256_init(&s->sha);
	value_each_file(v, add_file, s);
	sha256_final(&s->sha, &s->key);
	if (slice_breathe(1) && (e->config.cache & CACHE_READ) != 0)
		compare(e, s);
	return s;
}

bool
seen_has(const struct seen *s, const struct digest *id)
{
	return s->same[id->b[0]];
}

void
seen_remember(struct eval *e, struct seen *s)
{
	if (s->differs && eval_writes(e))
		eval_put_raw(e, ASSOC_SEEN, &s->key, s->now, sizeof s->now);
	s->differs = false;
}
