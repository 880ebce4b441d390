/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_TRANSFERER_H
#define WEIR_IFACE_TRANSFERER_H

#include "iface/repo.h"

/* Moves objects between repositories, pulled by the destination where it can; limits per repository and direction. */
struct transferer;
typedef void transferer_done_cb(struct err *, void *arg);
typedef void transferer_missing_cb(struct file *, size_t n, struct err *, void *arg);	/* gives the array */
struct transferer_ops {
	struct op *(*transfer)(struct transferer *, struct repo *dst, struct repo *src, const struct file *, size_t n,
	    transferer_done_cb *, void *arg);
	/* Which of the files dst lacks. */
	struct op *(*need)(struct transferer *, struct repo *dst, const struct file *, size_t n, transferer_missing_cb *, void *arg);
	void (*free)(struct transferer *);
};
struct transferer {
	const struct transferer_ops *ops;
	struct loop		    *loop;	/* kept */
};
struct op *transferer_transfer(struct transferer *, struct repo *dst, struct repo *src, const struct file *, size_t n,
    transferer_done_cb *, void *arg);
struct op *transferer_need(struct transferer *, struct repo *dst, const struct file *, size_t n, transferer_missing_cb *, void *arg);
void transferer_free(struct transferer *);	/* NULL is fine */

#endif
