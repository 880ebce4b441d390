/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_CLIENT_H
#define WEIR_SIM_CLIENT_H

#include "sim/host.h"

/* Between a host (host.c) and the clients of its keeper (client.c). Messages to the host arrive on the world's loop. */
struct sub {			/* who waits for an attempt */
	TAILQ_ENTRY(sub) entry;
	struct keeper_client *client;
	uint64_t id;
};
void host_put(struct host *, struct keeper_client *, uint64_t id, struct request *);	/* takes the request's contents */
void host_subscribe(struct host *, struct keeper_client *, uint64_t id, const struct digest *key);
void host_detach(struct host *, struct keeper_client *, uint64_t id);
void host_forget(struct host *, const struct digest *run, const struct digest *key, uint32_t attempt);
void host_boot(struct host *);
void host_client_gone(struct host *, struct keeper_client *);

bool client_gone(const struct keeper_client *);
struct ctl *client_ctl(const struct keeper_client *);	/* only while it is not gone; NULL: an agent's */
void host_report(const struct sub *, enum report_kind, const struct attempt *, enum attempt_state, bool attached);
void host_refuse(const struct sub *, struct err *);	/* takes */
void host_detached(const struct sub *, const struct attempt *);	/* others still wait for it: this one hears that it is killed */
void host_tell_down(struct host *);
void host_free_clients(struct host *);

#endif
