/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/storetest.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "store/db_read.h"
#include "store/db_writer.h"
#include "store/sock.h"

#define CHILD_ARG "--writer-of-root"
#define LIMIT_MS  20000

void
testroot_new(struct testroot *t)
{
	char *path;

	t->dir = temp_dir_new();
	path = xasprintf("%s/root", t->dir);
	assert_ok(root_open(path, NULL, true, &t->root));
	free(path);
}

void
testroot_free(struct testroot *t)
{
	root_release(&t->root);
	temp_dir_free(t->dir);
}

bool
writer_child_main(int argc, char **argv, int *status)
{
	struct db_writer_opts o;
	struct root root;
	struct err *err;

	if (argc != 6 || strcmp(argv[1], CHILD_ARG) != 0)
		return false;
	o = (struct db_writer_opts){ atoi(argv[3]), strtoull(argv[4], NULL, 10), atoi(argv[5]) };
	err = root_open(argv[2], NULL, false, &root);
	*status = err ? 9 : db_writer_run(&root, &o);
	err_free(err);
	root_release(&root);
	return true;
}

static void
pause_ms(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

static void
writer_exec(const struct root *root, const struct writer_args *a, int lifeline)
{
	char fd[16], map[32], idle[16];

	snprintf(fd, sizeof fd, "%d", lifeline);
	snprintf(map, sizeof map, "%zu", a ? a->map_size : 0);
	snprintf(idle, sizeof idle, "%d", a ? a->idle_ms : 0);
	if (a && a->crash)
		setenv("WEIR_CRASH", a->crash, 1);
	execl("/proc/self/exe", "writer", CHILD_ARG, root->path, fd, map, idle, (char *)NULL);
	_exit(127);
}

static void
await_listening(const struct root *root, pid_t pid)
{
	struct err *err;
	int fd, waited;

	for (waited = 0; waited < LIMIT_MS; waited += 5) {
		err = unix_connect(root->keeper, DB_SOCKET, SOCK_SEQPACKET, false, &fd);
		if (!err) {
			close(fd);
			return;
		}
		err_free(err);
		if (waitpid(pid, NULL, WNOHANG) == pid)
			fail_msg("the writer ended before it listened");
		pause_ms(5);
	}
	fail_msg("the writer does not listen");
}

pid_t
writer_start(const struct root *root, const struct writer_args *a)
{
	char *sock = xasprintf("%s/%s", root->keeper, DB_SOCKET);
	int life[2];
	pid_t pid;

	unlink(sock);	/* of a writer that was killed */
	free(sock);
	assert_int_equal(pipe2(life, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fcntl(life[0], F_SETFD, 0);
		writer_exec(root, a, life[0]);
	}
	close(life[0]);
	/* The other end stays open in us for good: our death is the keeper's. */
	fcntl(life[1], F_SETFD, FD_CLOEXEC);
	await_listening(root, pid);
	return pid;
}

void
writer_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int
writer_stop(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void
writer_wait_killed(pid_t pid)
{
	int status, waited;

	for (waited = 0; waited < LIMIT_MS; waited += 5) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
			return;
		}
		pause_ms(5);
	}
	writer_kill(pid);
	fail_msg("the writer did not come to its crash point");
}

char *
db_value(const struct root *root, int sub, const char *key)
{
	struct db_read *r = db_read_open(root->db);
	struct buf out = BUF_INIT;
	bool found = false;

	assert_ok(db_read_get(r, (enum db_sub)sub, key, strlen(key), &out, &found));
	db_read_close(r);
	assert_true(found || out.len == 0);
	buf_addstr(&out, "");
	return out.p ? buf_take(&out, NULL) : xstrdup("");
}

void
overwrite_file(const char *path, const char *text)
{
	chmod(path, 0600);
	write_file(path, text, strlen(text));
}

bool
tmpfs_mount(const char *dir, const char *size)
{
	char *opts = xasprintf("size=%s", size);
	bool ok = mount("tmpfs", dir, "tmpfs", 0, opts) == 0;

	if (!ok)
		print_message("skipped: a tmpfs cannot be mounted here: %s\n", strerror(errno));
	free(opts);
	return ok;
}

void
tmpfs_umount(const char *dir)
{
	umount2(dir, MNT_DETACH);
}
