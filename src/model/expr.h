/* SPDX-License-Identifier: Apache-2.0 */
/* expr.h - JMESPath expressions over JSON values: compiled once, evaluated within limits.
 *
 * The whole grammar and every function of the JMESPath specification; beyond it `$` (the value that
 * the evaluation began with) and the functions parse_json(string), split(string, string) and
 * items(object); see docs/reference/expressions.md.
 * Memory: a compiled expression lives in the arena of its compilation and is immutable; values live
 * in the arena of the evaluation and point into what they were made of. Errors: ERR_MALFORMED with
 * the byte position for what is no expression, ERR_INVALID for an unknown function, a wrong number
 * or kind of arguments, ERR_TOO_LARGE past a limit. Suspends: never.
 * Tests: tests/unit/model/test_expr.c, test_expr_compliance.c (the official suite); fuzzed. */
#ifndef HF_MODEL_EXPR_H
#define HF_MODEL_EXPR_H

#include "base/json.h"

#define EXPR_BYTES_MAX 16384 /* of an expression's text */
#define EXPR_DEPTH_MAX 128   /* of its nesting, chains included */

enum expr_kind {
    EXPR_NULL,
    EXPR_BOOL,
    EXPR_NUMBER,
    EXPR_STRING,
    EXPR_ARRAY,
    EXPR_OBJECT,
    EXPR_REFERENCE, /* &expression: only ever an argument of a function */
    EXPR_LAZY       /* a member of an object that is made when it is looked at */
};
struct expr_member;
struct expr_value;
/* Keeps what it made, for it may be asked again; the key is the member's. */
typedef struct expr_value (*expr_load_fn)(void *ctx, str key);
struct expr_value {
    enum expr_kind kind;
    bool boolean;     /* EXPR_BOOL */
    bool integer;     /* EXPR_NUMBER: whole is exact */
    yyjson_val *json; /* where it came from as it is; NULL: made here */
    union {
        struct {
            int64_t whole;
            double real;
        };
        str string;
        struct { /* arrays and objects made here */
            union {
                const struct expr_value *items;
                const struct expr_member *members;
            };
            size_t count;
        };
        const struct expr_node *reference;
        struct {
            expr_load_fn load;
            void *load_ctx;
        };
    };
};
struct expr_member {
    str key;
    struct expr_value value;
};

struct expr;
/* Text is copied. */
MUST_CHECK int expr_compile(struct arena *a, str text, const struct expr **out, struct err *err);

struct expr_limits {
    size_t steps_max; /* values looked at; 0: 200000 */
    size_t bytes_max; /* taken from the arena; 0: 64 MiB */
};
/* limits NULL: the usual ones. */
MUST_CHECK int expr_eval(const struct expr *e, const struct expr_value *root, struct arena *a,
                         const struct expr_limits *limits, struct expr_value *out, struct err *err);

/* --- values --- */
struct expr_value expr_of_json(yyjson_val *v); /* NULL: null */
struct expr_value expr_of_str(str s);
struct expr_value expr_of_bool(bool v);
struct expr_value expr_of_int(int64_t v);
struct expr_value expr_of_lazy(expr_load_fn load, void *ctx);
struct expr_value expr_of_members(const struct expr_member *members, size_t count);
bool expr_is_true(const struct expr_value *v); /* not null, false, "", [] or {} */
size_t expr_count(const struct expr_value *v); /* of an array's elements, an object's members */
struct expr_value expr_at(const struct expr_value *array, size_t index);
/* null when it is no object or has no such member. */
struct expr_value expr_member(const struct expr_value *object, str key);
void expr_write(struct json_writer *w, const struct expr_value *v); /* the buffer's cap limits it */
/* Compact JSON; ERR_TOO_LARGE past bytes_max. */
MUST_CHECK int expr_json(struct arena *a, const struct expr_value *v, size_t bytes_max, str *out,
                         struct err *err);

#endif
