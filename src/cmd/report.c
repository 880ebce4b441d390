/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/report.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "cmd/text.h"
#include "store/object.h"

#define TAIL_BYTES 4096
#define TAIL_LINES 12

/* An event of an exec or input, wherever it was learnt of. Strings are not NUL terminated. */
struct completion {
	enum exec_event	event;
	struct digest	key;
	const char     *ident, *pos, *url;	/* NULL if absent */
	size_t		ident_len, pos_len, url_len;
	const struct exec_result *result;	/* NULL if absent */
	const struct digest *object;		/* likewise */
	bool		again;		/* it has failed, and is tried again */
	const struct resources *with;	/* with these; NULL: unknown */
	double		asked;
};

void
report_init(struct report *r, const char *objects, const struct digest *run)
{
	struct timespec now;

	memset(r, 0, sizeof *r);
	clock_gettime(CLOCK_REALTIME, &now);
	r->began = SECONDS(now.tv_sec) + now.tv_nsec;
	r->objects = objects;
	r->run = *run;
}

void
report_forget(struct report *r)
{
	for (size_t i = 0; i < r->nfailures; i++) {
		free(r->failures[i].ident);
		free(r->failures[i].pos);
		free(r->failures[i].what);
	}
	free(r->failures);
	r->failures = NULL;
	r->nfailures = 0;
}

void
report_clear(struct report *r)
{
	report_forget(r);
	usage_release(&r->usage);
	memset(r, 0, sizeof *r);
}

void
report_begin(struct report *r, const char *what)
{
	char id[ID_TEXT];

	if (r->said)
		return;
	r->said = true;
	log_info("%s %s", id_text(ID_RUN, &r->run, id), what);
}

/* Failures. */

/* Its latest outcome is what counts: a command that was killed for its memory may succeed with more. */
static void
drop_failure(struct report *r, const struct digest *key)
{
	for (size_t i = 0; i < r->nfailures; i++) {
		struct failure *f = &r->failures[i];

		if (!digest_equal(&f->key, key) || digest_is_zero(key))
			continue;
		free(f->ident);
		free(f->pos);
		free(f->what);
		*f = r->failures[--r->nfailures];
		return;
	}
}

static struct failure *
add_failure(struct report *r)
{
	r->failures = xreallocarray(r->failures, r->nfailures + 1, sizeof *r->failures);
	memset(&r->failures[r->nfailures], 0, sizeof *r->failures);
	return &r->failures[r->nfailures++];
}

/* Why an attempt failed: in its runtime's words, else by its exit status. */
static char *
failure_text(const struct exec_result *res)
{
	struct buf status = BUF_INIT;

	if (res->err != NULL)
		return err_str(res->err);
	status_text(res->status, &status);
	return buf_take(&status, NULL);
}

void
report_failure(struct report *r, const char *ident, const char *pos, const struct err *err)
{
	struct failure *f = add_failure(r);

	f->ident = xstrdup(ident == NULL ? "?" : ident);
	f->pos = pos == NULL ? NULL : xstrdup(pos);
	f->what = err_str(err);
}

static void
note_failure(struct report *r, const struct completion *c)
{
	struct failure *f = add_failure(r);

	f->key = c->key;
	f->errlog = c->result->errlog;
	f->ident = c->ident == NULL ? xstrdup("?") : xstrndup(c->ident, c->ident_len);
	f->pos = c->pos == NULL ? NULL : xstrndup(c->pos, c->pos_len);
	f->what = failure_text(c->result);
}

/* A line per completion. */

static void
say(const char *word, const struct completion *c, const char *more)
{
	char id[ID_TEXT] = "";

	if (log_level() < LOG_INFO)
		return;
	if (!digest_is_zero(&c->key))
		id_text(ID_EXEC, &c->key, id);
	log_info("%-6s %.*s%s%s%s%s", word, (int)c->ident_len, c->ident == NULL ? "" : c->ident, *id ? "  " : "", id,
	    *more ? "  " : "", more);
}

static void
say_input(const struct completion *c)
{
	struct buf size = BUF_INIT;

	if (c->result != NULL && c->result->fileset != NULL) {
		size_t n = fileset_n(c->result->fileset);

		buf_addf(&size, "%zu file%s, ", n, n == 1 ? "" : "s");
		buf_add_size(&size, (double)fileset_size(c->result->fileset));
	}
	log_debug("input  %.*s  %s", (int)c->url_len, c->url == NULL ? "" : c->url, buf_str(&size));
	buf_release(&size);
}

/* Once: it is the host's nature, and the same for all that follow. */
static void
say_isolation(struct report *r, const struct exec_result *res)
{
	if (res->isolated || r->said_isolation)
		return;
	r->said_isolation = true;
	log_info("isolation is off: commands see paths below the root; keeper/log there says why");
}

/* Not a failure yet. */
static void
say_again(const struct completion *c)
{
	char *why = failure_text(c->result);
	struct buf more = BUF_INIT;

	buf_addf(&more, "%s; it is tried again", why);
	if (err_is(c->result->err, ERR_OOM) && c->with != NULL) {
		buf_addstr(&more, " with ");
		buf_add_size(&more, c->with->mem);
	}
	say("again", c, buf_str(&more));
	buf_release(&more);
	free(why);
}

static void
say_ended(struct report *r, const struct completion *c)
{
	struct buf more = BUF_INIT;
	char *why;

	drop_failure(r, &c->key);
	if (c->result == NULL)
		return;
	say_isolation(r, c->result);
	if (c->result->state == ATTEMPT_OK) {
		r->done++;
		duration_text(c->result->usage.wall_ns, &more);
		if (c->result->attached)
			buf_addstr(&more, "  (attached to)");
		say("done", c, buf_str(&more));
	} else if (c->again) {
		say_again(c);
	} else {
		note_failure(r, c);
		why = failure_text(c->result);
		say("FAILED", c, why);
		free(why);
	}
	buf_release(&more);
}

static void
say_lost(struct report *r, const struct completion *c)
{
	char *why, object[DIGEST_STR + 1];

	/* Of an attempt that did not find its inputs the next line tells: who made them is lost. */
	if (c->result != NULL && c->result->missing != NULL)
		return;
	if (c->object != NULL) {
		digest_str(c->object, object);
		why = xasprintf("%s is gone: made anew", object);
	} else {
		why = c->result == NULL ? xstrdup("") : err_str(c->result->err);
	}
	r->lost++;
	say("lost", c, why);
	free(why);
}

static void
report_completion(struct report *r, const struct completion *c)
{
	switch (c->event) {
	case XEV_INTERN:
		r->inputs++;
		say_input(c);
		break;
	case XEV_STARTED:
		log_debug("start  %.*s", (int)c->ident_len, c->ident == NULL ? "" : c->ident);
		break;
	case XEV_ENDED:
		if (c->result != NULL)
			usage_add(&r->usage, c->ident, c->ident_len, c->asked, c->result);
		say_ended(r, c);
		break;
	case XEV_LOST:
		say_lost(r, c);
		break;
	case XEV_HIT:
		r->known++;
		drop_failure(r, &c->key);
		say("known", c, "");
		break;
	}
}

void
report_event(struct report *r, const struct eval_event *ev)
{
	static const enum exec_event events[] = {
		[EV_INTERN] = XEV_INTERN, [EV_STARTED] = XEV_STARTED, [EV_ENDED] = XEV_ENDED, [EV_LOST] = XEV_LOST,
		[EV_HIT] = XEV_HIT,
	};
	const struct flow *f = ev->node;
	struct completion c = { .event = events[ev->kind], .result = ev->result, .object = ev->object };
	char *pos = NULL;

	if (ev->kind != EV_HIT)		/* of which there may be very many, and nobody asks */
		pos = xasprintf("%s:%d:%d", f->place->pos.name == NULL ? "?" : f->place->pos.name, f->place->pos.line,
		    f->place->pos.col);
	c.with = ev->again;
	c.again = ev->again != NULL;
	c.asked = ev->asked;
	if (f->has_pkey)
		c.key = f->pkey;
	else if (ev->kind == EV_HIT)
		c.key = ev->result->exec;
	c.ident = f->place->ident;
	c.ident_len = c.ident == NULL ? 0 : strlen(c.ident);
	c.pos = pos;
	c.pos_len = pos == NULL ? 0 : strlen(pos);
	if (f->op == FLOW_INTERN) {
		c.url = f->u.intern.url;
		c.url_len = strlen(c.url);
	}
	report_completion(r, &c);
	free(pos);
}

void
report_record(struct report *r, const msgpack_object *o)
{
	struct completion c = { 0 };
	struct record_head h;
	struct exec_record x;
	struct err *err = record_head(o, &h);

	if (err == NULL && h.kind == REC_EXEC)
		err = record_as_exec(o, &x);
	if (err != NULL || h.kind != REC_EXEC) {
		err_free(err);
		return;
	}
	c.event = x.event;
	c.key = x.pkey;
	c.ident = x.ident;
	c.ident_len = x.ident_len;
	c.pos = x.pos;
	c.pos_len = x.pos_len;
	c.url = x.url;
	c.url_len = x.url_len;
	c.result = x.has_result ? &x.result : NULL;
	if (x.event == XEV_HIT && x.has_result && digest_is_zero(&c.key))
		c.key = x.result.exec;
	c.again = x.again;
	c.object = digest_is_zero(&x.object) ? NULL : &x.object;
	c.asked = (double)x.asked;
	report_completion(r, &c);
	exec_record_release(&x);
}

/* The end. */

/* Foreign bytes on a terminal: nothing that moves its cursor. */
static void
say_line(const char *p, size_t n)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		buf_addch(&b, p[i] == '\t' || !iscntrl((unsigned char)p[i]) ? p[i] : '?');
	log_error("  | %s", buf_str(&b));
	buf_release(&b);
}

/* The end of an object, from the beginning of a line; what cannot be read is nothing. */
static void
read_tail(const char *objects, const struct digest *d, struct buf *out)
{
	char text[TAIL_BYTES];
	const char *line;
	uint64_t size;
	ssize_t n;
	int fd;
	struct err *err = object_open(objects, d, &fd, &size);

	if (err != NULL) {
		err_free(err);
		return;
	}
	n = pread(fd, text, sizeof text, size > sizeof text ? (off_t)(size - sizeof text) : 0);
	close(fd);
	if (n <= 0)
		return;
	line = size > sizeof text ? memchr(text, '\n', (size_t)n) : NULL;
	buf_add(out, text, (size_t)n);
	buf_drop(out, line == NULL ? 0 : (size_t)(line + 1 - text));
}

static void
say_tail(const struct report *r, const struct digest *errlog)
{
	struct buf text = BUF_INIT;
	const char *line, *end;
	int lines = 0;

	if (!digest_is_zero(errlog))
		read_tail(r->objects, errlog, &text);
	while (text.len > 0 && text.p[text.len - 1] == '\n')
		text.len--;
	end = text.p + text.len;
	for (line = end; text.len > 0 && line > text.p; line--) {
		if (line[-1] == '\n' && ++lines == TAIL_LINES)
			break;
	}
	while (text.len > 0 && line < end) {
		const char *nl = memchr(line, '\n', (size_t)(end - line));
		const char *stop = nl == NULL ? end : nl;

		say_line(line, (size_t)(stop - line));
		line = stop + 1;
	}
	buf_release(&text);
}

static void
say_failure(const struct report *r, const struct failure *f)
{
	char id[ID_TEXT];

	log_error("%s failed: %s", f->ident, f->what);
	if (!digest_is_zero(&f->key))
		log_error("  %s at %s", id_text(ID_EXEC, &f->key, id), f->pos != NULL ? f->pos : "?");
	else if (f->pos != NULL)
		log_error("  at %s", f->pos);
	say_tail(r, &f->errlog);
}

static void
say_next(const struct report *r)
{
	char run[ID_TEXT], exec[ID_TEXT];

	id_text(ID_RUN, &r->run, run);
	for (size_t i = 0; i < r->nfailures; i++) {
		if (digest_is_zero(&r->failures[i].key))
			continue;
		id_text(ID_EXEC, &r->failures[i].key, exec);
		log_error("next: weir logs %s, weir info %s, weir resume %s", exec, exec, run);
		return;
	}
	log_error("next: weir info %s, weir resume %s", run, run);
}

static void
say_sums(const struct report *r)
{
	struct buf b = BUF_INIT;
	struct timespec now;

	/* Of a run that was over when we came we saw nothing, which is no sum. */
	if (r->done + r->known + r->inputs + r->lost + r->nfailures == 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	buf_addf(&b, "%llu done, %llu known", (unsigned long long)r->done, (unsigned long long)r->known);
	if (r->nfailures > 0)
		buf_addf(&b, ", %zu failed", r->nfailures);
	if (r->lost > 0)
		buf_addf(&b, ", %llu lost", (unsigned long long)r->lost);
	buf_addstr(&b, " in ");
	duration_text(SECONDS(now.tv_sec) + now.tv_nsec - r->began, &b);
	log_info("%s", buf_str(&b));
	buf_release(&b);
}

void
report_end(struct report *r, const struct run_state *s)
{
	char id[ID_TEXT], *why;

	usage_say(&r->usage);
	say_sums(r);
	id_text(ID_RUN, &r->run, id);
	if (s->Err == NULL) {
		log_info("%s done", id);
		return;
	}
	for (size_t i = 0; i < r->nfailures; i++)
		say_failure(r, &r->failures[i]);
	say_next(r);
	why = err_str(s->Err);
	log_error("%s failed: %s", id, why);
	free(why);
}
