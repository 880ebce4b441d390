/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/helper.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "run/compact.h"

/*
 * weir-compact ROOT: see weir-compact(8). With --background and what makes it worth it, it gives way to all others, and says nothing: then it
 * was started by a run that has ended and in whose terminal somebody types.
 */
#define IOPRIO_IDLE (3 << 13)
#define IOPRIO_WHO_PROCESS 1

static void
go_to_background(void)
{
	if (fork() > 0)
		_exit(0);
	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	log_init("weir-compact", LOG_OFF);
	(void)!chdir("/");
}

static void
report(const char *root, const struct compact_result *r)
{
	struct buf b = BUF_INIT;

	if (r->busy) {
		log_info("%s: another process is compacting it", root);
	} else if (r->journals == 0) {
		log_info("%s: nothing to be compacted", root);
	} else {
		buf_add_size(&b, (double)r->before);
		buf_addstr(&b, " to ");
		buf_add_size(&b, (double)r->after);
		log_info("%s: %zu journals and %zu packs compacted, %s", root, r->journals, r->packs, buf_str(&b));
	}
	buf_release(&b);
}

int
main(int argc, char **argv)
{
	bool background = argc == 5 && strcmp(argv[1], "--background") == 0;
	struct compact_due due = { 1, 1 };
	const char *path = argv[argc - 1];
	struct compact_result result;
	struct root root = { .path = NULL };
	struct err *err;
	int code;

	if (helper_about(argc, argv, "weir-compact",
		"usage: weir-compact ROOT\n"
		"Packs the journals of runs that are over: they become smaller, and their runs are found sooner.\n"
		"Nothing is lost by it, and weir does it by itself. See weir-compact(8).\n"))
		return 0;
	if (!background && (argc != 2 || path[0] == '-')) {
		fprintf(stderr, "usage: weir-compact ROOT\n");
		return 2;
	}
	log_init("weir-compact", LOG_INFO);
	root.journal = xasprintf("%s/journal", path);
	if (background) {
		due.journals = strtoull(argv[2], NULL, 10);
		due.bytes = strtoull(argv[3], NULL, 10);
		go_to_background();
	}
	err = compact(&root, &due, &result);
	if (err == NULL) {
		report(path, &result);
	} else {
		char *text = err_str(err);

		log_error("%s", text);
		free(text);
	}
	free(root.journal);
	code = err == NULL ? 0 : 1;
	err_free(err);
	return code;
}
