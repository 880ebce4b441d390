/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/play_priv.h"

/*
 * Lines into words. Between double quotes a word may hold blanks; a `:` at the end of one is a word of its
 * own, a `,` is dropped.
 */

/* The end of the word at p, and its length without quotes. */
static const char *
word_end(const char *p, char *out, size_t *n)
{
	bool quoted = false;

	*n = 0;
	for (; *p && (quoted || (*p != ' ' && *p != '\t')); p++) {
		if (*p == '"')
			quoted = !quoted;
		else
			out[(*n)++] = *p;
	}
	return p;
}

static void
add_word(struct words *w, const char *p, size_t n)
{
	if (w->n < MAX_WORDS)
		w->v[w->n++] = xstrndup(p, n);
}

void
words_split(const char *p, struct words *w)
{
	char *word = xmalloc(strlen(p) + 1);
	bool quoted;
	size_t n;

	w->n = 0;
	for (p += strspn(p, " \t"); *p && *p != '#'; p += strspn(p, " \t")) {
		quoted = *p == '"';
		p = word_end(p, word, &n);
		if (quoted || n < 2 || (word[n - 1] != ':' && word[n - 1] != ',')) {
			add_word(w, word, n);
		} else {
			add_word(w, word, n - 1);
			if (word[n - 1] == ':')
				add_word(w, ":", 1);
		}
	}
	w->v[w->n] = NULL;
	free(word);
}

void
words_release(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->v[i]);
	w->n = 0;
}

void
words_drop(struct words *w, size_t n)
{
	n = n < w->n ? n : w->n;
	for (size_t i = 0; i < n; i++)
		free(w->v[i]);
	memmove(w->v, w->v + n, (w->n - n + 1) * sizeof *w->v);
	w->n -= n;
}
