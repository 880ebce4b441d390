/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_SCHED_FAKE_H
#define WEIR_TESTS_SCHED_FAKE_H

#include <uthash.h>

#include "iface/assoc.h"
#include "iface/cluster.h"
#include "tests/loop/torture.h"

/*
 * A cluster in memory for tests of what stands above it: allocs whose executors run nothing, on a
 * virtual clock. Each exec takes fake.takes ns (run may choose), and gives files whose content is
 * its key. Everything that is put or killed is written down in fake.log, one line each.
 */
struct fake_attempt;
struct fake {
	struct loop    *loop;
	struct torture *torture;	/* asked for faults at each call; NULL: none */
	struct cluster	cluster;
	struct pool	pool;		/* only says what it could ever have */
	const struct resources *largest;	/* of its machines; NULL: as each alloc has */
	struct executor executor;	/* one for all allocs */
	struct repo	repo;
	struct assoc	assoc;

	/* What an exec shall do: fill out and *ns; result is OK with default outputs when it is called. May be NULL. */
	void (*run)(struct fake *, const struct exec_config *, struct exec_result *out, int64_t *ns, void *arg);
	void	       *arg;
	int64_t		takes;
	/* Contents of local inputs, by URL; absent: the intern fails with NOT_EXIST. */
	const char     *(*content)(struct fake *, const char *url, void *arg);

	struct resources capacity;	/* of each alloc */
	unsigned	 max_allocs;	/* further requests wait for a drop */
	unsigned	 nallocs, asked;
	bool		 no_lease;	/* keepalives fail with NOT_EXIST from now on */
	bool		 keepalive_faults;	/* keepalives ask torture as well */
	int64_t		 retained;	/* the last interval a keepalive asked for */
	struct err     *(*put_fault)(struct fake *, const struct exec_config *, void *arg);	/* NULL: none */
	bool		 wait_fails_once;
	bool		 assoc_hangs, assoc_put_fails;
	bool		 quick;		/* what assoc and repository have they say at once, and the repository has stamps */
	uint64_t	 stamps[REPO_PARTS];	/* set by whoever sets quick; grow when an object is lost */

	struct buf	 log;
	unsigned	 nput, nstarted, nkilled, nrunning, max_running, ngets, nputs, nrepo_put, nlooks;
	TAILQ_HEAD(, fake_attempt) attempts;
	struct fake_attempt *by_key;
	TAILQ_HEAD(, fake_attempt) waiting;	/* with a ledger: for room */
	struct resources room;		/* with a ledger: what is left of the host */
	bool		 ledger;
	TAILQ_HEAD(, fake_want) wants;
	struct fake_entry *entries;
	struct fake_object *objects;	/* in the repository: outputs of what ended well, and what was put */
};
void fake_init(struct fake *, struct loop *, const char *resources);
void fake_release(struct fake *);
void fake_quiet(struct fake *);		/* attempts live outside of the loop: their timers do not count */
/* Attempts begin in the order they came, as room comes; put so many ahead. Before the first alloc. */
void fake_ledger(struct fake *, unsigned lookahead);
void fake_room(struct fake *);		/* an alloc may have become possible: look again */

/* The repository. An exec whose inputs are not there is lost, unless they come from an origin. */
void fake_object_add(struct fake *, const struct file *);
void fake_object_lose(struct fake *, const struct digest *);
/* Loses one of those whose seventh byte is a multiple of n; false: there is none. */
bool fake_object_lose_nth(struct fake *, unsigned n);
bool fake_object_has(const struct fake *, const struct digest *);

/* For assertions on the assoc. */
bool fake_assoc_has(const struct fake *, const struct digest *);
size_t fake_assoc_n(const struct fake *);
void fake_assoc_clear(struct fake *);
void fake_assoc_drop(struct fake *, unsigned n);	/* one in n entries is forgotten */
/* Parts, for the files of the folder alone. */
struct err *fake_fault(struct fake *, const char *op);
void fake_cluster_init(struct fake *);
void fake_executor_init(struct fake *);
void fake_executor_release(struct fake *);
void fake_store_init(struct fake *);
void fake_store_release(struct fake *);

#endif
