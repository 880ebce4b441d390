/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_FAKE_REPO_H
#define WEIR_TESTS_IFACE_FAKE_REPO_H

#include "iface/repo.h"
#include "tests/iface/fake.h"

/* A repository in memory. Calls: repo-stat, repo-get, repo-read (a slice), repo-put. */
struct repo *fake_repo_new(struct fake *, const char *name);	/* keeps both */
void fake_repo_add(struct repo *, const void *, size_t, struct digest *);	/* at once */
bool fake_repo_has(struct repo *, const struct digest *);
void fake_repo_remove(struct repo *, const struct digest *);
void fake_repo_damage(struct repo *, const struct digest *);	/* flips a bit of it; an empty one grows */
size_t fake_repo_count(struct repo *);

#endif
