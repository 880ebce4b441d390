/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>

#include "tests/check.h"

/* Errors: the exact texts that people see, how kinds move outwards, and the table of predicates. */

static void
texts(void **state unused_arg)
{
	assert_err(err_new(ERR_NOT_EXIST, "open", "%s", "/x"), "open /x: resource does not exist");
	assert_err(err_new(ERR_NOT_EXIST, "open", NULL), "open: resource does not exist");
	assert_err(err_new(ERR_NOT_EXIST, NULL, "%s", "/x"), "/x: resource does not exist");
	assert_err(err_new(ERR_CANCELED, NULL, NULL), "canceled");
	assert_err(err_new(ERR_OTHER, "open", "%d", 7), "open 7");
	assert_err(err_new(ERR_OTHER, NULL, NULL), "");
	assert_err(err_msg(ERR_INVALID, "bad digest %s", "x"), "bad digest x");
	assert_err(err_errno(ENOENT, "open", "%s", "/x"), "open /x: No such file or directory");
	assert_err(err_wrap(err_wrap(err_msg(ERR_NET, "connection reset"), "accept", "node7/3"), "allocate", NULL),
	    "allocate: network error: accept node7/3: connection reset");
	assert_err(err_wrap_kind(err_msg(ERR_NET, "connection reset"), ERR_UNAVAILABLE, "accept", "node7/3"),
	    "accept node7/3: unavailable: connection reset");
	assert_string_equal(err_kind_text(ERR_OOM), "out of memory");
}

static void
one_line_without_control_bytes(void **state unused_arg)
{
	struct err *e = err_new(ERR_OTHER, "run", "%s", "a\n\tb\x1b[31m");

	assert_err(err_wrap(e, "x", "one \n two\n"), "x one two: run a b?[31m");
}

static void
kind_moves_outwards(void **state unused_arg)
{
	struct err *e = err_wrap(err_new(ERR_NET, "dial", "h"), "put", "u");

	assert_int_equal(e->kind, ERR_NET);
	assert_int_equal(e->cause->kind, ERR_OTHER);
	assert_err(e, "put u: network error: dial h");
	assert_null(err_wrap(NULL, "put", "u"));
	assert_null(err_wrap_kind(NULL, ERR_NET, "put", "u"));
}

static void
empty_causes_vanish(void **state unused_arg)
{
	struct err *e = err_wrap(err_new(ERR_TIMEOUT, NULL, NULL), "get", "u");

	assert_null(e->cause);
	assert_err(e, "get u: timeout");
	e = err_wrap_kind(err_new(ERR_TIMEOUT, NULL, NULL), ERR_TIMEOUT, "get", "u");
	assert_null(e->cause);
	assert_err(e, "get u: timeout");
	e = err_wrap_kind(err_new(ERR_TIMEOUT, NULL, NULL), ERR_EVAL, "get", "u");
	assert_err(e, "get u: evaluation error: timeout");
}

static void
kinds_are_found_along_the_chain(void **state unused_arg)
{
	struct err *e = err_new(ERR_OTHER, "a", NULL);

	assert_int_equal(err_kind(e), ERR_OTHER);
	e->cause = err_new(ERR_INTEGRITY, "b", NULL);
	e->cause->cause = err_new(ERR_NET, "c", NULL);
	assert_true(err_is(e, ERR_INTEGRITY));
	assert_false(err_is(e, ERR_NET));
	assert_false(err_is(e, ERR_OTHER));
	assert_false(err_is(NULL, ERR_OTHER));
	err_free(e);
	err_free(NULL);
}

static void
predicates(void **state unused_arg)
{
	static const struct {
		enum err_kind kind;
		const char *name;
		bool transient, restartable, asks_cause;
	} table[] = {
		{ ERR_OTHER, "Other", false, false, true },
		{ ERR_CANCELED, "Canceled", false, false, false },
		{ ERR_TIMEOUT, "Timeout", true, true, false },
		{ ERR_TEMPORARY, "Temporary", true, true, false },
		{ ERR_NOT_EXIST, "NotExist", false, false, true },
		{ ERR_NOT_ALLOWED, "NotAllowed", false, false, false },
		{ ERR_NOT_SUPPORTED, "NotSupported", false, false, false },
		{ ERR_TOO_MANY_TRIES, "TooManyTries", true, true, false },
		{ ERR_INTEGRITY, "Integrity", false, false, true },
		{ ERR_RESOURCES_EXHAUSTED, "ResourcesExhausted", false, false, true },
		{ ERR_EVAL, "Eval", false, false, true },
		{ ERR_UNAVAILABLE, "Unavailable", true, true, false },
		{ ERR_FATAL, "Fatal", false, false, false },
		{ ERR_INVALID, "Invalid", false, false, true },
		{ ERR_NET, "Net", false, true, false },
		{ ERR_PRECONDITION, "Precondition", false, false, true },
		{ ERR_OOM, "OOM", false, false, true },
		{ ERR_MODULE, "Module", false, false, false },
		{ ERR_EXEC, "Exec", false, false, false },
	};

	assert_int_equal(nitems(table), ERR_NKINDS);
	for (size_t i = 0; i < nitems(table); i++) {
		struct err *e = err_new(table[i].kind, "op", NULL);

		assert_string_equal(err_kind_name(table[i].kind), table[i].name);
		assert_int_equal(err_kind_from_name(table[i].name, strlen(table[i].name)), table[i].kind);
		assert_int_equal(err_transient(e), table[i].transient);
		assert_int_equal(err_restartable(e), table[i].restartable);
		e->cause = err_new(ERR_NET, "op", NULL);
		assert_int_equal(err_restartable(e), table[i].restartable || table[i].asks_cause);
		assert_int_equal(err_transient(e), table[i].transient);
		err_free(e);
	}
	assert_false(err_transient(NULL));
	assert_false(err_restartable(NULL));
	assert_int_equal(err_kind_from_name("net", 3), ERR_OTHER);
	assert_int_equal(err_kind_from_name("NetX", 3), ERR_NET);
	assert_int_equal(err_kind_from_name("", 0), ERR_OTHER);
}

static void
errnos(void **state unused_arg)
{
	static const struct {
		int eno;
		enum err_kind kind;
	} table[] = {
		{ ENOENT, ERR_NOT_EXIST }, { EACCES, ERR_NOT_ALLOWED }, { EROFS, ERR_NOT_ALLOWED },
		{ ENOSPC, ERR_TEMPORARY }, { EDQUOT, ERR_TEMPORARY }, { ECONNRESET, ERR_NET },
		{ ETIMEDOUT, ERR_TIMEOUT }, { EIO, ERR_OTHER }, { EXDEV, ERR_OTHER },
	};

	for (size_t i = 0; i < nitems(table); i++) {
		struct err *e = err_errno(table[i].eno, "op", NULL);

		assert_int_equal(e->kind, table[i].kind);
		err_free(e);
	}
}

static void
copies(void **state unused_arg)
{
	struct err *e = err_wrap_kind(err_errno(EIO, "read", "%s", "f"), ERR_INTEGRITY, "get", NULL), *c;

	c = err_copy(e);
	err_free(e);
	assert_err(c, "get: integrity error: read f: Input/output error");
	assert_null(err_copy(NULL));
}

/* Chains are walked, never recursed: a peer may send a long one. */
static void
long_chains(void **state unused_arg)
{
	struct err *e = err_msg(ERR_OTHER, "end");
	char *s;

	for (int i = 0; i < 200000; i++) {
		struct err *outer = err_new(ERR_OTHER, NULL, "%s", "a");

		outer->cause = e;
		e = outer;
	}
	s = err_str(e);
	assert_int_equal(strlen(s), 200000 * 3 + 3);
	free(s);
	err_free(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(one_line_without_control_bytes),
		cmocka_unit_test(kind_moves_outwards),
		cmocka_unit_test(empty_causes_vanish),
		cmocka_unit_test(kinds_are_found_along_the_chain),
		cmocka_unit_test(predicates),
		cmocka_unit_test(errnos),
		cmocka_unit_test(copies),
		cmocka_unit_test(long_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
