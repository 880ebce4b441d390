/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_SPARE_H
#define WEIR_BASE_SPARE_H

#include <stddef.h>

/*
 * Objects of one size that come and go by the hundred thousand, a few hundred at a time: those that went are kept for
 * those that come, since malloc has no such drawer for what is larger than a few words and fragments itself instead.
 * Zeroed is empty. With the address sanitizer nothing is kept, so that it sees who uses what is gone.
 */
struct spare {
	void  *list;
	size_t n;
};
void *spare_take(struct spare *, size_t size);	/* gives, zeroed; always the same size */
void spare_give(struct spare *, void *);	/* takes; NULL is fine */
void spare_release(struct spare *);

#endif
