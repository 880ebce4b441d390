/* SPDX-License-Identifier: Apache-2.0 */
#include "base/frame.h"

#include "tests/check.h"

/* Frames: the checksum by the RFC's values, both ways alike; the bytes of a frame, every cut, every flipped bit. */

uint32_t crc32c_table(uint32_t crc, const void *, size_t);	/* without the instruction */

static void
checksum_examples(void **state unused_arg)
{
	unsigned char b[32];

	assert_int_equal(crc32c(0, "", 0), 0);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	memset(b, 0, sizeof b);
	assert_int_equal(crc32c(0, b, sizeof b), 0x8a9136aa);
	memset(b, 0xff, sizeof b);
	assert_int_equal(crc32c(0, b, sizeof b), 0x62a8ab43);
	for (size_t i = 0; i < sizeof b; i++)
		b[i] = (unsigned char)i;
	assert_int_equal(crc32c(0, b, sizeof b), 0x46dd794e);
}

static void
both_ways_agree(void **state unused_arg)
{
	unsigned char b[100];
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof b; i++) {
		x = x * 1664525 + 1013904223;
		b[i] = (unsigned char)(x >> 24);
	}
	for (size_t from = 0; from < 9; from++)
		for (size_t n = 0; from + n <= sizeof b; n++) {
			uint32_t whole = crc32c(0, b + from, n);

			assert_int_equal(whole, crc32c_table(0, b + from, n));
			assert_int_equal(whole, crc32c(crc32c(0, b + from, n / 3), b + from + n / 3, n - n / 3));
		}
}

static void
bytes_of_a_frame(void **state unused_arg)
{
	struct buf b = BUF_INIT;

	frame_add(&b, "abc", 3);
	/* length 3, then the checksum over "\3\0\0\0abc", computed outside */
	assert_int_equal(b.len, FRAME_HEAD + 3);
	assert_memory_equal(b.p, "\x03\x00\x00\x00" "\xf8\x83\x14\x55" "abc", b.len);
	buf_release(&b);
}

static void
two_frames(struct buf *b)
{
	frame_add(b, "first", 5);
	frame_add(b, "2", 1);
}

static void
walks(void **state unused_arg)
{
	struct buf b = BUF_INIT;
	const char *p;
	size_t len, next;

	two_frames(&b);
	assert_int_equal(frame_next(b.p, b.len, &p, &len, &next), FRAME_OK);
	assert_int_equal(len, 5);
	assert_memory_equal(p, "first", 5);
	assert_int_equal(next, 13);
	assert_int_equal(frame_next(b.p + 13, b.len - 13, &p, &len, &next), FRAME_OK);
	assert_int_equal(len, 1);
	assert_int_equal(next, 9);
	assert_int_equal(frame_next(b.p + 22, b.len - 22, &p, &len, &next), FRAME_END);
	buf_release(&b);
}

static void
every_cut_is_torn(void **state unused_arg)
{
	struct buf b = BUF_INIT;
	const char *p;
	size_t len, next;

	frame_add(&b, "some payload", 12);
	for (size_t n = 1; n < b.len; n++) {
		char *exact = xmemdup(b.p, n);	/* so that a read beyond it is seen by the sanitizer */

		assert_int_equal(frame_next(exact, n, &p, &len, &next), FRAME_TORN);
		free(exact);
	}
	buf_release(&b);
}

static void
every_flipped_bit_is_seen(void **state unused_arg)
{
	struct buf b = BUF_INIT;
	const char *p;
	size_t len, next;

	two_frames(&b);
	for (size_t bit = 0; bit < 8 * 13; bit++) {
		enum frame_state s;

		b.p[bit / 8] ^= (char)(1 << bit % 8);
		s = frame_next(b.p, b.len, &p, &len, &next);
		assert_true(s == FRAME_BAD || (s == FRAME_TORN && bit < 32));
		b.p[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_int_equal(frame_next(b.p, b.len, &p, &len, &next), FRAME_OK);
	buf_release(&b);
}

static void
impossible_lengths(void **state unused_arg)
{
	const char *p;
	size_t len, next;

	assert_int_equal(frame_next("\0\0\0\0\0\0\0\0", 8, &p, &len, &next), FRAME_BAD);
	assert_int_equal(frame_next("\x01\x00\x00\x04\0\0\0\0", 8, &p, &len, &next), FRAME_BAD);
	assert_int_equal(frame_next("\x00\x00\x00\x04\0\0\0\0", 8, &p, &len, &next), FRAME_TORN);
	assert_int_equal(frame_next("\xff\xff\xff\xff", 4, &p, &len, &next), FRAME_BAD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_examples),
		cmocka_unit_test(both_ways_agree),
		cmocka_unit_test(bytes_of_a_frame),
		cmocka_unit_test(walks),
		cmocka_unit_test(every_cut_is_torn),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(impossible_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
