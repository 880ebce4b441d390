/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/host.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/*
 * host: what a machine offers when nobody says otherwise. The count is of all cores online, not of those
 * this process may use: the ledger is the whole host's.
 */

static double
host_memory(void)
{
	double kib = 0;
	char line[256];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		if (sscanf(line, "MemTotal: %lf kB", &kib) == 1)
			break;
	}
	if (f != NULL)
		fclose(f);
	return kib * 1024;
}

static void
host_features(struct resources *out, double cores)
{
	static const char *const names[][2] = {
		{ "avx", "intel_avx" }, { "avx2", "intel_avx2" }, { "avx512f", "intel_avx512" },
	};
	char line[8192], *save = NULL;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, "flags", 5) != 0)
			continue;
		for (char *w = strtok_r(line, " \t\n", &save); w != NULL; w = strtok_r(NULL, " \t\n", &save)) {
			for (size_t i = 0; i < nitems(names); i++) {
				if (strcmp(w, names[i][0]) == 0)
					resources_set(out, names[i][1], cores);
			}
		}
		break;
	}
	if (f != NULL)
		fclose(f);
}

void
host_resources(const char *dir, struct resources *out)
{
	struct statvfs fs;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	resources_release(out);
	if (cores < 1)
		cores = 1;
	resources_set(out, "mem", floor(0.95 * host_memory()));
	resources_set(out, "cpu", (double)cores);
	resources_set(out, "disk", statvfs(dir, &fs) == 0 ? (double)fs.f_blocks * (double)fs.f_frsize : 2e12);
	host_features(out, (double)cores);
}

static int64_t
host_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
host_wall(void)
{
	return host_clock(CLOCK_REALTIME);
}

int64_t
host_mono(void)
{
	return host_clock(CLOCK_BOOTTIME);
}
