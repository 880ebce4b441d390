/* SPDX-License-Identifier: Apache-2.0 */
#include "run/compact.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/helper.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "loop/spawn.h"
#include "run/journals.h"

/*
 * What a reader would get wrong: nothing here is undone after a crash, it is only gone on with. From the rename of
 * the pack on, readers take its journals from it, whatever is left of the folders; so removing those can wait for
 * whoever compacts next. A folder is hidden by a rename before it is emptied: half of it is never seen.
 */
#define LOCK	      ".compact"
#define GONE	      ".gone-"
#define TMP	      ".tmp"
#define DAMAGED	      ".damaged"	/* in a folder: it stays as it is, for who may mend it */
#define TMP_AGE	      600	/* seconds after which nobody writes an index's temporary file any more */
#define BATCH_BYTES   (1u << 30)	/* of journals in one pack */
#define PACK_BYTES    (256u << 20)	/* a pack of this size is left alone */
#define SQUEEZE	      6		/* what compression is expected to win */

enum fate { F_LEAVE, F_PACKED, F_EMPTY };
struct candidate {			/* a journal that may go into a pack */
	const struct journal_place *place;
	uint64_t   bytes;
	enum fate  fate;
};
struct compaction {
	const struct root *root;
	const struct compact_due *due;
	int		   lock, dirfd;
	struct journals	   journals;
	struct candidate *sources;	/* folders */
	size_t		   n;
	struct compact_result *result;
};

static char *
path_in(const struct compaction *c, const char *prefix, const char *name, const char *suffix)
{
	return xasprintf("%s/%s%s%s", c->root->journal, prefix, name, suffix);
}

/* Removing what is over. */

static void
empty_folder(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
}

static void
remove_folder(const struct compaction *c, const char *controller)
{
	char *path = path_in(c, "", controller, ""), *gone = path_in(c, GONE, controller, "");

	if (rename(path, gone) == 0) {
		crash_point("compact-folder-hidden");
		empty_folder(gone);
		crash_point("compact-folder-emptied");
		(void)rmdir(gone);
	}
	free(path);
	free(gone);
}

static void
remove_pack(const char *path)
{
	char *index = pack_index_path(path);

	(void)unlink(path);
	crash_point("compact-pack-removed");
	(void)unlink(index);
	free(index);
}

static bool
ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n > k && strcmp(name + n - k, suffix) == 0;
}

static bool
is_stale(const struct compaction *c, const char *name)
{
	struct stat st;

	if (ends_with(name, PACK_SUFFIX TMP))
		return true;	/* we have the lock */
	return ends_with(name, TMP) && fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtime < time(NULL) - TMP_AGE;
}

/* What was left by one that died, among the names that readers do not see. */
static void
sweep_name(const struct compaction *c, const char *name)
{
	if (strncmp(name, GONE, strlen(GONE)) == 0) {
		char *path = path_in(c, "", name, "");

		empty_folder(path);
		(void)rmdir(path);
		free(path);
	} else if (name[0] == '.' && is_stale(c, name)) {
		(void)unlinkat(c->dirfd, name, 0);
	} else if (name[0] != '.' && ends_with(name, ".idx")) {
		char *pack = xasprintf("%.*s" PACK_SUFFIX, (int)(strlen(name) - 4), name);

		if (faccessat(c->dirfd, pack, F_OK, 0) < 0 && errno == ENOENT)
			(void)unlinkat(c->dirfd, name, 0);
		free(pack);
	}
}

static void
sweep_names(const struct compaction *c)
{
	DIR *d = opendir(c->root->journal);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		sweep_name(c, e->d_name);
	if (d != NULL)
		closedir(d);
}

/* A pack that has nothing but what others have: one of them was made of it. */
static bool
is_superseded(const struct compaction *c, size_t pack)
{
	for (uint32_t k = 0; k < c->journals.packs[pack]->nsections; k++)
		if (c->journals.of_section[pack][k] != SIZE_MAX)
			return false;
	return true;
}

static void
sweep_moved(const struct compaction *c)
{
	for (size_t i = 0; i < c->journals.npacks; i++)
		if (is_superseded(c, i))
			remove_pack(c->journals.packs[i]->path);
	for (size_t i = 0; i < c->journals.n; i++) {
		const struct journal_place *p = &c->journals.places[i];
		char *path = path_in(c, "", p->controller, "");

		if (p->pack != NULL && access(path, F_OK) == 0)
			remove_folder(c, p->controller);
		free(path);
	}
}

/* Choosing. */

/* A lock that is free, and a segment beside it, tell that the controller is gone for good. */
static bool
is_source(const char *dir, uint64_t *bytes)
{
	char *mark = xasprintf("%s/" DAMAGED, dir);
	size_t segments = 0;

	*bytes = 0;
	if (!wal_is_live(dir) && access(mark, F_OK) < 0)
		err_free(wal_dir_size(dir, bytes, &segments));
	free(mark);
	return segments > 0;
}

static void
find_sources(struct compaction *c)
{
	c->sources = xcalloc(c->journals.n + 1, sizeof *c->sources);
	for (size_t i = 0; i < c->journals.n; i++) {
		const struct journal_place *p = &c->journals.places[i];
		uint64_t bytes;
		char *dir;

		if (p->pack != NULL || strlen(p->controller) >= PACK_NAME)
			continue;
		dir = path_in(c, "", p->controller, "");
		if (is_source(dir, &bytes))
			c->sources[c->n++] = (struct candidate){ p, bytes, F_LEAVE };
		free(dir);
	}
}

static bool
is_enough(const struct compact_due *due, uint64_t n, uint64_t bytes)
{
	return n > 0 && ((due->journals > 0 && n >= due->journals) || (due->bytes > 0 && bytes >= due->bytes));
}

static bool
is_due(const struct compaction *c)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < c->n; i++)
		bytes += c->sources[i].bytes;
	return is_enough(c->due, c->n, bytes);
}

/* Is every byte of it in a section? A damaged block may not be: such a pack is left as it is. */
static bool
is_whole(const struct pack *p)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < p->nsections; i++) {
		if (p->sections[i].from != at)
			return false;
		at = p->sections[i].to;
	}
	return at == p->size;
}

static int
cmp_size(const void *a, const void *b)
{
	const struct pack *x = *(struct pack *const *)a, *y = *(struct pack *const *)b;

	return x->size < y->size ? -1 : x->size > y->size;
}

/*
 * Packs that the new one takes in: the smaller ones while they are not much larger than what has come together. So
 * a record is written again only when what it lies in doubles, and there are about as many packs as doublings.
 */
static size_t
choose_packs(const struct compaction *c, uint64_t bytes, struct pack **chosen)
{
	struct pack **sorted = xcalloc(c->journals.npacks + 1, sizeof *sorted);
	uint64_t sum = bytes / SQUEEZE;
	size_t n = 0, k = 0;

	for (size_t i = 0; i < c->journals.npacks; i++)
		if (!is_superseded(c, i) && is_whole(c->journals.packs[i]))
			sorted[n++] = c->journals.packs[i];
	if (n > 0)
		qsort(sorted, n, sizeof *sorted, cmp_size);
	while (k < n && sorted[k]->size <= 2 * sum && sum + sorted[k]->size <= PACK_BYTES) {
		sum += sorted[k]->size;
		chosen[k] = sorted[k];
		k++;
	}
	free(sorted);
	return k;
}

/* Writing. */

/* What ends in a torn record was never acknowledged. */
static void
copy_damage(const struct wal_pos *pos unused_arg, enum frame_state state, uint64_t skipped unused_arg, void *arg)
{
	bool *damaged = arg;

	*damaged = *damaged || state == FRAME_BAD;
}

/* A journal's first header stays, and every record once. Gives how many, or -1: it must stay as it is. */
static long
copy_records(struct wal_reader *r, struct pack_writer *w)
{
	const char *payload = NULL;
	uint64_t last_seq = 0;
	bool header = false;
	struct err *err;
	size_t len = 0;
	long n = 0;

	while ((err = wal_reader_next(r, &payload, &len)) == NULL && payload != NULL) {
		struct record_peek p;

		if (!record_peek(payload, len, &p) || len > PACK_RECORD)
			return -1;
		if (p.head.kind == REC_HEADER ? header : p.head.seq <= last_seq)
			continue;
		if (p.head.kind == REC_HEADER) {
			header = true;
		} else {
			last_seq = p.head.seq;
			n++;
		}
		pack_writer_add(w, payload, len);
	}
	if (err != NULL)
		n = -1;
	err_free(err);
	return n;
}

static void
mark_damaged(const char *dir)
{
	char *mark = xasprintf("%s/" DAMAGED, dir);
	int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	free(mark);
}

static void
add_folder(const struct compaction *c, struct candidate *s, struct pack_writer *w)
{
	char *dir = path_in(c, "", s->place->controller, "");
	bool damaged = false;
	struct wal_reader *r = NULL;
	uint64_t before;
	long n = -1;

	pack_writer_begin(w, s->place->controller);
	before = w->written;
	err_free(wal_reader_open(dir, copy_damage, &damaged, &r));
	if (r != NULL)
		n = copy_records(r, w);
	wal_reader_close(r);
	/* Gone: another host compacts this root as well, and has it. */
	if (n > 0 && !damaged && access(dir, F_OK) == 0)
		s->fate = F_PACKED;
	else if (n == 0 && !damaged)
		s->fate = F_EMPTY;
	if (s->fate != F_PACKED)
		pack_writer_undo(w, before);
	if (damaged)
		mark_damaged(dir);
	pack_writer_flush(w);
	free(dir);
}

static bool
is_chosen(struct pack *const *chosen, size_t n, const struct pack *p)
{
	for (size_t i = 0; i < n; i++)
		if (chosen[i] == p)
			return true;
	return false;
}

/* All journals of the new pack by name: those of folders among first to last, and those of the chosen packs. */
static void
write_journals(struct compaction *c, size_t first, size_t last, struct pack *const *chosen, size_t nchosen,
    struct pack_writer *w)
{
	size_t next = first;

	for (size_t i = 0; i < c->journals.n; i++) {
		const struct journal_place *p = &c->journals.places[i];

		if (next < last && c->sources[next].place == p) {
			add_folder(c, &c->sources[next++], w);
		} else if (p->pack != NULL && is_chosen(chosen, nchosen, p->pack)) {
			const struct pack_section *s = &p->pack->sections[p->section];

			pack_writer_copy(w, p->pack->fd, p->pack->path, s->from, s->to);
		}
	}
}

static struct err *
write_pack(struct compaction *c, size_t first, size_t last, struct pack *const *chosen, size_t nchosen, const char *tmp,
    uint64_t *size)
{
	int fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct pack_writer w;
	struct err *err;

	if (fd < 0)
		return err_errno(errno, "write", "%s", tmp);
	pack_writer_init(&w, fd, tmp);
	write_journals(c, first, last, chosen, nchosen, &w);
	err = pack_writer_end(&w);
	*size = w.written;
	crash_point("compact-packed");
	if (err == NULL && fsync(fd) < 0)
		err = err_errno(errno, "sync", "%s", tmp);
	crash_point("compact-synced");
	close(fd);
	return err;
}

static char *
new_name(void)
{
	struct timespec now;
	uint32_t r = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	if (getrandom(&r, sizeof r, GRND_NONBLOCK) != sizeof r)
		r = (uint32_t)getpid();
	return xasprintf("%012llx%08x", (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000, r);
}

/* The index first: without it a reader would have to read the whole pack. */
static struct err *
publish(const struct compaction *c, const char *tmp, const char *path)
{
	char *index = pack_index_path(path);
	struct err *err = pack_index_write(tmp, index);

	crash_point("compact-indexed");
	if (err == NULL && rename(tmp, path) < 0)
		err = err_errno(errno, "rename", "%s", path);
	if (err == NULL && fsync(c->dirfd) < 0 && errno != EINVAL)	/* EINVAL: nothing to sync in this file system */
		err = err_errno(errno, "sync", "%s", c->root->journal);
	crash_point("compact-published");
	free(index);
	return err;
}

static void
remove_sources(struct compaction *c, size_t first, size_t last, struct pack *const *chosen, size_t nchosen)
{
	for (size_t i = first; i < last; i++) {
		if (c->sources[i].fate == F_LEAVE)
			continue;
		c->result->journals++;
		c->result->before += c->sources[i].bytes;
		remove_folder(c, c->sources[i].place->controller);
	}
	for (size_t i = 0; i < nchosen; i++) {
		c->result->packs++;
		c->result->before += chosen[i]->size;
		remove_pack(chosen[i]->path);
	}
}

static struct err *
pack_batch(struct compaction *c, size_t first, size_t last, struct pack *const *chosen, size_t nchosen)
{
	char *name = new_name(), *tmp = path_in(c, ".", name, PACK_SUFFIX TMP), *path = path_in(c, "", name, PACK_SUFFIX);
	uint64_t size = 0;
	struct err *err = write_pack(c, first, last, chosen, nchosen, tmp, &size);

	if (err == NULL && size > 0)
		err = publish(c, tmp, path);
	if (err == NULL) {
		c->result->after += size;
		remove_sources(c, first, last, chosen, nchosen);
	}
	(void)unlink(tmp);	/* after a failure, or of nothing */
	free(name);
	free(tmp);
	free(path);
	return err;
}

static struct err *
pack_all(struct compaction *c)
{
	struct pack **chosen = xcalloc(c->journals.npacks + 1, sizeof *chosen);
	struct err *err = NULL;
	size_t first = 0;

	while (err == NULL && first < c->n) {
		uint64_t bytes = 0;
		size_t last = first, n = 0;

		while (last < c->n && (last == first || bytes + c->sources[last].bytes <= BATCH_BYTES))
			bytes += c->sources[last++].bytes;
		if (last == c->n)	/* the others are large by themselves */
			n = choose_packs(c, bytes, chosen);
		err = pack_batch(c, first, last, chosen, n);
		first = last;
	}
	free(chosen);
	return err;
}

/* Whose lock is held by another is not waited for: that one does the work. */
static struct err *
take_lock(struct compaction *c)
{
	char *path = path_in(c, "", LOCK, "");
	struct err *err = NULL;

	c->dirfd = open(c->root->journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c->lock = c->dirfd < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock < 0)
		err = err_errno(errno, "compact", "%s", c->root->journal);
	else if (flock(c->lock, LOCK_EX | LOCK_NB) < 0)
		c->result->busy = true;
	free(path);
	return err;
}

struct err *
compact(const struct root *root, const struct compact_due *due, struct compact_result *result)
{
	struct compaction c = { .root = root, .due = due, .lock = -1, .dirfd = -1, .result = result };
	struct err *err;

	memset(result, 0, sizeof *result);
	err = take_lock(&c);
	if (err == NULL && !result->busy) {
		sweep_names(&c);
		err = journals_open(root, &c.journals);
		if (err == NULL) {
			sweep_moved(&c);
			find_sources(&c);
			if (is_due(&c))
				err = pack_all(&c);
		}
		journals_close(&c.journals);
		free(c.sources);
	}
	if (c.lock >= 0)
		close(c.lock);
	if (c.dirfd >= 0)
		close(c.dirfd);
	return err;
}

/* Starting it. */

/* Costs a listing, and a look at each of a few segments. */
static bool
seems_due(const struct root *root, const struct compact_due *due)
{
	DIR *d = opendir(root->journal);
	struct dirent *e;
	uint64_t bytes = 0;
	uint64_t n = 0;

	while (d != NULL && !is_enough(due, n, bytes) && (e = readdir(d)) != NULL) {
		uint64_t size;
		char *dir;

		if (e->d_name[0] == '.' || ends_with(e->d_name, PACK_SUFFIX) || ends_with(e->d_name, ".idx"))
			continue;
		dir = xasprintf("%s/%s", root->journal, e->d_name);
		if (is_source(dir, &size)) {
			bytes += size;
			n++;
		}
		free(dir);
	}
	if (d != NULL)
		closedir(d);
	return is_enough(due, n, bytes);
}

void
compact_start(const struct root *root, const struct compact_due *due)
{
	char *program = helper_path("weir-compact");
	char background[] = "--background", journals[24], bytes[24];
	char *argv[] = { program, background, journals, bytes, root->path, NULL };
	struct child_spec spec = { .path = program, .argv = argv, .fds = { -1, -1, -1 }, .pass_fd = -1, .new_session = true };
	struct err *err = NULL;
	pid_t pid;

	snprintf(journals, sizeof journals, "%llu", (unsigned long long)due->journals);
	snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)due->bytes);
	if ((due->journals > 0 || due->bytes > 0) && seems_due(root, due)) {
		err = spawn(&spec, &pid);
		if (err == NULL)
			(void)waitpid(pid, NULL, 0);	/* it leaves another behind at once */
	}
	if (err != NULL) {
		char *text = err_str(err);

		log_debug("journals are not compacted: %s", text);
		free(text);
		err_free(err);
	}
	free(program);
}
