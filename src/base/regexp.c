/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xalloc.h"

/*
 * The check reads the pattern once, from left to right, and knows only as much of the syntax as it
 * needs to tell what RE2 would not take; all else is PCRE2's to judge.
 */

#define MATCH_LIMIT 10000000	/* backtracking steps, some seconds */

struct regexp {
	pcre2_code	   *code;
	pcre2_match_data   *match;
	pcre2_match_context *limits;
	char		   *pattern;
	uint32_t	    ngroups;
};

static struct err *
refuse(const char *pattern, size_t at, const char *why)
{
	struct buf b = BUF_INIT;
	struct err *err;

	buf_add_quoted(&b, pattern, strlen(pattern));
	err = err_msg(ERR_INVALID, "regular expression %s: at byte %zu: %s", buf_str(&b), at, why);
	buf_release(&b);
	return err;
}

/* What may follow a backslash: the letters that RE2 knows; any other letter or digit it refuses. */
static const char *
check_escape(const char *p)
{
	if (*p >= '1' && *p <= '9')
		return "backreferences are not supported";
	if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))
		return strchr("aftnrvxQEdDsSwWpPbBAz", *p) ? NULL : "unknown escape";
	return NULL;
}

/* What may follow `(?`: flags, `:`, and names. */
static const char *
check_group(const char *p)
{
	const char *q = p;

	if (strncmp(p, "P<", 2) == 0 || (p[0] == '<' && p[1] != '=' && p[1] != '!'))
		return NULL;
	if (*p == '=' || *p == '!' || *p == '<')
		return "lookaround is not supported";
	while (*q && strchr("imsU-", *q))
		q++;
	if (*q == ':' || (*q == ')' && q > p))
		return NULL;
	return "unknown group syntax";
}

/* The length of a class from its bracket; NULL-safe on one that never ends. */
static size_t
class_len(const char *p)
{
	size_t i = 1;

	if (p[i] == '^')
		i++;
	if (p[i] == ']')
		i++;
	while (p[i] && p[i] != ']') {
		if (p[i] == '\\' && p[i + 1])
			i++;
		else if (p[i] == '[' && p[i + 1] == ':' && strstr(p + i, ":]"))
			i = (size_t)(strstr(p + i, ":]") - p) + 1;
		i++;
	}
	return p[i] ? i + 1 : i;
}

static struct err *
check(const char *s)
{
	const char *why = NULL, *end;
	bool quantified = false;	/* the last thing was a quantifier */
	size_t i = 0;

	while (s[i] && !why) {
		bool quantifier = strchr("*+?", s[i]) || s[i] == '}';

		if (s[i] == '\\') {
			why = check_escape(s + i + 1);
			if (s[i + 1] == 'Q') {
				end = strstr(s + i, "\\E");
				i = end ? (size_t)(end - s) : strlen(s);
			}
			i += s[i] && s[i + 1] ? 2 : s[i] != 0;
		} else if (s[i] == '[') {
			i += class_len(s + i);
		} else if (s[i] == '(' && s[i + 1] == '*') {
			why = "verbs are not supported";
		} else if (s[i] == '(' && s[i + 1] == '?') {
			why = check_group(s + i + 2);
			i += why ? 0 : 2;
		} else if (quantified && s[i] == '+') {
			why = "possessive quantifiers are not supported";
		} else {
			i++;
		}
		quantified = quantifier;
	}
	return why ? refuse(s, i, why) : NULL;
}

struct err *
regexp_compile(const char *pattern, struct regexp **out)
{
	struct regexp *re;
	struct err *err = check(pattern);
	pcre2_code *code;
	PCRE2_UCHAR text[128];
	PCRE2_SIZE at;
	int rc;

	if (err)
		return err;
	code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
	    PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &rc, &at, NULL);
	if (!code) {
		pcre2_get_error_message(rc, text, sizeof text);
		return refuse(pattern, at, (const char *)text);
	}
	re = xcalloc(1, sizeof *re);
	re->code = code;
	re->match = pcre2_match_data_create_from_pattern(code, NULL);
	re->limits = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(re->limits, MATCH_LIMIT);
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &re->ngroups);
	re->pattern = xstrdup(pattern);
	*out = re;
	return NULL;
}

void
regexp_free(struct regexp *re)
{
	if (!re)
		return;
	pcre2_match_data_free(re->match);
	pcre2_match_context_free(re->limits);
	pcre2_code_free(re->code);
	free(re->pattern);
	free(re);
}

unsigned
regexp_ngroups(const struct regexp *re)
{
	return re->ngroups;
}

int
regexp_group(const struct regexp *re, const char *name, size_t len)
{
	char *s = xstrndup(name, len);
	int n = pcre2_substring_number_from_name(re->code, (PCRE2_SPTR)s);

	free(s);
	return n > 0 ? n : -1;
}

struct err *
regexp_find(const struct regexp *re, const char *s, size_t len, size_t from, size_t *at, bool *found)
{
	int rc = pcre2_match(re->code, (PCRE2_SPTR)s, len, from, 0, re->match, re->limits);
	const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(re->match);
	PCRE2_UCHAR text[128];

	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
		pcre2_get_error_message(rc, text, sizeof text);
		return err_msg(ERR_INVALID, "regular expression %s: %s", re->pattern, (const char *)text);
	}
	*found = rc > 0;
	for (uint32_t i = 0; at && i < 2 * (re->ngroups + 1); i++)
		at[i] = rc > 0 && (int)(i / 2) < rc && ov[i] != PCRE2_UNSET ? ov[i] : SIZE_MAX;
	return NULL;
}
