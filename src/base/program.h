/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_PROGRAM_H
#define WEIR_BASE_PROGRAM_H

/*
 * The path of one of weir's own helper programs: beside the running executable (a build tree), else in
 * the installed libexec folder. Gives; the file is not opened, so starting it tells whether it is there.
 */
char *helper_path(const char *name);

#endif
