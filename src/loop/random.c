/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "loop/loop_priv.h"

/*
 * Randomness: the kernel's, or after loop_seed a stream that depends on the seed alone (xoshiro256**,
 * seeded by splitmix64), the same on every machine. The stream is for simulations, never for secrets.
 */

static uint64_t
splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t
rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static uint64_t
random_next(uint64_t s[4])
{
	uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

void
loop_seed(struct loop *l, uint64_t seed)
{
	int i;

	for (i = 0; i < 4; i++)
		l->rng[i] = splitmix64(&seed);
	l->seeded = true;
}

static void
random_stream(struct loop *l, uint8_t *p, size_t n)
{
	uint64_t x = 0;
	size_t i;

	for (i = 0; i < n; i++, x >>= 8) {
		if (i % 8 == 0)
			x = random_next(l->rng);
		p[i] = (uint8_t)x;
	}
}

void
loop_random(struct loop *l, void *buf, size_t n)
{
	uint8_t *p = buf;
	ssize_t got;

	if (l->seeded) {
		random_stream(l, p, n);
		return;
	}
	while (n > 0) {
		got = getrandom(p, n, 0);
		assert(got > 0 || errno == EINTR);
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}
