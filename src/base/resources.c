/* SPDX-License-Identifier: Apache-2.0 */
#include "base/resources.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * Resources are a map from label to amount in which three labels have fixed places. A missing label
 * reads as 0, yet is not the same as 0: resources_min() keeps what only x has, and resources_max()
 * takes a label of y only where it beats the 0 that is missing in x.
 */

static const struct fixed {
	const char *label;
	size_t	    offset;
	unsigned    bit;
} fixed[] = {
	{ "mem", offsetof(struct resources, mem), RES_MEM },
	{ "cpu", offsetof(struct resources, cpu), RES_CPU },
	{ "disk", offsetof(struct resources, disk), RES_DISK },
};

static double *
fixed_at(struct resources *r, const struct fixed *f)
{
	return (double *)(void *)((char *)r + f->offset);
}

static const struct fixed *
fixed_of(const char *label)
{
	for (size_t i = 0; i < nitems(fixed); i++)
		if (strcmp(fixed[i].label, label) == 0)
			return &fixed[i];
	return NULL;
}

void
resources_release(struct resources *r)
{
	for (unsigned i = 0; i < r->nfeatures; i++)
		free(r->features[i].label);
	free(r->features);
	*r = (struct resources)RESOURCES_INIT;
}

void
resources_copy(struct resources *dst, const struct resources *src)
{
	struct resources r = *src;

	if (dst == src)
		return;
	r.features = NULL;
	if (r.nfeatures)
		r.features = xmemdup(src->features, r.nfeatures * sizeof *r.features);
	for (unsigned i = 0; i < r.nfeatures; i++)
		r.features[i].label = xstrdup(src->features[i].label);
	resources_release(dst);
	*dst = r;
}

/* The place of label among the features: where it is, or where it belongs. */
static unsigned
feature_place(const struct resources *r, const char *label, bool *found)
{
	unsigned lo = 0, hi = r->nfeatures;

	*found = false;
	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		int c = strcmp(r->features[mid].label, label);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
resources_set(struct resources *r, const char *label, double amount)
{
	const struct fixed *f = fixed_of(label);
	bool found;
	unsigned i;

	if (f) {
		*fixed_at(r, f) = amount;
		r->present |= f->bit;
		return;
	}
	i = feature_place(r, label, &found);
	if (!found) {
		r->features = xreallocarray(r->features, r->nfeatures + 1, sizeof *r->features);
		memmove(r->features + i + 1, r->features + i, (r->nfeatures - i) * sizeof *r->features);
		r->features[i].label = xstrdup(label);
		r->nfeatures++;
	}
	r->features[i].amount = amount;
}

double
resources_get(const struct resources *r, const char *label)
{
	const struct fixed *f = fixed_of(label);
	bool found;
	unsigned i;

	if (f)
		return *(const double *)(const void *)((const char *)r + f->offset);
	i = feature_place(r, label, &found);
	return found ? r->features[i].amount : 0;
}

/* Walks the labels that r has: the three first, then the features. NULL when i is beyond the last. */
static const char *
label_at(const struct resources *r, unsigned i, double *amount)
{
	for (size_t k = 0; k < nitems(fixed); k++) {
		if (!(r->present & fixed[k].bit))
			continue;
		if (i-- == 0) {
			*amount = resources_get(r, fixed[k].label);
			return fixed[k].label;
		}
	}
	if (i >= r->nfeatures)
		return NULL;
	*amount = r->features[i].amount;
	return r->features[i].label;
}

bool
resources_available(const struct resources *r, const struct resources *s)
{
	const char *label;
	double want;

	for (unsigned i = 0; (label = label_at(s, i, &want)); i++)
		if (!(resources_get(r, label) >= want))
			return false;
	return true;
}

void
resources_add(struct resources *x, const struct resources *y)
{
	const char *label;
	double v;

	for (unsigned i = 0; (label = label_at(y, i, &v)); i++)
		resources_set(x, label, resources_get(x, label) + v);
}

void
resources_sub(struct resources *x, const struct resources *y)
{
	const char *label;
	double v;

	for (unsigned i = 0; (label = label_at(y, i, &v)); i++)
		resources_set(x, label, resources_get(x, label) - v);
}

void
resources_min(struct resources *x, const struct resources *y)
{
	const char *label;
	double v;

	for (unsigned i = 0; (label = label_at(y, i, &v)); i++)
		if (v < resources_get(x, label))
			resources_set(x, label, v);
}

void
resources_max(struct resources *x, const struct resources *y)
{
	const char *label;
	double v;

	for (unsigned i = 0; (label = label_at(y, i, &v)); i++)
		if (v > resources_get(x, label))
			resources_set(x, label, v);
}

void
resources_override(struct resources *x, const struct resources *y)
{
	if ((y->present & RES_MEM) != 0)
		resources_set(x, "mem", y->mem);
	if ((y->present & RES_CPU) != 0)
		resources_set(x, "cpu", y->cpu);
	if ((y->present & RES_DISK) != 0)
		resources_set(x, "disk", y->disk);
	for (unsigned n = 0; n < y->nfeatures; n++)
		resources_set(x, y->features[n].label, y->features[n].amount);
}

void
resources_scale(struct resources *r, double factor)
{
	for (size_t k = 0; k < nitems(fixed); k++)
		if (r->present & fixed[k].bit)
			*fixed_at(r, &fixed[k]) *= factor;
	for (unsigned i = 0; i < r->nfeatures; i++)
		r->features[i].amount *= factor;
}

static bool
covers_equal(const struct resources *a, const struct resources *b)
{
	const char *label;
	double v;

	for (unsigned i = 0; (label = label_at(a, i, &v)); i++)
		if (resources_get(b, label) != v)
			return false;
	return true;
}

bool
resources_equal(const struct resources *a, const struct resources *b)
{
	return covers_equal(a, b) && covers_equal(b, a);
}

double
resources_scaled_distance(const struct resources *a, const struct resources *b)
{
	return fabs(a->mem - b->mem) / (6.0 * (1 << 30)) + fabs(a->cpu - b->cpu);
}

/* The shortest text that reads back as v, as Go's %g writes it: with an exponent below 1e-4 and from 1e6 on. */
static void
add_amount(struct buf *out, double v)
{
	char text[40];
	int digits, exponent;

	for (digits = 0; digits < 17; digits++) {
		snprintf(text, sizeof text, "%.*e", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	if (!isfinite(v) || !strchr(text, 'e')) {
		buf_addf(out, "%g", v);
		return;
	}
	exponent = atoi(strchr(text, 'e') + 1);
	if (exponent < -4 || exponent >= 6)
		buf_addstr(out, text);
	else
		buf_addf(out, "%.*f", digits > exponent ? digits - exponent : 0, v);
}

void
resources_str(const struct resources *r, struct buf *out)
{
	buf_addch(out, '{');
	if (r->mem != 0 || r->cpu != 0 || r->disk != 0) {
		buf_addstr(out, "mem:");
		buf_add_size(out, r->mem);
		buf_addstr(out, " cpu:");
		add_amount(out, r->cpu);
		buf_addstr(out, " disk:");
		buf_add_size(out, r->disk);
	}
	for (unsigned i = 0; i < r->nfeatures; i++) {
		if (r->features[i].amount == 0)
			continue;
		buf_addf(out, " %s:", r->features[i].label);
		add_amount(out, r->features[i].amount);
	}
	buf_addch(out, '}');
}

/* Plain decimals only: no sign, exponent, hex or "inf". Gives the end, or NULL. */
static const char *
parse_number(const char *s, double *out)
{
	size_t n = strspn(s, "0123456789."), dots = 0;
	char *end;

	for (size_t i = 0; i < n; i++)
		dots += s[i] == '.';
	if (n == 0 || n == dots || dots > 1 || n > 40)
		return NULL;
	*out = strtod(s, &end);
	return end >= s + n ? s + n : NULL;
}

static bool
parse_size(const char *s, double *out)
{
	static const char letters[] = "KMGT";
	double v, unit = 1;
	const char *p = parse_number(s, &v), *letter;

	if (!p)
		return false;
	if (*p && (letter = strchr(letters, *p))) {
		for (long i = 0; i <= letter - letters; i++)
			unit *= 1024;
		p++;
		if (strcmp(p, "iB") == 0)
			p += 2;
	} else if (*p == 'B') {
		p++;
	}
	if (*p)
		return false;
	*out = v * unit;
	return true;
}

struct err *
size_parse(const char *s, double *bytes)
{
	if (parse_size(s, bytes))
		return NULL;
	return err_msg(ERR_INVALID, "bad size \"%s\": a number with K, M, G or T is expected, such as 8GiB", s);
}

static bool
has_label(const struct resources *r, const char *label)
{
	const char *other;
	double v;

	for (unsigned i = 0; (other = label_at(r, i, &v)); i++)
		if (strcmp(other, label) == 0)
			return true;
	return false;
}

static struct err *
parse_part(struct resources *r, const char *part)
{
	const char *eq = strchr(part, '='), *end;
	struct err *err = NULL;
	char *label;
	double v;

	if (!eq || eq == part)
		return err_msg(ERR_INVALID, "bad resource \"%s\": label=amount is expected, such as cpu=4", part);
	label = xstrndup(part, (size_t)(eq - part));
	if (strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(label)) {
		err = err_msg(ERR_INVALID, "bad resource \"%s\": a label has letters, digits and _", part);
	} else if (has_label(r, label)) {
		err = err_msg(ERR_INVALID, "bad resource \"%s\": %s is given twice", part, label);
	} else if (strcmp(label, "mem") == 0 || strcmp(label, "disk") == 0) {
		if (!parse_size(eq + 1, &v))
			err = err_msg(ERR_INVALID, "bad resource \"%s\": a size such as 8GiB is expected", part);
	} else if (!(end = parse_number(eq + 1, &v)) || *end) {
		err = err_msg(ERR_INVALID, "bad resource \"%s\": a number is expected", part);
	}
	if (!err)
		resources_set(r, label, v);
	free(label);
	return err;
}

struct err *
resources_parse(struct resources *out, const char *text)
{
	struct resources r = RESOURCES_INIT;
	struct err *err = NULL;
	char *copy = xstrdup(text), *rest = copy, *part;

	while (!err && (part = strsep(&rest, ",")))
		err = parse_part(&r, part);
	free(copy);
	if (err) {
		resources_release(&r);
		return err;
	}
	resources_release(out);
	*out = r;
	return NULL;
}
