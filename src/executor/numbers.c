/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/numbers.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

/*
 * numbers: keeper/numbers, a sparse file of 16 bits a place; only the keeper itself writes it. Read and
 * written, not mapped: on a full disk a mapped hole would end the process. Without the file (or past
 * 65535) numbers start again, and nothing else suffers.
 */
#define NUMBERS_N (1u << 20)

static int
numbers_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("numbers", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd;
}

static off_t
numbers_place(const struct digest *key)
{
	uint32_t i = (uint32_t)key->b[0] | (uint32_t)key->b[1] << 8 | (uint32_t)key->b[2] << 16;

	return (off_t)(i % NUMBERS_N) * 2;
}

unsigned
numbers_last(const struct digest *key)
{
	uint16_t n = 0;

	return pread(numbers_file(), &n, sizeof n, numbers_place(key)) == sizeof n ? n : 0;
}

void
numbers_keep(const struct digest *key, unsigned n)
{
	uint16_t have = (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX);
	ssize_t done;

	if (numbers_last(key) >= have)
		return;
	done = pwrite(numbers_file(), &have, sizeof have, numbers_place(key));
	(void)done;	/* see above: no harm */
}
