/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "sim/gen.h"
#include "sim/play.h"
#include "sim/shrink.h"
#include "sim/steps.h"

/*
 * weir-sim: plays scenarios, from files or made from seeds. Each is played in a process of its own (seeds
 * in batches), so that an assertion that fails is a finding like any other. What a reader would get wrong:
 * the verdict comes back through shared memory, since a process that dies cannot say anything.
 */
#define BATCH	 200
#define PATIENCE 60	/* seconds for one scenario */

struct verdict {
	uint64_t number;	/* of the one that is being played, among those that are made */
	uint64_t steps;		/* of the newest */
	bool	 failed, bad;
	char	 kind[256], text[1024];
	uint64_t played, turns, attempts, records, deaths, virtual_s;
};
static struct verdict *verdict;	/* shared with the children */
static bool verbose, keep_whole;
static unsigned part = 1, parts = 1;	/* of all deaths, those whose number leaves this */
static const char *keep_dir;
static char scratch[64];	/* of the children, removed by us */

static void
copy_text(char *out, size_t size, const char *s)
{
	snprintf(out, size, "%s", s ? s : "");
}

static bool
play_one(const char *text)
{
	struct play_outcome o;

	alarm(PATIENCE);
	play(text, verbose, &o);
	verdict->played++;
	verdict->turns += o.turns;
	verdict->steps = o.steps;
	verdict->attempts += o.attempts;
	verdict->records += o.records;
	verdict->deaths += o.deaths;
	verdict->virtual_s += (uint64_t)(o.virtual_ns / 1000000000);
	verdict->failed = o.failure || o.bad;
	verdict->bad = o.bad != NULL;
	if (verdict->failed) {
		copy_text(verdict->kind, sizeof verdict->kind, o.bad ? "bad" : o.kind);
		copy_text(verdict->text, sizeof verdict->text, o.bad ? o.bad : o.failure);
	}
	play_outcome_release(&o);
	return !verdict->failed;
}

/* Scenarios that are made from numbers. */
struct maker {
	void (*make)(uint64_t number, struct buf *out, void *arg);
	char *(*name)(uint64_t number, void *arg);	/* gives */
	void *arg;
};

static void
play_made(const struct maker *m, uint64_t from, uint64_t to)
{
	struct buf b = BUF_INIT;

	for (uint64_t i = from; i <= to; i++) {
		verdict->number = i;
		buf_clear(&b);
		m->make(i, &b, m->arg);
		if (!play_one(buf_str(&b)))
			break;
	}
	buf_release(&b);
}

/* In a child: text, or what is made if it is NULL. True: all went well. */
static bool
in_child(const char *text, const struct maker *m, uint64_t from, uint64_t to, bool quiet)
{
	int status;
	pid_t pid;

	verdict->failed = verdict->bad = false;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (quiet)
			log_init("weir-sim", LOG_OFF);
		if (quiet && !freopen("/dev/null", "w", stderr))
			_exit(1);
		if (text)
			play_one(text);
		else
			play_made(m, from, to);
		exit(verdict->failed);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		log_error("no process can be started");
		exit(1);
	}
	if (!verdict->failed && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
		verdict->failed = true;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			copy_text(verdict->kind, sizeof verdict->kind, "it does not come to an end");
		else if (WIFSIGNALED(status))
			snprintf(verdict->kind, sizeof verdict->kind, "ended by signal %d, %s", WTERMSIG(status),
			    WTERMSIG(status) == SIGABRT ? "an assertion that does not hold" : strsignal(WTERMSIG(status)));
		else
			snprintf(verdict->kind, sizeof verdict->kind, "ended with status %d", WEXITSTATUS(status));
		copy_text(verdict->text, sizeof verdict->text, verdict->kind);
	}
	return !verdict->failed;
}

/* Shrinking. */

static bool
still_fails(const char *text, void *arg)
{
	const char *kind = arg;

	return !in_child(text, NULL, 0, 0, true) && !verdict->bad && strcmp(verdict->kind, kind) == 0;
}

static void
write_file(const char *path, const struct buf *b)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(b->p, 1, b->len, f) != b->len || fclose(f) != 0) {
		log_error("%s cannot be written", path);
		exit(1);
	}
}

/* The smallest scenario that shows it, in a file; its path (free). */
static char *
keep(struct buf *text, const char *kind, const char *what, const char *why)
{
	struct buf out = BUF_INIT;
	char *path = xasprintf("%s/%s.scn", keep_dir, what);

	if (!keep_whole)
		shrink(text, still_fails, (void *)(uintptr_t)kind);
	buf_addf(&out, "# %s: %s\n", what, why);
	buf_add(&out, text->p, text->len);
	write_file(path, &out);
	buf_release(&out);
	return path;
}

/* What it says of itself stands behind the prefix. Takes what. */
static void
found(const char *prefix, char *what, struct buf *text)
{
	char *kind = xstrdup(verdict->kind), *why = xstrdup(verdict->text), *path;

	printf("%s%s: %s\n", prefix, what, why);
	fflush(stdout);
	if (keep_dir) {
		path = keep(text, kind, what, why);
		printf("%s%s: see %s\n", prefix, what, path);
		free(path);
	}
	free(kind);
	free(why);
	free(what);
}

static unsigned
run_made(const struct maker *m, const char *prefix, uint64_t from, uint64_t to, unsigned limit)
{
	struct buf b = BUF_INIT;
	unsigned failures = 0;

	while (from <= to && failures < limit) {
		uint64_t last = to - from < BATCH ? to : from + BATCH - 1, number;

		if (in_child(NULL, m, from, last, !verbose)) {
			from = last + 1;
			continue;
		}
		number = verdict->number;
		buf_clear(&b);
		m->make(number, &b, m->arg);
		found(prefix, m->name(number, m->arg), &b);
		failures++;
		from = number + 1;
	}
	buf_release(&b);
	return failures;
}

/* Seeds. */

static void
seed_make(uint64_t seed, struct buf *out, void *arg unused_arg)
{
	gen_scenario(seed, out);
}

static char *
seed_name(uint64_t seed, void *arg unused_arg)
{
	return xasprintf("seed-%llu", (unsigned long long)seed);
}

static unsigned
run_seeds(uint64_t from, uint64_t to, unsigned limit)
{
	static const struct maker maker = { seed_make, seed_name, NULL };
	unsigned failures = run_made(&maker, "", from, to, limit);

	printf("%llu scenarios, %llu attempts, %llu records, %llu deaths, %.1f years of simulated time, %llu turns: %u failed\n",
	    (unsigned long long)verdict->played, (unsigned long long)verdict->attempts, (unsigned long long)verdict->records,
	    (unsigned long long)verdict->deaths, (double)verdict->virtual_s / 86400 / 365, (unsigned long long)verdict->turns, failures);
	return failures;
}

/* Files, as TAP. */

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* `for NAME FROM..TO`: the scenario is played once for each value, in the place of $NAME. */
struct each {
	char	 name[16];
	unsigned from, to;
	bool	 any;
};

static void
find_each(const char *text, struct each *e)
{
	memset(e, 0, sizeof *e);
	e->to = e->from = 1;
	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (sscanf(p, "for %15[A-Z] %u..%u", e->name, &e->from, &e->to) == 3) {
			e->any = true;
			return;
		}
	}
}

/* The line itself becomes a comment, so that lines keep their numbers. */
static void
substitute(const struct each *e, unsigned value, const char *text, struct buf *out)
{
	size_t n = strlen(e->name);

	buf_clear(out);
	for (const char *p = text; *p; p++) {
		if (e->any && *p == '$' && strncmp(p + 1, e->name, n) == 0) {
			buf_addf(out, "%u", value);
			p += n;
		} else if (e->any && (p == text || p[-1] == '\n') && strncmp(p, "for ", 4) == 0) {
			buf_addstr(out, "#");
		} else {
			buf_addch(out, *p);
		}
	}
}

static void
tell_failure(const char *path, struct buf *text)
{
	char *kind = xstrdup(verdict->kind), *why = xstrdup(verdict->text), *kept;

	printf("# %s\n", why);
	if (keep_dir) {
		kept = keep(text, kind, base_name(path), why);
		printf("# see %s\n", kept);
		free(kept);
	}
	free(kind);
	free(why);
}

static unsigned
run_file(const char *path, unsigned *n)
{
	struct buf b = BUF_INIT, text = BUF_INIT;
	struct err *err = buf_read_file(&b, path, 1 << 20);
	unsigned failures = 0;
	struct each e;

	if (err) {
		char *why = err_str(err);

		printf("not ok %u - %s\n# %s\n", ++*n, base_name(path), why);
		free(why);
		err_free(err);
		return 1;
	}
	find_each(buf_str(&b), &e);
	for (unsigned v = e.from; v <= e.to; v++) {
		bool ok;

		substitute(&e, v, buf_str(&b), &text);
		ok = in_child(buf_str(&text), NULL, 0, 0, false);
		printf("%sok %u - %s", ok ? "" : "not ", ++*n, base_name(path));
		if (e.any)
			printf(" %s=%u", e.name, v);
		putchar('\n');
		if (!ok) {
			tell_failure(path, &text);
			failures++;
		}
		fflush(stdout);
	}
	buf_release(&b);
	buf_release(&text);
	return failures;
}

/* Every step of a file's first scenario: one line of TAP, whoever dies there. */

struct step_files {
	struct steps steps;
	const char  *path;
};

static void
step_make(uint64_t at, struct buf *out, void *arg)
{
	const struct step_files *f = arg;
	uint64_t number = at * parts + part - 1;

	steps_scenario(&f->steps, number / f->steps.n + 1, number % f->steps.n, out);
}

static char *
step_name_of(uint64_t at, void *arg)
{
	const struct step_files *f = arg;
	uint64_t number = at * parts + part - 1;
	char *name = xasprintf("%s-step-%llu-%s", base_name(f->path), (unsigned long long)(number / f->steps.n + 1),
	    f->steps.victims[number % f->steps.n]);

	for (char *p = name; *p; p++)
		*p = *p == ' ' ? '-' : *p;
	return name;
}

static unsigned
run_steps_of(struct step_files *f, unsigned n, unsigned limit)
{
	struct maker maker = { step_make, step_name_of, f };
	struct buf whole = BUF_INIT;
	unsigned failures = 0;
	uint64_t steps, deaths;

	steps_scenario(&f->steps, 0, 0, &whole);
	if (!in_child(buf_str(&whole), NULL, 0, 0, !verbose)) {
		printf("# %s\n", verdict->text);
		failures = 1;
	}
	buf_release(&whole);
	steps = verdict->steps;
	deaths = (steps * f->steps.n + parts - part) / parts;
	if (!failures && deaths > 0)
		failures = run_made(&maker, "# ", 0, deaths - 1, limit);
	printf("%sok %u - %s: %llu steps, %zu deaths at each", failures ? "not " : "", n, base_name(f->path),
	    (unsigned long long)steps, f->steps.n);
	if (parts > 1)
		printf(", part %u of %u: %llu", part, parts, (unsigned long long)deaths);
	putchar('\n');
	fflush(stdout);
	return failures;
}

static unsigned
run_steps(char *const *files, int n, unsigned limit)
{
	unsigned failures = 0;

	for (int i = 0; i < n; i++) {
		struct step_files f = { .path = files[i] };
		struct buf b = BUF_INIT, text = BUF_INIT;
		struct err *err = buf_read_file(&b, files[i], 1 << 20);
		struct each e;

		if (err) {
			printf("not ok %d - %s cannot be read\n", i + 1, base_name(files[i]));
			err_free(err);
			failures++;
			continue;
		}
		find_each(buf_str(&b), &e);
		substitute(&e, e.from, buf_str(&b), &text);
		steps_init(&f.steps, buf_str(&text));
		failures += run_steps_of(&f, (unsigned)i + 1, limit);
		steps_release(&f.steps);
		buf_release(&b);
		buf_release(&text);
	}
	printf("1..%d\n", n);
	return failures;
}

static unsigned
run_files(char *const *files, int n)
{
	unsigned failures = 0, cases = 0;

	for (int i = 0; i < n; i++)
		failures += run_file(files[i], &cases);
	printf("1..%u\n", cases);
	return failures;
}

static void
usage(FILE *f)
{
	fputs("usage: weir-sim [-v] [--keep DIR] [--whole] FILE.scn...\n"
	      "       weir-sim [-v] [--keep DIR] [--whole] [--limit N] --seeds FROM..TO\n"
	      "       weir-sim [-v] [--keep DIR] [--whole] [--limit N] [--part K/N] --steps FILE.scn...\n"
	      "       weir-sim --print SEED\n", f);
}

static void
make_scratch(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(scratch, sizeof scratch, "%s/weir-sim-XXXXXX", tmp && strlen(tmp) < 32 ? tmp :
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(scratch) || setenv("TMPDIR", scratch, 1) != 0) {
		log_error("no temporary directory can be made: %s", scratch);
		exit(1);
	}
}

static void
remove_scratch(void)
{
	char *argv[] = { (char[]){ "rm" }, (char[]){ "-rf" }, scratch, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execvp("rm", argv);
		_exit(1);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static bool
parse_range(const char *s, uint64_t *from, uint64_t *to)
{
	char *end;

	*from = *to = strtoull(s, &end, 10);
	if (end == s)
		return false;
	if (strncmp(end, "..", 2) == 0)
		*to = strtoull(end + 2, &end, 10);
	return *end == '\0' && *to >= *from;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 's' }, { "seed", required_argument, NULL, 's' },
		{ "print", required_argument, NULL, 'p' }, { "keep", required_argument, NULL, 'k' },
		{ "limit", required_argument, NULL, 'l' }, { "whole", no_argument, NULL, 'w' },
		{ "steps", no_argument, NULL, 'S' }, { "part", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	uint64_t from = 0, to = 0;
	bool seeds = false, print = false, steps = false;
	unsigned limit = 10, failures;
	struct buf b = BUF_INIT;
	int c;

	while ((c = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
		switch (c) {
		case 's':
		case 'p':
			seeds = c == 's';
			print = c == 'p';
			if (!parse_range(optarg, &from, &to)) {
				usage(stderr);
				return 2;
			}
			break;
		case 'S':
			steps = true;
			break;
		case 'P':
			if (sscanf(optarg, "%u/%u", &part, &parts) != 2 || part < 1 || part > parts) {
				usage(stderr);
				return 2;
			}
			break;
		case 'k':
			keep_dir = optarg;
			break;
		case 'l':
			limit = (unsigned)atoi(optarg);
			break;
		case 'w':
			keep_whole = true;
			break;
		case 'v':
			verbose = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (print) {
		gen_scenario(from, &b);
		fputs(buf_str(&b), stdout);
		buf_release(&b);
		return 0;
	}
	if (!seeds && optind == argc) {
		usage(stderr);
		return 2;
	}
	log_init("weir-sim", LOG_ERROR);
	make_scratch();
	verdict = mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	failures = seeds ? run_seeds(from, to, limit)
	    : steps	 ? run_steps(argv + optind, argc - optind, limit)
			 : run_files(argv + optind, argc - optind);
	remove_scratch();
	return failures > 0;
}
