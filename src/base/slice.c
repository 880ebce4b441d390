/* SPDX-License-Identifier: Apache-2.0 */
/* The checked longjmp takes a jump to another stack for a mistake. */
#undef _FORTIFY_SOURCE
#include "base/slice.h"

#include <assert.h>
#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/attr.h"
#include "base/xalloc.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_FIBERS 1
#endif
#endif
#ifdef HAVE_FIBERS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/*
 * A context is made once for each stack; from then on it is entered and left by jumps, which unlike swapcontext ask the
 * kernel for nothing (the address sanitizer, however, has its own idea of a longjmp, and warns of swapcontext). The
 * function of a stack never returns: it waits, as it were, for the next work.
 */
#define SHARE	   10000		/* a millisecond or two */
#define STACK_SIZE (8u << 20)		/* as deep as on the process's own; what is not used is not there */
#define GUARD	   (64u << 10)

struct slice {
	slice_fn *fn;
	void	 *arg;
	bool	  entered;	/* its stack is in use: there is a place to go on from */
	bool	  busy, giving_up;
	char	 *stack;
#ifdef HAVE_FIBERS
	ucontext_t  inside, outside;
	const void *outer;	/* stack of whoever has called slice_go */
	size_t	    outer_size;
	void	   *fake, *outer_fake;
#else
	jmp_buf	  inside, outside;
#endif
};

unsigned slice_left = UINT_MAX;
static struct slice *current;

static void work(void);

static void
context_make(struct slice *s, ucontext_t *c)
{
	getcontext(c);
	c->uc_stack.ss_sp = s->stack;
	c->uc_stack.ss_size = STACK_SIZE;
	c->uc_link = NULL;
	makecontext(c, work, 0);
}

#ifdef HAVE_FIBERS
/* The sanitizer wants to know which stack is in use. */
static void
entered(struct slice *s)
{
	__sanitizer_finish_switch_fiber(s->fake, &s->outer, &s->outer_size);
}

static void
jump(ucontext_t *from, const ucontext_t *to)
{
	volatile bool gone = false;

	getcontext(from);
	if (gone)
		return;
	gone = true;
	setcontext(to);
}

static void
leave(struct slice *s)
{
	__sanitizer_start_switch_fiber(&s->fake, s->outer, s->outer_size);
	jump(&s->inside, &s->outside);
	entered(s);
}

static void
enter(struct slice *s)
{
	if (!s->entered)
		context_make(s, &s->inside);
	s->entered = true;
	__sanitizer_start_switch_fiber(&s->outer_fake, s->stack, STACK_SIZE);
	jump(&s->outside, &s->inside);
	__sanitizer_finish_switch_fiber(s->outer_fake, NULL, NULL);
}
#else
static void
entered(struct slice *s)
{
	s->entered = true;
}

static void
leave(struct slice *s)
{
	if (_setjmp(s->inside) == 0)
		_longjmp(s->outside, 1);
}

static void
enter(struct slice *s)
{
	ucontext_t c;

	if (_setjmp(s->outside) != 0)
		return;
	if (s->entered)
		_longjmp(s->inside, 1);
	context_make(s, &c);
	setcontext(&c);
}
#endif

static void
work(void)
{
	struct slice *s = current;

	entered(s);
	for (;;) {
		s->fn(s->arg);
		s->busy = false;
		leave(s);
	}
}

struct slice *
slice_new(void)
{
	struct slice *s = xcalloc(1, sizeof *s);
	char *p = mmap(NULL, GUARD + STACK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (p == MAP_FAILED)
		abort();
	mprotect(p, GUARD, PROT_NONE);
	madvise(p, GUARD + STACK_SIZE, MADV_NOHUGEPAGE);
	s->stack = p + GUARD;
	return s;
}

void
slice_free(struct slice *s)
{
	if (s == NULL)
		return;
	s->giving_up = true;
	while (s->busy)
		slice_go(s);
#ifdef HAVE_FIBERS
	/* What the sanitizer knows of this stack, whose first frame never returns, is not true of what comes here next. */
	__asan_unpoison_memory_region(s->stack, STACK_SIZE);
#endif
	munmap(s->stack - GUARD, GUARD + STACK_SIZE);
	free(s);
}

void
slice_begin(struct slice *s, slice_fn *fn, void *arg)
{
	assert(!s->busy);
	s->fn = fn;
	s->arg = arg;
	s->busy = true;
}

bool
slice_busy(const struct slice *s)
{
	return s->busy;
}

bool
slice_go(struct slice *s)
{
	assert(current == NULL && s->busy);
	current = s;
	slice_left = s->giving_up ? 0 : SHARE;
	enter(s);
	current = NULL;
	slice_left = UINT_MAX;
	return !s->busy;
}

bool
slice_pause(void)
{
	if (current->giving_up)
		return false;
	leave(current);
	return !current->giving_up;
}

bool
slice_rest(void)
{
	if (current != NULL)
		return slice_pause();
	slice_left = UINT_MAX;
	return true;
}
