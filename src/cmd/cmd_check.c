/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include "cmd/open.h"
#include "cmd/text.h"

/* check: what the front end has to say, and the type of Main. */
static int
run(struct cmd_env *env unused_arg, int argc unused_arg, char **argv)
{
	struct buf text = BUF_INIT;
	int code;
	struct program *p = open_program(argv[0], NULL, &code);

	if (p != NULL) {
		buf_addf(&text, "%s: ok", argv[0]);
		if (program_main_type(p) != NULL) {
			buf_addstr(&text, ", Main is ");
			type_str(program_main_type(p), &text);
		} else {
			buf_addstr(&text, ", a module without Main");
		}
		buf_addch(&text, '\n');
		code = exit_with(STAGE_OTHER, print_out(text.p, text.len));
	}
	buf_release(&text);
	program_free(p);
	return code;
}

const struct cmd cmd_check = {
	.name = "check",
	.args = "PROGRAM.rf",
	.help = "Parses and type-checks a program and all modules that it makes.",
	.minargs = 1,
	.maxargs = 1,
	.run = run,
};
