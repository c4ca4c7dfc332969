/* SPDX-License-Identifier: Apache-2.0 */
/* expr_int.h - the tree of an expression and the state of its evaluation, as the files of expr.h
 * share them.
 *
 * Memory: nodes in the arena of the compilation. Errors: as expr.h. Suspends: never.
 * Tests: tests/unit/model/test_expr.c */
#ifndef HF_MODEL_EXPR_INT_H
#define HF_MODEL_EXPR_INT_H

#include "model/expr.h"

enum expr_op {
    OP_CURRENT,
    OP_ROOT,
    OP_FIELD,
    OP_LITERAL,
    OP_THEN, /* a.b and a | b: right on the result of left */
    OP_INDEX,
    OP_SLICE,
    OP_FLATTEN,
    OP_PROJECT,        /* left[*] right */
    OP_PROJECT_VALUES, /* left.* right */
    OP_FILTER,         /* left[?condition] right */
    OP_LIST,
    OP_HASH,
    OP_OR,
    OP_AND,
    OP_NOT,
    OP_COMPARE,
    OP_CALL,
    OP_REFERENCE
};
enum expr_comparison { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };

struct expr_function;
struct expr_node {
    enum expr_op op;
    enum expr_comparison comparison;
    int depth; /* of the tree below, this included */
    struct expr_node *left, *right, *condition;
    struct expr_node **items; /* OP_LIST, OP_HASH, OP_CALL */
    str *keys;                /* OP_HASH */
    size_t count;
    str name; /* OP_FIELD */
    struct expr_value literal;
    const struct expr_function *function;
    int64_t slice[3]; /* start, stop, step; the first is the index of OP_INDEX */
    bool has[3];
};
struct expr {
    const struct expr_node *top;
};

struct expr_run {
    struct arena *a;
    struct expr_value root;
    size_t steps_left, bytes_left;
    struct err *err;
};

int expr_node_eval(struct expr_run *r, const struct expr_node *n, const struct expr_value *current,
                   struct expr_value *out);
/* Counts against the limits; ERR_TOO_LARGE. */
int expr_step(struct expr_run *r, size_t count);
int expr_alloc(struct expr_run *r, size_t count, size_t item_bytes, void *out_pointer);

/* expr_functions.c */
struct expr_function {
    const char *name;
    int arguments_min, arguments_max; /* -1: any number */
    const char *kinds; /* of each argument, the last repeated: see expr_functions.c */
    int (*run)(struct expr_run *r, const struct expr_value *args, size_t count,
               struct expr_value *out);
};
const struct expr_function *expr_function_find(str name);
int expr_call(struct expr_run *r, const struct expr_node *n, const struct expr_value *args,
              struct expr_value *out);

/* expr_value.c */
bool expr_equal(struct expr_run *r, const struct expr_value *a, const struct expr_value *b);
struct expr_value expr_of_real(double v);
const char *expr_kind_name(enum expr_kind kind);
/* An array of the elements (values of an object), and of its keys; counted as steps. */
int expr_items(struct expr_run *r, const struct expr_value *v, const struct expr_value **out);
int expr_members(struct expr_run *r, const struct expr_value *v, const struct expr_member **out,
                 size_t *out_count);
struct expr_value expr_of_items(const struct expr_value *items, size_t count);

#endif
