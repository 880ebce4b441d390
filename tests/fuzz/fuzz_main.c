/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xalloc.h"

/*
 * Drives a fuzz target without libFuzzer: each file of its corpus as it is, then changed a few
 * thousand times, always in the same way, so that a failure here is a failure everywhere. The target
 * aborts when it finds one; the last line on stderr names the file that it came from.
 *
 * Usage: PROGRAM [--once] [FILE]... ; without files those of tests/fuzz/corpus/NAME, from a program test_fuzz_NAME.
 * --once leaves the changes out: for the many files that libFuzzer has found.
 */

#define CHANGES	 10000	/* per file */
#define FILE_MAX (1u << 20)

static uint64_t seed;
static bool once;

static uint64_t
next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static size_t
below(size_t n)
{
	return n ? (size_t)(next_random() % n) : 0;
}

static void
insert(struct buf *b, size_t at, const void *p, size_t n)
{
	buf_add(b, p, n);	/* room for it, and then in its place */
	memmove(b->p + at + n, b->p + at, b->len - n - at);
	memcpy(b->p + at, p, n);
}

static void
change_once(struct buf *b)
{
	static const unsigned char telling[] = {
		0x00, 0x01, 0x7f, 0x80, 0xc0, 0xc1, 0xd6, 0xd9, 0xdb, 0xdd, 0xdf, 0xff,
	};
	size_t at = below(b->len);
	char copied[32], byte = (char)telling[below(sizeof telling)];
	size_t n;

	switch (b->len ? below(6) : 5) {
	case 0:
		b->p[at] ^= (char)(1 << below(8));
		break;
	case 1:
		b->p[at] = byte;
		break;
	case 2:
		b->p[at] = (char)next_random();
		break;
	case 3:	/* cut the end, at times */
		if (below(4) == 0) {
			b->len = at;
			b->p[at] = '\0';
		}
		break;
	case 4:	/* repeat a piece elsewhere */
		n = below(b->len - at < sizeof copied ? b->len - at + 1 : sizeof copied);
		memcpy(copied, b->p + at, n);
		insert(b, below(b->len + 1), copied, n);
		break;
	case 5:
		insert(b, at, &byte, 1);
		break;
	}
}

/* An exact copy, so that a read beyond its end is seen. */
static void
run_one(const struct buf *b)
{
	uint8_t *exact = xmemdup(buf_str(b), b->len);

	LLVMFuzzerTestOneInput(exact, b->len);
	free(exact);
}

static bool
run_file(const char *path)
{
	struct buf file = BUF_INIT, changed = BUF_INIT;
	struct err *err = buf_read_file(&file, path, FILE_MAX);

	if (err) {
		char *text = err_str(err);

		fprintf(stderr, "%s\n", text);
		free(text);
		err_free(err);
		return false;
	}
	fprintf(stderr, "%s\n", path);
	run_one(&file);
	seed = 0x9e3779b97f4a7c15;
	for (int i = 0; i < CHANGES && !once; i++) {
		buf_clear(&changed);
		buf_add(&changed, buf_str(&file), file.len);
		for (size_t k = below(5) + 1; k; k--)
			change_once(&changed);
		run_one(&changed);
	}
	buf_release(&file);
	buf_release(&changed);
	return true;
}

static bool
run_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *de;
	bool ok = true;
	int n = 0;

	while (dir && (de = readdir(dir))) {
		char *file;

		if (de->d_name[0] == '.')
			continue;
		file = xasprintf("%s/%s", path, de->d_name);
		ok = run_file(file) && ok;
		n++;
		free(file);
	}
	if (dir)
		closedir(dir);
	if (n == 0)
		fprintf(stderr, "%s: no corpus\n", path);
	return ok && n > 0;
}

int
main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir"), *name = strrchr(argv[0], '/');
	bool ok = true;
	char *path;

	once = argc > 1 && strcmp(argv[1], "--once") == 0;
	for (int i = once ? 2 : 1; i < argc; i++)
		ok = run_file(argv[i]) && ok;
	if (argc > 1)
		return ok ? 0 : 1;
	name = name ? name + 1 : argv[0];
	if (strncmp(name, "test_fuzz_", 10) == 0)
		name += 10;
	path = xasprintf("%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name);
	ok = run_folder(path);
	free(path);
	return ok ? 0 : 1;
}
