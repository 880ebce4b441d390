/* SPDX-License-Identifier: Apache-2.0 */
#include "base/background.h"

#include <sched.h>

/*
 * background: on a machine whose cores are all busy, each wake-up of the controller, its journal and the keeper would
 * interrupt a command and chill its caches, for a message that may come a millisecond later as well, together with the
 * next ones. On an idle core nothing changes.
 */
void
background_process(void)
{
	struct sched_param p = { .sched_priority = 0 };

	if (sched_getscheduler(0) == SCHED_OTHER)
		(void)sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &p);
}
