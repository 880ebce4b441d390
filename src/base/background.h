/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_BACKGROUND_H
#define WEIR_BASE_BACKGROUND_H

/*
 * For a process of weir's own that wakes often and for a moment: it gets its share of the processor, but never takes it
 * from a command in the middle. What it starts is scheduled as usual. Left alone where somebody has chosen otherwise.
 */
void background_process(void);

#endif
