/* SPDX-License-Identifier: Apache-2.0 */
#include "base/resources.h"

#include <math.h>
#include <stdlib.h>

/*
 * Resources as msgpack. In a file of its own, so that programs which only count resources do not
 * link msgpack. Amounts are always floats: readers need not tell 4 from 4.0.
 */

void
resources_mpk(const struct resources *r, struct mpk_w *w)
{
	static const unsigned bits[] = { RES_MEM, RES_CPU, RES_DISK };
	size_t n = r->nfeatures;

	for (size_t i = 0; i < nitems(bits); i++)
		n += (r->present & bits[i]) != 0;
	mpk_map(w, n);
	if (r->present & RES_MEM) {
		mpk_key(w, "mem");
		mpk_double(w, r->mem);
	}
	if (r->present & RES_CPU) {
		mpk_key(w, "cpu");
		mpk_double(w, r->cpu);
	}
	if (r->present & RES_DISK) {
		mpk_key(w, "disk");
		mpk_double(w, r->disk);
	}
	for (unsigned i = 0; i < r->nfeatures; i++) {
		mpk_key(w, r->features[i].label);
		mpk_double(w, r->features[i].amount);
	}
}

void
resources_from_mpk(struct resources *r, const msgpack_object *map)
{
	resources_release(r);
	if (!map || map->type != MSGPACK_OBJECT_MAP)
		return;
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];
		char *label;
		double v;

		if (!mpk_as_double(&kv->val, &v) || !isfinite(v))
			continue;
		label = mpk_as_strdup(&kv->key);
		if (label)
			resources_set(r, label, v);
		free(label);
	}
}
