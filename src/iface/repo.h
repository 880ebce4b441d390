/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_REPO_H
#define WEIR_IFACE_REPO_H

#include "flow/fileset.h"
#include "iface/stream.h"

/*
 * A repository of content-addressed objects. Bytes are verified on the way in, and again wherever
 * they are served: a repository never serves what does not hash to its name.
 * Each call is an operation: it returns its handle, op_cancel ends it, its callback runs once.
 */
struct repo;
typedef void repo_stat_cb(const struct file *, struct err *, void *arg);	/* file is borrowed; NOT_EXIST if absent */
typedef void repo_get_cb(struct source *, struct err *, void *arg);		/* gives the source */
typedef void repo_put_cb(const struct file *, struct err *, void *arg);
typedef void repo_done_cb(struct err *, void *arg);

#define REPO_PARTS 256

struct repo_ops {
	/* Is it there, and is there no reason to doubt its bytes? INTEGRITY if it was damaged. */
	struct op *(*stat)(struct repo *, const struct digest *, repo_stat_cb *, void *arg);
	/* Optional: what stat would give, where one look is enough to know it. False: ask with stat. */
	bool (*peek)(struct repo *, const struct digest *, struct file *);
	/*
	 * Optional. Objects are in parts, by the first byte of their digest; while a part's stamp is the same, nothing has
	 * left it. Stamps are good for comparing only, whoever took them. 0: none can be given now. False: of no part.
	 */
	bool (*stamps)(struct repo *, uint64_t stamp[REPO_PARTS]);
	/* The source's last read fails with INTEGRITY when the bytes do not hash to the name. */
	struct op *(*get)(struct repo *, const struct digest *, repo_get_cb *, void *arg);
	/* Takes the source. want: the digest it must have (else INTEGRITY), or NULL. */
	struct op *(*put)(struct repo *, struct source *, const struct digest *want, repo_put_cb *, void *arg);
	/* Pulls an object straight from the repository at url; NULL: not supported. Resumable, single flight per digest. */
	struct op *(*read_from)(struct repo *, const struct digest *, const char *url, repo_done_cb *, void *arg);
	struct op *(*write_to)(struct repo *, const struct digest *, const char *url, repo_done_cb *, void *arg);
	const char *(*url)(struct repo *);	/* for direct transfer, or NULL; borrowed */
	void (*free)(struct repo *);
};
struct repo {
	const struct repo_ops *ops;
	struct loop	      *loop;	/* kept */
	const char	      *name;	/* for errors; kept */
};
bool repo_peek(struct repo *, const struct digest *, struct file *);
bool repo_stamps(struct repo *, uint64_t stamp[REPO_PARTS]);
struct op *repo_stat(struct repo *, const struct digest *, repo_stat_cb *, void *arg);
struct op *repo_get(struct repo *, const struct digest *, repo_get_cb *, void *arg);
struct op *repo_put(struct repo *, struct source *, const struct digest *want, repo_put_cb *, void *arg);
struct op *repo_read_from(struct repo *, const struct digest *, const char *url, repo_done_cb *, void *arg);
struct op *repo_write_to(struct repo *, const struct digest *, const char *url, repo_done_cb *, void *arg);
const char *repo_url(struct repo *);
void repo_free(struct repo *);

#endif
