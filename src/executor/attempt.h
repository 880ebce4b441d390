/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_ATTEMPT_H
#define WEIR_EXECUTOR_ATTEMPT_H

#include "executor/proto.h"

/*
 * Attempts on disk: execs/<key>/<n>/ with `request` (what was asked), `stdout`, `stderr` and, once it is
 * over, `manifest`. Whoever looks and then creates or ends an attempt does both under the flock of
 * execs/<key>/. All paths are relative to keeper/, the working directory of the keeper and its children.
 */
#define ATTEMPT_PATH 112

void attempt_key_dir(const struct digest *key, char out[ATTEMPT_PATH]);
void attempt_dir(const struct digest *key, unsigned n, char out[ATTEMPT_PATH]);

/* Locks execs/<key>/, making it if create is set; *fresh: nothing was there. NOT_EXIST when it is missing. */
must_check struct err *attempt_key_lock(const struct digest *key, bool create, int *fd, bool *fresh);
void attempt_key_unlock(int fd);	/* the descriptor stays: attempt_key_relock */
void attempt_key_relock(int fd);

enum attempt_choice { ATTEMPT_NEW, ATTEMPT_ATTACH, ATTEMPT_COLLECT };
struct attempt_found {
	enum attempt_choice choice;
	unsigned n;			/* NEW: the number to be made */
	int	 slot;			/* ATTACH: where it lives */
	struct manifest manifest;	/* COLLECT. owned */
	/* COLLECT: its manifest, open, so that it can be told after the lock. owned; else -1 */
	int	 fd;
};
void attempt_found_release(struct attempt_found *);
/* By the claim: which attempt does this put mean? The key is locked. */
void attempt_choose(struct ledger *, const char *objects, int key_fd, const struct exec_config *, bool fresh,
    struct attempt_found *);
/*
 * No attempt of the key answers, but one may have been settled and forgotten since the asker looked into the cache: where
 * the claim allows another's result, one that the databases have becomes ATTEMPT_COLLECT, if all its objects are there.
 */
struct db_read;
void attempt_recall(struct db_read *, const char *objects, const struct exec_config *, struct attempt_found *);

/* Makes the attempt's directory and locks it; the request's bytes go there. Gives the directory. */
must_check struct err *attempt_create(int key_fd, unsigned n, const void *request, size_t, int *dir);
/* Writes the manifest of an attempt that is over; its key is locked. *len: its bytes. */
must_check struct err *attempt_write_manifest(int dir, const struct manifest *, size_t *len);
must_check struct err *attempt_read_manifest(int key_fd, unsigned n, struct manifest *);
/* The attempt is journaled as ended by the run that made it: removes it. Others' words are passed over. */
void attempt_forget(struct ledger *, const struct digest *run, const struct digest *key, unsigned n);

/* Fences: refuses (PRECONDITION) an epoch of the run that is older than one seen before. */
must_check struct err *epoch_admit(const struct digest *run, uint64_t epoch);


#endif
