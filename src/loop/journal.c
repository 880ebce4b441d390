/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/frame.h"
#include "base/log.h"
#include "base/wal.h"
#include "base/xalloc.h"
#include "loop/journal_wire.h"
#include "loop/spawn.h"

/*
 * The controller's side of its journal. Every item that is not known to be durable stays in `tx`, in
 * the order of its seq, with the commands that open segments among them: a process that takes over is
 * simply sent `tx` from the beginning, behind a command of its own if there is none in front.
 * The folder's lock is held here as well as in the process, through one open folder: between the death
 * of one process and the start of the next nobody can take the folder for abandoned.
 */
#define SEGMENT_SIZE (64u << 20)
#define DEATHS_MAX   3		/* processes that died one after the other without progress */
#define TX_COMPACT   (1u << 20)
#define LAZY_MAX     (64u << 10)	/* bytes that are not sent although they could be */

TAILQ_HEAD(journal_waiters, journal_wait);

struct journal {
	struct loop *loop;	/* kept */
	char	    *dir;
	char	    *program;
	int	     dirfd;	/* locked */
	journal_header_cb *header;
	void	    *header_arg;

	pid_t	   pid;		/* 0: no process; then err says why */
	int	   fd;		/* our end of the socket, or -1 */
	struct io  io;
	bool	   answered;	/* this process has its first segment */
	bool	   nonsense;	/* it broke the protocol */
	bool	   progress;	/* it has made something durable, or had nothing to do */
	uint64_t   base;	/* what was durable when it started */
	unsigned   deaths;	/* processes in a row that made no progress */
	struct err *err;	/* owned: why nothing can be written */

	struct journal_sink sink;	/* instead of a process; append NULL: none */

	struct buf tx;		/* items, from the first that is not durable; see tx_head */
	size_t	   tx_head;	/* bytes of tx that are durable and wait to be dropped */
	size_t	   tx_sent;	/* bytes of tx that this process was sent */
	struct buf rx;		/* answers not yet whole */
	uint64_t   next_seq, durable;
	struct lazy *lazy;	/* owned: sends what was put off, or NULL */
	size_t	   segment_size, segment_bytes;
	struct journal_waiters waiters;	/* by seq */
};

struct journal_wait {
	struct op op;
	enum {
		JW_WAITING,	/* in the journal's list; woken by an answer or a failure */
		JW_OVER,	/* err, or NULL, is the result: tell the owner */
	} state;
	struct journal *journal;	/* kept */
	uint64_t	seq;
	struct err     *err;		/* ours until cb takes it */
	journal_wait_cb *cb;
	void	       *arg;
	TAILQ_ENTRY(journal_wait) link;
};

static void journal_lost(struct journal *);

/* waiters */

static void
journal_wait_over(struct journal_wait *w, const struct err *err)
{
	TAILQ_REMOVE(&w->journal->waiters, w, link);
	w->err = err != NULL ? err_copy(err) : NULL;
	op_trace(&w->op, "waiting", "over");
	w->state = JW_OVER;
	op_wake(&w->op);
}

static void
journal_wake_durable(struct journal *j)
{
	struct journal_wait *w;

	while ((w = TAILQ_FIRST(&j->waiters)) != NULL && w->seq <= j->durable)
		journal_wait_over(w, NULL);
}

static void
journal_fail(struct journal *j, struct err *err)
{
	struct journal_wait *w;

	err_free(j->err);
	j->err = err;
	while ((w = TAILQ_FIRST(&j->waiters)) != NULL)
		journal_wait_over(w, j->err);
}

/* sending */

static void
journal_want(struct journal *j)
{
	if (j->pid != 0)
		io_want(&j->io, j->tx_sent < j->tx.len ? IO_READ | IO_WRITE : IO_READ);
}

/* A process that is gone shows on the reading side, behind its last answers: nothing to do here then. */
static void
journal_send(struct journal *j)
{
	ssize_t n;

	while (j->pid != 0 && j->tx_sent < j->tx.len) {
		n = send(j->fd, j->tx.p + j->tx_sent, j->tx.len - j->tx_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			j->tx_sent += (size_t)n;
		} else if (errno == EAGAIN) {
			journal_want(j);
			return;
		} else if (errno != EINTR) {
			io_want(&j->io, IO_READ);
			return;
		}
	}
	journal_want(j);
}

static void
journal_add_header(struct journal *j, struct buf *out, uint64_t first_seq)
{
	struct buf payload = BUF_INIT;

	j->header(&payload, first_seq, j->header_arg);
	journal_command_add(out, JOURNAL_SEGMENT);
	frame_add(out, buf_str(&payload), payload.len);
	buf_release(&payload);
}

static bool
journal_tx_opens_segment(const struct journal *j)
{
	return j->tx_head < j->tx.len && journal_is_command(j->tx.p + j->tx_head);
}

/* What a fresh process must be sent: all that is not durable, in a segment of its own. */
static void
journal_tx_rewind(struct journal *j)
{
	struct buf all = BUF_INIT;

	if (!journal_tx_opens_segment(j))
		journal_add_header(j, &all, j->durable + 1);
	j->segment_bytes = j->tx.len - j->tx_head;
	buf_add(&all, buf_str(&j->tx) + j->tx_head, j->tx.len - j->tx_head);
	buf_release(&j->tx);
	j->tx = all;
	j->tx_head = j->tx_sent = 0;
}

/*
 * Drops what has become durable; a command and its header go with the record behind them. Returns
 * false if the process counts what it was not sent.
 */
static bool
journal_tx_durable(struct journal *j, uint64_t durable)
{
	int items;

	for (; j->durable < durable; j->durable++) {
		for (items = journal_tx_opens_segment(j) ? 3 : 1; items > 0 && j->tx_head < j->tx_sent; items--)
			j->tx_head += journal_item_len(j->tx.p + j->tx_head);
		if (items > 0 || j->tx_head > j->tx_sent)
			return false;
	}
	if (j->tx_head == j->tx.len || j->tx_head > TX_COMPACT) {
		buf_drop(&j->tx, j->tx_head);
		j->tx_sent -= j->tx_head;
		j->tx_head = 0;
	}
	return true;
}

/* what is put off */

struct lazy {
	struct op	op;
	struct journal *journal;	/* kept */
};

static void
lazy_release(struct op *op)
{
	struct lazy *z = op_owner(op, struct lazy, op);

	z->journal->lazy = NULL;
	free(z);
}

static void
lazy_advance(struct op *op)
{
	struct journal *j = op_owner(op, struct lazy, op)->journal;

	op_release(op);
	journal_send(j);
}

static const struct op_type lazy_type = { "journal_lazy", lazy_advance, lazy_release };

static void
journal_put_off(struct journal *j)
{
	j->lazy = xcalloc(1, sizeof *j->lazy);
	j->lazy->journal = j;
	op_init(&j->lazy->op, j->loop, &lazy_type);
	op_wake(&j->lazy->op);
}

static void
journal_send_all(struct journal *j)
{
	if (j->lazy != NULL)
		op_release(&j->lazy->op);
	journal_send(j);
}

/* the process */

static void
journal_answer(struct journal *j, const struct journal_answer *a)
{
	uint64_t durable = j->base + a->count;

	crash_point("journal-client-answered");
	if (durable > j->durable || durable + 1 == j->next_seq) {
		j->progress = true;
		j->deaths = 0;
	}
	j->answered = true;
	if (durable < j->durable || durable >= j->next_seq || !journal_tx_durable(j, durable)) {
		j->nonsense = true;
		j->err = err_msg(ERR_INTEGRITY, "journal process of %s counts what it was not sent", j->dir);
		return;
	}
	if (a->eno != 0)
		j->err = err_errno(a->eno, journal_step_text(a->step), "%.*s", (int)a->len, a->text);
	journal_wake_durable(j);
}

static void
journal_answers(struct journal *j)
{
	struct journal_answer a;
	size_t off = 0, next = 0;

	while (j->err == NULL && journal_answer_next(j->rx.p + off, j->rx.len - off, &a, &next)) {
		journal_answer(j, &a);
		off += next;
	}
	if (j->err == NULL && next > 0) {
		j->nonsense = true;
		j->err = err_msg(ERR_INTEGRITY, "journal process of %s answers what is no answer", j->dir);
	}
	buf_drop(&j->rx, off);
}

static void
journal_receive(struct journal *j)
{
	ssize_t n;
	bool gone;

	for (;;) {
		buf_reserve(&j->rx, 4096);
		n = recv(j->fd, j->rx.p + j->rx.len, 4096, MSG_DONTWAIT);
		if (n > 0)
			j->rx.len += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	gone = n == 0 || errno != EAGAIN;
	journal_answers(j);
	if (gone || j->err != NULL)
		journal_lost(j);
}

static void
journal_io_cb(int what, void *arg)
{
	struct journal *j = arg;

	if (what & IO_WRITE)
		journal_send(j);
	if (what & IO_READ)
		journal_receive(j);
}

static int
journal_reap(struct journal *j)
{
	int status = 0;

	while (waitpid(j->pid, &status, 0) == -1 && errno == EINTR)
		;
	j->pid = 0;
	return status;
}

static struct err *
journal_spawn(struct journal *j)
{
	char name[] = "weir-journal", *argv[] = { name, j->dir, NULL };
	struct child_spec spec = {
		.path = j->program, .argv = argv, .fds = { j->dirfd, -1, STDERR_FILENO }, .new_session = true,
	};
	struct err *err;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		return err_errno(errno, "start", "%s", j->program);
	spec.pass_fd = sv[1];
	err = spawn(&spec, &j->pid);
	close(sv[1]);
	if (err != NULL) {
		close(sv[0]);
		return err;
	}
	j->fd = sv[0];
	j->answered = j->nonsense = j->progress = false;
	j->base = j->durable;
	buf_clear(&j->rx);
	io_init(&j->io, j->loop, j->fd, "journal", journal_io_cb, j);
	journal_tx_rewind(j);
	journal_send(j);
	return NULL;
}

static void
journal_close_socket(struct journal *j)
{
	io_clear(&j->io);
	close(j->fd);
	j->fd = -1;
}

static struct err *
journal_death(const struct journal *j, int status)
{
	if (WIFSIGNALED(status))
		return err_msg(ERR_UNAVAILABLE, "journal process of %s: killed by signal %d", j->dir, WTERMSIG(status));
	return err_msg(ERR_UNAVAILABLE, "journal process of %s: ended with status %d", j->dir, WEXITSTATUS(status));
}

/*
 * The process has ended. If it said why, that is the waiters' error; if it was killed, another takes
 * over, unless several have died in a row. A process that talks nonsense is killed here.
 */
static void
journal_lost(struct journal *j)
{
	struct err *err = j->err;
	int status;

	j->err = NULL;
	if (j->nonsense)
		kill(j->pid, SIGKILL);
	journal_close_socket(j);
	status = journal_reap(j);
	if (err == NULL && !j->progress && ++j->deaths >= DEATHS_MAX)
		err = journal_death(j, status);
	if (err == NULL) {
		log_debug("journal process of %s ended with wait status %d: starting another", j->dir, status);
		err = journal_spawn(j);
	}
	if (err != NULL)
		journal_fail(j, err);
}

/* Once more after a failure: the disk may have room again. */
static void
journal_retry(struct journal *j)
{
	struct err *err;

	err_free(j->err);
	j->err = NULL;
	j->deaths = 0;
	err = journal_spawn(j);
	if (err != NULL)
		journal_fail(j, err);
}

/* As the loop would, for the two moments when there is nothing else to do: opening and closing. */
static void
journal_pump(struct journal *j)
{
	struct pollfd p = { .fd = j->fd, .events = POLLIN };

	if (j->io.want & IO_WRITE)
		p.events |= POLLOUT;
	if (poll(&p, 1, -1) == -1)
		return;
	journal_io_cb((p.revents & POLLOUT ? IO_WRITE : 0) | (p.revents & ~POLLOUT ? IO_READ : 0), j);
}

/* opening and closing */

static struct err *
journal_make_dirs(const char *dir)
{
	char *path = xstrdup(dir), *p;
	int eno = 0;

	for (p = path + 1; eno == 0 && (p = strchr(p, '/')) != NULL; *p++ = '/') {
		*p = '\0';
		if (mkdir(path, 0700) == -1 && errno != EEXIST)
			eno = errno;
	}
	if (eno == 0 && mkdir(path, 0700) == -1 && errno != EEXIST)
		eno = errno;
	free(path);
	return eno != 0 ? err_errno(eno, "create journal", "%s", dir) : NULL;
}

static struct err *
journal_lock(struct journal *j)
{
	struct err *err = journal_make_dirs(j->dir);
	int eno;

	if (err != NULL)
		return err;
	j->dirfd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dirfd == -1)
		return err_errno(errno, "open journal", "%s", j->dir);
	eno = wal_lock(j->dirfd);
	if (eno == EWOULDBLOCK)
		return err_msg(ERR_UNAVAILABLE, "journal %s: another process writes it", j->dir);
	return eno != 0 ? err_errno(eno, "lock journal", "%s", j->dir) : NULL;
}

static void
journal_free(struct journal *j)
{
	if (j->dirfd != -1)
		close(j->dirfd);
	buf_release(&j->tx);
	buf_release(&j->rx);
	err_free(j->err);
	free(j->program);
	free(j->dir);
	free(j);
}

struct err *
journal_open(struct loop *loop, const char *dir, const char *program, journal_header_cb *header, void *arg,
    struct journal **out)
{
	struct journal *j = xcalloc(1, sizeof *j);
	struct err *err;

	j->loop = loop;
	j->dir = xstrdup(dir);
	j->program = xstrdup(program);
	j->header = header;
	j->header_arg = arg;
	j->dirfd = j->fd = -1;
	j->next_seq = 1;
	j->segment_size = SEGMENT_SIZE;
	TAILQ_INIT(&j->waiters);
	err = journal_lock(j);
	if (err == NULL)
		err = journal_spawn(j);
	while (err == NULL && j->pid != 0 && !j->answered)
		journal_pump(j);
	if (err == NULL && j->err != NULL)
		err = err_copy(j->err);
	if (err != NULL) {
		journal_free(j);
		return err;
	}
	*out = j;
	return NULL;
}

struct journal *
journal_open_sink(struct loop *loop, const struct journal_sink *sink)
{
	struct journal *j = xcalloc(1, sizeof *j);

	j->loop = loop;
	j->sink = *sink;
	j->dirfd = j->fd = -1;
	j->next_seq = 1;
	TAILQ_INIT(&j->waiters);
	return j;
}

void
journal_sink_durable(struct journal *j, uint64_t seq)
{
	assert(seq >= j->durable && seq < j->next_seq);
	j->durable = seq;
	journal_wake_durable(j);
}

void
journal_sink_failed(struct journal *j, struct err *err)
{
	journal_fail(j, err);
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	assert(TAILQ_EMPTY(&j->waiters));
	if (j->sink.append != NULL) {
		journal_free(j);
		return;
	}
	journal_send_all(j);
	while (j->pid != 0 && j->durable + 1 < j->next_seq)
		journal_pump(j);
	if (j->durable + 1 < j->next_seq)
		log_error("journal %s: the last %llu records could not be written", j->dir,
		    (unsigned long long)(j->next_seq - 1 - j->durable));
	if (j->pid != 0) {
		journal_close_socket(j);
		journal_reap(j);
	}
	journal_free(j);
}

void
journal_set_segment_size(struct journal *j, size_t size)
{
	j->segment_size = size;
}

/* appending and waiting */

uint64_t
journal_next_seq(const struct journal *j)
{
	return j->next_seq;
}

uint64_t
journal_durable_seq(const struct journal *j)
{
	return j->durable;
}

pid_t
journal_pid(const struct journal *j)
{
	return j->pid;
}

/* Behind all the others; nothing is sent yet. */
static void
journal_add(struct journal *j, const void *payload, size_t len)
{
	size_t before;

	if (j->segment_bytes > 0 && j->segment_bytes + FRAME_HEAD + len > j->segment_size) {
		journal_add_header(j, &j->tx, j->next_seq);
		j->segment_bytes = 0;
	}
	before = j->tx.len;
	frame_add(&j->tx, payload, len);
	j->segment_bytes += j->tx.len - before;
}

/* Idle: nothing waits for the socket, so that what is added is to be sent by us. */
static uint64_t
journal_append_as(struct journal *j, const void *payload, size_t len, bool lazy)
{
	bool idle = j->tx_sent == j->tx.len || j->lazy != NULL;

	assert(len >= 1 && len <= FRAME_MAX);
	if (j->sink.append != NULL) {
		j->sink.append(j->next_seq, payload, len, j->sink.arg);
		return j->next_seq++;
	}
	journal_add(j, payload, len);
	if (idle && (!lazy || j->tx.len - j->tx_sent > LAZY_MAX))
		journal_send_all(j);
	else if (idle && j->lazy == NULL)
		journal_put_off(j);
	crash_point("journal-client-appended");
	return j->next_seq++;
}

uint64_t
journal_append(struct journal *j, const void *payload, size_t len)
{
	return journal_append_as(j, payload, len, false);
}

uint64_t
journal_append_lazy(struct journal *j, const void *payload, size_t len)
{
	return journal_append_as(j, payload, len, true);
}

static void
journal_wait_finish(struct journal_wait *w)
{
	journal_wait_cb *cb = w->cb;
	void *arg = w->arg;
	struct err *err = w->err;

	w->err = NULL;
	op_release(&w->op);
	cb(err, arg);
}

static void
journal_wait_advance(struct op *op)
{
	struct journal_wait *w = op_owner(op, struct journal_wait, op);

	switch (w->state) {
	case JW_WAITING:
		return;
	case JW_OVER:
		journal_wait_finish(w);
		return;
	}
}

static void
journal_wait_release(struct op *op)
{
	struct journal_wait *w = op_owner(op, struct journal_wait, op);

	if (w->state == JW_WAITING)
		TAILQ_REMOVE(&w->journal->waiters, w, link);
	err_free(w->err);
	free(w);
}

static const struct op_type journal_wait_type = { "journal_wait", journal_wait_advance, journal_wait_release };

/* Mostly the newest seq: looked for from the end. */
static void
journal_wait_insert(struct journal *j, struct journal_wait *w)
{
	struct journal_wait *at;

	TAILQ_FOREACH_REVERSE(at, &j->waiters, journal_waiters, link)
		if (at->seq <= w->seq) {
			TAILQ_INSERT_AFTER(&j->waiters, at, w, link);
			return;
		}
	TAILQ_INSERT_HEAD(&j->waiters, w, link);
}

struct journal_wait *
journal_wait_start(struct journal *j, uint64_t seq, journal_wait_cb *cb, void *arg)
{
	struct journal_wait *w = xcalloc(1, sizeof *w);

	assert(seq < j->next_seq);
	op_init(&w->op, j->loop, &journal_wait_type);
	w->journal = j;
	w->seq = seq;
	w->cb = cb;
	w->arg = arg;
	journal_wait_insert(j, w);
	journal_wake_durable(j);
	if (w->state == JW_WAITING && j->sink.append != NULL && j->err != NULL) {
		err_free(j->err);
		j->err = NULL;
		j->sink.again(j->sink.arg);
	} else if (w->state == JW_WAITING && j->sink.append == NULL && j->pid == 0) {
		journal_retry(j);
	}
	return w;
}

void
journal_wait_cancel(struct journal_wait **wp)
{
	struct journal_wait *w;

	if (wp == NULL || *wp == NULL)
		return;
	w = *wp;
	*wp = NULL;
	op_release(&w->op);
}
