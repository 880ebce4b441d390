/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_SYS_H
#define WEIR_LANG_SYS_H

#include "lang/lower.h"

/*
 * System modules: functions written in C under a type written in the language. An implementation is a
 * lower_fn: its operands are there, awaited as its mode says.
 */
struct sys_func {
	const char  *module;	/* "$/strings"; "" for a constant of the language */
	const char  *name;
	const char  *type;
	enum operand mode;
	lower_fn    *fn;
};
struct sys_module {
	const char	      *path;
	const struct sys_func *funcs;
	size_t		       nfuncs;
};
extern const struct sys_module sys_dirs, sys_files, sys_path, sys_regexp, sys_strings, sys_test;

const struct sys_module *sys_find(const char *path);	/* NULL if there is none */
/* What a module will have and has not yet: gives a sentence about it, or NULL. */
char *sys_missing(const struct sys_module *, const char *name);
const char *sys_names(void);				/* for a message: `$/dirs, $/files, …` */
/* The type of a function, in the program's arena. */
const struct type *sys_type(struct program *, const struct sys_func *);

/* Constants that are functions: file and dir. */
extern const struct sys_func sys_const_file, sys_const_dir;

/* The pattern's regular expression, compiled once in an instantiation; borrowed. */
struct regexp;
must_check struct err *sys_regexp_get(
    struct lower *, const struct lower_op *, const struct value *pattern, struct regexp **);
void regexp_cache_free(void *);
/* `POS: TEXT` of an error that is not an evaluation's own; takes it. */
struct err *sys_err(const struct lower_op *, struct err *);

#endif
