/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/executor/keepertest.h"

#include "store/object.h"

/* test_exec: what an exec does and what is promised to its command, on a real keeper. */

static void
test_ok(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct file in;
	char *text;

	world_open(&w, NULL);
	object_put(&w, "hello\n", &in);
	struct spec s = { .cmd = "tr a-z A-Z < %s > %s; echo said; echo 100%% >&2", .holes = { ARG(0, 1), OUT(0) }, .nholes = 2,
		.inputs = { { .path = "0/0", .file = in } }, .ninputs = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	text = object_text(&w, &output_file(&g, 0, ".")->id);
	assert_string_equal(text, "HELLO\n");
	free(text);
	text = object_text(&w, &g.result.out);
	assert_string_equal(text, "said\n");
	free(text);
	text = object_text(&w, &g.result.errlog);
	assert_string_equal(text, "100%\n");
	free(text);
	assert_int_equal(g.result.attempt, 1);
	assert_int_equal(g.result.status, 0);
	assert_false(g.result.attached);
	assert_true(g.result.usage.wall_ns > 0);
	drop(&g);
	world_close(&w);
}

/* Runs a command with one file output, and expects it to end like this. */
static void
check_end(struct world *w, const char *cmd, enum attempt_state state, const char *text)
{
	struct spec s = { .cmd = cmd, .holes = { OUT(0) }, .nholes = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	struct running g;

	run(w, &s, &g);
	assert_failed(&g, state, text);
	drop(&g);
}

static void
test_faults(void **state unused_arg)
{
	struct world w;

	world_open(&w, NULL);
	check_end(&w, "echo > %s; exit 3", ATTEMPT_FAILED, "exited with code 3");
	check_end(&w, "echo > %s; false; true", ATTEMPT_FAILED, "exited with code 1");
	check_end(&w, "echo > %s; false | true", ATTEMPT_FAILED, "exited with code 1");
	check_end(&w, "echo > %s; kill -SEGV $$", ATTEMPT_FAILED, "killed by signal 11 (Segmentation fault)");
	check_end(&w, ": %s", ATTEMPT_FAILED, "output out was not created");
	check_end(&w, "mkfifo %s", ATTEMPT_FAILED, "output out is a FIFO");
	check_end(&w, "mkdir %s", ATTEMPT_FAILED, "output out is a directory, not a file");
	check_end(&w, "ln -s /etc/passwd %s", ATTEMPT_FAILED, "output out is a link that leaves the exec's directory");
	check_end(&w, "ln -s nowhere %s", ATTEMPT_FAILED, "output out is a link to nothing");
	check_end(&w, "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un(shift))' %s", ATTEMPT_FAILED,
	    "output out is a socket");
	if (geteuid() == 0)
		check_end(&w, "mknod %s c 1 3", ATTEMPT_FAILED, "output out is a device");
	world_close(&w);
}

static void
damage(struct world *w, const struct digest *id)
{
	char path[4096];

	object_path(w->root.objects, id, path, sizeof path);
	assert_int_equal(chmod(path, 0600), 0);
	write_file(path, "HELLX\n", 6);
}

/* One of the right size is not believed either: a moved output and a linked log take the place of what was damaged. */
static void
test_damaged_replaced(void **state unused_arg)
{
	struct spec s = { .cmd = "echo HELLO > %s; echo hello", .holes = { OUT(0) }, .nholes = 1,
		.outputs = { { "out", false } }, .noutputs = 1 };
	struct running g;
	struct world w;
	char *text;

	world_open(&w, NULL);
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	damage(&w, &output_file(&g, 0, ".")->id);
	damage(&w, &g.result.out);
	drop(&g);
	s.key = (struct digest){ { 0 } };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	text = object_text(&w, &output_file(&g, 0, ".")->id);
	assert_string_equal(text, "HELLO\n");
	free(text);
	text = object_text(&w, &g.result.out);
	assert_string_equal(text, "hello\n");
	free(text);
	drop(&g);
	world_close(&w);
}

static void
test_dir_output(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct file in;
	char *text;

	world_open(&w, NULL);
	object_put(&w, "input", &in);
	struct spec s = {
		.cmd = "cd %s; mkdir a; echo 1 > a/x; ln a/x a/hard; ln -s a/x soft; ln -s a down; ln -s %s in; echo 2 > ../1; : %s",
		.holes = { OUT(0), ARG(0, 1), OUT(1) }, .nholes = 3, .inputs = { { .path = "0/0", .file = in } }, .ninputs = 1,
		.outputs = { { "tree", true }, { "plain", false } }, .noutputs = 2 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_int_equal(fileset_nmap(fileset_elem(g.result.fileset, 0)), 6);
	text = object_text(&w, &output_file(&g, 0, "down/x")->id);
	assert_string_equal(text, "1\n");
	free(text);
	assert_true(digest_equal(&output_file(&g, 0, "in")->id, &in.id));
	assert_true(digest_equal(&output_file(&g, 0, "soft")->id, &output_file(&g, 0, "a/hard")->id));
	text = object_text(&w, &output_file(&g, 1, ".")->id);
	assert_string_equal(text, "2\n");
	free(text);
	drop(&g);

	struct spec empty = { .cmd = "ls -d %s", .holes = { OUT(0) }, .nholes = 1, .outputs = { { "tree", true } }, .noutputs = 1 };
	run(&w, &empty, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_int_equal(fileset_nmap(fileset_elem(g.result.fileset, 0)), 0);
	drop(&g);

	struct spec loop = { .cmd = "mkdir %s/a; ln -s .. %s/a/up", .holes = { OUT(0), OUT(0) }, .nholes = 2,
		.outputs = { { "tree", true } }, .noutputs = 1 };
	run(&w, &loop, &g);
	assert_failed(&g, ATTEMPT_FAILED, "output tree: a/up is a link to a directory that holds it");
	drop(&g);

	struct spec bytes = { .cmd = "touch %s/$'\\xff'", .holes = { OUT(0) }, .nholes = 1,
		.outputs = { { "tree", true } }, .noutputs = 1 };
	run(&w, &bytes, &g);
	assert_failed(&g, ATTEMPT_FAILED, "output tree holds a name that is not UTF-8");
	drop(&g);

	struct spec fifo = { .cmd = "mkdir %s/a; mkfifo %s/a/f", .holes = { OUT(0), OUT(0) }, .nholes = 2,
		.outputs = { { "tree", true } }, .noutputs = 1 };
	run(&w, &fifo, &g);
	assert_failed(&g, ATTEMPT_FAILED, "output tree: a/f is a FIFO");
	drop(&g);
	world_close(&w);
}

/* Lists, an empty list, an empty directory, a directory's files: their paths are the documented ones. */
static void
test_arguments(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct file one, two;
	char *text;

	world_open(&w, NULL);
	object_put(&w, "one", &one);
	object_put(&w, "two", &two);
	struct spec s = { .cmd = "echo a %s b %s c %s d; test -d %s; ls %s", .holes = { ARG(0, 2), ARG(1, 0), ARG(2, 1), ARG(3, 1), ARG(2, 1) },
		.nholes = 5,
		.inputs = { { .path = "0/0", .file = one }, { .path = "0/1", .file = two }, { .path = "2/0/deep/down/f", .file = one },
		    { .path = "2/0/g", .file = two }, { .path = "3/0", .dir = true } }, .ninputs = 5 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	text = object_text(&w, &g.result.out);
	if (g.result.isolated)
		assert_string_equal(text, "a /tmp/.weir/arg/0/0 /tmp/.weir/arg/0/1 b c /tmp/.weir/arg/2/0 d\ndeep\ng\n");
	free(text);
	drop(&g);
	world_close(&w);
}

static void
test_environment(void **state unused_arg)
{
	static const char *const env[] = { "NAME=value", "LANG=C", NULL };
	struct world w;
	struct running g;
	char *text;

	world_open(&w, NULL);
	setenv("WEIR_TEST_SECRET", "x", 1);
	struct spec s = { .cmd = "pwd; umask; echo $LANG $NAME $HOME $TMPDIR $tmp ${WEIR_TEST_SECRET-none}; readlink /proc/self/fd/0; "
		"test $PATH; touch mine; if touch ../arg/x 2>&1; then echo wrote; fi", .env = env };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	text = object_text(&w, &g.result.out);
	if (g.result.isolated)
		assert_string_equal(text, "/tmp/.weir/tmp\n0022\nC value /tmp/.weir/tmp /tmp/.weir/tmp /tmp/.weir/tmp none\n/dev/null\n"
			"touch: cannot touch '../arg/x': Read-only file system\n");
	free(text);
	drop(&g);
	/* Nothing of one exec is there for the next. */
	struct spec next = { .cmd = "ls -A . ../arg ../return" };
	for (unsigned i = 0; i < 6; i++) {
		next.key = (struct digest){ { 0 } };
		run(&w, &next, &g);
		text = object_text(&w, &g.result.out);
		assert_string_equal(text, ".:\n\n../arg:\n\n../return:\n");
		free(text);
		drop(&g);
	}
	world_close(&w);
}

/* The command decides; what it leaves behind is gone before its outputs are looked at. */
static void
test_background(void **state unused_arg)
{
	struct world w;
	struct running g;
	char *path, *cmd;

	world_open(&w, NULL);
	path = xasprintf("%s/pids", w.dir);
	cmd = xasprintf("sleep 300 & echo $! >> %s; setsid sh -c 'echo $$ >> %s; exec sleep 300' & "
	    "(setsid sh -c 'sh -c \"echo \\$\\$ >> %s; trap : TERM INT HUP; while :; do sleep 0.1; done\" & sleep 0.2') & "
	    "while test $(wc -l < %s) -lt 3; do sleep 0.01; done; echo ok > %%s", path, path, path, path);
	struct spec s = { .cmd = cmd, .holes = { OUT(0) }, .nholes = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	FILE *f = fopen(path, "r");
	int pid, n = 0;
	assert_non_null(f);
	while (fscanf(f, "%d", &pid) == 1) {
		assert_true(process_gone(pid));
		n++;
	}
	fclose(f);
	assert_int_equal(n, 3);
	drop(&g);
	free(cmd);
	free(path);
	world_close(&w);
}

static void
check_input_write(bool no_isolation, const char *text)
{
	struct keeper_options o = { .no_isolation = no_isolation };
	struct world w;
	struct running g;
	struct file in;
	char path[4096], *bytes;

	world_open(&w, &o);
	object_put(&w, "precious", &in);
	struct spec s = { .cmd = "chmod u+w %s || true; echo worthless > %s", .holes = { ARG(0, 1), ARG(0, 1) }, .nholes = 2,
		.inputs = { { .path = "0/0", .file = in } }, .ninputs = 1 };
	run(&w, &s, &g);
	object_path(w.root.objects, &in.id, path, sizeof path);
	if (!no_isolation && g.result.isolated) {
		assert_failed(&g, ATTEMPT_FAILED, text);
		bytes = object_text(&w, &in.id);
		assert_string_equal(bytes, "precious");
		free(bytes);
	} else if (no_isolation) {
		assert_false(g.result.isolated);
		assert_failed(&g, ATTEMPT_FAILED, text);
		/* What holds other bytes than its name says is out of service. */
		assert_int_equal(access(path, F_OK), -1);
	}
	drop(&g);
	world_close(&w);
}

static void
test_input_write(void **state unused_arg)
{
	check_input_write(false, "exited with code 1");
	check_input_write(true, "the command changed its input 0/0");
}

/* A command that may mount: what it changes is not there for the next one, and inputs that it reached are looked at. */
static void
test_mounts(void **state unused_arg)
{
	struct keeper_options o = { .slots = 1 };
	struct world w;
	struct running g;
	struct file in;
	char path[4096], *bytes;

	world_open(&w, &o);
	object_put(&w, "precious", &in);
	struct spec probe = { .cmd = "mkdir m && mount -t tmpfs none m" };
	run(&w, &probe, &g);
	if (!g.result.isolated || g.result.state != ATTEMPT_OK) {
		drop(&g);
		world_close(&w);
		print_message("skipped: a command cannot mount here\n");
		skip();
	}
	drop(&g);
	object_path(w.root.objects, &in.id, path, sizeof path);
	struct spec next = { .cmd = "grep -c /tmp/.weir /proc/self/mountinfo > %s; ! echo x 2>&- >> %s", .nholes = 2,
		.holes = { OUT(0), ARG(0, 1) }, .outputs = { { "out", false } }, .noutputs = 1,
		.inputs = { { .path = "0/0", .file = in } }, .ninputs = 1 };
	static const char *const leaves[] = {
		"mount -t tmpfs none /tmp/.weir/tmp; : %s %s",
		"mount -o remount,rw,bind /tmp/.weir/arg; : %s %s",
		"umount /tmp/.weir/arg; : %s %s",
	};
	for (size_t i = 0; i < nitems(leaves); i++) {
		struct spec s = next;

		s.cmd = leaves[i];
		s.noutputs = 0;
		s.holes[0] = s.holes[1];
		run(&w, &s, &g);
		assert_failed(&g, ATTEMPT_OK, "");
		drop(&g);
		run(&w, &next, &g);
		assert_failed(&g, ATTEMPT_OK, "");
		bytes = object_text(&w, &output_file(&g, 0, ".")->id);
		assert_string_equal(bytes, "2\n");
		free(bytes);
		drop(&g);
		next.key = (struct digest){ { 0 } };
	}
	/* What is below a mount is not cleared away. */
	struct spec bound = { .nholes = 1, .holes = { ARG(0, 1) },
		.inputs = { { .path = "0/0", .file = in } }, .ninputs = 1 };
	char *keep = xasprintf("%s/keep", w.dir), *kept = xasprintf("%s/keep/file", w.dir), *cmd;
	cmd = xasprintf("mkdir -p %s b; : > %s; mount --bind %s b; : %%s", keep, kept, keep);
	bound.cmd = cmd;
	run(&w, &bound, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	run(&w, &probe, &g);
	drop(&g);
	assert_int_equal(access(kept, F_OK), 0);
	free(cmd);
	free(keep);
	free(kept);
	struct spec writes = next;
	writes.cmd = "umount /tmp/.weir/arg; echo worthless > %s; : %s";
	writes.holes[0] = writes.holes[1];
	writes.noutputs = 0;
	run(&w, &writes, &g);
	assert_failed(&g, ATTEMPT_FAILED, "the command changed its input 0/0");
	drop(&g);
	assert_int_equal(access(path, F_OK), -1);
	world_close(&w);
}

/* Somebody else removes the object that the input is a link to: the input is as it was. */
static void
test_object_removed(void **state unused_arg)
{
	struct keeper_options o = { .no_isolation = true };
	struct world w;
	struct running g;
	struct file in;
	char path[4096], *cmd;

	world_open(&w, &o);
	object_put(&w, "x", &in);
	object_path(w.root.objects, &in.id, path, sizeof path);
	cmd = xasprintf("rm -f %s; cat %%s > %%s; echo y >> %%s", path);
	struct spec s = { .cmd = cmd, .holes = { ARG(0, 1), OUT(0), OUT(0) }, .nholes = 3,
		.inputs = { { .path = "0/0", .file = in } }, .ninputs = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	free(cmd);
	world_close(&w);
}

/* Without isolation the paths come from the key alone. */
static void
test_no_isolation(void **state unused_arg)
{
	struct keeper_options o = { .no_isolation = true };
	struct world w;
	struct running g;
	struct file in;
	char *text, *want, hex[DIGEST_HEX + 1];

	world_open(&w, &o);
	object_put(&w, "x", &in);
	struct spec s = { .cmd = "echo %s; cat %s > %s", .holes = { ARG(0, 1), ARG(0, 1), OUT(0) }, .nholes = 3,
		.inputs = { { .path = "0/0", .file = in } }, .ninputs = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_false(g.result.isolated);
	text = object_text(&w, &g.result.out);
	digest_hex(&s.key, hex);
	want = xasprintf("%s/work/%s/arg/0/0\n", w.root.keeper, hex);
	assert_string_equal(text, want);
	free(text);
	free(want);
	assert_true(digest_equal(&output_file(&g, 0, ".")->id, &in.id));
	drop(&g);
	world_close(&w);
}

/* A command may do to its directory what it likes: the next one finds its own as it must be. */
static void
check_rude(const struct keeper_options *o)
{
	/* Nothing here may reach above the exec's own directory: with isolation that is all of /tmp. */
	static const char *const rude[] = {
		"rm -r ../tmp ../return", "chmod 0 ../return ../tmp", "rmdir ../tmp; ln -s return ../tmp; touch ../more",
		"mv ../tmp ../arg ../return",
	};
	struct world w;

	world_open(&w, o);
	for (size_t i = 0; i < nitems(rude); i++) {
		struct spec s = { .cmd = rude[i] };
		struct running g;

		run(&w, &s, &g);
		drop(&g);	/* it may well fail */
		for (unsigned n = 0; n < 4; n++)
			check_end(&w, "test -z \"$(ls -A)\"; pwd > %s; test -z \"$(ls -A ../arg)\"; test ! -e ../more", ATTEMPT_OK, "");
	}
	world_close(&w);
}

static void
test_rude(void **state unused_arg)
{
	check_rude(&(struct keeper_options){ .slots = 1 });
	check_rude(&(struct keeper_options){ .slots = 1, .no_isolation = true });
}

static void
test_memory(void **state unused_arg)
{
	struct world w;
	struct running g;

	world_open(&w, NULL);
	struct spec s = { .cmd = "perl -e '$x = \"x\" x 300000000; sleep 20'", .mem = 64 << 20 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_FAILED, "killed: the command needs more than its 64.0MiB of memory");
	assert_true(err_is(g.result.err, ERR_OOM));
	drop(&g);
	/* The next in the same slots has its own limit. */
	for (unsigned i = 0; i < 6; i++) {
		struct spec small = { .cmd = "perl -e '$x = \"x\" x 20000000'", .mem = 256 << 20 };
		run(&w, &small, &g);
		assert_failed(&g, ATTEMPT_OK, "");
		assert_true(g.result.usage.admitted.mem == 256 << 20);
		drop(&g);
	}
	world_close(&w);
}

/* Where the kernel cannot hold a command to its memory, the keeper does. */
static void
test_memory_watched(void **state unused_arg)
{
	struct keeper_options o = { .no_cgroup = true };
	struct world w;
	struct running g;

	world_open(&w, &o);
	struct spec s = { .cmd = "perl -e '$x = \"x\" x 300000000; sleep 20'", .mem = 64 << 20 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_FAILED, "killed: the command needs more than its 64.0MiB of memory");
	drop(&g);
	struct spec small = { .cmd = "perl -e '$x = \"x\" x 20000000; sleep 1'", .mem = 256 << 20 };
	run(&w, &small, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	world_close(&w);
}

static void
test_image(void **state unused_arg)
{
	struct world w;
	struct running g;

	world_open(&w, NULL);
	struct spec s = { .cmd = "true", .image = "ubuntu" };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_LOST, "image ubuntu: this version of weir runs commands on the host only (image := \"host\")");
	assert_true(err_is(g.err, ERR_NOT_SUPPORTED));
	drop(&g);
	s.image = "host:2024";
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	world_close(&w);
}

static void
test_too_much(void **state unused_arg)
{
	struct keeper_options o = { .idle = 0.3 };
	struct world w;
	struct running g;

	resources_set(&o.resources, "mem", 1 << 30);
	resources_set(&o.resources, "cpu", 2);
	world_open(&w, &o);
	struct spec s = { .cmd = "true", .mem = 8.0 * (1 << 30), .cpu = 1 };
	run(&w, &s, &g);
	assert_true(err_is(g.err, ERR_RESOURCES_EXHAUSTED));
	drop(&g);
	world_close(&w);
}

static void
test_inputs(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct file gone, damaged, local;
	char path[4096], *text, *want, hex[DIGEST_STR + 1];

	world_open(&w, NULL);
	sha256_of("gone", 4, &gone.id);
	gone.size = 4;
	digest_str(&gone.id, hex);
	struct spec s = { .cmd = "cat %s > %s", .holes = { ARG(0, 1), OUT(0) }, .nholes = 2, .inputs = { { .path = "0/0", .file = gone } },
		.ninputs = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	want = xasprintf("object %s of input 0/0 is missing or damaged", hex);
	assert_failed(&g, ATTEMPT_LOST, want);
	assert_true(err_is(g.result.err, ERR_NOT_EXIST));
	assert_int_equal(fileset_nmap(g.result.missing), 1);
	assert_true(digest_equal(&fileset_find(g.result.missing, "0/0")->file.id, &gone.id));
	free(want);
	drop(&g);

	/* An object that has lost bytes is found, and taken out of service. */
	object_put(&w, "damaged", &damaged);
	object_path(w.root.objects, &damaged.id, path, sizeof path);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 3), 0);
	s.inputs[0].file = damaged;
	s.key = (struct digest){ { 0 } };
	run(&w, &s, &g);
	assert_true(err_is(g.result.err, ERR_NOT_EXIST));
	assert_int_equal(access(path, F_OK), -1);
	drop(&g);

	/* A local file comes in when it is needed; one that has changed does not. */
	text = xasprintf("%s/local", w.dir);
	write_file(text, "local", 5);
	sha256_of("local", 5, &local.id);
	local.size = 5;
	s.inputs[0].file = local;
	s.inputs[0].origin = text;
	s.key = (struct digest){ { 0 } };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_true(digest_equal(&output_file(&g, 0, ".")->id, &local.id));
	drop(&g);
	struct stat st;
	assert_int_equal(stat(text, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	write_file(text, "LOCAL", 5);
	sha256_of("other", 5, &s.inputs[0].file.id);
	s.key = (struct digest){ { 0 } };
	run(&w, &s, &g);
	want = xasprintf("input changed meanwhile: %s", text);
	assert_failed(&g, ATTEMPT_LOST, want);
	assert_true(err_is(g.result.err, ERR_TEMPORARY));
	free(want);
	free(text);
	drop(&g);
	world_close(&w);
}

static void
flip(struct world *w, const struct file *f)
{
	char path[4096], c;
	int fd;

	object_path(w->root.objects, &f->id, path, sizeof path);
	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &c, 1, 0), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, 0), 1);
	close(fd);
}

/* Objects that somebody has written to, or that are gone: all of them are told at once, and what has an origin comes back. */
static void
test_damage(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct file f[3], local;
	char path[4096], *want, hex[DIGEST_STR + 1], *origin;
	struct stat st;

	world_open(&w, NULL);
	object_put(&w, "whole", &f[0]);
	object_put(&w, "flipped", &f[1]);
	object_put(&w, "gone", &f[2]);
	struct spec s = { .cmd = "cat %s %s %s > %s", .holes = { ARG(0, 1), ARG(1, 1), ARG(2, 1), OUT(0) }, .nholes = 4,
		.inputs = { { .path = "0/0", .file = f[0] }, { .path = "1/0", .file = f[1] }, { .path = "2/0", .file = f[2] } },
		.ninputs = 3, .outputs = { { "out", false } }, .noutputs = 1 };
	flip(&w, &f[1]);
	object_path(w.root.objects, &f[2].id, path, sizeof path);
	assert_int_equal(unlink(path), 0);
	run(&w, &s, &g);
	digest_str(&f[1].id, hex);
	want = xasprintf("2 objects of inputs are missing or damaged, the first %s of input 1/0", hex);
	assert_failed(&g, ATTEMPT_LOST, want);
	free(want);
	assert_int_equal(fileset_nmap(g.result.missing), 2);
	assert_non_null(fileset_find(g.result.missing, "1/0"));
	assert_non_null(fileset_find(g.result.missing, "2/0"));
	drop(&g);
	object_path(w.root.objects, &f[1].id, path, sizeof path);
	assert_int_equal(access(path, F_OK), -1);

	/* Written to and whole all the same: read once, and sealed again. */
	flip(&w, &f[0]);
	flip(&w, &f[0]);
	s.ninputs = 1;
	s.cmd = "cat %s > %s";
	s.holes[1] = (struct exec_hole)OUT(0);
	s.nholes = 2;
	s.key = (struct digest){ { 0 } };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_true(digest_equal(&output_file(&g, 0, ".")->id, &f[0].id));
	object_path(w.root.objects, &f[0].id, path, sizeof path);
	assert_int_equal(stat(path, &st), 0);
	assert_true(object_sealed(&st));
	drop(&g);

	/* A damaged one that came from a local file comes from there again; and so does one that is gone. */
	origin = xasprintf("%s/local", w.dir);
	write_file(origin, "local", 5);
	object_put(&w, "local", &local);
	s.inputs[0].file = local;
	s.inputs[0].origin = origin;
	for (int i = 0; i < 2; i++) {
		object_path(w.root.objects, &local.id, path, sizeof path);
		if (i == 0)
			flip(&w, &local);
		else
			assert_int_equal(unlink(path), 0);
		s.key = (struct digest){ { 0 } };
		run(&w, &s, &g);
		assert_failed(&g, ATTEMPT_OK, "");
		assert_true(digest_equal(&output_file(&g, 0, ".")->id, &local.id));
		drop(&g);
	}
	free(origin);
	world_close(&w);
}

/* A stop for want of a terminal, which nobody could continue. */
static void
test_stops_itself(void **state unused_arg)
{
	struct world w;
	struct running g;

	world_open(&w, NULL);
	struct spec s = { .cmd = "kill -TSTP $$; kill -TTIN $$; bash -c 'kill -TTOU $$'; echo on > %s", .holes = { OUT(0) },
		.nholes = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	world_close(&w);
}

/* Commands see the same times of their inputs always. */
static void
test_times(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct file f;
	char *text;

	world_open(&w, NULL);
	object_put(&w, "text", &f);
	struct spec s = { .cmd = "stat -c %%Y %s > %s", .holes = { ARG(0, 1), OUT(0) }, .nholes = 2,
		.inputs = { { .path = "0/0", .file = f } }, .ninputs = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	text = object_text(&w, &output_file(&g, 0, ".")->id);
	assert_string_equal(text, "1000000000\n");
	free(text);
	drop(&g);
	world_close(&w);
}

static void
test_big(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct buf cmd = BUF_INIT;
	char *text;

	world_open(&w, NULL);
	/* Over the limit of execve, and over what a datagram holds. */
	for (unsigned i = 0; i < 10000; i++)
		buf_addf(&cmd, "x=%u # a long program of many lines\n", i);
	assert_true(cmd.len > 300000);
	buf_addstr(&cmd, "echo $x > %s; echo $0");
	struct spec s = { .cmd = buf_str(&cmd), .holes = { OUT(0) }, .nholes = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	text = object_text(&w, &output_file(&g, 0, ".")->id);
	assert_string_equal(text, "9999\n");
	free(text);
	drop(&g);
	buf_release(&cmd);

	/* And a result that is longer than a report. */
	struct spec many = { .cmd = "cd %s; for i in $(seq 3000); do echo $i > a-name-of-some-length-$i; done", .holes = { OUT(0) }, .nholes = 1,
		.outputs = { { "tree", true } }, .noutputs = 1 };
	run(&w, &many, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_int_equal(fileset_nmap(fileset_elem(g.result.fileset, 0)), 3000);
	drop(&g);
	world_close(&w);
}

struct logs {
	struct op *op;
	struct source *source;
	struct buf text;
	bool done;
};

static void logs_next(struct logs *);

static void
logs_read_cb(const void *data, size_t len, struct err *err, void *arg)
{
	struct logs *l = arg;

	l->op = NULL;
	assert_ok(err);
	if (len == 0)
		l->done = true;
	else {
		buf_add(&l->text, data, len);
		logs_next(l);
	}
}

static void
logs_next(struct logs *l)
{
	l->op = source_read(l->source, logs_read_cb, l);
}

static void
logs_open_cb(struct source *s, struct err *err, void *arg)
{
	struct logs *l = arg;

	l->op = NULL;
	assert_ok(err);
	l->source = s;
	logs_next(l);
}

static void
logs_all(struct world *w, struct running *g, enum exec_log which, bool follow, const char *want)
{
	struct logs l = { .text = BUF_INIT };

	l.op = exec_logs(g->exec, which, follow, logs_open_cb, &l);
	test_until(w->loop, &l.done);
	assert_string_equal(buf_str(&l.text), want);
	source_close(l.source);
	buf_release(&l.text);
}

static void
test_logs(void **state unused_arg)
{
	struct world w;
	struct running g;
	char *gate, *cmd;

	world_open(&w, NULL);
	gate = xasprintf("%s/gate", w.dir);
	cmd = xasprintf("echo one; touch %s; while test -e %s; do sleep 0.02; done; echo two; echo err >&2", gate, gate);
	struct spec s = { .cmd = cmd };
	start(&w, &s, &g);
	until_file(&w, gate);
	started(&w, &g);
	logs_all(&w, &g, EXEC_STDOUT, false, "one\n");
	struct logs l = { .text = BUF_INIT };
	l.op = exec_logs(g.exec, EXEC_STDOUT, true, logs_open_cb, &l);
	while (l.text.len == 0)
		loop_turn(w.loop, true);
	assert_string_equal(buf_str(&l.text), "one\n");
	unlink(gate);
	test_until(w.loop, &l.done);
	assert_string_equal(buf_str(&l.text), "one\ntwo\n");
	source_close(l.source);
	buf_release(&l.text);
	finish(&w, &g);
	logs_all(&w, &g, EXEC_STDOUT, false, "one\ntwo\n");
	logs_all(&w, &g, EXEC_STDERR, true, "err\n");
	drop(&g);
	struct spec silent = { .cmd = "true" };
	run(&w, &silent, &g);
	assert_true(digest_is_zero(&g.result.out));
	logs_all(&w, &g, EXEC_STDOUT, false, "");
	drop(&g);
	free(gate);
	free(cmd);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_damaged_replaced),
		cmocka_unit_test(test_dir_output),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_input_write),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_object_removed),
		cmocka_unit_test(test_no_isolation),
		cmocka_unit_test(test_rude),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_memory_watched),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_inputs),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_stops_itself),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
