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
const char *sys_names(void);				/* for a message: `$/dirs, $/files, …` */
/* The type of a function, in the program's arena. */
const struct type *sys_type(struct program *, const struct sys_func *);

/* Constants that are functions: file and dir. */
extern const struct sys_func sys_const_file, sys_const_dir;

/* A C string of a value of type string, or an error: it must hold no NUL. */
struct err *sys_cstr(const struct lower_op *, const struct value *, const char *what, const char **out);

/* regexp.c: the RE2 subset on PCRE2, compiled once in an instantiation. */
struct regexp;
struct err *regexp_get(struct lower *, const struct lower_op *, const struct value *pattern, struct regexp **);
/* Leftmost match at or after `from`: offsets of the match and its groups (ngroups + 1 pairs), or none. */
struct err *regexp_match(const struct lower_op *, struct regexp *, const char *s, size_t len, size_t from, const size_t **ovector);
size_t regexp_ngroups(const struct regexp *);
int    regexp_group_named(const struct regexp *, const char *name, size_t len);	/* -1: none */
void   regexp_cache_free(void *);
/* Is the text in the subset? NULL, or what is not (free). */
char  *regexp_refuse(const char *, size_t);

#endif
