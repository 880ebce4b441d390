/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/fdmsg.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "store/db_env.h"
#include "store/object.h"
#include "store/sock.h"

/*
 * The writer: poll, take what has come, sync, commit, answer. Group commit comes by itself: while one
 * batch is on its way to the disk, the next one gathers in the sockets. What a reader would get
 * wrong: a client whose answer could not be sent is not read from until it was, so that one answer
 * at most is due and none is ever merged with a later one of another outcome.
 */

#define BATCH_REQS  4096
#define BATCH_BYTES ((size_t)64 << 20)
#define IDLE_MS	    2000
#define LOCK_RETRY_MS 100
#define TMP_AGE	    (24 * 3600)	/* seconds without a write: whoever made it is gone */

struct client {
	TAILQ_ENTRY(client) entry;
	int	 fd;
	bool	 gone;		/* to be closed once its requests are applied */
	bool	 in_batch;	/* last is part of the batch that is being gathered */
	uint64_t last;		/* number of its newest request */
	struct buf due;		/* the reply that is not sent yet; empty: none */
};
TAILQ_HEAD(clients, client);

struct request {		/* a copy that outlives the packet */
	struct db_req req;
	char	     *bytes;	/* owned: key, then value */
};

struct writer {
	const struct root *root;
	struct db_env	  *env;
	int		   lock, objects, listener, lifeline;
	int		   idle_ms;
	struct clients	   clients;
	size_t		   nclients;
	struct request	   batch[BATCH_REQS];
	size_t		   nbatch, nbytes;
	char		   packet[DB_PACKET_MAX + 1];
	struct pollfd	  *polls;
};

static volatile sig_atomic_t stop_asked;

static void
on_term(int signo unused_arg)
{
	stop_asked = 1;
}

/* ---- taking requests ---- */

static void
client_drop(struct client *c, struct err *why)
{
	char *text = err_str(why);

	log_error("keeper/db: a client is dropped: %s", text);
	free(text);
	err_free(why);
	c->gone = true;
}

static void
take(struct writer *w, struct client *c, size_t n, int fd)
{
	struct request *r = &w->batch[w->nbatch];
	struct err *err;

	err = db_req_decode(w->packet, n, &r->req);
	if (err) {
		client_drop(c, err);
		return;
	}
	r->bytes = xmalloc(r->req.klen + r->req.vlen);
	memcpy(r->bytes, r->req.key, r->req.klen);
	if (!db_req_by_fd(&r->req))
		memcpy(r->bytes + r->req.klen, r->req.value, r->req.vlen);
	else if (fd == -1)
		err = err_msg(ERR_INVALID, "a long value without its descriptor");
	else if (!fdmsg_read(fd, r->bytes + r->req.klen, r->req.vlen))
		err = err_msg(ERR_INVALID, "a long value that is shorter than announced");
	if (err) {
		free(r->bytes);
		client_drop(c, err);
		return;
	}
	r->req.key = r->bytes;
	r->req.value = r->bytes + r->req.klen;
	c->last = r->req.number;
	c->in_batch = true;
	w->nbatch++;
	w->nbytes += r->req.klen + r->req.vlen;
}

/* Takes one packet; false when there is none, or the client is gone. */
static bool
client_recv(struct writer *w, struct client *c)
{
	ssize_t n;
	int fd;

	n = fdmsg_recv(c->fd, w->packet, sizeof w->packet, MSG_DONTWAIT, &fd, NULL);
	if (n == -1 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		c->gone = true;
		return false;
	}
	take(w, c, (size_t)n, fd);
	if (fd != -1)
		close(fd);
	return !c->gone;
}

static bool
batch_full(const struct writer *w)
{
	return w->nbatch == BATCH_REQS || w->nbytes >= BATCH_BYTES;
}

/* One packet a client and round: a client that floods does not keep the others out of the batch. */
static void
gather(struct writer *w)
{
	bool more = true;
	struct client *c;

	while (more && !batch_full(w)) {
		more = false;
		TAILQ_FOREACH(c, &w->clients, entry) {
			if (batch_full(w))
				break;
			if (!c->gone && c->due.len == 0 && client_recv(w, c))
				more = true;
		}
	}
}

/* ---- answering ---- */

static void
client_answer(struct client *c)
{
	if (send(c->fd, c->due.p, c->due.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)c->due.len)
		buf_clear(&c->due);
	else if (errno != EAGAIN && errno != EINTR)
		c->gone = true;
}

static void
answer_all(struct writer *w, struct err *err)
{
	struct client *c;

	TAILQ_FOREACH(c, &w->clients, entry) {
		if (!c->in_batch)
			continue;
		c->in_batch = false;
		db_reply_encode(&(struct db_reply){ c->last, err }, &c->due);
		client_answer(c);
	}
}

static void
sweep(struct writer *w)
{
	struct client *c, *next;

	for (c = TAILQ_FIRST(&w->clients); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (!c->gone)
			continue;
		TAILQ_REMOVE(&w->clients, c, entry);
		w->nclients--;
		close(c->fd);
		buf_release(&c->due);
		free(c);
	}
}

/* ---- committing ---- */

/* Objects are renamed unsynced; the entry that names them must not be on the disk before they are. */
static struct err *
sync_objects(struct writer *w)
{
	for (size_t i = 0; i < w->nbatch; i++) {
		if (w->batch[i].req.sub != DB_ASSOC || w->batch[i].req.op != DB_PUT)
			continue;
		crash_point("store-before-objects-sync");
		if (syncfs(w->objects) == -1)
			return err_errno(errno, "sync", "%s", w->root->objects);
		return NULL;
	}
	return NULL;
}

static struct err *
commit(struct writer *w)
{
	const struct db_req *reqs[BATCH_REQS];
	struct err *err;

	for (size_t i = 0; i < w->nbatch; i++)
		reqs[i] = &w->batch[i].req;
	err = sync_objects(w);
	return err ? err : db_env_commit(w->env, reqs, w->nbatch);
}

static void
batch_clear(struct writer *w)
{
	for (size_t i = 0; i < w->nbatch; i++)
		free(w->batch[i].bytes);
	w->nbatch = w->nbytes = 0;
}

static void
complain(struct err *err)
{
	char *text = err_str(err);

	log_error("%s", text);
	free(text);
}

static void
serve_batch(struct writer *w)
{
	struct err *err;

	gather(w);
	if (w->nbatch > 0) {
		err = commit(w);
		if (err)
			complain(err);
		crash_point("store-before-db-answer");
		answer_all(w, err);
		err_free(err);
		batch_clear(w);
	}
	sweep(w);
}

/* ---- life ---- */

static void
accept_clients(struct writer *w)
{
	struct client *c;
	int fd;

	while ((fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) != -1) {
		c = xcalloc(1, sizeof *c);
		c->fd = fd;
		TAILQ_INSERT_TAIL(&w->clients, c, entry);
		w->nclients++;
	}
}

/* The lock says who may write, whoever came first to the socket; a predecessor ends with its keeper. */
static struct err *
take_lock(struct writer *w)
{
	char *path = xasprintf("%s/lock", w->root->db);
	struct pollfd p = { .fd = w->lifeline, .events = POLLIN };
	struct err *err = NULL;

	w->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (w->lock == -1)
		err = err_errno(errno, "open", "%s", path);
	while (!err && flock(w->lock, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			err = err_errno(errno, "lock", "%s", path);
		else if (stop_asked || poll(&p, 1, LOCK_RETRY_MS) == 1)
			err = err_new(ERR_CANCELED, "lock", "%s", path);
	}
	free(path);
	return err;
}

static struct err *
start(struct writer *w)
{
	struct err *err;

	w->objects = open(w->root->objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->objects == -1)
		return err_errno(errno, "open", "%s", w->root->objects);
	err = take_lock(w);
	if (err)
		return err;
	object_tmp_sweep(w->root->objects, time(NULL) - TMP_AGE);
	/* A full disk now may have room later: each batch tries again and answers its own outcome. */
	err = db_env_open(w->env);
	if (err) {
		complain(err);
		err_free(err);
	}
	err = unix_bind(w->root->keeper, DB_SOCKET, SOCK_SEQPACKET, &w->listener);
	if (!err)
		fcntl(w->listener, F_SETFL, O_NONBLOCK);
	return err;
}

static size_t
poll_fill(struct writer *w)
{
	struct client *c;
	size_t n = 2;

	w->polls = xreallocarray(w->polls, w->nclients + 2, sizeof *w->polls);
	w->polls[0] = (struct pollfd){ .fd = w->listener, .events = POLLIN };
	w->polls[1] = (struct pollfd){ .fd = w->lifeline, .events = POLLIN };
	TAILQ_FOREACH(c, &w->clients, entry)
		w->polls[n++] = (struct pollfd){ .fd = c->fd, .events = c->due.len ? POLLOUT : POLLIN };
	return n;
}

static void
answer_due(struct writer *w)
{
	struct client *c;

	TAILQ_FOREACH(c, &w->clients, entry)
		if (c->due.len)
			client_answer(c);
}

static void
idle(struct writer *w)
{
	struct err *err = db_env_sync(w->env);

	if (err)
		complain(err);
	err_free(err);
}

static void
serve(struct writer *w, const sigset_t *waiting)
{
	struct timespec after = { w->idle_ms / 1000, w->idle_ms % 1000 * 1000000L };
	bool over = false;
	int n;

	while (!over) {
		size_t npolls = poll_fill(w);

		n = ppoll(w->polls, npolls, db_env_is_dirty(w->env) ? &after : NULL, waiting);
		if (n == 0) {
			idle(w);
			continue;
		}
		over = stop_asked || (n > 0 && w->polls[1].revents);
		accept_clients(w);
		answer_due(w);
		serve_batch(w);
	}
	/* What was sent before the end was asked for is still taken. */
	do
		serve_batch(w);
	while (w->nbatch > 0);
}

static void
finish(struct writer *w)
{
	struct client *c;

	TAILQ_FOREACH(c, &w->clients, entry)
		c->gone = true;
	sweep(w);
	db_env_free(w->env);
	if (w->listener != -1)
		close(w->listener);
	if (w->objects != -1)
		close(w->objects);
	if (w->lock != -1)
		close(w->lock);
	free(w->polls);
	free(w);
}

/* SIGTERM is let in only while polling: it is seen before the next wait, never lost in front of it. */
static void
signals_set(sigset_t *waiting)
{
	struct sigaction sa = { .sa_handler = on_term };
	sigset_t term;

	stop_asked = 0;
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, waiting);
	sigdelset(waiting, SIGTERM);
}

int
db_writer_run(const struct root *root, const struct db_writer_opts *o)
{
	struct writer *w = xcalloc(1, sizeof *w);
	struct err *err;
	sigset_t waiting;
	int status = 0;

	w->root = root;
	w->lifeline = o->lifeline;
	w->idle_ms = o->idle_ms ? o->idle_ms : IDLE_MS;
	w->lock = w->objects = w->listener = -1;
	TAILQ_INIT(&w->clients);
	w->env = db_env_new(root->db, o->map_size);
	signals_set(&waiting);
	err = start(w);
	if (!err) {
		serve(w, &waiting);
		err = db_env_sync(w->env);
	}
	if (err && !err_is(err, ERR_CANCELED)) {
		complain(err);
		status = 1;
	}
	err_free(err);
	finish(w);
	return status;
}

int
db_writer_main(const struct root *root, int lifeline)
{
	struct db_writer_opts o = { .lifeline = lifeline };

	return db_writer_run(root, &o);
}
