/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_FLOW_FLOW_PRIV_H
#define WEIR_FLOW_FLOW_PRIV_H

#include "flow/flow.h"

/* Identities of nodes, by which a graph interns them. For flow.c alone. */
void node_digest_exec(
    const char *universe, const struct flow_exec *, struct flow *const *deps, size_t n, struct digest *);
void node_digest_url(const char *domain, const char *url, bool dir, const struct flow *dep, struct digest *);
void node_digest_k(const struct digest *own, struct flow *const *deps, size_t ndeps, struct flow *const *captured,
    size_t ncaptured, struct digest *);
void node_digest_requirements(const struct requirements *, const struct flow *dep, struct digest *);

#endif
