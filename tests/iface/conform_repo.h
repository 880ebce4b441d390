/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_CONFORM_REPO_H
#define WEIR_TESTS_IFACE_CONFORM_REPO_H

#include "iface/repo.h"
#include "tests/loop/looptest.h"

/*
 * What every repository must do. make gives a fresh, empty one on the loop; damage (or NULL) changes
 * the stored bytes of an object, its length kept if it has one; end frees what make made beside it, before the loop.
 */
struct conform_repo {
	struct repo *(*make)(struct loop *, void *arg);
	void (*damage)(struct repo *, const struct digest *, void *arg);
	void (*end)(void *arg);
	void *arg;
};
void conform_repo(const struct conform_repo *);

/* Blocking calls for other tests, too. Each gives its error. */
struct err *sync_put(struct repo *, const void *, size_t, const struct digest *want, struct file *out);
struct err *sync_get(struct repo *, const struct digest *, struct buf *out); /* also what came before an error */
struct err *sync_stat(struct repo *, const struct digest *, struct file *out);

#endif
