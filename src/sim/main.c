/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sim/play.h"

int
main(int argc, char **argv)
{
	struct play_outcome o;
	struct buf b = BUF_INIT;
	bool verbose = argc > 2 && strcmp(argv[1], "-v") == 0;

	log_init("weir-sim", verbose ? LOG_INFO : LOG_ERROR);
	err_free(buf_read_file(&b, argv[argc - 1], 1 << 20));
	play(buf_str(&b), verbose, &o);
	printf("%s: bad=%s fail=%s turns=%llu attempts=%u records=%u\n", argv[argc - 1], o.bad, o.failure, (unsigned long long)o.turns,
	    o.attempts, o.records);
	play_outcome_release(&o);
	buf_release(&b);
	return 0;
}
