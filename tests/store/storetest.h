/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_STORE_STORETEST_H
#define WEIR_TESTS_STORE_STORETEST_H

#include "tests/check.h"

#include <sys/types.h>

#include "base/digest.h"
#include "store/root.h"

/* A root of its own for a test, and the writer as a process that can be killed at its crash points. */
struct testroot {
	char	   *dir;	/* owned; the root is DIR/root */
	struct root root;
};
void testroot_new(struct testroot *);
void testroot_free(struct testroot *);

struct writer_args {
	const char *crash;	/* WEIR_CRASH of that process, or NULL */
	size_t	    map_size;	/* 0: the default */
	int	    idle_ms;	/* 0: the default */
};
/*
 * A program whose tests use these calls writer_child_main first in its main: the writer is the same
 * program, executed anew, because crash points are armed before main. Returns whether it was one.
 */
bool  writer_child_main(int argc, char **argv, int *status);
pid_t writer_start(const struct root *, const struct writer_args *);	/* returns once it listens */
void  writer_kill(pid_t);		/* SIGKILL, and waits */
int   writer_stop(pid_t);		/* SIGTERM, and waits; its exit status */
void  writer_wait_killed(pid_t);	/* it must end by SIGKILL, within a limit */

/* Reads `key` of a sub-database through db_read; "" if absent. Gives. */
char *db_value(const struct root *, int sub, const char *key);
#define assert_db(root, sub, key, want) do { \
	char *got_ = db_value((root), (sub), (key)); \
	assert_string_equal(got_, (want)); \
	free(got_); \
} while (0)

void overwrite_file(const char *path, const char *text);	/* also of a read-only file */
bool tmpfs_mount(const char *dir, const char *size);		/* false: not allowed here */
void tmpfs_umount(const char *dir);

#endif
