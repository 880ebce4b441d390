/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "flow/value.h"

/* Values and filesets as JSON: what is read is written the same, and read again is equal. */

static void
check_value(const json_t *j)
{
	struct value *v = NULL, *w = NULL;
	struct err *err = value_from_json(j, &v);
	json_t *k;

	must((err == NULL) == (v != NULL));
	err_free(err);
	if (v == NULL)
		return;
	k = value_json(v);
	must(k != NULL);
	err = value_from_json(k, &w);
	must(err == NULL);
	must(value_cmp(v, w) == 0);
	json_decref(k);
	value_unref(v);
	value_unref(w);
}

static void
check_fileset(const json_t *j)
{
	struct fileset *fs = NULL, *again = NULL;
	struct err *err = fileset_from_json(j, &fs);
	json_t *k;

	must((err == NULL) == (fs != NULL));
	err_free(err);
	if (fs == NULL)
		return;
	k = fileset_json(fs);
	err = fileset_from_json(k, &again);
	/* An empty list and an empty map are both void. */
	must(err == NULL);
	must(fileset_n(fs) == fileset_n(again) && fileset_size(fs) == fileset_size(again));
	json_decref(k);
	fileset_unref(fs);
	fileset_unref(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	json_t *j = json_loadb((const char *)p, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	if (j == NULL)
		return 0;
	check_value(j);
	check_fileset(j);
	json_decref(j);
	return 0;
}
