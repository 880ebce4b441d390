/* SPDX-License-Identifier: Apache-2.0 */
#include "base/helper.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "tests/check.h"

/* test_helper: run with an argument it prints where it finds that helper. So copies of it are run, in other places. */

struct place {
	char  dir[32];
	char *prog;
};

static void
make_file(const char *dir, const char *path, mode_t mode)
{
	char *file = xasprintf("%s/%s", dir, path);
	FILE *f;

	for (char *p = file + strlen(dir) + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
		*p = '\0';
		mkdir(file, 0700);
	}
	f = fopen(file, "we");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(chmod(file, mode), 0);
	free(file);
}

static void
place_open(struct place *p, const char *prog)
{
	char *cmd;

	strcpy(p->dir, "/tmp/weir-test-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	make_file(p->dir, prog, 0700);
	p->prog = xasprintf("%s/%s", p->dir, prog);
	cmd = xasprintf("cp /proc/%d/exe %s", (int)getpid(), p->prog);
	assert_int_equal(system(cmd), 0);
	free(cmd);
}

static void
place_close(struct place *p)
{
	char *cmd = xasprintf("rm -r %s", p->dir);

	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(p->prog);
}

/* What the program there finds; a path below its place is given without that. */
static void
check_finds(struct place *p, const char *want)
{
	char line[PATH_MAX] = "", *cmd = xasprintf("%s weir-helper", p->prog);
	size_t n = strlen(p->dir);
	FILE *f = popen(cmd, "re");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f));
	assert_int_equal(pclose(f), 0);
	line[strcspn(line, "\n")] = '\0';
	assert_string_equal(strncmp(line, p->dir, n) == 0 ? line + n + 1 : line, want);
	free(cmd);
}

static void
test_build_tree(void **state unused_arg)
{
	struct place p;

	place_open(&p, "build/tests/room/test");
	check_finds(&p, WEIR_LIBEXECDIR "/weir-helper");
	make_file(p.dir, "build/weir-helper", 0600);
	check_finds(&p, WEIR_LIBEXECDIR "/weir-helper");
	make_file(p.dir, "build/weir-helper", 0700);
	check_finds(&p, "build/weir-helper");
	make_file(p.dir, "build/tests/room/weir-helper", 0700);
	check_finds(&p, "build/tests/room/weir-helper");
	place_close(&p);
}

/* An installation that was moved as a whole, or has not come to its place yet. */
static void
test_relocated(void **state unused_arg)
{
	struct place p;

	place_open(&p, "any/where/bin/weir");
	make_file(p.dir, "any/where/libexec/weir/weir-helper", 0700);
	check_finds(&p, "any/where/libexec/weir/weir-helper");
	place_close(&p);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build_tree),
		cmocka_unit_test(test_relocated),
	};
	char *path;

	if (argc == 2) {
		path = helper_path(argv[1]);
		puts(path);
		free(path);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
