/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/steps.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/play_priv.h"

static void
add_victim(struct steps *s, const char *fmt, ...)
{
	va_list ap;

	s->victims = xreallocarray(s->victims, s->n + 1, sizeof *s->victims);
	va_start(ap, fmt);
	s->victims[s->n++] = xvasprintf(fmt, ap);
	va_end(ap);
}

/* `run NAME`, also behind a `when`: its controller and its journal can die. */
static void
victims_of_line(struct steps *s, const char *line)
{
	struct words w;
	size_t at = 0;

	words_split(line, &w);
	while (at < w.n && strcmp(w.v[at], "run") != 0)
		at++;
	if (at + 1 < w.n) {
		add_victim(s, "kill %s", w.v[at + 1]);
		add_victim(s, "kill journal of %s", w.v[at + 1]);
	}
	words_release(&w);
}

void
steps_init(struct steps *s, const char *scenario)
{
	bool program = false, looked_after = strncmp(scenario, "operator ", 9) == 0 || strstr(scenario, "\noperator ") != NULL;

	memset(s, 0, sizeof *s);
	add_victim(s, "kill keeper");
	add_victim(s, "kill worker");
	add_victim(s, "kill writer");
	add_victim(s, "kill everything");
	add_victim(s, "cut power");
	while (*scenario) {
		size_t n = strcspn(scenario, "\n");
		char *line = xstrndup(scenario, n);

		scenario += n + (scenario[n] == '\n');
		program = strncmp(line, "program ", 8) == 0 || (program && strcmp(line, "end") != 0);
		if (!program && strncmp(line, "expect ", 7) == 0)
			buf_addstr(&s->text, "# ");
		buf_addf(&s->text, "%s\n", line);
		if (!program)
			victims_of_line(s, line);
		free(line);
	}
	if (!looked_after)
		buf_addstr(&s->text, "operator every 10s resets 12\n");
	buf_addstr(&s->text, "settle\nexpect right\nexpect clean\n");
}

void
steps_release(struct steps *s)
{
	buf_release(&s->text);
	for (size_t i = 0; i < s->n; i++)
		free(s->victims[i]);
	free(s->victims);
}

void
steps_scenario(const struct steps *s, uint64_t step, size_t victim, struct buf *out)
{
	if (step > 0 && strcmp(s->victims[victim], "kill worker") == 0)
		buf_addf(out, "when step %llu: kill worker %llu\n", (unsigned long long)step, (unsigned long long)step);
	else if (step > 0)
		buf_addf(out, "when step %llu: %s\n", (unsigned long long)step, s->victims[victim]);
	buf_add(out, s->text.p, s->text.len);
}
