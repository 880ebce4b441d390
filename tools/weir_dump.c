/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>
#include <uthash.h>

#include "base/xalloc.h"
#include "cmd/cmd.h"
#include "cmd/fields.h"
#include "cmd/text.h"

/*
 * weir-dump: what journals hold, every field of every record, also of kinds and fields that this program does not
 * know. It reads files and takes no lock. What a reader would get wrong: one damaged segment is no reason to
 * stop; what was passed over is said on stderr, and the exit status asks only whether anything was readable.
 */
static bool json, history;
static const struct opt opts[] = {
	{ .name = "json", .flag = &json, .help = "one JSON object a record, one a line" },
	{ .name = "history", .flag = &history, .help = "every record in its order, not the newest snapshot" },
	{ NULL },
};
static const struct cmd cmd_dump = {
	.name = "weir-dump",
	.alone = true,
	.args = "RUN-or-FILE...",
	.help = "Shows the newest snapshot of runs, or all of their records.\n"
		"A run is named by its id; a FILE is a segment of a journal, a pack, a journal's folder, or a root.",
	.groups = CONFIG_ROOT,
	.minargs = 1,
	.maxargs = -1,
	.opts = opts,
};

struct newest {			/* newest snapshot of a run */
	struct digest  run;
	uint64_t       epoch, seq;
	char	      *payload;
	size_t	       len;
	size_t	       order;	/* when the run was first met */
	UT_hash_handle hh;
};
struct dump {
	const struct cmd_env *env;
	bool	       failed;		/* an argument led to nothing */
	size_t	       nrecords;
	/* while one folder is read */
	bool	       live;
	uint64_t       last_seq;
	struct newest *runs;
	struct err    *err;		/* stdout is gone: stop */
};

/* Printing. */

static void
print_head(const json_t *rec, struct buf *out)
{
	const char *kind = json_string_value(json_object_get(rec, "kind"));
	const char *event = json_string_value(json_object_get(rec, "event"));
	const char *time = json_string_value(json_object_get(rec, "time"));

	buf_addf(out, "%s%s%s  %s\n", kind == NULL ? "?" : kind, event != NULL ? " " : "", event != NULL ? event : "",
	    time == NULL ? "" : time);
}

static struct err *
print_record(const msgpack_object *o)
{
	json_t *rec = json_from_mpk(o), *line;
	struct buf out = BUF_INIT;
	struct err *err;

	if (json) {
		line = json_object();
		json_object_set_new(line, "$schema", json_string("weir-record/1"));
		json_object_update(line, rec);
		json_decref(rec);
		return print_json(line);
	}
	print_head(rec, &out);
	fields_print(rec, 1, &out);
	json_decref(rec);
	err = print_out(out.p, out.len);
	buf_release(&out);
	return err;
}

static struct err *
print_payload(const char *p, size_t n)
{
	struct mpk_doc doc;
	struct err *err = mpk_parse(&doc, p, n);

	if (err != NULL)
		return err;
	err = print_record(mpk_root(&doc));
	mpk_doc_release(&doc);
	return err;
}

/* Newest snapshots. */

static void
keep_newest(struct dump *d, const struct record_head *h, const char *payload, size_t len)
{
	struct newest *r;

	HASH_FIND(hh, d->runs, &h->run, sizeof h->run, r);
	if (r == NULL) {
		r = xcalloc(1, sizeof *r);
		r->run = h->run;
		r->order = HASH_COUNT(d->runs);
		HASH_ADD(hh, d->runs, run, sizeof r->run, r);
	} else if (h->epoch < r->epoch) {
		return;
	}
	free(r->payload);
	r->payload = xmemdup(payload, len);
	r->len = len;
	r->epoch = h->epoch;
	r->seq = h->seq;
}

static int
by_order(const struct newest *a, const struct newest *b)
{
	return a->order < b->order ? -1 : a->order > b->order;
}

static void
print_newest(struct dump *d)
{
	struct newest *r, *tmp;

	HASH_SORT(d->runs, by_order);
	HASH_ITER(hh, d->runs, r, tmp) {
		if (d->err == NULL)
			d->err = print_payload(r->payload, r->len);
		HASH_DEL(d->runs, r);
		free(r->payload);
		free(r);
	}
}

/* Reading. */

static void
say_skipped(const struct wal_pos *pos, uint64_t n, const char *why)
{
	fprintf(stderr, "weir-dump: %s: %s at offset %llu, %llu bytes skipped\n", pos->path, why,
	    (unsigned long long)pos->offset, (unsigned long long)n);
}

static void
dump_damage_cb(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	struct dump *d = arg;

	if (state == FRAME_TORN && d->live)
		return;		/* a record on its way */
	say_skipped(pos, skipped, state == FRAME_TORN ? "torn end" : "damaged");
}

static struct err *
take_record(struct dump *d, const msgpack_object *o, const char *payload, size_t len)
{
	struct record_head h;
	struct err *err = record_head(o, &h);

	if (err != NULL)
		return err;
	/* A header has the seq of the record after it. Others come again when a journal process has died. */
	if (h.kind != REC_HEADER && h.seq <= d->last_seq)
		return NULL;
	if (h.kind != REC_HEADER)
		d->last_seq = h.seq;
	d->nrecords++;
	if (history)
		d->err = print_record(o);
	else if (h.kind == REC_SNAPSHOT)
		keep_newest(d, &h, payload, len);
	return NULL;
}

static struct err *
dump_record_cb(const struct wal_pos *pos, const char *payload, size_t len, void *arg)
{
	struct dump *d = arg;
	struct mpk_doc doc;
	struct err *err = mpk_parse(&doc, payload, len);

	if (err == NULL) {
		err = take_record(d, mpk_root(&doc), payload, len);
		mpk_doc_release(&doc);
	}
	if (err != NULL)
		say_skipped(pos, len + FRAME_HEAD, "not a record");
	err_free(err);
	return d->err == NULL ? NULL : err_msg(ERR_CANCELED, "stdout");
}

static void
dump_folder(struct dump *d, const char *dir)
{
	struct err *err;

	d->last_seq = 0;
	d->live = wal_is_live(dir);
	err = wal_scan_dir(dir, dump_record_cb, dump_damage_cb, d);
	if (err != NULL && d->err == NULL)
		d->failed |= exit_with(STAGE_OTHER, err) != 0;
	else
		err_free(err);
}

static void
dump_segment(struct dump *d, const char *path)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	struct err *err;

	if (slash != NULL)
		*slash = '\0';
	d->last_seq = 0;
	d->live = wal_is_live(slash != NULL ? dir : ".");
	err = wal_scan_file(path, dump_record_cb, dump_damage_cb, d);
	if (err != NULL && d->err == NULL)
		d->failed |= exit_with(STAGE_OTHER, err) != 0;
	else
		err_free(err);
	free(dir);
}

/* Blocks of a pack; each controller's records have their own seq. */
static struct err *
dump_blocks(struct dump *d, const struct pack *p, uint64_t from, uint64_t to)
{
	char controller[PACK_NAME] = "";
	struct pack_reader r;
	const char *payload;
	struct err *err;
	size_t len;

	d->live = false;
	pack_reader_init(&r, p->fd, p->path, from, to, dump_damage_cb, d);
	while ((err = pack_reader_next(&r, &payload, &len)) == NULL && payload != NULL) {
		struct wal_pos pos = { p->path, r.block };

		if (strcmp(controller, r.controller) != 0) {
			memcpy(controller, r.controller, sizeof controller);
			d->last_seq = 0;
		}
		err = dump_record_cb(&pos, payload, len, d);
		if (err != NULL)
			break;
	}
	pack_reader_release(&r);
	return err;
}

static void
dump_over(struct dump *d, struct err *err)	/* takes */
{
	if (err != NULL && d->err == NULL)
		d->failed |= exit_with(STAGE_OTHER, err) != 0;
	else
		err_free(err);
}

static bool
ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n > k && strcmp(name + n - k, suffix) == 0;
}

static void
dump_pack(struct dump *d, const char *path)
{
	struct pack *p;
	struct err *err = pack_open(path, &p);

	if (err == NULL) {
		err = dump_blocks(d, p, 0, p->size);
		pack_close(p);
	}
	dump_over(d, err);
}

static bool
has_segments(const char *dir)
{
	DIR *dp = opendir(dir);
	struct dirent *e;
	bool has = false;

	while (dp != NULL && !has && (e = readdir(dp)) != NULL)
		has = e->d_name[0] != '.' && ends_with(e->d_name, ".wal");
	if (dp != NULL)
		closedir(dp);
	return has;
}

/* Each journal once, whether it is in a pack or not. */
static void
dump_journals(struct dump *d, char *dir)
{
	struct root root = { .journal = dir };
	struct journals j;
	struct err *err = journals_open(&root, &j);

	for (size_t i = 0; err == NULL && d->err == NULL && i < j.n; i++) {
		const struct journal_place *p = &j.places[i];
		char *path = xasprintf("%s/%s", dir, p->controller);
		struct stat st;

		if (p->pack != NULL)
			err = dump_blocks(d, p->pack, p->pack->sections[p->section].from, p->pack->sections[p->section].to);
		else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			dump_folder(d, path);
		free(path);
	}
	journals_close(&j);
	dump_over(d, err);
}

/* A journal's folder, the folder of all journals, or a root. */
static void
dump_path(struct dump *d, const char *path)
{
	char *journals = xasprintf("%s/journal", path);
	struct stat st;

	if (stat(journals, &st) != 0 || !S_ISDIR(st.st_mode)) {
		free(journals);
		journals = xstrdup(path);
	}
	if (has_segments(journals))
		dump_folder(d, journals);
	else
		dump_journals(d, journals);
	free(journals);
	print_newest(d);
}

/* Runs, by id. */

static void
dump_entry(struct dump *d, const struct run_entry *e)
{
	const struct run_record *newest = NULL;

	d->nrecords += e->nrecords;
	for (size_t i = 0; i < e->nrecords && d->err == NULL; i++) {
		if (history)
			d->err = print_payload(e->records[i].payload, e->records[i].len);
		else if (e->records[i].head.kind == REC_SNAPSHOT)
			newest = &e->records[i];
	}
	if (newest != NULL)
		d->err = print_payload(newest->payload, newest->len);
}

static struct err *
dump_run(struct dump *d, const char *text)
{
	struct lookup l;
	struct rundb *db = NULL;
	struct run_entry *e;
	struct err *err = lookup_open(d->env, RUNDB_STATES, &l);
	size_t n;

	if (err == NULL)
		err = lookup_id(&l, text);
	if (err == NULL && l.id.kind != ID_RUN)
		err = err_msg(ERR_INVALID, "%s: this is not a run; weir info %s describes it", text, text);
	d->live = false;	/* the run database knows itself what is on its way */
	if (err == NULL)
		err = rundb_open(&l.root, RUNDB_RECORDS, &l.id.digest, dump_damage_cb, d, &db);
	if (err == NULL) {
		e = rundb_runs(db, &n);
		if (n > 0)
			dump_entry(d, &e[0]);
	}
	rundb_free(db);
	lookup_close(&l);
	return err;
}

/* A file that is named like an id needs ./ before its name. */
static bool
looks_like_id(const char *text)
{
	if (strchr(text, '/') != NULL)
		return false;
	return strcmp(text, "last") == 0 || strchr(text, ':') != NULL || strspn(text,
	    "0123456789abcdef") == strlen(text);
}

static void
dump_argument(struct dump *d, const char *text)
{
	struct err *err = NULL;
	struct stat st;

	if (looks_like_id(text)) {
		err = dump_run(d, text);
	} else if (stat(text, &st) != 0) {
		err = err_msg(ERR_NOT_EXIST, "%s: there is no such file", text);
	} else if (S_ISDIR(st.st_mode)) {
		dump_path(d, text);
	} else {
		if (ends_with(text, PACK_SUFFIX))
			dump_pack(d, text);
		else
			dump_segment(d, text);
		print_newest(d);
	}
	if (err != NULL)
		d->failed |= exit_with(STAGE_OTHER, err) != 0;
}

static int
run(struct cmd_env *env, int argc, char **argv)
{
	struct dump d = { .env = env };

	for (int i = 0; i < argc && d.err == NULL; i++)
		dump_argument(&d, argv[i]);
	if (d.err != NULL)
		return exit_with(STAGE_OTHER, d.err);
	if (d.nrecords == 0 && !d.failed)
		log_error("no record could be read");
	return d.nrecords > 0 ? EXIT_DONE : EXIT_OTHER;
}

int
main(int argc, char **argv)
{
	struct cmd_env env;
	char **rest = NULL;
	struct err *err;
	bool help = false;
	int n, code;

	log_init("weir-dump", LOG_INFO);
	config_init(&env.config);
	err = config_load(&env.config);
	if (err == NULL)
		err = cmd_options(&cmd_dump, &env.config, argc - 1, argv + 1, &n, &rest, &help);
	if (err != NULL) {
		code = exit_with(STAGE_USAGE, err);
	} else if (help) {
		cmd_print_usage(&cmd_dump);
		code = EXIT_DONE;
	} else {
		code = run(&env, n, rest);
	}
	free(rest);
	config_release(&env.config);
	return code;
}
