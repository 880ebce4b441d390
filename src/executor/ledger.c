/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "executor/host.h"

/*
 * ledger: shared memory that outlives any of its users. The mutex is robust; waiting is a futex on a
 * counter, not a pthread condition, because a waiter that is killed inside pthread_cond_wait can make
 * the next broadcast wait for it for ever. Each row has its own counter: only the one whose turn it is wakes.
 */
#define LEDGER_MAGIC   UINT64_C(0x316c726965770003)	/* also the layout's version */
#define LEDGER_EPSILON 1e-6				/* sums of fractions of a core */
#define LEDGER_MOMENT  5000000				/* ns of waiting that nobody needs to hear of */

struct ledger_page {
	uint64_t	     magic;
	pthread_mutex_t	     mutex;
	uint32_t	     nslots;
	uint64_t	     next_ticket;
	double		     disk;
	struct ledger_amount totals;
	struct ledger_row    rows[LEDGER_SLOTS];
	struct ledger_sub    hands[LEDGER_HANDS];	/* an empty name: an empty hand */
};
struct ledger {
	struct ledger_page *page;	/* mapped */
};

static void
amount_from_resources(struct ledger_amount *a, const struct resources *r)
{
	memset(a, 0, sizeof *a);
	a->mem = r->mem;
	a->cpu = r->cpu;
	for (unsigned i = 0; i < r->nfeatures && a->nfeatures < LEDGER_FEATURES; i++) {
		if (strlen(r->features[i].label) >= sizeof a->features[0].label)
			continue;
		strcpy(a->features[a->nfeatures].label, r->features[i].label);
		a->features[a->nfeatures++].amount = r->features[i].amount;
	}
}

static void
amount_to_resources(const struct ledger_amount *a, struct resources *r)
{
	resources_set(r, "mem", a->mem);
	resources_set(r, "cpu", a->cpu);
	for (uint32_t i = 0; i < a->nfeatures && i < LEDGER_FEATURES; i++)
		resources_set(r, a->features[i].label, a->features[i].amount);
}

static double
amount_feature(const struct ledger_amount *a, const char *label)
{
	for (uint32_t i = 0; i < a->nfeatures; i++) {
		if (strcmp(a->features[i].label, label) == 0)
			return a->features[i].amount;
	}
	return 0;
}

/* Does the page still have room for a beside what the admitted rows hold? The lock is held. */
static bool
ledger_fits(const struct ledger_page *p, const struct ledger_amount *a)
{
	const struct ledger_amount *held;
	double mem = a->mem, cpu = a->cpu, sum;

	for (uint32_t i = 0; i < p->nslots; i++) {
		if (p->rows[i].used && p->rows[i].admitted) {
			mem += p->rows[i].amount.mem;
			cpu += p->rows[i].amount.cpu;
		}
	}
	if (mem > p->totals.mem + 0.5 || cpu > p->totals.cpu + LEDGER_EPSILON)
		return false;
	for (uint32_t f = 0; f < a->nfeatures; f++) {
		sum = a->features[f].amount;
		for (uint32_t i = 0; i < p->nslots; i++) {
			held = &p->rows[i].amount;
			if (p->rows[i].used && p->rows[i].admitted)
				sum += amount_feature(held, a->features[f].label);
		}
		if (sum > amount_feature(&p->totals, a->features[f].label) + LEDGER_EPSILON)
			return false;
	}
	return true;
}

/* Who has waited longest, or NULL. The lock is held. */
static struct ledger_row *
ledger_first(struct ledger_page *p)
{
	struct ledger_row *first = NULL;

	for (uint32_t i = 0; i < p->nslots; i++) {
		struct ledger_row *r = &p->rows[i];

		if (r->used && !r->admitted && r->ticket != 0 && (first == NULL || r->ticket < first->ticket))
			first = r;
	}
	return first;
}

/* Whose turn it is now: the first, if there is room for it. The lock is held. */
static struct ledger_row *
ledger_next(struct ledger_page *p)
{
	struct ledger_row *first = ledger_first(p);

	return first != NULL && ledger_fits(p, &first->amount) ? first : NULL;
}

static void
ledger_wake(struct ledger_row *r)
{
	if (r == NULL)
		return;
	atomic_fetch_add(&r->turn, 1);
	syscall(SYS_futex, &r->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void
ledger_sleep(struct ledger_row *r, uint32_t seen, bool told)
{
	/* The long limit is only a belt: a waker that was killed between giving way and waking. */
	struct timespec limit = { .tv_sec = told ? 1 : 0, .tv_nsec = told ? 0 : LEDGER_MOMENT };

	syscall(SYS_futex, &r->turn, FUTEX_WAIT, seen, &limit, NULL, 0);
}

void
ledger_lock(struct ledger *l)
{
	/* Rows are valid in any order of writing, so what a dead holder left is consistent. */
	if (pthread_mutex_lock(&l->page->mutex) == EOWNERDEAD)
		pthread_mutex_consistent(&l->page->mutex);
}

void
ledger_unlock(struct ledger *l)
{
	pthread_mutex_unlock(&l->page->mutex);
}

struct err *
ledger_create(const char *path, const struct resources *totals, unsigned nslots, struct ledger **out)
{
	pthread_mutexattr_t attr;
	struct ledger_page *p;
	int fd = -1, eno;

	/* A new file each time: whoever still maps the old one keeps its own. */
	if (unlink(path) != 0 && errno != ENOENT)
		return err_errno(errno, "unlink", "%s", path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(errno, "open", "%s", path);
	/* All of it now: a hole that meets a full disk later would end whoever touches it. */
	eno = posix_fallocate(fd, 0, sizeof *p);
	if (eno != 0) {
		close(fd);
		return err_errno(eno, "allocate", "%s", path);
	}
	p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return err_errno(errno, "mmap", "%s", path);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&p->mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	p->nslots = nslots < LEDGER_SLOTS ? nslots : LEDGER_SLOTS;
	p->next_ticket = 1;
	p->disk = totals->disk;
	amount_from_resources(&p->totals, totals);
	atomic_thread_fence(memory_order_release);
	p->magic = LEDGER_MAGIC;
	*out = xcalloc(1, sizeof **out);
	(*out)->page = p;
	return NULL;
}

struct err *
ledger_open_old(const char *path, struct ledger **out)
{
	struct ledger_page *p = MAP_FAILED;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "open", "%s", path);
	if (fstat(fd, &st) == 0 && (size_t)st.st_size == sizeof *p)
		p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return err_msg(ERR_INVALID, "%s is not a ledger of this version", path);
	if (p->magic != LEDGER_MAGIC || p->nslots > LEDGER_SLOTS) {
		munmap(p, sizeof *p);
		return err_msg(ERR_INVALID, "%s is not a ledger of this version", path);
	}
	*out = xcalloc(1, sizeof **out);
	(*out)->page = p;
	return NULL;
}

void
ledger_free(struct ledger *l)
{
	if (l == NULL)
		return;
	munmap(l->page, sizeof *l->page);
	free(l);
}

unsigned
ledger_nslots(const struct ledger *l)
{
	return l->page->nslots;
}

struct ledger_row *
ledger_row(struct ledger *l, unsigned slot)
{
	return &l->page->rows[slot];
}

struct err *
ledger_could_fit(struct ledger *l, const struct resources *need)
{
	const struct ledger_amount *t = &l->page->totals;
	struct resources have = RESOURCES_INIT;
	struct ledger_amount a;
	struct buf text = BUF_INIT;
	struct err *err = NULL;
	bool fits;

	amount_from_resources(&a, need);
	fits = a.mem <= t->mem && a.cpu <= t->cpu + LEDGER_EPSILON && a.nfeatures == need->nfeatures;
	for (uint32_t i = 0; i < a.nfeatures; i++)
		fits = fits && a.features[i].amount <= amount_feature(t, a.features[i].label) + LEDGER_EPSILON;
	if (fits)
		return NULL;
	amount_to_resources(t, &have);
	resources_str(need, &text);
	buf_addstr(&text, " is more than this host has: ");
	resources_str(&have, &text);
	err = err_msg(ERR_RESOURCES_EXHAUSTED, "%s", buf_str(&text));
	resources_release(&have);
	buf_release(&text);
	return err;
}

void
ledger_open(struct ledger *l, unsigned slot, const struct exec_config *c, unsigned attempt,
    const struct ledger_sub *sub)
{
	struct ledger_row *r = &l->page->rows[slot];

	ledger_lock(l);
	memset(r, 0, offsetof(struct ledger_row, subs));
	r->worker = getpid();
	r->key = c->key;
	r->run = c->claim.run;
	r->attempt = attempt;
	r->state = ATTEMPT_STAGING;
	r->try_ = c->claim.try_;
	r->retry = c->claim.retry;
	r->retain_ns = c->claim.retain_ns;
	r->queued = host_wall();
	r->subs[0] = *sub;
	r->nsubs = 1;
	strncpy(r->ident, c->ident != NULL ? c->ident : "", sizeof r->ident - 1);
	r->ident[sizeof r->ident - 1] = '\0';
	r->used = 1;
	l->page->hands[slot].name[0] = '\0';
	ledger_unlock(l);
}

void
ledger_hold(struct ledger *l, unsigned hand, const struct ledger_sub *sub)
{
	struct ledger_sub *h = &l->page->hands[hand];

	ledger_lock(l);
	if (sub != NULL)
		*h = *sub;
	else
		h->name[0] = '\0';
	ledger_unlock(l);
}

bool
ledger_held(struct ledger *l, unsigned hand, struct ledger_sub *out)
{
	struct ledger_sub *h = &l->page->hands[hand];

	ledger_lock(l);
	*out = *h;
	h->name[0] = '\0';
	ledger_unlock(l);
	return out->name[0] != '\0';
}

enum ledger_kill
ledger_admit(struct ledger *l, unsigned slot, const struct resources *need, void (*waits)(void *), void *arg)
{
	struct ledger_page *p = l->page;
	struct ledger_row *r = &p->rows[slot], *next;
	bool told = false, slept = false;
	uint32_t seen;

	ledger_lock(l);
	amount_from_resources(&r->amount, need);
	r->ticket = p->next_ticket++;
	while (r->kill == LEDGER_LIVE && ledger_next(p) != r) {
		r->state = ATTEMPT_QUEUED;
		seen = atomic_load(&r->turn);
		ledger_unlock(l);
		if (slept && !told) {
			waits(arg);
			told = true;
		}
		ledger_sleep(r, seen, told);
		slept = true;
		ledger_lock(l);
	}
	r->admitted = r->kill == LEDGER_LIVE;
	if (!r->admitted)
		r->ticket = 0;
	/* The next in line may fit as well; and if this one gave up, it was perhaps in the way. */
	next = ledger_next(p);
	ledger_unlock(l);
	ledger_wake(next);
	return (enum ledger_kill)r->kill;
}

void
ledger_spawned(struct ledger *l, unsigned slot, pid_t command, int64_t started, bool watched)
{
	struct ledger_row *r = &l->page->rows[slot];

	ledger_lock(l);
	r->command = command;
	r->started = started;
	r->watched = watched;
	r->state = ATTEMPT_RUNNING;
	ledger_unlock(l);
}

enum ledger_kill
ledger_leave(struct ledger *l, unsigned slot)
{
	struct ledger_row *r = &l->page->rows[slot];
	struct ledger_row *next;
	enum ledger_kill why;

	ledger_lock(l);
	r->command = 0;
	r->admitted = 0;
	r->ticket = 0;
	r->state = ATTEMPT_COLLECTING;
	why = (enum ledger_kill)r->kill;
	next = ledger_next(l->page);
	ledger_unlock(l);
	ledger_wake(next);
	return why;
}

unsigned
ledger_close(struct ledger *l, unsigned slot, struct ledger_sub out[LEDGER_SUBS])
{
	struct ledger_row *r = &l->page->rows[slot];
	struct ledger_row *next;
	unsigned n;

	ledger_lock(l);
	n = r->used ? r->nsubs : 0;
	memcpy(out, r->subs, n * sizeof r->subs[0]);
	r->used = 0;
	r->nsubs = 0;
	next = ledger_next(l->page);
	ledger_unlock(l);
	ledger_wake(next);
	return n;
}

static bool
ledger_is_row(const struct ledger_row *r, const struct digest *key, unsigned attempt)
{
	return r->used && r->attempt == attempt && digest_equal(&r->key, key);
}

int
ledger_find(struct ledger *l, const struct digest *key, unsigned attempt, struct ledger_row *row)
{
	struct ledger_page *p = l->page;
	int found = -1;

	ledger_lock(l);
	for (uint32_t i = 0; i < p->nslots && found < 0; i++) {
		if (ledger_is_row(&p->rows[i], key, attempt))
			found = (int)i;
	}
	if (found >= 0 && row != NULL)
		*row = p->rows[found];
	ledger_unlock(l);
	return found;
}

bool
ledger_subscribe(struct ledger *l, unsigned slot, const struct digest *key, unsigned attempt,
    const struct ledger_sub *sub)
{
	struct ledger_row *r = &l->page->rows[slot];
	bool ok;

	ledger_lock(l);
	ok = ledger_is_row(r, key, attempt) && r->nsubs < LEDGER_SUBS && r->kill == LEDGER_LIVE;
	if (ok)
		r->subs[r->nsubs++] = *sub;
	ledger_unlock(l);
	return ok;
}

void
ledger_kill(struct ledger *l, unsigned slot, enum ledger_kill why)
{
	struct ledger_row *r = &l->page->rows[slot];

	ledger_lock(l);
	if (r->used && r->kill == LEDGER_LIVE)
		r->kill = why;
	ledger_unlock(l);
	ledger_wake(r);
}

/* The keeper holds its lock as long as it or any of its workers lives. */
static bool
keeper_lives(const char *keeper)
{
	char *path = xasprintf("%s/lock", keeper);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool lives = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;

	free(path);
	if (fd >= 0)
		close(fd);
	return lives;
}

struct err *
ledger_totals(const char *keeper, struct resources *out)
{
	struct ledger_page *p = MAP_FAILED;
	char *path = NULL;
	struct stat st;
	int fd = -1;

	resources_release(out);
	if (keeper_lives(keeper)) {
		path = xasprintf("%s/ledger", keeper);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size >= sizeof *p)
		p = mmap(NULL, sizeof *p, PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED && p->magic == LEDGER_MAGIC) {
		amount_to_resources(&p->totals, out);
		resources_set(out, "disk", p->disk);
	} else {
		host_resources(keeper, out);
	}
	if (p != MAP_FAILED)
		munmap(p, sizeof *p);
	if (fd >= 0)
		close(fd);
	free(path);
	return NULL;
}
