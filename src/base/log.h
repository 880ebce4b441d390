/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include "base/attr.h"

/* Lines for people, on stderr: `weir: text`; at debug level with a timestamp instead of the prefix. */
enum log_level { LOG_OFF, LOG_ERROR, LOG_INFO, LOG_DEBUG };

void log_init(const char *program, enum log_level);
enum log_level log_level(void);
void log_error(const char *fmt, ...) printf_like(1, 2);
void log_info(const char *fmt, ...) printf_like(1, 2);
void log_debug(const char *fmt, ...) printf_like(1, 2);

#endif
