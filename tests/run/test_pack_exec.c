/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/xalloc.h"
#include "tests/run/crafted.h"

/* The records of one exec out of packs: what all records say, at the cost of its blocks. */
#define RARE 1001

/* A controller with a run of its own, in which one exec has a key that nothing else has, at two distant places. */
static void
make_rare(uint64_t key)
{
	struct run r = { .number = NRUNS, .epoch = 1 }, other = { .number = NRUNS + 1, .epoch = 1 };
	struct maker m = { .seq = 0 };
	char name[CRAFTED_NAME];

	name_controller(name);
	add_header(&m, name);
	for (unsigned i = 0; i < 20000; i++) {
		if (i == 4000)
			add_exec(&m, &r, "started", key, "ok");
		if (i == 9000)
			add_exec(&m, &other, "hit", key, "ok");
		if (i == 14000)
			add_exec(&m, &r, "ended", key, "ok");
		add_some(&m, &r);
	}
	write_segment(name, 1, &m.out);
	buf_release(&m.out);
}

static void
flip(const char *path, uint64_t offset)
{
	FILE *f = fopen(path, "r+");
	int c;

	assert_non_null(f);
	assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
	c = fgetc(f);
	assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
	fputc(c ^ 1, f);
	fclose(f);
}

/* Damages the blocks that have records of the key, or all others. */
static unsigned
damage_blocks(const char *path, const struct digest *key, const struct digest *run, bool its)
{
	struct pack *p;
	unsigned n = 0;

	assert_null(pack_open(path, &p));
	for (uint32_t b = 0; b < p->nblocks; b++) {
		bool has = false;

		for (uint32_t k = pack_exec_at(p, key); k < p->nexecs && digest_equal(&p->execs[k].key, key); k++)
			has = has || (p->execs[k].block == b && digest_equal(&p->rows[p->execs[k].row].run, run));
		if (has != its)
			continue;
		flip(path, (p->blocks[b] + p->blocks[b + 1]) / 2);
		n++;
	}
	pack_close(p);
	return n;
}

static char *
say_one(const struct digest *run, const struct digest *key, int *damage)
{
	struct rundb *db, *of_exec;
	struct buf b = BUF_INIT;

	assert_null(rundb_open(&root, RUNDB_STATES, NULL, NULL, NULL, &db));
	assert_null(rundb_open_exec(db, run, key, note_damage, damage, &of_exec));
	if (rundb_run(of_exec, run) != NULL)
		say_records(&b, rundb_run(of_exec, run));
	rundb_free(of_exec);
	rundb_free(db);
	buf_str(&b);
	return buf_take(&b, NULL);
}

/* Of one exec nothing is read but the blocks that have its records: the others may be damaged and nobody sees it. */
static void
test_one_exec_reads_its_blocks(void **arg)
{
	struct digest run = digest_of(1, NRUNS), key = digest_of(2, RARE);
	char *plain, *packed, *path;
	int damage = 0;

	(void)arg;
	begin(16);
	make_runs();
	make_controller(500);
	make_rare(RARE);
	make_controller(500);
	plain = say_one(&run, &key, &damage);
	assert_non_null(strstr(plain, "\n  "));	/* two records */
	compact_all();
	path = only_file(".pack");
	assert_true(damage_blocks(path, &key, &run, false) >= 6);
	packed = say_one(&run, &key, &damage);
	assert_string_equal(packed, plain);
	assert_int_equal(damage, 0);
	assert_int_equal(damage_blocks(path, &key, &run, true), 2);
	free(packed);
	packed = say_one(&run, &key, &damage);
	assert_string_equal(packed, "");
	assert_int_equal(damage, 2);
	free(packed);
	free(plain);
	free(path);
	end();
}

/* What one exec's records are is what all records say of it. */
static void
test_one_exec_is_part_of_all(void **arg)
{
	size_t found = 0;

	(void)arg;
	begin(17);
	make_runs();
	for (int i = 0; i < 5; i++)
		make_controller(200);
	compact_all();
	make_controller(200);
	for (uint64_t i = 0; i < NRUNS * 60; i++) {
		struct digest run = digest_of(1, i / 60), key = digest_of(2, i % 60);
		struct rundb *states, *all, *one;
		struct run_entry *e, *of_exec;
		size_t n = 0;

		assert_null(rundb_open(&root, RUNDB_STATES, NULL, NULL, NULL, &states));
		assert_null(rundb_open(&root, RUNDB_RECORDS, &run, NULL, NULL, &all));
		assert_null(rundb_open_exec(states, &run, &key, no_damage, NULL, &one));
		e = rundb_run(all, &run);
		of_exec = rundb_run(one, &run);
		for (size_t k = 0; e != NULL && k < e->nrecords; k++) {
			struct record_peek peek;

			assert_true(record_peek(e->records[k].payload, e->records[k].len, &peek));
			if (!peek.is_exec || !digest_equal(&peek.pkey, &key))
				continue;
			assert_non_null(of_exec);
			assert_true(n < of_exec->nrecords);
			assert_int_equal(of_exec->records[n].head.n, e->records[k].head.n);
			assert_int_equal(of_exec->records[n].len, e->records[k].len);
			assert_memory_equal(of_exec->records[n].payload, e->records[k].payload, e->records[k].len);
			n++;
		}
		assert_int_equal(n, of_exec == NULL ? 0 : of_exec->nrecords);
		found += n;
		rundb_free(one);
		rundb_free(all);
		rundb_free(states);
	}
	assert_true(found > 100);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_exec_reads_its_blocks),
		cmocka_unit_test(test_one_exec_is_part_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
