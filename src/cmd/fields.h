/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_FIELDS_H
#define WEIR_CMD_FIELDS_H

#include "base/json.h"

/*
 * Any JSON for people: a field a line, what is inside a field indented below it, texts of several lines as
 * they are. Nothing is left out, so that it serves for records of every schema. depth: of the indentation.
 */
void fields_print(const json_t *, int depth, struct buf *);

#endif
