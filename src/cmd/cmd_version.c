/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "cmd/cmd.h"

#include <string.h>

#include "cmd/text.h"

static int
run(struct cmd_env *env unused_arg, int argc unused_arg, char **argv unused_arg)
{
	static const char text[] = "weir " PACKAGE_VERSION "\n";

	return exit_with(STAGE_OTHER, print_out(text, strlen(text)));
}

const struct cmd cmd_version = {
	.name = "version", .args = "", .help = "Prints the version.", .run = run,
};
