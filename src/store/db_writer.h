/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_DB_WRITER_H
#define WEIR_STORE_DB_WRITER_H

#include <stddef.h>

#include "store/db_proto.h"
#include "store/root.h"

/*
 * The one writer of a root's LMDB databases: a blocking function that the keeper forks. It listens
 * at keeper/db for put and delete requests from any number of clients (see db_proto.h), takes what
 * has come as one batch, syncs the file system of the objects once, commits one transaction and
 * answers each client with its highest number. It needs no loop and no thread.
 *
 * In db/ beside LMDB's two files:
 *	lock	held while a writer works: a second one waits for the first to end
 *	dirty	the boot id under which something may be committed and not yet on the disk
 *	rebuild	the database was dropped (power cut, damage): to be filled again from the journals
 * LMDB runs without syncs; after a kill -9 the kernel still has every page, after a power cut the
 * file may be damaged. So `dirty` of another boot means: drop it. It holds nothing that the journals
 * do not have.
 */

/*
 * Call after fork, in a process without other threads that has closed what must not outlive the
 * keeper (its held lock). lifeline: a descriptor (pidfd, or read end of a pipe) that becomes readable
 * when the keeper is gone, or -1. Ends, after a last batch, on SIGTERM or when the lifeline does.
 * Returns an exit status: 0 or, with a line on stderr, 1.
 */
int db_writer_main(const struct root *, int lifeline);

struct db_writer_opts {
	int    lifeline;	/* as above */
	size_t map_size;	/* 0: 64 GiB, less where the address space is limited */
	int    idle_ms;		/* this long without requests: sync and lift the dirty mark. 0: 2 s */
};
int db_writer_run(const struct root *, const struct db_writer_opts *);

#endif
