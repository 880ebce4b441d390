/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/resources.h"
#include "base/xalloc.h"
#include "sim/world.h"

/* Simulated commands: a pure function of the text and of what the inputs hold. */

bool
duration_parse(const char *s, int64_t *ns)
{
	static const struct { const char *unit; int64_t ns; } units[] = {
		{ "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 },
	};
	char *end;
	double v = strtod(s, &end);

	if (end == s || v < 0 || v > 1e6)
		return false;
	for (size_t i = 0; i < nitems(units); i++) {
		if (strcmp(end, units[i].unit) == 0) {
			*ns = (int64_t)(v * (double)units[i].ns);
			return true;
		}
	}
	return false;
}

bool
range_parse(const char *s, struct range *out)
{
	const char *dots = strstr(s, "..");
	char *lo = dots ? xstrndup(s, (size_t)(dots - s)) : NULL;
	bool ok = dots && duration_parse(lo, &out->lo) && duration_parse(dots + 2, &out->hi) && out->hi >= out->lo;

	free(lo);
	return ok;
}

static const char *
next_word(const char *p, char *out, size_t size)
{
	size_t n = 0;

	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == ';')
		p++;
	for (; *p && *p != ' ' && *p != '\t' && *p != '\n' && *p != ';'; p++)
		if (n + 1 < size)
			out[n++] = *p;
	out[n] = '\0';
	return p;
}

void
command_parse(const char *cmd, struct command *c)
{
	char word[64], arg[64];
	const char *p, *after;

	*c = (struct command){ .takes = -1, .files = 1, .size = DIGEST_HEX + 1 };
	for (p = next_word(cmd, word, sizeof word); word[0]; p = next_word(p, word, sizeof word)) {
		after = next_word(p, arg, sizeof arg);
		if (strcmp(word, "takes") == 0 && duration_parse(arg, &c->takes)) {
			p = after;
		} else if (strcmp(word, "fails") == 0) {
			c->fails = strspn(arg, "0123456789") > 0 ? (unsigned)atoi(arg) : UINT32_MAX;
		} else if (strcmp(word, "needs") == 0) {
			err_free(size_parse(arg, &c->needs));
		} else if (strcmp(word, "files") == 0) {
			c->files = (unsigned)atoi(arg);
		} else if (strcmp(word, "size") == 0) {
			c->size = (uint64_t)atoi(arg);
		}
	}
}

static void
content_digest(const char *cmd, const struct command_input *holes, size_t n, struct digest *out)
{
	struct sha256 sha;

	sha256_init(&sha);
	sha256_add(&sha, cmd, strlen(cmd));
	for (size_t i = 0; i < n; i++) {
		char head[32];

		if (holes[i].output)
			snprintf(head, sizeof head, "|out %u|", holes[i].index);
		else
			snprintf(head, sizeof head, "|in %zu|", holes[i].n);
		sha256_add(&sha, head, strlen(head));
		for (size_t k = 0; k < holes[i].n; k++)
			sha256_add(&sha, holes[i].content[k].b, DIGEST_LEN);
	}
	sha256_final(&sha, out);
}

static struct fileset *
make_output(const struct command *c, const struct digest *content, size_t k, bool dir)
{
	struct fileset_builder *b = fileset_builder_new();
	unsigned n = dir ? c->files : 1;

	for (unsigned i = 0; i < n; i++) {
		char path[16], text[DIGEST_HEX + 48], hex[DIGEST_HEX + 1];
		struct file f = { .size = c->size };

		snprintf(path, sizeof path, dir ? "f%u" : ".", i);
		digest_hex(content, hex);
		snprintf(text, sizeof text, "%s/%zu/%s/%llu", hex, k, path, (unsigned long long)c->size);
		sha256_of(text, strlen(text), &f.id);
		fileset_builder_add(b, path, &f);
	}
	return fileset_builder_finish(b);
}

struct fileset *
command_run(const char *cmd, const struct command_input *holes, size_t nholes, const struct command_output *outs, size_t nouts)
{
	struct fileset **v = xcalloc(nouts + 1, sizeof *v), *list;
	struct digest content;
	struct command c;

	command_parse(cmd, &c);
	content_digest(cmd, holes, nholes, &content);
	for (size_t k = 0; k < nouts; k++)
		v[k] = make_output(&c, &content, k, outs[k].dir);
	list = fileset_list(v, nouts);
	for (size_t k = 0; k < nouts; k++)
		fileset_unref(v[k]);
	free(v);
	return list;
}
