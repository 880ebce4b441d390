/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"

/* What the commands that read have in common: a root, its journals, an id. */
struct err *
cmd_root(const struct cmd_env *env, bool create, struct root *out)
{
	return root_open(config_text(&env->config, CFG_ROOT), config_text(&env->config, CFG_SCRATCH), create, out);
}

/* A torn end after a crash is nothing that anybody could miss: it was never acknowledged. */
static void
lookup_damage(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg unused_arg)
{
	if (state == FRAME_BAD)
		log_error("journal %s: damaged at offset %llu; %llu bytes are passed over", pos->path,
		    (unsigned long long)pos->offset, (unsigned long long)skipped);
	else
		log_debug("journal %s: ends in %llu bytes that were never acknowledged", pos->path,
		    (unsigned long long)skipped);
}

struct err *
lookup_open(const struct cmd_env *env, enum rundb_what what, struct lookup *l)
{
	struct err *err;

	memset(l, 0, sizeof *l);
	err = cmd_root(env, false, &l->root);
	if (err != NULL)
		return err;
	err = rundb_open(&l->root, what, NULL, lookup_damage, NULL, &l->db);
	if (err != NULL)
		lookup_close(l);
	return err;
}

struct err *
lookup_id(struct lookup *l, const char *text)
{
	return id_resolve(l->db, &l->root, text, &l->id);
}

struct err *
lookup_exec(const struct lookup *l, struct rundb **db)
{
	return rundb_open_exec(l->db, &l->id.run, &l->id.digest, lookup_damage, NULL, db);
}

struct run_entry *
lookup_run(const struct lookup *l, const struct digest *run)
{
	return rundb_run(l->db, run);
}

void
lookup_close(struct lookup *l)
{
	rundb_free(l->db);
	root_release(&l->root);
	memset(l, 0, sizeof *l);
}
