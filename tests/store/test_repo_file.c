/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/storetest.h"

#include "base/buf.h"
#include "store/object.h"
#include "store/repo_file.h"
#include "tests/iface/conform_repo.h"
#include "tests/loop/torture.h"

/* The file repository: the suite of all repositories, its errors by text, and torture. */

static struct testroot t;

static struct repo *
make_repo(struct loop *loop, void *arg unused_arg)
{
	testroot_new(&t);
	return repo_file_new(loop, t.root.objects, "local");
}

static void
flip_bit(struct repo *r unused_arg, const struct digest *d, void *arg unused_arg)
{
	char path[4096], byte;
	int fd;

	object_path(t.root.objects, d, path, sizeof path);
	chmod(path, 0600);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
	close(fd);
}

static void
end_repo(void *arg unused_arg)
{
	char *tmp = xasprintf("%s/tmp", t.root.objects);

	assert_int_equal(rmdir(tmp), 0);	/* nothing is left there */
	free(tmp);
	testroot_free(&t);
}

static void
test_conform(void **state unused_arg)
{
	conform_repo(&(struct conform_repo){ make_repo, flip_bit, end_repo, NULL });
}

static void
test_texts(void **state unused_arg)
{
	struct loop *loop = loop_new(NULL);
	struct repo *r = make_repo(loop, NULL);
	char path[4096], name[DIGEST_STR + 1], *want;
	struct buf got = BUF_INIT;
	struct digest d;
	struct stat st;
	struct file f, seen;

	assert_ok(sync_put(r, "text", 4, NULL, &f));
	digest_str(&f.id, name);
	object_path(t.root.objects, &f.id, path, sizeof path);
	assert_true(repo_peek(r, &f.id, &seen));
	assert_true(digest_equal(&seen.id, &f.id) && seen.size == 4);
	flip_bit(r, &f.id, NULL);
	assert_false(repo_peek(r, &f.id, &seen));	/* in doubt: to be asked for with stat */
	want = xasprintf("object %s: damaged (at %s)", name, path);
	assert_err(sync_get(r, &f.id, &got), want);
	assert_err(sync_stat(r, &f.id, NULL), want);	/* written to: so it was read */
	flip_bit(r, &f.id, NULL);
	assert_ok(sync_stat(r, &f.id, &f));
	assert_int_equal(stat(path, &st), 0);
	assert_true(object_sealed(&st));
	assert_true(repo_peek(r, &f.id, &seen));
	free(want);
	unlink(path);
	assert_false(repo_peek(r, &f.id, &seen));
	want = xasprintf("object %s: missing (at %s)", name, path);
	assert_err(sync_get(r, &f.id, &got), want);
	assert_err(sync_stat(r, &f.id, &f), want);
	free(want);
	sha256_of("other", 5, &d);
	digest_str(&d, name);
	sha256_of("text", 4, &f.id);
	want = xasprintf("object %s: the bytes that came have the digest ", name);
	want = xrealloc(want, strlen(want) + DIGEST_STR + 1);
	digest_str(&f.id, want + strlen(want));
	assert_err(sync_put(r, "text", 4, &d, NULL), want);
	free(want);
	buf_release(&got);
	repo_free(r);
	loop_free(loop);
	end_repo(NULL);
}

static void
test_full_disk(void **state unused_arg)
{
	struct loop *loop = loop_new(NULL);
	char *big = xcalloc(1, 1 << 20), *want, *objects;
	struct repo *r;
	struct file f;

	testroot_new(&t);
	if (!tmpfs_mount(t.root.path, "512k")) {
		testroot_free(&t);
		loop_free(loop);
		free(big);
		skip();
	}
	objects = xasprintf("%s/o", t.root.path);
	mkdir(objects, 0700);
	r = repo_file_new(loop, objects, "local");
	want = xasprintf("write %s: No space left on device", objects);
	assert_err(sync_put(r, big, 1 << 20, NULL, &f), want);
	assert_ok(sync_put(r, "small", 5, NULL, &f));
	repo_free(r);
	loop_free(loop);
	tmpfs_umount(t.root.path);
	testroot_free(&t);
	free(want);
	free(objects);
	free(big);
}

/* ---- torture: a put from a source that may fail at each slice ---- */

struct world {
	struct repo *repo;
	struct op   *op;
};
struct slow_source {
	struct source	source;
	struct torture *t;
	int		slices;
};
struct slow_read {
	struct slow_source *s;
	source_read_cb	   *cb;
	void		   *arg;
	struct op	    op;
};

static void
slow_advance(struct op *op)
{
	struct slow_read *q = op_owner(op, struct slow_read, op);
	struct slow_source *s = q->s;
	source_read_cb *cb = q->cb;
	void *arg = q->arg;
	struct err *err;

	op_release(op);
	err = torture_fault(s->t, "read");
	if (err)
		cb(NULL, 0, err, arg);
	else if (s->slices-- > 0)
		cb("slice", 5, NULL, arg);
	else
		cb("", 0, NULL, arg);
}

static void
slow_release(struct op *op)
{
	free(op_owner(op, struct slow_read, op));
}

static const struct op_type slow_type = { "slow-read", slow_advance, slow_release };

static struct op *
slow_read(struct source *source, source_read_cb *cb, void *arg)
{
	struct slow_read *q = xcalloc(1, sizeof *q);

	q->s = container_of(source, struct slow_source, source);
	q->cb = cb;
	q->arg = arg;
	op_init(&q->op, q->s->t->loop, &slow_type);
	op_wake(&q->op);
	return &q->op;
}

static void
slow_close(struct source *source)
{
	free(container_of(source, struct slow_source, source));
}

static const struct source_ops slow_ops = { slow_read, slow_close };

static void
torture_setup(struct torture *tt)
{
	struct world *w = xcalloc(1, sizeof *w);

	w->repo = make_repo(tt->loop, NULL);
	tt->world = w;
}

static void
torture_put_cb(const struct file *file unused_arg, struct err *err, void *arg)
{
	struct torture *tt = arg;

	((struct world *)tt->world)->op = NULL;
	torture_done(tt, err);
}

static void
torture_make(struct torture *tt)
{
	struct slow_source *s = xcalloc(1, sizeof *s);
	struct world *w = tt->world;

	s->source.ops = &slow_ops;
	s->t = tt;
	s->slices = 3;
	w->op = repo_put(w->repo, &s->source, NULL, torture_put_cb, tt);
}

static void
torture_cancel_put(struct torture *tt)
{
	op_cancel(&((struct world *)tt->world)->op);
}

static void
torture_check(struct torture *tt)
{
	if (tt->fault_at >= 0)
		assert_true(err_is(tt->err, tt->fault_kind) || tt->fault_kind == ERR_OTHER);
	else
		assert_null(tt->err);
}

static void
torture_teardown(struct torture *tt)
{
	struct world *w = tt->world;

	repo_free(w->repo);
	free(w);
	end_repo(NULL);
}

static void
test_torture(void **state unused_arg)
{
	torture(&(struct torture_spec){
		.name = "repo-file-put", .setup = torture_setup, .make = torture_make, .cancel = torture_cancel_put,
		.check = torture_check, .teardown = torture_teardown,
	});
}

/* A look at an object that was written to, and is whole: it has to be read. */
static void
torture_doubt_setup(struct torture *tt)
{
	struct world *w;
	struct file f;

	torture_setup(tt);
	w = tt->world;
	assert_ok(sync_put(w->repo, "text", 4, NULL, &f));
	flip_bit(w->repo, &f.id, NULL);
	flip_bit(w->repo, &f.id, NULL);
}

static void
torture_make_stat(struct torture *tt)
{
	struct world *w = tt->world;
	struct digest d;

	sha256_of("text", 4, &d);
	w->op = repo_stat(w->repo, &d, torture_put_cb, tt);
}

static void
test_torture_stat(void **state unused_arg)
{
	torture(&(struct torture_spec){
		.name = "repo-file-stat", .setup = torture_doubt_setup, .make = torture_make_stat,
		.cancel = torture_cancel_put, .check = torture_check, .teardown = torture_teardown,
	});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conform),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_torture),
		cmocka_unit_test(test_torture_stat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
