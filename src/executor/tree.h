/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_TREE_H
#define WEIR_EXECUTOR_TREE_H

#include <stdbool.h>

/* Directory trees. What cannot be removed is left: the next sweep tries again. Links are never followed. */
void tree_remove(int dir, const char *name);	/* name below dir, whatever it is, with all that it holds */
void tree_clear(int dir, const char *name);	/* what is in the directory, not the directory itself */
bool name_is_text(const char *);	/* is it UTF-8? Names go into documents that are text */

#endif
