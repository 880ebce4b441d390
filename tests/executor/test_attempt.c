/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "executor/attempt.h"

/* The claim's folders, without a keeper: what several workers see that come to one key at once. */
#define RACERS 3
#define KEYS   400

static void
key_of(int i, struct digest *key)
{
	memset(key, 0, sizeof *key);
	memcpy(key->b, &i, sizeof i);
}

/* Together to each key; whoever is told that nothing was there must be able to make the first attempt's folder. */
static int
racer(atomic_int *arrived)
{
	int fd, wrong = 0;
	struct digest key;
	struct err *err;
	bool fresh;

	for (int i = 0; i < KEYS; i++) {
		key_of(i, &key);
		atomic_fetch_add(arrived, 1);
		while (atomic_load(arrived) < RACERS * (i + 1))
			sched_yield();
		err = attempt_key_lock(&key, true, &fd, &fresh);
		if (err != NULL) {
			err_free(err);
			return 2;
		}
		wrong += mkdirat(fd, "1", 0700) != 0 && (fresh || errno != EEXIST);
		close(fd);
	}
	return wrong != 0;
}

static void
test_fresh_is_fresh(void **state unused_arg)
{
	char *dir = temp_dir_new();
	atomic_int *arrived = mmap(NULL, sizeof *arrived, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[RACERS];
	int status;

	assert_ptr_not_equal(arrived, MAP_FAILED);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(mkdir("execs", 0700), 0);
	for (int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(racer(arrived));
	}
	for (int i = 0; i < RACERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	munmap(arrived, sizeof *arrived);
	assert_int_equal(chdir("/"), 0);
	temp_dir_free(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh_is_fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
