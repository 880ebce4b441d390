/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_LEDGER_H
#define WEIR_EXECUTOR_LEDGER_H

#include <sys/types.h>

#include "iface/exec.h"

/*
 * The host's ledger: one mapped page file in keeper/, shared by the keeper and its slot workers. A row
 * per slot says which attempt lives there, what it has been admitted to and who waits for it. An
 * attempt lives exactly as long as its row: so the rows are also the table of living attempts.
 *
 * Admission is in order of arrival: nobody overtakes the first who waits. Amounts are summed anew from
 * the rows each time, so a holder of the lock that dies leaves no wrong sum behind.
 */
#define LEDGER_SLOTS	256
#define LEDGER_SUBS	64
#define LEDGER_FEATURES 16
#define LEDGER_NAME	32
#define LEDGER_IDENT	64

struct ledger_amount {
	double	 mem, cpu;
	uint32_t nfeatures;
	struct {
		char   label[24];
		double amount;
	} features[LEDGER_FEATURES];
};
struct ledger_sub {			/* who is told: a reply socket's name in keeper/, and the request there */
	char	 name[LEDGER_NAME];
	uint64_t id;
	bool	 attached;	/* came to an attempt that was there */
};
/* why it must end; the first one stands */
enum ledger_kill { LEDGER_LIVE, LEDGER_KILLED, LEDGER_RETAIN, LEDGER_MEMORY };

struct ledger_row {
	uint32_t used;
	pid_t	 worker, command;	/* command: 0 until spawned, and again once its tree is gone */
	uint32_t watched;		/* the keeper, not the kernel, holds it to its memory */
	struct digest key, run;
	uint32_t attempt, state;	/* state: enum attempt_state */
	uint32_t try_, retry;
	uint64_t retain_ns;
	int64_t	 queued, started;	/* wall clock ns */
	uint64_t ticket;		/* order of arrival; 0: asks for nothing */
	uint32_t admitted, kill;
	struct ledger_amount amount;
	uint32_t nsubs;
	struct ledger_sub subs[LEDGER_SUBS];
	char	 ident[LEDGER_IDENT];
	_Atomic uint32_t turn;		/* grows when this one may go on: what it sleeps on */
};

/*
 * A request in the hand of a child, of which nobody else knows: not answered, and no row yet. Slot workers have their
 * slot's hand, intern helpers those behind.
 */
#define LEDGER_HANDS (LEDGER_SLOTS + 8)

struct ledger;
/* Makes keeper's ledger anew at path (the caller holds keeper/lock). totals is borrowed. */
must_check struct err *ledger_create(const char *path, const struct resources *totals, unsigned nslots,
    struct ledger **);
/* What the keeper before has left at path, to be looked at. INVALID if it is no ledger of this version. */
must_check struct err *ledger_open_old(const char *path, struct ledger **);
void ledger_free(struct ledger *);	/* unmaps; NULL is fine */
unsigned ledger_nslots(const struct ledger *);
void ledger_lock(struct ledger *);
void ledger_unlock(struct ledger *);
struct ledger_row *ledger_row(struct ledger *, unsigned slot);	/* borrowed; read and write under the lock */

/* All that follow take the lock themselves. */
/* NULL if the host can ever give this much, else RESOURCES_EXHAUSTED that names what is short. */
must_check struct err *ledger_could_fit(struct ledger *, const struct resources *);
/* Empties the slot's hand: from now on whoever waits is in the row. */
void ledger_open(struct ledger *, unsigned slot, const struct exec_config *, unsigned attempt,
    const struct ledger_sub *);
void ledger_hold(struct ledger *, unsigned hand, const struct ledger_sub *);	/* NULL: it is answered */
bool ledger_held(struct ledger *, unsigned hand, struct ledger_sub *);	/* takes it; false: the hand is empty */
/*
 * Enters the resources; waits for its turn. waits is called once if that takes longer than a moment: where commands are
 * short each waits for the one before it, and each word about it costs as much. Returns why not.
 */
enum ledger_kill ledger_admit(struct ledger *, unsigned slot, const struct resources *, void (*waits)(void *),
    void *arg);
/* The attempt's last process is gone: gives the amounts back. From now on no kill reaches it; says which one did. */
enum ledger_kill ledger_leave(struct ledger *, unsigned slot);
/* The attempt is over: empties the row and hands out who must be told. Returns their number. */
unsigned ledger_close(struct ledger *, unsigned slot, struct ledger_sub out[LEDGER_SUBS]);
/* The slot of a living attempt (copied to row unless NULL), or -1. */
int  ledger_find(struct ledger *, const struct digest *key, unsigned attempt, struct ledger_row *row);
/* Adds one who is told; false when it does not live any more or has too many. */
bool ledger_subscribe(struct ledger *, unsigned slot, const struct digest *key, unsigned attempt,
    const struct ledger_sub *);
/* Asks for the end of what lives in the slot, and wakes who waits. */
void ledger_kill(struct ledger *, unsigned slot, enum ledger_kill);
void ledger_spawned(struct ledger *, unsigned slot, pid_t command, int64_t started, bool watched);

/*
 * What this host admits in total: of the keeper that lives, else the defaults of host.h. For pools.
 * keeper is its directory.
 */
must_check struct err *ledger_totals(const char *keeper, struct resources *);

#endif
