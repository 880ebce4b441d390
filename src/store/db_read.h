/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_DB_READ_H
#define WEIR_STORE_DB_READ_H

#include "store/db_proto.h"

/*
 * Reading the databases, from any process and without the writer: a get is one short transaction on
 * the mapped file, less than a microsecond when its pages are in memory. What no writer has made yet,
 * or what another boot left dirty, reads as empty.
 * One environment a process and folder, shared by count. Not to be used on both sides of a fork.
 */
struct db_read;
struct db_read *db_read_open(const char *dir);		/* shared; opens the file when it is first needed */
void db_read_close(struct db_read *);			/* NULL is fine */
/* Appends the value to out. found: whether there is one. */
must_check struct err *db_read_get(
    struct db_read *, enum db_sub, const void *key, size_t klen, struct buf *out, bool *found);
/*
 * The same without a copy: the value is borrowed until db_read_let_go, and all such gets before that see the database of
 * one moment. Held for long it would make the file grow. *value NULL: there is none.
 */
must_check struct err *db_read_hold(
    struct db_read *, enum db_sub, const void *key, size_t klen, const void **value, size_t *len);
void db_read_let_go(struct db_read *);
/* Each entry whose key is at least `from`, in the order of keys; returning false ends it. */
typedef bool db_read_cb(const void *key, size_t klen, const void *value, size_t vlen, void *arg);
must_check struct err *db_read_each(struct db_read *, enum db_sub, const void *from, size_t n, db_read_cb *, void *arg);
/* Is there a file that is no database? Its writer will drop it. Not all damage shows here: the pages are not read. */
bool db_read_damaged(const char *dir);
/* After the writer was away: the file may be another one now. */
void db_read_refresh(struct db_read *);

#endif
