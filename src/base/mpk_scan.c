/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mpk_scan.h"

#include <string.h>

/*
 * msgpack, read in place. Every step is checked against the end of the bytes, so nothing that was not
 * written by us can lead astray; what is no msgpack ends the scan.
 */
#define DEPTH_MAX 30	/* nested containers; msgpack-c itself ends at 32 */

static bool
take_be(struct mpk_scan *c, unsigned n, uint64_t *v)
{
	if ((size_t)(c->end - c->p) < n)
		return false;
	for (*v = 0; n; n--)
		*v = *v << 8 | *c->p++;
	return true;
}

/* Steps over one object's head and its own bytes; *inner is how many objects follow inside it. */
static bool
step(struct mpk_scan *c, uint64_t *inner)
{
	/* For 0xc4 to 0xdf: bytes of the length field, and what the length counts (b bytes, a objects, m pairs). */
	static const struct {
		uint8_t field, plus;	/* plus: fixed bytes that follow (numbers, the type of an ext) */
		char counts;
	} heads[] = {
		{ 1, 0, 'b' }, { 2, 0, 'b' }, { 4, 0, 'b' },			/* bin */
		{ 1, 1, 'b' }, { 2, 1, 'b' }, { 4, 1, 'b' },			/* ext */
		{ 0, 4, 0 }, { 0, 8, 0 },					/* float */
		{ 0, 1, 0 }, { 0, 2, 0 }, { 0, 4, 0 }, { 0, 8, 0 },		/* uint */
		{ 0, 1, 0 }, { 0, 2, 0 }, { 0, 4, 0 }, { 0, 8, 0 },		/* int */
		{ 0, 2, 0 }, { 0, 3, 0 }, { 0, 5, 0 }, { 0, 9, 0 }, { 0, 17, 0 },	/* fixext */
		{ 1, 0, 'b' }, { 2, 0, 'b' }, { 4, 0, 'b' },			/* str */
		{ 2, 0, 'a' }, { 4, 0, 'a' }, { 2, 0, 'm' }, { 4, 0, 'm' },
	};
	uint64_t len = 0, skip = 0;
	unsigned head;

	if (c->p == c->end)
		return false;
	head = *c->p++;
	*inner = 0;
	if (head >= 0x80 && head <= 0x8f) {
		*inner = 2 * (head & 15);
	} else if (head >= 0x90 && head <= 0x9f) {
		*inner = head & 15;
	} else if (head >= 0xa0 && head <= 0xbf) {
		skip = head & 31;
	} else if (head == 0xc1) {
		return false;
	} else if (head >= 0xc4 && head <= 0xdf) {
		char counts = heads[head - 0xc4].counts;

		if (!take_be(c, heads[head - 0xc4].field, &len))
			return false;
		skip = heads[head - 0xc4].plus + (counts == 'b' ? len : 0);
		*inner = counts == 'a' ? len : counts == 'm' ? 2 * len : 0;
	}
	if ((uint64_t)(c->end - c->p) < skip)
		return false;
	c->p += skip;
	return *inner <= (uint64_t)(c->end - c->p);	/* each object inside takes a byte at least */
}

/* Is this exactly one object, whole, and not too deep? */
bool
mpk_whole(const void *p, size_t n)
{
	struct mpk_scan c = { p, (const unsigned char *)p + n, 0 };
	uint64_t left[DEPTH_MAX + 1] = { 1 };	/* objects still to come at each depth */
	int depth = 0;

	while (depth >= 0) {
		uint64_t inner;

		if (left[depth] == 0) {
			depth--;
			continue;
		}
		left[depth]--;
		if (!step(&c, &inner))
			return false;
		if (inner == 0)
			continue;
		if (depth == DEPTH_MAX)
			return false;
		left[++depth] = inner;
	}
	return c.p == c.end;
}

/* Over one object with all that is in it. */
static bool
skip(struct mpk_scan *s)
{
	uint64_t left = 1, inner;

	while (left > 0) {
		if (!step(s, &inner))
			return false;
		left += inner - 1;
	}
	return true;
}

/* The count of a container whose heads are fix (15 at most), first16 and the one behind that. */
static bool
take_count(struct mpk_scan *s, unsigned fix, unsigned first16, unsigned each, uint64_t *n)
{
	struct mpk_scan c = *s;
	unsigned head;

	if (c.p == c.end)
		return false;
	head = *c.p++;
	if ((head & 0xf0) == fix)
		*n = head & 15;
	else if ((head != first16 && head != first16 + 1) || !take_be(&c, head == first16 ? 2 : 4, n))
		return false;
	if (*n * each > (uint64_t)(c.end - c.p))
		return false;
	s->p = c.p;
	return true;
}

bool
mpk_take_map(struct mpk_scan *s, uint64_t *npairs)
{
	return take_count(s, 0x80, 0xde, 2, npairs);
}

bool
mpk_take_array(struct mpk_scan *s, uint64_t *n)
{
	return take_count(s, 0x90, 0xdc, 1, n);
}

bool
mpk_scan_map(struct mpk_scan *s, const void *p, size_t n)
{
	*s = (struct mpk_scan){ p, (const unsigned char *)p + n, 0 };
	return mpk_take_map(s, &s->left);
}

bool
mpk_scan_next(struct mpk_scan *s, struct mpk_slice *key, struct mpk_slice *value)
{
	if (s->left == 0)
		return false;
	s->left--;
	key->p = s->p;
	if (!skip(s))
		return false;
	key->end = value->p = s->p;
	if (!skip(s))
		return false;
	value->end = s->p;
	return true;
}

/* The bytes of a str (head 0xa0, 0xd9) or bin (0xc4) object. */
static bool
take_bytes(struct mpk_scan *s, unsigned first, const char **p, size_t *n)
{
	struct mpk_scan c = *s;
	unsigned head;
	uint64_t len;

	if (c.p == c.end)
		return false;
	head = *c.p++;
	if (first == 0xd9 && head >= 0xa0 && head <= 0xbf)
		len = head & 31;
	else if (head < first || head > first + 2 || !take_be(&c, 1u << (head - first), &len))
		return false;
	if (len > (uint64_t)(c.end - c.p))
		return false;
	*p = (const char *)c.p;
	*n = (size_t)len;
	s->p = c.p + len;
	return true;
}

bool
mpk_take_str(struct mpk_scan *s, const char **p, size_t *n)
{
	return take_bytes(s, 0xd9, p, n);
}

bool
mpk_take_digest(struct mpk_scan *s, struct digest *out)
{
	struct mpk_scan c = *s;
	const char *p;
	size_t n;

	if (!take_bytes(&c, 0xc4, &p, &n) || n != DIGEST_LEN)
		return false;
	memcpy(out->b, p, DIGEST_LEN);
	s->p = c.p;
	return true;
}

bool
mpk_take_u64(struct mpk_scan *s, uint64_t *out)
{
	struct mpk_scan c = *s;
	unsigned head;

	if (c.p == c.end)
		return false;
	head = *c.p++;
	if (head <= 0x7f)
		*out = head;
	else if (head < 0xcc || head > 0xcf || !take_be(&c, 1u << (head - 0xcc), out))
		return false;
	s->p = c.p;
	return true;
}

bool
mpk_take_nil(struct mpk_scan *s)
{
	if (s->p == s->end || *s->p != 0xc0)
		return false;
	s->p++;
	return true;
}

bool
mpk_take_any(struct mpk_scan *s)
{
	struct mpk_scan c = *s;

	if (!skip(&c) || !mpk_whole(s->p, (size_t)(c.p - s->p)))
		return false;
	s->p = c.p;
	return true;
}

static bool
bytes(const struct mpk_slice *v, unsigned first, const char **p, size_t *n)
{
	struct mpk_scan c = { v->p, v->end, 0 };

	return take_bytes(&c, first, p, n) && c.p == c.end;
}

bool
mpk_slice_str(const struct mpk_slice *v, const char **p, size_t *n)
{
	return bytes(v, 0xd9, p, n);
}

bool
mpk_slice_is(const struct mpk_slice *v, const char *text)
{
	const char *p;
	size_t n;

	return mpk_slice_str(v, &p, &n) && strlen(text) == n && memcmp(p, text, n) == 0;
}

bool
mpk_slice_digest(const struct mpk_slice *v, struct digest *out)
{
	struct digest got;
	const char *p;
	size_t n;

	if (!bytes(v, 0xc4, &p, &n) || n != DIGEST_LEN)
		return false;
	memcpy(got.b, p, DIGEST_LEN);
	if (digest_is_zero(&got))
		return false;
	*out = got;
	return true;
}

bool
mpk_slice_u64(const struct mpk_slice *v, uint64_t *out)
{
	struct mpk_scan c = { v->p, v->end, 0 };

	return mpk_take_u64(&c, out);
}

bool
mpk_time_ns(int64_t sec, uint64_t nsec, int64_t *ns)
{
	int64_t t;

	if (nsec > 999999999)
		return false;
	if (sec < 0) {	/* count down from the second above: the earliest time does not fit otherwise */
		if (__builtin_mul_overflow(sec + 1, (int64_t)1000000000, &t) ||
		    __builtin_add_overflow(t, (int64_t)nsec - 1000000000, &t))
			return false;
	} else if (__builtin_mul_overflow(sec, (int64_t)1000000000, &t) || __builtin_add_overflow(t, (int64_t)nsec, &t)) {
		return false;
	}
	*ns = t;
	return true;
}

/* Ext of type -1 with 4, 8 (30 bits of nanoseconds before the seconds) or 12 bytes. */
bool
mpk_slice_time(const struct mpk_slice *v, int64_t *out)
{
	static const char ext4[] = "\xd6\xff", ext8[] = "\xd7\xff", ext12[] = "\xc7\x0c\xff";
	struct mpk_scan c = { v->p, v->end, 0 };
	size_t n = (size_t)(v->end - v->p);
	uint64_t sec = 0, nsec = 0;

	if (n == 6 && memcmp(v->p, ext4, 2) == 0) {
		c.p += 2;
		(void)take_be(&c, 4, &sec);
	} else if (n == 10 && memcmp(v->p, ext8, 2) == 0) {
		c.p += 2;
		(void)take_be(&c, 8, &sec);
		nsec = sec >> 34;
		sec &= ((uint64_t)1 << 34) - 1;
	} else if (n == 15 && memcmp(v->p, ext12, 3) == 0) {
		c.p += 3;
		(void)take_be(&c, 4, &nsec);
		(void)take_be(&c, 8, &sec);
	} else {
		return false;
	}
	return mpk_time_ns((int64_t)sec, nsec, out);
}
