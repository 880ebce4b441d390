/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/helper.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "executor/cgroup.h"
#include "executor/host.h"
#include "executor/inputs.h"
#include "executor/verified.h"

/*
 * weir-keeper: the process that owns a root's execs on one host. Started by whichever controller finds
 * none; of several started at once all but one find the lock taken, and leave. Whoever starts it waits
 * until it answers: the first process ends when the keeper listens, with status 0.
 */
#define LOCK_TRIES 500	/* of 10 ms: a keeper that is just leaving still holds it */
#define LOG_MAX	   (1 << 20)

static const char usage[] =
    "usage: weir-keeper --root DIR [--scratch DIR] [--resources cpu=N,mem=SIZE] [--slots N]\n"
    "                   [--idle SECONDS] [--no-isolation] [--no-cgroup]\n"
    "Runs the execs of a root on this host; weir starts it when it is needed. See weir-keeper(8).\n";

static struct err *
parse_number(const char *text, const char *what, double most, double *out)
{
	char *end;

	*out = strtod(text, &end);
	if (end == text || *end != '\0' || !(*out >= 0) || *out > most)
		return err_msg(ERR_INVALID, "%s: not a number between 0 and %.0f: %s", what, most, text);
	return NULL;
}

static struct err *
parse_args(int argc, char **argv, struct keeper_opts *o)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'r' }, { "scratch", required_argument, NULL, 's' },
		{ "resources", required_argument, NULL, 'R' }, { "slots", required_argument, NULL, 'n' },
		{ "idle", required_argument, NULL, 'i' }, { "no-isolation", no_argument, NULL, 'I' },
		{ "no-cgroup", no_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	struct err *err = NULL;
	double number;
	int c;

	*o = (struct keeper_opts){ .idle_ns = INT64_C(10000000000), .isolate = true };
	while (err == NULL && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			o->root = optarg;
			break;
		case 's':
			o->scratch = optarg;
			break;
		case 'R':
			err = resources_parse(&o->resources, optarg);
			break;
		case 'n':
			err = parse_number(optarg, "--slots", LEDGER_SLOTS, &number);
			o->slots = err == NULL ? (unsigned)number : 0;
			break;
		case 'i':
			err = parse_number(optarg, "--idle", 1e6, &number);
			o->idle_ns = err == NULL ? (int64_t)(number * 1e9) : 0;
			break;
		case 'I':
			o->isolate = false;
			break;
		case 'C':
			o->no_cgroup = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (err == NULL && o->root == NULL)
		err = err_msg(ERR_INVALID, "--root is missing");
	return err;
}

static void
totals_fill(struct keeper *k)
{
	host_resources(k->root.node, &k->totals);
	resources_override(&k->totals, &k->opts.resources);
}

static unsigned
slots_for(double cpu)
{
	double n = ceil(cpu) + 2;	/* while one collects or waits for the ledger, others may run */

	return n > LEDGER_SLOTS ? LEDGER_SLOTS : n < 4 ? 4 : (unsigned)n;
}

static struct err *
make_dirs(const struct root *root)
{
	static const char *const below[] = { "execs", "slots", "work", "runs" };

	if (mkdir(root->keeper, 0700) != 0 && errno != EEXIST)
		return err_errno(errno, "mkdir", "%s", root->keeper);
	if (chdir(root->keeper) != 0)
		return err_errno(errno, "chdir", "%s", root->keeper);
	for (size_t i = 0; i < nitems(below); i++) {
		if (mkdir(below[i], 0700) != 0 && errno != EEXIST)
			return err_errno(errno, "mkdir", "%s/%s", root->keeper, below[i]);
	}
	return NULL;
}

static bool
another_answers(void)
{
	struct err *err;
	int fd;

	err = unix_connect(".", KEEPER_CTL, SOCK_SEQPACKET, true, &fd);
	if (err == NULL)
		close(fd);
	err_free(err);
	return err == NULL;
}

/* Gives -1 without an error when another keeper is there: then there is nothing to do. */
static struct err *
take_lock(int *fd)
{
	*fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return err_errno(errno, "open", "keeper/lock");
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
			return NULL;
		if (another_answers()) {
			close(*fd);
			*fd = -1;
			return NULL;
		}
		usleep(10000);
	}
	return err_msg(ERR_UNAVAILABLE, "another keeper holds keeper/lock, and does not answer");
}

/* Nothing of the controller stays: descriptors, session, working directory; the log is the only way out. */
static struct err *
detach(int ready)
{
	struct stat st;
	int null, log;

	if (ready > 3)
		close_range(3, (unsigned)ready - 1, 0);
	close_range((unsigned)ready + 1, ~0u, 0);
	setsid();
	null = open("/dev/null", O_RDWR);
	log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (null < 0 || log < 0)
		return err_errno(errno, "open", "keeper/log");
	if (fstat(log, &st) == 0 && st.st_size > LOG_MAX && ftruncate(log, 0) != 0)
		return err_errno(errno, "truncate", "keeper/log");
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	if (null > 2)
		close(null);
	close(log);
	return NULL;
}

static void
signals_open(struct keeper *k)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static struct err *
open_sockets(struct keeper *k)
{
	int late[2];
	struct err *err;

	k->env.dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	k->env.out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (k->env.dir < 0 || k->env.out < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, late) != 0)
		return err_errno(errno, "socket", NULL);
	k->late = late[0];
	k->env.late = late[1];
	fcntl(k->late, F_SETFL, O_NONBLOCK);
	err = unix_bind(".", KEEPER_REQ, SOCK_DGRAM, &k->env.req);
	if (err == NULL)
		err = unix_bind(".", KEEPER_AUX, SOCK_DGRAM, &k->env.aux);
	/* Last: whoever can connect finds everything else in place. */
	if (err == NULL)
		err = unix_bind(".", KEEPER_CTL, SOCK_SEQPACKET, &k->listen);
	if (err == NULL)
		fcntl(k->listen, F_SETFL, O_NONBLOCK);
	return err;
}

static void
open_cgroup(struct keeper *k)
{
	char name[20];
	struct digest d;
	char hex[9];
	int fd;

	sha256_of(k->root.keeper, strlen(k->root.keeper), &d);
	digest_short(&d, hex);
	snprintf(name, sizeof name, "%s", hex);
	if (!k->opts.no_cgroup)
		k->cgroup = cgroup_base(name, k->env.cgroup, sizeof k->env.cgroup);
	fd = open("cgroup", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (write(fd, k->env.cgroup, strlen(k->env.cgroup)) < 0)
		log_error("keeper/cgroup: %s", strerror(errno));
	close(fd);
}

static void
list_children(struct keeper *k)
{
	unsigned slots = ledger_nslots(k->env.ledger);

	k->nchildren = slots + KEEPER_INTERNS + 1;
	k->children = xcalloc(k->nchildren, sizeof *k->children);
	for (unsigned i = 0; i < k->nchildren; i++) {
		k->children[i].kind = i < slots ? CHILD_SLOT : i < slots + KEEPER_INTERNS ? CHILD_INTERN : CHILD_DB;
		k->children[i].slot = i;
	}
}

static struct err *
keeper_open(struct keeper *k)
{
	struct err *err;

	verified_begin();
	inputs_begin();
	keeper_sweep(k);
	totals_fill(k);
	err = ledger_create("ledger", &k->totals, k->opts.slots != 0 ? k->opts.slots : slots_for(k->totals.cpu),
	    &k->env.ledger);
	if (err != NULL)
		return err;
	k->env.objects = k->root.objects;
	k->env.db = k->root.db;
	k->env.isolate = k->opts.isolate;
	k->env.pid = getpid();
	k->env.repeat = keeper_late_add;
	k->env.repeat_arg = k;
	if (gethostname(k->env.host, sizeof k->env.host - 1) != 0)
		strcpy(k->env.host, "localhost");
	open_cgroup(k);
	signals_open(k);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	err = open_sockets(k);
	if (err == NULL)
		list_children(k);
	return err;
}

/* The keeper proper; ready is written when it listens. */
static int
keeper_run(struct keeper *k, int ready)
{
	struct err *err = NULL;
	char *text;

	err = keeper_open(k);
	if (err == NULL) {
		keeper_children_start(k);
		if (write(ready, "", 1) == 1)
			close(ready);
		cgroup_sweep_others(k->env.cgroup);
		keeper_loop(k);
		/* Whoever connects from now on finds nobody, and starts another. */
		unlink(KEEPER_CTL);
		keeper_end_workers(k);
		keeper_end_writer(k);
		return 0;
	}
	text = err_str(err);
	log_error("%s", text);
	free(text);
	err_free(err);
	return 1;
}

static int
keeper_birth(struct keeper *k, int ready)
{
	struct err *err = take_lock(&k->lock);
	char *text;

	if (err == NULL && k->lock < 0)
		return write(ready, "", 1) == 1 ? 0 : 1;
	if (err == NULL)
		return keeper_run(k, ready);
	text = err_str(err);
	log_error("%s", text);
	free(text);
	err_free(err);
	return 1;
}

int
main(int argc, char **argv)
{
	static struct keeper keeper;	/* lives as long as the process */
	struct keeper *k = &keeper;
	struct err *err;
	int ready[2];
	char *text, c;
	pid_t pid;

	if (helper_about(argc, argv, "weir-keeper", usage))
		return 0;
	log_init("weir-keeper", LOG_INFO);
	TAILQ_INIT(&k->controllers);
	TAILQ_INIT(&k->conns);
	TAILQ_INIT(&k->lates);
	k->db_lifeline = -1;
	k->cgroup = -1;
	err = parse_args(argc, argv, &k->opts);
	if (err == NULL)
		err = root_open(k->opts.root, k->opts.scratch, true, &k->root);
	if (err == NULL)
		err = make_dirs(&k->root);
	if (err == NULL && pipe(ready) != 0)
		err = err_errno(errno, "pipe", NULL);
	if (err != NULL) {
		text = err_str(err);
		log_error("%s", text);
		free(text);
		err_free(err);
		return 1;
	}
	pid = fork();
	if (pid != 0) {		/* all that we hold is the child's now */
		close(ready[1]);
		_exit(pid > 0 && read(ready[0], &c, 1) == 1 ? 0 : 1);
	}
	err = detach(ready[1]);
	if (err != NULL)
		_exit(1);
	_exit(keeper_birth(k, ready[1]));
}
