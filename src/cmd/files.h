/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_FILES_H
#define WEIR_CMD_FILES_H

#include "flow/value.h"

/*
 * Files of a value, laid out below a folder: fields of a struct by their names, elements of lists and
 * tuples by their numbers, entries of a map by their keys, a dir as its tree, a single file as `result`.
 *
 * Nothing here trusts a name: keys are escaped, and paths inside of dirs must be plain relative ones. Links
 * below the folder are not followed, so nothing is ever written outside of it.
 */
struct planned {
	char	   *path;	/* owned; relative */
	bool	    folder;	/* an empty one, to be made */
	struct file file;
	bool	    same;	/* is there already, with this content */
};
struct file_plan {
	struct planned *v;	/* in the order of paths, once checked */
	size_t		n;
};
void plan_release(struct file_plan *);
/* The value is strict; on an error the plan is empty. */
must_check struct err *plan_value(struct file_plan *, const struct value *);
/* An exec's outputs, a list: by their names, if there is one for each and no two are the same, else by their numbers. */
must_check struct err *plan_fileset(struct file_plan *, const struct fileset *, const char *const *names, size_t nnames);
void plan_file(struct file_plan *, const struct file *);			/* as `result` */
bool plan_single(const struct file_plan *, struct file *);			/* exactly one file and nothing else */

/* A name that is a single path component whatever it was: `%2F` and the like. */
void name_escape(const char *, size_t, struct buf *out);

/*
 * Writes what is not there yet. Each file appears complete and verified, or not at all. A file with other
 * content is refused, before anything is written, unless force is set. written and same count files.
 */
must_check struct err *plan_write(struct file_plan *, const char *objects, const char *dir, bool force, size_t *written,
    size_t *same);

#endif
