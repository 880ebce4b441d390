/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include "lang/bundle.h"

/* Bundles: any bytes are refused, or every file in it hashes to its digest and the entry point is one of them. */

static void
check_bundle(const struct bundle *b)
{
	for (size_t i = 0; i < bundle_nfiles(b); i++) {
		struct digest is, named;
		size_t n;
		const char *p = bundle_find(b, bundle_path(b, i), &n, &named);

		must(p != NULL);
		sha256_of(p, n, &is);
		must(digest_equal(&is, &named));
	}
	must(bundle_find(b, bundle_entry(b), NULL, NULL) != NULL);
	for (size_t i = 0; i < bundle_nargs(b); i++)
		must(bundle_arg(b, i) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct bundle *b = NULL;
	struct err *err = bundle_read(p, n, &b);

	must((err == NULL) == (b != NULL));
	if (b != NULL)
		check_bundle(b);
	err_free(err);
	bundle_free(b);
	return 0;
}
