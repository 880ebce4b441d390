/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/run/crafted.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/frame.h"
#include "base/xalloc.h"

static char dir[64];
struct root root;
const struct compact_due compact_any = { 1, 1 };
static uint64_t dice;

uint64_t
roll(uint64_t below)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (dice >> 33) % below;
}

struct digest
digest_of(uint64_t kind, uint64_t i)
{
	uint64_t in[2] = { kind, i };
	struct digest d;

	sha256_of(in, sizeof in, &d);
	return d;
}

void
begin(uint64_t seed)
{
	dice = seed;
	snprintf(dir, sizeof dir, "/tmp/weir-pack-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_null(root_open(dir, NULL, true, &root));
}

void
end(void)
{
	char *cmd = xasprintf("rm -rf %s", dir);

	root_release(&root);
	assert_int_equal(system(cmd), 0);
	free(cmd);
}

/* Journals. */

static void
add(struct maker *m, struct buf *payload)
{
	m->last = m->out.len;
	frame_add(&m->out, payload->p, payload->len);
	buf_release(payload);
}

static struct record_head
head_of(struct maker *m, struct run *r, enum record_kind kind)
{
	return (struct record_head){ .kind = kind, .seq = ++m->seq, .n = ++r->n, .epoch = r->epoch,
	    .run = digest_of(1, r->number), .time = (int64_t)(5000 + 10 * r->n) };
}

static void
add_snapshot(struct maker *m, struct run *r, enum run_phase phase)
{
	struct record_head h = head_of(m, r, REC_SNAPSHOT);
	struct buf b = BUF_INIT;
	struct run_state s;

	state_init(&s);
	s.ID = h.run;
	s.Phase = phase;
	s.Created = 1000 + (int64_t)r->number;
	s.Program = xstrdup("p.rf");
	record_snapshot(&b, &h, &s);
	state_release(&s);
	add(m, &b);
}

static void
put(struct mpk_w *w, const char *key, const char *text)
{
	mpk_key(w, key);
	mpk_str(w, text);
}

static void
put_u64(struct mpk_w *w, const char *key, uint64_t v)
{
	mpk_key(w, key);
	mpk_u64(w, v);
}

static void
put_digest(struct mpk_w *w, const char *key, const struct digest *d)
{
	mpk_key(w, key);
	mpk_digest(w, d);
}

void
add_exec(struct maker *m, struct run *r, const char *event, uint64_t key, const char *state)
{
	static const char *const idents[] = { "a", "align.Bam", "align", "z", "" };
	struct record_head h = head_of(m, r, REC_EXEC);
	struct digest pkey = digest_of(2, key);
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 10);
	put(&w, "kind", "exec");
	put(&w, "event", event);
	put_u64(&w, "seq", h.seq);
	mpk_key(&w, "time");
	mpk_time(&w, h.time);
	put_digest(&w, "run", &h.run);
	put_u64(&w, "epoch", h.epoch);
	put_u64(&w, "n", h.n);
	put_digest(&w, "key", key % 7 == 6 ? NULL : &pkey);
	put(&w, "ident", idents[key % 5]);
	mpk_key(&w, "result");
	mpk_map(&w, 1);
	put(&w, "state", state);
	add(m, &b);
}

void
add_some(struct maker *m, struct run *r)
{
	static const char *const events[] = { "started", "ended", "hit", "lost", "unheard" };
	struct record_head h;
	struct buf b = BUF_INIT;

	switch (roll(8)) {
	case 0:
		add_snapshot(m, r, (enum run_phase)roll(4));
		break;
	case 1:
		h = head_of(m, r, REC_NOTE);
		record_note(&b, &h, "interrupted");
		add(m, &b);
		break;
	default:
		add_exec(m, r, events[roll(5)], roll(60), roll(4) == 0 ? "failed" : "ok");
	}
}

void
write_segment(const char *controller, unsigned number, const struct buf *b)
{
	char *folder = xasprintf("%s/%s", root.journal, controller), *path = xasprintf("%s/%06u.wal", folder, number);
	FILE *f;

	(void)mkdir(folder, 0700);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(b->p, 1, b->len, f), b->len);
	fclose(f);
	free(folder);
	free(path);
}

void
add_header(struct maker *m, const char *controller)
{
	struct buf b = BUF_INIT;

	record_header(&b, m->seq + 1, 1, controller, "host.example", "boot");
	add(m, &b);
}

static struct run runs[NRUNS];
static unsigned ncontrollers;

void
name_controller(char name[CRAFTED_NAME])
{
	unsigned i = ncontrollers++;

	snprintf(name, CRAFTED_NAME, "%012x%08x", i / 2, i);
}

/* One controller with a few runs, new ones and such that it has taken over; segments that repeat, and torn ends. */
void
make_controller(unsigned nrecords)
{
	struct run *mine[3] = { &runs[roll(NRUNS)], &runs[roll(NRUNS)], &runs[roll(NRUNS)] };
	struct maker m = { .seq = 0 };
	unsigned segment = 1;
	char name[CRAFTED_NAME];

	name_controller(name);
	add_header(&m, name);
	for (int i = 0; i < 3; i++)
		mine[i]->epoch++;
	for (unsigned i = 0; i < nrecords; i++) {
		struct buf again = BUF_INIT;

		add_some(&m, mine[roll(3)]);
		if (roll(20) != 0)
			continue;
		/* The journal process died: what was not acknowledged comes again. */
		buf_add(&again, m.out.p + m.last, m.out.len - m.last);
		if (roll(2) == 0)
			buf_add(&m.out, "\x40\0\0\0torn", 8);
		write_segment(name, segment++, &m.out);
		buf_clear(&m.out);
		add_header(&m, name);
		buf_add(&m.out, again.p, again.len);
		buf_release(&again);
	}
	write_segment(name, segment, &m.out);
	buf_release(&m.out);
}

void
make_runs(void)
{
	ncontrollers = 0;
	for (unsigned i = 0; i < NRUNS; i++)
		runs[i] = (struct run){ .number = i };
}

void
say_records(struct buf *b, const struct run_entry *e)
{
	for (size_t i = 0; i < e->nrecords; i++) {
		struct digest d;
		char id[9];

		sha256_of(e->records[i].payload, e->records[i].len, &d);
		digest_short(&d, id);
		buf_addf(b, "  %s %llu %llu %s\n", e->records[i].controller, (unsigned long long)e->records[i].head.seq,
		    (unsigned long long)e->records[i].head.n, id);
	}
}

void
no_damage(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	(void)state;
	(void)skipped;
	(void)arg;
	fail_msg("%s is damaged at %llu", pos->path, (unsigned long long)pos->offset);
}

struct compact_result
compact_all(void)
{
	struct compact_result r;

	assert_null(compact(&root, &compact_any, &r));
	assert_false(r.busy);
	return r;
}

char *
only_file(const char *suffix)
{
	char *cmd = xasprintf("ls %s/*%s", root.journal, suffix), line[256];
	FILE *f = popen(cmd, "r");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f));
	pclose(f);
	free(cmd);
	line[strcspn(line, "\n")] = '\0';
	return xstrdup(line);
}

void
note_damage(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	(void)pos;
	(void)skipped;
	assert_int_equal(state, FRAME_BAD);
	++*(int *)arg;
}
