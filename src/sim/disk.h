/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_DISK_H
#define WEIR_SIM_DISK_H

#include "flow/fileset.h"
#include "loop/journal.h"
#include "sim/world.h"

/* What lies on disks: objects (by digest and size alone), the user's files, and journals. */

/*
 * Objects: what they hold is known from how they were made, so only their presence counts, and whether their bytes are
 * whole. One that is damaged is there for whoever looks at its name alone; to be made again mends it.
 */
struct sim_objects *objects_new(struct world *);
void objects_free(struct sim_objects *);
void objects_add(struct sim_objects *, const struct file *);
void objects_add_all(struct sim_objects *, const struct fileset *);
bool objects_has(const struct sim_objects *, const struct digest *);	/* and it is whole */
/* As a look at the file says: with another size if it is cut short. Other damage is ERR_INTEGRITY. */
must_check struct err *objects_stat(const struct sim_objects *, const struct digest *, struct file *);
/* Some of them vanish, or are damaged, as the world's dice say: so many of a hundred. Returns how many. */
unsigned objects_lose(struct world *, struct sim_objects *, unsigned percent);
unsigned objects_damage(struct world *, struct sim_objects *, unsigned percent);
void objects_damage_one(struct sim_objects *, const struct digest *);	/* its bytes are others */
void objects_cut(struct world *, struct sim_objects *, uint64_t cut);	/* see world_cut */
/* What they hold, where somebody will read it: small ones. Copies; appends. */
void objects_set_bytes(struct sim_objects *, const struct digest *, const void *, size_t);
void objects_get_bytes(const struct sim_objects *, const struct digest *, struct buf *out);
bool objects_has_all(const struct sim_objects *, const struct fileset *);	/* every file of it */

/* Local files, by absolute path. */
struct sim_files *files_new(void);
void files_free(struct sim_files *);
void files_write(struct sim_files *, const char *path, const char *text);	/* NULL: removes */
bool files_read(const struct sim_files *, const char *path, struct file *);	/* digest and size; false: not there */
struct fileset *files_dir(const struct sim_files *, const char *path);	/* gives; NULL: nothing below it */

/*
 * The journal of a controller, and the process that writes it. Frames go to a real file in a real folder
 * with a real lock, so that readers are the real ones. The process outlives its controller until it has
 * drained; a process that is killed loses what it had not written, and another one is sent it again.
 */
struct sim_journal;
struct sim_journal *sim_journal_new(struct ctl *, const char *id, struct journal **client);	/* gives both */
void sim_journal_free(struct sim_journal *);	/* the client was closed. Releases the lock */
void sim_journal_kill(struct sim_journal *);
void sim_journal_cut(struct sim_journal *);	/* the power: its controller is gone too */
void sim_journal_orphan(struct sim_journal *);	/* its controller is gone; the client stays to be closed by who buries it */
bool sim_journal_over(const struct sim_journal *);	/* orphaned, and its process is gone */
void sim_journal_fill(struct sim_journal *, bool full);
bool sim_journal_drained(const struct sim_journal *);	/* nothing waits for the disk */
bool sim_journal_settled(const struct sim_journal *);	/* the client knows that all is durable, or that nothing can be */

#endif
