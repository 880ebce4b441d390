/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_RESOURCES_H
#define WEIR_BASE_RESOURCES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mpk.h"

/*
 * Resources: label to amount. mem and disk are bytes, cpu is cores (fractions allowed); other labels
 * are CPU features, of which a machine has one unit a core. A missing label counts as 0, but Min and
 * Max see the difference. Source: grailbio/reflow executor.go, semantics kept.
 */
struct res_feature {
	char  *label;	/* owned */
	double amount;
};
struct resources {
	double	 mem, cpu, disk;
	unsigned present;	/* RES_* bits: which of the three are set */
	unsigned nfeatures;
	struct res_feature *features;	/* owned, sorted by label, NULL mostly */
};
#define RES_MEM	 1u
#define RES_CPU	 2u
#define RES_DISK 4u
#define RESOURCES_INIT { 0, 0, 0, 0, 0, NULL }

void   resources_release(struct resources *);
void   resources_copy(struct resources *dst, const struct resources *src);	/* dst is released first */
void   resources_set(struct resources *, const char *label, double);
double resources_get(const struct resources *, const char *label);
bool   resources_available(const struct resources *r, const struct resources *s);	/* r covers all of s */
void   resources_add(struct resources *x, const struct resources *y);	/* x += y, union of labels */
void   resources_sub(struct resources *x, const struct resources *y);	/* x -= y, may go negative */
void   resources_min(struct resources *x, const struct resources *y);
void   resources_max(struct resources *x, const struct resources *y);
void   resources_override(struct resources *x, const struct resources *y);	/* what y names is as y says */
void   resources_scale(struct resources *, double);
bool   resources_equal(const struct resources *, const struct resources *);
double resources_scaled_distance(const struct resources *, const struct resources *);	/* mem over 6 GiB plus cpu */
void   resources_str(const struct resources *, struct buf *);	/* `{mem:10.0GiB cpu:4 disk:1.0TiB intel_avx:4}` */
void   resources_mpk(const struct resources *, struct mpk_w *);		/* map label -> float */
void   resources_from_mpk(struct resources *, const msgpack_object *);	/* released first; wrong types are skipped */
/* `cpu=4,mem=8GiB,disk=1TiB`; sizes take K M G T with optional iB. Else ERR_INVALID that names the part. */
must_check struct err *resources_parse(struct resources *, const char *);
must_check struct err *size_parse(const char *, double *bytes);

#endif
