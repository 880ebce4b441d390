/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_BUILTIN_H
#define WEIR_LANG_BUILTIN_H

#include "lang/check.h"

/* The builtin functions: their types here and in check_builtin.c, what they do in lower_builtin.c. */
enum builtin_id {
	BUILTIN_DELAY,
	BUILTIN_ERROR,
	BUILTIN_FLATTEN,
	BUILTIN_FLOAT,
	BUILTIN_FOLD,
	BUILTIN_INT,
	BUILTIN_LEN,
	BUILTIN_LIST,
	BUILTIN_MAP,
	BUILTIN_PANIC,
	BUILTIN_RANGE,
	BUILTIN_REDUCE,
	BUILTIN_TRACE,
	BUILTIN_UNZIP,
	BUILTIN_ZIP,
};
struct builtin {
	enum builtin_id id;
	const char     *name;
	size_t		nargs;
	/* t: types of the arguments, all there. NULL after an error that it has reported. */
	const struct type *(*check)(struct checker *, const struct expr *, const struct type *const *t);
};

#endif
