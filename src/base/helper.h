/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_HELPER_H
#define WEIR_BASE_HELPER_H

#include "base/err.h"

/*
 * The path of one of weir's own helper programs (weir-keeper, weir-journal): beside the running executable or a folder
 * or two above it (a build tree and its tests), in the libexec folder of the installation that the executable is part
 * of, wherever that lies, else where weir was configured to be installed. Gives; whether it is there and starts is for the caller to find out.
 */
char *helper_path(const char *name);
/* NOT_EXIST, with what to do, where it is not there: better known before anything is begun. */
must_check struct err *helper_check(const char *name);
/* For the main of one: true if --help or --version was all that was asked, and it has been printed. about: lines. */
bool helper_about(int argc, char *const *argv, const char *name, const char *about);

#endif
