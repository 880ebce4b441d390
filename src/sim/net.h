/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_NET_H
#define WEIR_SIM_NET_H

#include "sim/world.h"

/*
 * The network between machines: number 0 is home, where the controllers run, the others are hosts by their number. The
 * two ways between two machines are apart, so that a cut may let requests through and no answers, or the other way round.
 * Nobody is told when a message is lost.
 */
#define NET_HOME 0
#define NET_NODES 9

struct net;
struct net *net_new(struct world *);
void net_free(struct net *);
void net_cut(struct net *, unsigned from, unsigned to, bool cut);	/* counts: as many times whole as it was cut */
void net_slow(struct net *, unsigned from, unsigned to, const struct range *);	/* NULL: as fast as the world's network */
void net_lose(struct net *, double part);	/* of the messages */
void net_repeat(struct net *, double part);	/* of the requests come once more, some time later */

/* Two ends of a way: what is sent arrives in order at one, and what comes again, late, at the other. */
struct mail {
	struct net *net;
	unsigned    from, to;
	struct post post, late;
};
void mail_init(struct mail *, struct net *, unsigned from, unsigned to, struct loop *, const char *name);
/* run takes data; drop, when it is lost, too. again (or NULL): gives what arrives when it comes once more. */
void mail_send(struct mail *, void (*run)(void *), void (*drop)(void *), void *(*again)(void *), void *data);
void mail_close(struct mail *);

#endif
