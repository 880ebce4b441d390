/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_LOWER_H
#define WEIR_LANG_LOWER_H

#include "lang/code.h"

/*
 * Lowering: from checked trees to values and flow. Evaluation is strict wherever it can be and delayed
 * only where a flow is involved, and all waiting goes through one routine, with_values.
 *
 * What takes its time is not recursion in C: code to be evaluated becomes a frame on a stack of our own. Functions
 * that begin with an expression or a call give *out at once, or leave it NULL: then what stands on the stack will give
 * it, and whoever needs it must be a frame below. *out is NULL when they are called.
 *
 * References: an expression's value is given to the caller. with_values and what is built on it take
 * their operands, also on failure.
 */

/* Environments: persistent lists, the newest binding first; shared. */
struct env {
	unsigned	      refs;
	const struct binding *binding;
	struct value	     *value;
	struct env	     *next;
};
struct env *env_ref(struct env *);	/* NULL is the empty one */
void env_unref(struct env *);
void env_push(struct env **, const struct binding *, struct value *);	/* takes the value */
struct value *env_get(const struct env *, const struct binding *);	/* borrows; the binding is there */

struct regexp_cache;
/* One instantiation: in the graph's arena, as long as its continuations. */
struct lower {
	struct program	    *p;
	struct graph	    *g;
	const char	    *dir;	/* absolute: local paths are relative to it */
	struct frame	    *top;	/* of the stack, or NULL. There is one evaluation at a time */
	unsigned	     calls;	/* of functions, on the stack */
	unsigned	     nested;	/* of lower_expr */
	struct regexp_cache *regexps;
};
/* Where evaluation is: borrowed, on the stack. */
struct place {
	struct env *env;
	const char *ident;
};

/* ---- The stack ---- */

/* Takes the frame and got, the value it waited for (NULL: the first time). Gives *out as said above. */
typedef struct err *frame_fn(struct lower *, struct frame *, struct value *got, struct value **out);
struct form;
struct frame {
	struct frame	  *below;
	frame_fn	  *step;
	const struct expr *e;
	const struct form *form;	/* of operands (lower.c) */
	const struct unit *unit;	/* of a module's instance (lower_unit.c) */
	struct place	   place;	/* owned */
	uint64_t	   number;	/* which clause, declaration or element it is at */
	struct value	  *held;	/* owned: what it goes over, or NULL */
	size_t		   n;
	struct value	  *v[];		/* n, owned */
};
struct frame *frame_new(const struct expr *, const struct place *, frame_fn *, size_t room);
void frame_free(struct frame *);
void frame_push(struct lower *, struct frame *);
/* For a step: evaluates with the frame below, unless the value is there at once; then the frame is still the step's. */
must_check struct err *frame_await(
    struct lower *, struct frame *, const struct expr *, const struct place *, struct value **out);
/* Evaluates the body of a function. */
must_check struct err *frame_call(struct lower *, const struct span *, const struct expr *body, const struct place *,
    struct value **out);
/*
 * Until the stack is down to base again. *out, or err, taken: of what has begun the evaluation. In a slice it breathes, and fails when
 * it is to give up; meanwhile nothing else may be evaluated in this instantiation.
 */
must_check struct err *lower_run(struct lower *, struct frame *base, struct err *, struct value **out);

/* `POS: text`, kind EVAL. */
struct err *lower_err(const struct span *, const char *fmt, ...) printf_like(2, 3);
struct src_pos lower_pos(const struct span *);

/* Bounds on what a value may grow to, so that a program's mistake is an error and not the end of memory. */
#define STRING_MAX (256u << 20)	/* bytes */
#define LIST_MAX   (1u << 24)	/* elements */

/* ---- Waiting ---- */

enum operand {
	OPERAND_TOP,	/* awaited; parts of it may be delayed */
	OPERAND_RAW,	/* taken as it is */
	OPERAND_FORCE,	/* awaited with all its parts */
};
struct lower_op;
/*
 * v: borrowed, those that are awaited are there. Gives *out; or sets *need (and nothing else) to a flow among their
 * delayed parts: then it is called again with that flow's value in its place.
 */
typedef struct err *lower_fn(
    struct lower *, const struct lower_op *, struct value *const *v, size_t n, struct value **out, struct flow **need);
/* An operation: name, detail, number and the piece say what it does, and are its part of a continuation's digest. */
struct lower_op {
	lower_fn	   *fn;
	const char	   *name;
	const char	   *detail;	/* or NULL; lives as long as the graph */
	uint64_t	    number;
	const struct expr  *expr;	/* for fn, or NULL */
	const void	   *data;	/* for fn; told by the above, or by the piece */
	const struct piece *piece;	/* code that fn may evaluate in place, or NULL */
	const struct span  *span;	/* for messages */
	struct place	    place;
	enum {			/* what is known of the value it gives */
		GIVES_ANY,
		GIVES_LIKE,	/* no delayed parts if its operands have none */
		GIVES_STRICT,	/* no delayed parts */
	} gives;
};
must_check struct err *with_values(
    struct lower *, const struct lower_op *, const enum operand *, struct value **v, size_t n, struct value **out);
/* The common case: all operands alike. */
must_check struct err *with_all(struct lower *, const struct lower_op *, enum operand, struct value **v, size_t n,
    struct value **out);

/* ---- Expressions ---- */

must_check struct err *lower_go(struct lower *, const struct expr *, const struct place *, struct value **out);
/* To the end, in C's own stack: for what does not nest as a program likes. */
must_check struct err *lower_expr(struct lower *, const struct expr *, const struct place *, struct value **out);
void values_unref(struct value **, size_t n);
/* Binds a declaration's names to its value, taken: the environment grows. */
must_check struct err *lower_bind(struct lower *, const struct decl *, struct value *, struct place *);
/* Takes function and arguments. */
must_check struct err *lower_call(struct lower *, const struct span *, const struct place *, struct value *f,
    struct value **args, size_t n, struct value **out);
/*
 * What is done when the operands of an expression are there: takes them, but not the frame. Which they are is said in
 * lower.c.
 */
typedef struct err *done_fn(struct lower *, struct frame *, struct value **out);
done_fn builtin_done, binary_done, unary_done, compr_done, switch_done, exec_done, make_done;
/* The clauses from k on. */
must_check struct err *lower_clauses(
    struct lower *, const struct expr *, size_t k, const struct place *, struct value **out);
/* Takes the value, and gives it with what it asks of a cluster. */
must_check struct err *lower_requires(struct lower *, const struct requires *, const struct place *, struct value *,
    struct value **out);
/* Adds lists, maps, directories; takes both. */
must_check struct err *lower_concat(
    struct lower *, const struct span *, struct value *a, struct value *b, struct value **out);
/* A list of lists, laid flat; takes the parts. */
must_check struct err *lower_flatten(
    struct lower *, const struct span *, struct value **v, size_t n, struct value **out);
/* A map from 2n operands: keys, which are forced, then values. Takes them. */
must_check struct err *lower_map(struct lower *, const struct span *, struct value **kv, size_t n, struct value **out);

/* Patterns. Takes the value; the names are added to the environment. */
must_check struct err *lower_pat(struct lower *, const struct pat *, struct value *, struct env **);
/* The part of a tuple; takes it. */
must_check struct err *lower_part(
    struct lower *, const struct span *, struct value *tuple, size_t i, struct value **out);

/* An instance of a unit. given[i] (borrowed) is the value of param i, or NULL. */
must_check struct err *lower_unit(struct lower *, const struct unit *, struct value *const *given, struct value **out);

/* ---- Functions as values ---- */

must_check struct err *closure_new(struct lower *, const struct expr *func, const struct place *, struct value **out);
/* A function written in C: of the language or of a system module. */
struct sys_func;
struct value *sys_value(const struct sys_func *);
/* The system function behind a value, or NULL: a closure. */
const struct sys_func *sys_func_of(const struct value *);
/* The code of a closure; place gets the environment of a call (owned): captured values, itself, arguments (taken). */
const struct expr *closure_enter(const struct value *, struct value **args, struct place *);

/* Inputs by URL or path, as file() and dir() give them. */
must_check struct err *lower_intern(
    struct lower *, const struct span *, const char *ident, const char *url, size_t len, bool dir, struct value **out);

#endif
