/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cmd/exit.h"

/* A folder or a device is a wrong path and no wrong program. */
static enum stage
stage_of(const char *path, const struct err *err)
{
	struct stat st;

	if (err_is(err, ERR_INVALID) && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return STAGE_OTHER;
	return STAGE_PROGRAM;
}

struct program *
open_program(const char *path, struct buf *later, int *code)
{
	struct program *p = NULL;
	struct buf diag = BUF_INIT;
	struct err *err = program_open(path, NULL, &diag, &p);
	enum stage stage = err == NULL ? STAGE_PROGRAM : stage_of(path, err);
	char *text;

	if (p != NULL && later != NULL)
		buf_add(later, diag.p, diag.len);
	else
		fputs(buf_str(&diag), stderr);
	*code = exit_code(stage, err);
	if (*code == EXIT_PROGRAM) {
		/* As a compiler speaks: the place first. Diagnostics have said it all. */
		text = err_str(err);
		if (diag.len == 0)
			fprintf(stderr, "%s\n", text);
		free(text);
		err_free(err);
	} else {
		*code = exit_with(stage, err);
	}
	buf_release(&diag);
	return p;
}
