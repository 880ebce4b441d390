/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "cmd/cmd.h"
#include "cmd/text.h"

/* Configuration: who wins, what is refused and how it is said, and options on the command line. */
struct fixture {
	char *dir;
	struct config c;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);

	f->dir = temp_dir_new();
	config_init(&f->c);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	config_release(&f->c);
	temp_dir_free(f->dir);
	free(f);
	return 0;
}

static char *
config_file(struct fixture *f, const char *text)
{
	char *path = xasprintf("%s/config.yaml", f->dir);

	write_file(path, text, strlen(text));
	return path;
}

static void
load_text(struct fixture *f, const char *text)
{
	char *path = config_file(f, text);

	assert_ok(config_load_file(&f->c, path));
	free(path);
}

/* %s in want stands for the file's path. */
static void
load_fails(struct fixture *f, const char *text, const char *want)
{
	char *path = config_file(f, text), *message = xasprintf(want, path);

	assert_err(config_load_file(&f->c, path), message);
	free(message);
	free(path);
}

/* Words of a command line, or variables of an environment, which must not be constants. */
struct words {
	char *text, *v[16];
	int   n;
};

static void
words_init(struct words *w, const char *line)
{
	char *rest = w->text = xstrdup(line), *word;

	w->n = 0;
	while ((word = strsep(&rest, " ")) != NULL) {
		if (*word != '\0')
			w->v[w->n++] = word;
	}
	w->v[w->n] = NULL;
}

static void
load_env(struct fixture *f, const char *line)
{
	struct words w;

	words_init(&w, line);
	assert_ok(config_load_env(&f->c, w.v));
	free(w.text);
}

/* Takes options off a line; gives what is left, with | between words. */
static char *
take_options(struct fixture *f, const struct cmd *c, const char *line)
{
	struct buf left = BUF_INIT;
	struct words w;
	char **rest;
	bool help;
	int n;

	words_init(&w, line);
	assert_ok(cmd_options(c, &f->c, w.n, w.v, &n, &rest, &help));
	assert_false(help);
	for (int i = 0; i < n; i++)
		buf_addf(&left, "%s%s", i > 0 ? "|" : "", rest[i]);
	free(rest);
	free(w.text);
	return buf_take(&left, NULL);
}

static void
options_leave(struct fixture *f, const struct cmd *c, const char *line, const char *want)
{
	char *left = take_options(f, c, line);

	assert_string_equal(left, want);
	free(left);
}

static void
options_fail(struct fixture *f, const struct cmd *c, const char *line, const char *want)
{
	char **rest = NULL;
	struct words w;
	bool help;
	int n;

	words_init(&w, line);
	assert_err(cmd_options(c, &f->c, w.n, w.v, &n, &rest, &help), want);
	free(w.text);
}

static void
test_defaults(void **state)
{
	struct fixture *f = *state;
	struct run_config rc;

	assert_string_equal(config_text(&f->c, CFG_CACHE), "read+write");
	assert_string_equal(config_origin(&f->c, CFG_CACHE), "default");
	assert_null(config_text(&f->c, CFG_ROOT));
	config_run(&f->c, &rc);
	assert_int_equal(rc.cache, CACHE_READ_WRITE);
	assert_true(rc.retain == SECONDS(3600));
	assert_true(rc.lookup_timeout == SECONDS(1200));
	assert_false(rc.bottomup || rc.no_cache_extern || rc.recompute_empty || rc.fail_fast);
	assert_null(rc.invalidate);
	assert_string_equal(rc.cluster, "local");
	assert_string_equal(rc.universe, "");
	run_config_release(&rc);
}

static void
test_every_field(void **state)
{
	struct fixture *f = *state;
	struct run_config rc;

	load_text(f, "cache: read\neval: bottomup\nno_cache_extern: true\nrecompute_empty: yes\nfail_fast: on\n"
	    "invalidate: 'align.*'\ncache_lookup_timeout: 90s\nretain: 1h30m\nuniverse: u\ncluster_aux: local\n");
	config_run(&f->c, &rc);
	assert_int_equal(rc.cache, CACHE_READ);
	assert_true(rc.bottomup && rc.no_cache_extern && rc.recompute_empty && rc.fail_fast);
	assert_string_equal(rc.invalidate, "align.*");
	assert_true(rc.lookup_timeout == SECONDS(90));
	assert_true(rc.retain == SECONDS(5400));
	assert_string_equal(rc.universe, "u");
	assert_string_equal(rc.cluster_aux, "local");
	run_config_release(&rc);
}

/* Defaults, file, environment, option: each replaces the one before. */
static void
test_precedence(void **state)
{
	struct fixture *f = *state;
	char *origin;

	load_text(f, "# comment\ncache: read\nretain: 2h\n");
	assert_string_equal(config_text(&f->c, CFG_CACHE), "read");
	origin = xasprintf("%s/config.yaml:2", f->dir);
	assert_string_equal(config_origin(&f->c, CFG_CACHE), origin);
	free(origin);
	load_env(f, "WEIR_CACHE=write WEIR_CRASH=other WEIR_RETAIN= HOME=/");
	assert_string_equal(config_text(&f->c, CFG_CACHE), "write");
	assert_string_equal(config_origin(&f->c, CFG_CACHE), "$WEIR_CACHE");
	/* An empty variable is one that is not set. */
	assert_string_equal(config_text(&f->c, CFG_RETAIN), "2h");
	options_leave(f, &cmd_run, "--cache off p.rf", "p.rf");
	assert_string_equal(config_text(&f->c, CFG_CACHE), "off");
	assert_string_equal(config_origin(&f->c, CFG_CACHE), "--cache");
}

static void
test_labels_merge(void **state)
{
	struct fixture *f = *state;

	load_text(f, "labels:\n  who: file\n  what: a b\n");
	load_env(f, "WEIR_LABELS=who=env,when=now");
	assert_ok(config_set(&f->c, CFG_LABELS, "when=later", "--label"));
	assert_int_equal(f->c.labels.n, 3);
	assert_string_equal(labels_get(&f->c.labels, "who"), "env");
	assert_string_equal(labels_get(&f->c.labels, "what"), "a b");
	assert_string_equal(labels_get(&f->c.labels, "when"), "later");
	assert_string_equal(labels_get(&f->c.label_origins, "when"), "--label");
	assert_string_equal(labels_get(&f->c.label_origins, "who"), "$WEIR_LABELS");
	assert_err(config_set(&f->c, CFG_LABELS, "plain", "--label"),
	    "labels (--label): plain is no label; write NAME=VALUE");
}

static void
test_files_that_are_wrong(void **state)
{
	struct fixture *f = *state;

	load_fails(f, "\ncahce: off\n", "%s:2: unknown key cahce; did you mean cache?");
	load_fails(f, "zzz: off\n", "%s:1: unknown key zzz; `weir config` lists those there are");
	load_fails(f, "cache: sometimes\n", "cache (%s:1): sometimes is none of off, read, write or read+write");
	load_fails(f, "- a\n", "%s:1: the configuration is a mapping of keys to values");
	load_fails(f, "cache: [off]\n", "%s:1: the value is no simple text");
	load_fails(f, "labels: x\n", "%s:1: labels is a mapping of names to values");
	load_fails(f, "fail_fast: maybe\n", "fail_fast (%s:1): maybe is neither true nor false");
	load_fails(f, "retain: long\n", "retain (%s:1): long is no time; write 90s, 20m or 1h30m");
	load_fails(f, "cluster: slurm\n", "cluster (%s:1): slurm is not supported yet; local is");
	load_fails(f, "cluster: static,a:1\n", "cluster (%s:1): static,a:1 is not supported yet; local is");
	load_fails(f, "cluster: cloud\n", "cluster (%s:1): cloud is no cluster; local is");
	load_fails(f, "repository: s3,bucket\n", "repository (%s:1): not supported yet");
	load_fails(f, "gc: true\n", "gc (%s:1): not supported yet");
	load_fails(f, "root: ''\n", "root (%s:1): the path is empty");
	load_fails(f, "a: 'b\n", "%s:2: not YAML: found unexpected end of stream");
	/* What was wrong has changed nothing. */
	assert_string_equal(config_text(&f->c, CFG_CACHE), "read+write");
}

static void
test_files_that_say_nothing(void **state)
{
	struct fixture *f = *state;

	assert_ok(config_load_file(&f->c, "/does/not/exist"));
	load_text(f, "");
	load_text(f, "# only a comment\n");
	assert_string_equal(config_text(&f->c, CFG_CACHE), "read+write");
}

static void
test_random_bytes(void **state)
{
	struct fixture *f = *state;
	char bytes[512];
	uint32_t x = 1;

	for (int round = 0; round < 200; round++) {
		char *path;

		for (size_t i = 0; i < sizeof bytes; i++) {
			x = x * 1103515245 + 12345;
			bytes[i] = (char)(x >> 16);
		}
		path = xasprintf("%s/config.yaml", f->dir);
		write_file(path, bytes, sizeof bytes);
		err_free(config_load_file(&f->c, path));
		free(path);
	}
}

static void
test_nearest(void **state)
{
	static const char *const names[] = { "cache", "retain", "root" };

	(void)state;
	assert_string_equal(nearest_name("cahce", names, 3), "cache");
	assert_string_equal(nearest_name("retan", names, 3), "retain");
	assert_string_equal(nearest_name("rot", names, 3), "root");
	assert_null(nearest_name("universe", names, 3));
	assert_null(nearest_name("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", names, 3));
}

static void
test_options(void **state)
{
	struct fixture *f = *state;

	/* What follows the program is the program's, whatever it looks like. */
	options_leave(f, &cmd_run, "--cache=read -fail-fast --label a=b --recompute-empty=false x.rf --cache -top 3",
	    "x.rf|--cache|-top|3");
	assert_string_equal(config_text(&f->c, CFG_CACHE), "read");
	assert_true(config_bool(&f->c, CFG_FAIL_FAST));
	assert_false(config_bool(&f->c, CFG_RECOMPUTE_EMPTY));
	assert_string_equal(labels_get(&f->c.labels, "a"), "b");
	options_leave(f, &cmd_run, "--no-cache x.rf", "x.rf");
	assert_string_equal(config_text(&f->c, CFG_CACHE), "off");
	assert_string_equal(config_origin(&f->c, CFG_CACHE), "--no-cache");
	options_leave(f, &cmd_info, "last --json", "last");
	options_leave(f, &cmd_info, "-- --json", "--json");
}

static void
test_options_that_are_wrong(void **state)
{
	struct fixture *f = *state;

	options_fail(f, &cmd_run, "--cahce off x.rf", "run: unknown option --cahce; did you mean --cache?");
	options_fail(f, &cmd_run, "--zzzzzz", "run: unknown option --zzzzzz; see weir run -help");
	options_fail(f, &cmd_run, "--cache", "run: --cache needs a value");
	options_fail(f, &cmd_run, "",
	    "run: an argument is missing; usage: weir run PROGRAM.rf [-PARAM VALUE]... [ARG]...");
	options_fail(f, &cmd_info, "a b", "info: too many arguments; usage: weir info ID");
	options_fail(f, &cmd_run, "--gc x.rf", "gc (--gc): not supported yet");
	options_fail(f, &cmd_run, "--transfer-limit=3 x.rf", "transfer_limit (--transfer-limit): not supported yet");
	options_fail(f, &cmd_run, "--trace f x.rf", "trace (--trace): not supported yet");
	options_fail(f, &cmd_run, "--cluster slurm x.rf", "cluster (--cluster): slurm is not supported yet; local is");
	options_fail(f, &cmd_run, "--resources cpu x.rf",
	    "resources (--resources): bad resource \"cpu\": label=amount is expected, such as cpu=4");
	options_fail(f, &cmd_run, "--compact never x.rf",
	    "compact (--compact): never is none of auto, off or a size such as 64MiB");
	options_fail(f, &cmd_run, "--compact 0 x.rf", "compact (--compact): 0 is none of auto, off or a size such as 64MiB");
	options_fail(f, &cmd_run, "--invalidate ( x.rf",
	    "invalidate (--invalidate): regular expression \"(\": at byte 1: missing closing parenthesis");
	options_fail(f, &cmd_info, "--json=7 last", "--json takes no value but true or false");
	options_fail(f, &cmd_info, "--gc last", "info: unknown option --gc; see weir info -help");
}

static void
test_help(void **state)
{
	struct fixture *f = *state;
	char **rest = NULL;
	struct buf b = BUF_INIT;
	struct words w;
	bool help;
	int n;

	words_init(&w, "-help");
	assert_ok(cmd_options(&cmd_run, &f->c, w.n, w.v, &n, &rest, &help));
	assert_true(help);
	free(rest);
	free(w.text);
	cmd_usage(&cmd_kill, &b);
	assert_string_equal(buf_str(&b),
	    "usage: weir kill [options] RUN\n\nEnds a run and its execs. It can be resumed.\n\noptions:\n"
	    "  --root DIR                   where everything is kept\n"
	    "  --scratch DIR                where execs work, on a local disk\n"
	    "  --log LEVEL                  off, error, info or debug\n");
	buf_release(&b);
}

static void
test_times(void **state)
{
	static const struct { const char *text; int64_t ns; } good[] = {
		{ "0", 0 }, { "90s", SECONDS(90) }, { "1h30m", SECONDS(5400) }, { "500ms", MILLIS(500) },
		{ "1.5s", MILLIS(1500) },
		{ "2d", SECONDS(172800) },
	};
	static const char *const bad[] = { "", "5", "s", "-1s", "1x", "1h30", "1e400s", "999999999d", " 1s" };
	static const struct { int64_t ns; const char *text; } shown[] = {
		{ 0, "0.00s" }, { MILLIS(310), "0.31s" }, { MILLIS(12400), "12.4s" }, { SECONDS(185), "3m05s" },
		{ SECONDS(7620), "2h07m" }, { -5, "0s" },
	};
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < nitems(good); i++) {
		assert_true(duration_parse(good[i].text, &ns));
		assert_true(ns == good[i].ns);
	}
	for (size_t i = 0; i < nitems(bad); i++)
		assert_false(duration_parse(bad[i], &ns));
	for (size_t i = 0; i < nitems(shown); i++) {
		struct buf b = BUF_INIT;

		duration_text(shown[i].ns, &b);
		assert_string_equal(buf_str(&b), shown[i].text);
		buf_release(&b);
	}
}

static void
test_exit_codes(void **state)
{
	static const struct { enum stage stage; enum err_kind kind; int code; } cases[] = {
		{ STAGE_USAGE, ERR_INVALID, 2 }, { STAGE_USAGE, ERR_NOT_SUPPORTED, 2 },
		{ STAGE_PROGRAM, ERR_INVALID, 3 }, { STAGE_PROGRAM, ERR_NOT_EXIST, 1 },
		{ STAGE_EVAL, ERR_EVAL, 11 }, { STAGE_EVAL, ERR_EXEC, 11 }, { STAGE_EVAL, ERR_RESOURCES_EXHAUSTED, 11 },
		{ STAGE_EVAL, ERR_NOT_EXIST, 11 }, { STAGE_EVAL, ERR_TOO_MANY_TRIES, 10 },
		{ STAGE_EVAL, ERR_TEMPORARY, 10 },
		{ STAGE_EVAL, ERR_UNAVAILABLE, 10 }, { STAGE_EVAL, ERR_CANCELED, 130 }, { STAGE_EVAL, ERR_INVALID, 2 },
		{ STAGE_EVAL, ERR_FATAL, 20 }, { STAGE_OTHER, ERR_UNAVAILABLE, 1 }, { STAGE_OTHER, ERR_NOT_ALLOWED, 1 },
		{ STAGE_OTHER, ERR_INTEGRITY, 1 }, { STAGE_OTHER, ERR_NOT_EXIST, 1 }, { STAGE_OTHER, ERR_INVALID, 1 },
		{ STAGE_OTHER, ERR_TEMPORARY, 10 }, { STAGE_OTHER, ERR_CANCELED, 130 },
	};

	(void)state;
	assert_int_equal(exit_code(STAGE_EVAL, NULL), 0);
	for (size_t i = 0; i < nitems(cases); i++) {
		struct err *err = err_new(cases[i].kind, "x", NULL);

		assert_int_equal(exit_code(cases[i].stage, err), cases[i].code);
		err_free(err);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_field, setup, teardown),
		cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_labels_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_that_are_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_that_say_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options_that_are_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(test_help, setup, teardown),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_exit_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
