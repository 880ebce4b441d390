/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/play_priv.h"

/* Lines into words. A word in double quotes may hold blanks; A `:` at the end of one is a word of its own, a `,` is dropped. */

void
words_split(const char *p, struct words *w)
{
	const char *start;
	bool colon;
	size_t n;

	w->n = 0;
	while (w->n < MAX_WORDS) {
		p += strspn(p, " \t");
		if (*p == '\0' || *p == '#')
			break;
		if (*p == '"') {
			start = ++p;
			n = strcspn(p, "\"");
			p += n + (p[n] == '"');
		} else {
			start = p;
			n = strcspn(p, " \t");
			p += n;
		}
		colon = n > 1 && start[n - 1] == ':';
		if (n > 1 && (colon || start[n - 1] == ','))
			n--;
		w->v[w->n++] = xstrndup(start, n);
		if (colon && w->n < MAX_WORDS)
			w->v[w->n++] = xstrdup(":");
	}
	w->v[w->n] = NULL;
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
