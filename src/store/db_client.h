/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_DB_CLIENT_H
#define WEIR_STORE_DB_CLIENT_H

#include "store/db_proto.h"

/*
 * A blocking client of the writer, for helper processes and tools without a loop. Puts are sent at
 * once and decided later; flush waits for all of them, and sends again what a writer that died left
 * undecided. Controllers use assoc_lmdb instead.
 */
struct db_client;
struct db_client *db_client_new(const char *keeper_dir);	/* connects when it is first needed */
void db_client_free(struct db_client *);	/* NULL is fine; what was not flushed may be lost */
/* Copies. Never fails by itself: the outcome comes with flush. */
void db_client_put(struct db_client *, enum db_sub, const void *key, size_t klen, const void *value, size_t vlen);
void db_client_delete(struct db_client *, enum db_sub, const void *key, size_t klen);
/* Waits at most timeout_ms. UNAVAILABLE: no writer answers. Else the first refusal since the last flush. */
must_check struct err *db_client_flush(struct db_client *, int timeout_ms);

#endif
