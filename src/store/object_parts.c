/* SPDX-License-Identifier: Apache-2.0 */
#include "store/object.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/*
 * Stamps of the folders that objects are in. An object leaves its folder by a rename or an unlink, either of which sets
 * the folder's times. What is easy to get wrong: times stand still for some milliseconds, so that a folder that has changed
 * just now may change again without its times showing it; it has no stamp yet.
 */
#define SETTLED 1	/* seconds since its last change */

/* Any two inputs give different outputs. */
static uint64_t
mix(uint64_t h)
{
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
	h = (h ^ h >> 27) * 0x94d049bb133111eb;
	return h ^ h >> 31;
}

static uint64_t
time_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

static uint64_t
stamp_of(const struct stat *st, time_t now, uint64_t salt)
{
	uint64_t h = salt;

	if (!S_ISDIR(st->st_mode) || st->st_ctim.tv_sec > now - 1 - SETTLED || st->st_mtim.tv_sec > now - 1 - SETTLED)
		return 0;
	h = mix(h ^ st->st_dev);
	h = mix(h ^ st->st_ino);
	h = mix(h ^ time_of(&st->st_mtim));
	h = mix(h ^ time_of(&st->st_ctim));
	return h != 0 ? h : 1;
}

void
object_stamps(int objects, uint64_t salt, time_t now, uint64_t stamp[OBJECT_PARTS])
{
	struct stat st;
	char name[3];

	for (unsigned i = 0; i < OBJECT_PARTS; i++) {
		snprintf(name, sizeof name, "%02x", i);
		stamp[i] = fstatat(objects, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ? 0 : stamp_of(&st, now, salt);
	}
}
