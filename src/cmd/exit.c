/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/exit.h"

#include <stdlib.h>

#include "base/log.h"

/* The one place where an error becomes an exit status. */
static int
eval_code(const struct err *err)
{
	switch (err_kind(err)) {
	case ERR_CANCELED:
		return EXIT_INTERRUPTED;
	case ERR_EVAL:
	case ERR_EXEC:
	case ERR_RESOURCES_EXHAUSTED:
	case ERR_NOT_EXIST:
	case ERR_NOT_ALLOWED:
	case ERR_OOM:
	case ERR_MODULE:	/* the program's own error(N, …) and assertions */
	case ERR_PRECONDITION:
		return EXIT_EVAL;
	case ERR_INVALID:	/* what a parameter was set to */
	case ERR_NOT_SUPPORTED:
		return EXIT_USAGE;
	case ERR_TIMEOUT:
	case ERR_TEMPORARY:
	case ERR_TOO_MANY_TRIES:
	case ERR_UNAVAILABLE:
	case ERR_NET:
		return EXIT_AGAIN;
	case ERR_INTEGRITY:
		return EXIT_OTHER;
	default:
		return EXIT_FAULT;
	}
}

int
exit_code(enum stage stage, const struct err *err)
{
	if (err == NULL)
		return EXIT_DONE;
	switch (stage) {
	case STAGE_USAGE:
		return EXIT_USAGE;
	case STAGE_PROGRAM:
		return err_is(err, ERR_INVALID) ? EXIT_PROGRAM : EXIT_OTHER;
	case STAGE_EVAL:
		return eval_code(err);
	case STAGE_OTHER:
		break;
	}
	switch (err_kind(err)) {
	case ERR_CANCELED:
		return EXIT_INTERRUPTED;
	case ERR_TEMPORARY:
	case ERR_TIMEOUT:
		return EXIT_AGAIN;
	default:
		return EXIT_OTHER;
	}
}

int
exit_with(enum stage stage, struct err *err)
{
	int code = exit_code(stage, err);
	char *text;

	if (err != NULL) {
		text = err_str(err);
		log_error("%s", text);
		free(text);
		err_free(err);
	}
	return code;
}
