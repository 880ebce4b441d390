/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spare.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* A list through the first word of each; so many that whatever a run has under way at once finds its place. */
#if defined(__SANITIZE_ADDRESS__)
#define KEPT_MAX 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEPT_MAX 0
#endif
#endif
#ifndef KEPT_MAX
#define KEPT_MAX 512
#endif

void *
spare_take(struct spare *s, size_t size)
{
	void *p = s->list;

	if (p == NULL)
		return xcalloc(1, size);
	memcpy(&s->list, p, sizeof s->list);
	s->n--;
	return memset(p, 0, size);
}

void
spare_give(struct spare *s, void *p)
{
	if (p == NULL || s->n + 1 > KEPT_MAX) {
		free(p);
		return;
	}
	memcpy(p, &s->list, sizeof s->list);
	s->list = p;
	s->n++;
}

void
spare_release(struct spare *s)
{
	void *p;

	while ((p = s->list) != NULL) {
		memcpy(&s->list, p, sizeof s->list);
		free(p);
	}
	s->n = 0;
}
