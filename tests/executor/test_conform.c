/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/file.h>

#include "executor/executor_local.h"
#include "store/repo_file.h"
#include "tests/iface/conform_executor.h"

/* The suite of all executors over the one of this host, with a real keeper and real commands. */

static char *dir;
static struct root root;
static struct keeper_client *client;
static struct repo *repo;

static struct executor *
make_executor(struct loop *loop, void *arg unused_arg)
{
	struct keeper_options o = { .idle = 0.3 };

	dir = temp_dir_new();
	assert_ok(root_open(dir, NULL, true, &root));
	client = keeper_client_new(loop, &root, &o);
	repo = repo_file_new(loop, root.objects, "test");
	return executor_local_new(client, repo);
}

/* The keeper holds its lock until it is gone. */
static void
end_executor(void *arg unused_arg)
{
	char *path = xasprintf("%s/lock", root.keeper);
	pid_t pid = keeper_client_pid(client);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	keeper_client_free(client);
	repo_free(repo);
	if (pid > 0)
		kill(pid, SIGTERM);
	if (fd >= 0) {
		flock(fd, LOCK_EX);
		close(fd);
	}
	free(path);
	root_release(&root);
	temp_dir_free(dir);
}

static void
test_conform(void **state unused_arg)
{
	conform_executor(&(struct conform_executor){ make_executor, end_executor, true, NULL });
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_conform) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
