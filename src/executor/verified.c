/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/verified.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

/*
 * verified: a sparse file, a fingerprint of 8 bytes for each of a million places. Read and written, not mapped: on a
 * full disk a mapped hole would end the process. A power cut may damage what a name was given to before its bytes
 * were on the disk, so another boot begins with an empty table.
 */
#define VERIFIED_N    (1u << 20)
#define VERIFIED_HEAD 64	/* the boot's id, in text */

static int
verified_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("verified", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd;
}

void
verified_begin(void)
{
	char boot[VERIFIED_HEAD] = { 0 }, have[VERIFIED_HEAD] = { 0 };
	struct buf b = BUF_INIT;
	struct err *err = buf_read_file(&b, "/proc/sys/kernel/random/boot_id", 4096);
	ssize_t done = 0;

	memcpy(boot, buf_str(&b), b.len < sizeof boot ? b.len : sizeof boot - 1);
	buf_release(&b);
	if (err != NULL || pread(verified_file(), have, sizeof have, 0) != sizeof have ||
	    memcmp(boot, have, sizeof boot) != 0) {
		if (ftruncate(verified_file(), 0) == 0)
			done = pwrite(verified_file(), boot, sizeof boot, 0);
	}
	(void)done;	/* what cannot be kept is looked at again */
	err_free(err);
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static uint64_t
fingerprint(const struct digest *d, const struct stat *st)
{
	uint64_t h;

	memcpy(&h, d->b + 8, sizeof h);
	h = mix(h, (uint64_t)st->st_ino);
	h = mix(h, (uint64_t)st->st_size);
	h = mix(h, (uint64_t)st->st_mtim.tv_sec);
	h = mix(h, (uint64_t)st->st_mtim.tv_nsec);
	return h != 0 ? h : 1;
}

static off_t
place(const struct digest *d)
{
	uint32_t i;

	memcpy(&i, d->b, sizeof i);
	return VERIFIED_HEAD + (off_t)(i % VERIFIED_N) * (off_t)sizeof(uint64_t);
}

bool
verified_knows(const struct digest *d, const struct stat *st)
{
	uint64_t h = 0;

	return pread(verified_file(), &h, sizeof h, place(d)) == sizeof h && h == fingerprint(d, st);
}

void
verified_learn(const struct digest *d, const struct stat *st)
{
	uint64_t h = fingerprint(d, st);
	ssize_t done = pwrite(verified_file(), &h, sizeof h, place(d));

	(void)done;	/* see verified_begin */
}
