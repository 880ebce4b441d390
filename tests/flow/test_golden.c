/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "base/xalloc.h"
#include "flow/flow.h"

/*
 * Keys are a format: what a cache holds was written by an older version. So their bytes are pinned here, to what
 * golden.py computes from the description alone. When one of these must change, the domain of its digest must change
 * too, and every cache in the world is cold.
 */
static const struct {
	const char *name, *hex;
} golden[] = {
	{ "zero", "7a015acb7bc833a469fc5b5f38a4d3b965a3f37dc24860cc1f42928f6ccf4020" },
	{ "int", "db133757090b0bb12412786d4f0dd2ee10ea3aef28a6d30ad7fbb317e295e73c" },
	{ "negative", "d3e369b7f6c02b7db12fabd82fe57c2410b9afa8a96964fb769954c7e3ceb627" },
	{ "large", "bbacade8ea3ccc84fd627a234f40d27d04d8b6383525ca180bc325515aa09ee3" },
	{ "float", "0635705ae835137d3fd26d73841056c0e13711e4b374b4aacd2808a73eda2e05" },
	{ "string", "b8098c11347ff638bb55f2c9dee7dd159b4db77c6d35d4926f46cfbfb910ab0e" },
	{ "bool", "d6277634bc68e2aa97c7b18dc514db7d2935ec536a9a19f695dc6eb22a23c205" },
	{ "file", "7136762868246dd82851e06fee0a8ab0b44b55391780d5b9b5a3a442041b1f86" },
	{ "dir", "e84f3c7752a40f66e7c379cbe9fcd8faf382f4c623dd721f251dc2ebd7fcc079" },
	{ "unit", "867b4b3a38201d3f64c7b744efda407b4fa97600da97d951cb985bac1d790c45" },
	{ "list", "c9ebf4d4b96c78bc9212984bbb71e355a6ed7dfcb055885a7ec10731ae6776ea" },
	{ "map", "0f6dcec457990b40206a1b9359bb673125f8b0da505446e4bcda6f0cb3361431" },
	{ "tuple", "f0fb4d3e69ec477802dd6ccefd1463762f6dc0ef66a25290f034ff4d4a5705fa" },
	{ "struct", "d80aaf42a3e10e4f301665e3b0cc8575983840d5bfa36f2544266f92d568b7e3" },
	{ "module", "35e6fafe530150a36fb6afe9b34c41259f6363ccf94ef7977b32f487b9a1e05f" },
	{ "variant", "6b9350062bfd8f664e30cbf394d4ac830dea54eb20b00ae1ca688ee650f6995d" },
	{ "variant without a value", "6efbe6f05e579e8143811a9ecae6395ba3b313eb53a75363e7d095ec20be103f" },
	{ "logical key of an exec", "aec3f3b8855b92719283bfc45bd88e2cf4da1aadebed0c66142b4fe89387ab07" },
	{ "physical key of an exec", "6ae8cc012d2cc189319401d2fd32da631e8edd7d33f83bf7d8dd5fa706749d70" },
	{ "node of an intern", "944aec9638bb7bb1a6c227693baeb2790ddea587c59c4d35699df7a807e9b9e0" },
	{ "node of an exec", "154779a512857006449a18951ef0654f99591a53751de76fc1aeb5e65fa44813" },
	{ "node of a continuation", "23aa0ae005b39da7b01397aceeace0bf281c5792808223610d4022c8cf180d3a" },
	{ "logical key of a continuation", "b455c86cd83553e44cd35dec0964dc2f759ea37c78b264c50cc93a5e0f495182" },
	{ "logical key of an input that is read", "78562e0173834867c4efca2b7b6a3319ff612e3456e635adadd9eb179ba1faf9" },
	{ "logical key of an input that is remote", "8a93872d26084703857d2bac05f6720125dadf27c9dd78260c78ec91d8054773" },
	{ "logical key of a constant", "32ba4965ff18e424ba691ef41a5939c9c6220fa96f889872162576f5a8c3ca36" },
	{ "logical key of data", "78562e0173834867c4efca2b7b6a3319ff612e3456e635adadd9eb179ba1faf9" },
};

static void
assert_golden(const char *name, const struct digest *d)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	for (size_t i = 0; i < nitems(golden); i++) {
		if (strcmp(golden[i].name, name) != 0)
			continue;
		if (strcmp(golden[i].hex, hex) != 0)
			fail_msg("%s: %s instead of %s", name, hex, golden[i].hex);
		return;
	}
	fail_msg("%s: not in the table", name);
}

static struct digest
D(const char *text)
{
	struct digest d;

	sha256_of(text, strlen(text), &d);
	return d;
}

static struct value *
a_file(void)
{
	return value_file(&(struct file){ D("bytes"), 5 });
}

static struct value *
a_dir(void)
{
	struct fileset_builder *b = fileset_builder_new();

	fileset_builder_add(b, "b", &(struct file){ D("y"), 1 });
	fileset_builder_add(b, "a/x", &(struct file){ D("x"), 1 });
	return value_dir(fileset_builder_finish(b));
}

static void
check_value(const char *name, struct value *v)
{
	struct digest d;

	value_digest(v, &d);
	assert_golden(name, &d);
	value_unref(v);
}

#define VALUES(...) ((struct value *[]){ __VA_ARGS__ })

static void
test_values(unused_arg void **state)
{
	static const char *const names[] = { "b", "a" };
	mpz_t large;

	mpz_init_set_ui(large, 1);
	mpz_mul_2exp(large, large, 70);
	check_value("zero", value_int(0));
	check_value("int", value_int(300));
	check_value("negative", value_int(-300));
	check_value("large", value_mpz(large));
	mpz_clear(large);
	check_value("float", value_double(1.5));
	check_value("string", value_str("text"));
	check_value("bool", value_bool(true));
	check_value("file", a_file());
	check_value("dir", a_dir());
	check_value("unit", value_unit());
	check_value("list", value_list(VALUES(value_int(1), value_int(2)), 2));
	check_value("map", value_map(VALUES(value_str("b"), value_str("a")), VALUES(value_int(2), value_int(1)), 2));
	check_value("tuple", value_tuple(VALUES(value_int(1), value_str("text")), 2));
	check_value("struct", value_struct(names, VALUES(value_int(1), value_int(2)), 2));
	check_value("module", value_module(names, VALUES(value_int(1), value_int(2)), 2));
	check_value("variant", value_variant("Tag", value_int(1)));
	check_value("variant without a value", value_variant("Tag", NULL));
}

static const struct flow_exec command = {
	.image = "host:2",
	.cmd = "cat %s %s > %s",
	.args = (struct flow_arg[]){ { false, 0, "a" }, { false, 1, "b" }, { true, 0, "out" } },
	.nargs = 3,
	.outs = (struct flow_out[]){ { "out", false } },
	.nouts = 1,
	.env = (const char *const[]){ "A=1", "B=2", NULL },
};

static void
test_exec_keys(unused_arg void **state)
{
	struct digest in[2] = { D("one"), D("two") }, d;

	flow_exec_key("lab", KEY_LOGICAL, &command, in, &d);
	assert_golden("logical key of an exec", &d);
	flow_exec_key("lab", KEY_PHYSICAL, &command, in, &d);
	assert_golden("physical key of an exec", &d);
}

static struct err *
unused_call(unused_arg struct cont *c, unused_arg struct graph *g, unused_arg struct value *const *in,
    unused_arg size_t n, unused_arg struct value **out)
{
	return err_msg(ERR_OTHER, "it is not called");
}

static void
unused_free(unused_arg struct cont *c)
{
}

static void
check_logical(const char *name, const struct flow *f, const struct digest *in)
{
	struct digest d;

	flow_logical_key("lab", f, in, &d);
	assert_golden(name, &d);
}

static void
test_nodes(unused_arg void **state)
{
	static const struct cont_ops ops = { "unused", false, unused_call, unused_free };
	static const struct graph_config lab = { "lab" };
	struct cont code = { 1, &ops };
	struct graph *g = graph_new(&lab);
	struct digest own = D("own"), in[2] = { D("one"), D("two") };
	struct flow *f[2], *exec, *k;

	f[0] = flow_intern(g, "/data/one", false, NULL, NULL);
	f[1] = flow_intern(g, "s3://lab/two", false, NULL, NULL);
	exec = flow_exec(g, &command, f, 2, NULL, NULL);
	k = flow_k(g, &own, &exec, 1, f, 1, &code, NULL, NULL);
	assert_golden("node of an intern", &f[0]->digest);
	assert_golden("node of an exec", &exec->digest);
	assert_golden("node of a continuation", &k->digest);
	check_logical("logical key of an exec", exec, in);
	check_logical("logical key of a continuation", k, in);
	f[0]->value = a_file();
	check_logical("logical key of an input that is read", f[0], NULL);
	check_logical("logical key of an input that is remote", f[1], NULL);
	check_logical("logical key of a constant", flow_val(g, value_str("text")), NULL);
	check_logical("logical key of data", flow_data(g, "bytes", 5, NULL, NULL), NULL);
	graph_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_exec_keys),
		cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
