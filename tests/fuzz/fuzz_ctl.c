/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "executor/keeper_priv.h"
#include "executor/tree.h"

/*
 * The keeper's connections: whatever messages a controller sends, it loses at most its own connection, and another's
 * attempt lives on unless it was killed by name. The keeper is real but for its children; a message is a length of two
 * bytes and what follows. The connection has said hello before.
 */
static char folder[] = "/tmp/weir-fuzz-XXXXXX";
static struct keeper keeper;
static struct digest key, run;
static int home = -1, place = -1;	/* where the corpus is looked for; where the keeper lives */

static void
must_not_fail(struct err *err)
{
	must(err == NULL);
}

static void
clean_up(void)
{
	tree_remove(AT_FDCWD, folder);
}

static void
be_born(void)
{
	static const char *const below[] = { "keeper", "keeper/execs", "keeper/runs" };
	const struct resources totals = { .mem = 1 << 30, .cpu = 4 };
	home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(home >= 0 && mkdtemp(folder) != NULL && atexit(clean_up) == 0 && chdir(folder) == 0);
	for (size_t i = 0; i < nitems(below); i++)
		must(mkdir(below[i], 0700) == 0);
	must(chdir("keeper") == 0);
	place = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	log_init("fuzz_ctl", LOG_ERROR);
	TAILQ_INIT(&keeper.controllers);
	TAILQ_INIT(&keeper.conns);
	TAILQ_INIT(&keeper.lates);
	must_not_fail(ledger_create("ledger", &totals, 4, &keeper.env.ledger));
	keeper.env.objects = "objects";
	keeper.env.out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	keeper.env.repeat = keeper_late_add;
	keeper.env.repeat_arg = &keeper;
	keeper.totals = totals;
	memset(&key, 1, sizeof key);
	memset(&run, 2, sizeof run);
}

/* An attempt of somebody else's. */
static void
let_one_live(void)
{
	const struct exec_config config = { .type = EXEC_COMMAND, .ident = "x", .key = key, .claim = { .run = run } };
	const struct ledger_sub sub = { .name = "c-other", .id = 1 };

	ledger_open(keeper.env.ledger, 0, &config, 1, &sub);
}

static void
check_row(void)
{
	struct ledger_row row;

	must(ledger_find(keeper.env.ledger, &key, 1, &row) == 0);
	must(row.nsubs >= 1 && row.nsubs <= LEDGER_SUBS && strcmp(row.subs[0].name, "c-other") == 0);
	must(row.kill == LEDGER_LIVE || row.kill == LEDGER_KILLED);
}

static void
say_hello(int fd)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 3);
	mpk_key(&w, "m"), mpk_str(&w, "hello");
	mpk_key(&w, "name"), mpk_str(&w, "c-fuzz");
	mpk_key(&w, "v"), mpk_u64(&w, PROTO_VERSION);
	must(send(fd, b.p, b.len, 0) == (ssize_t)b.len);
	buf_release(&b);
}

/* What the keeper answers is whole. */
static void
hear(int fd)
{
	static char answer[PROTO_INLINE + 1];
	struct mpk_doc doc;
	ssize_t n;

	while ((n = recv(fd, answer, sizeof answer, MSG_DONTWAIT)) > 0) {
		must_not_fail(mpk_parse(&doc, answer, (size_t)n));
		mpk_doc_release(&doc);
	}
}

static void
bury(int fd)
{
	struct controller *c;
	struct conn *conn;

	TAILQ_FOREACH(conn, &keeper.conns, link)
		conn->closed = true;
	keeper_conns_purge(&keeper);
	while ((c = TAILQ_FIRST(&keeper.controllers)) != NULL) {
		TAILQ_REMOVE(&keeper.controllers, c, link);
		must(c->pidfd < 0);
		free(c);
	}
	close(fd);
	ledger_close(keeper.env.ledger, 0, (struct ledger_sub[LEDGER_SUBS]){ { .id = 0 } });
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct conn *c = xcalloc(1, sizeof *c);
	int fds[2];

	if (keeper.env.ledger == NULL)
		be_born();
	must(fchdir(place) == 0);
	let_one_live();
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	c->fd = fds[0];
	STAILQ_INIT(&c->out);
	TAILQ_INSERT_TAIL(&keeper.conns, c, link);
	say_hello(fds[1]);
	keeper_conn_read(&keeper, c);
	while (n >= 2 && !c->closed) {
		size_t len = data[0] | (size_t)data[1] << 8;

		data += 2, n -= 2;
		len = len < n ? len : n;
		if (len > 0 && send(fds[1], data, len, MSG_NOSIGNAL) == (ssize_t)len) {
			keeper_conn_read(&keeper, c);
			hear(fds[1]);
		}
		data += len, n -= len;
	}
	check_row();
	bury(fds[1]);
	must(fchdir(home) == 0);
	return 0;
}
