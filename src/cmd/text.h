/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_TEXT_H
#define WEIR_CMD_TEXT_H

#include "base/buf.h"
#include "base/digest.h"
#include "run/id.h"

/* How things look to people, and how people write them. */
#define ID_TEXT 14			/* `exec:1a2b3c4d` and NUL */
const char *id_text(enum id_kind, const struct digest *, char out[ID_TEXT]);	/* gives out back */
char *id_full(enum id_kind, const struct digest *);	/* gives `exec:` and 64 hex digits: what JSON has */

void duration_text(int64_t ns, struct buf *);		/* `0.31s`, `12.4s`, `3m05s`, `2h07m` */
bool duration_parse(const char *, int64_t *ns);		/* `90s`, `1h30m`, `500ms`, `2d`; `0` */
void time_text(int64_t ns, struct buf *);		/* local: `2025-11-24 22:31:05`; 0: `-` */
void status_text(int wait_status, struct buf *);	/* `exit status 3`, `killed by signal 9 (Killed)` */

/* Columns, wide enough for what is in them. Cells are copied. */
struct table {
	char **cell;	/* owned, row by row */
	size_t ncells, ncols;
};
void table_add(struct table *, const char *);		/* cell by cell; ncols is set before */
void table_print(const struct table *, struct buf *);
void table_release(struct table *);

/* All of it on stdout, or an error: a full disk and a closed pipe are failures. */
must_check struct err *print_out(const char *, size_t);
must_check struct err *print_json(json_t *);		/* takes; compact, on a line of its own */
json_t *json_document(const char *schema, int version);	/* gives an object that names its schema */

#endif
