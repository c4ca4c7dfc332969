/* SPDX-License-Identifier: Apache-2.0 */
/* expr.c - evaluates the tree of an expression.
 *
 * Every value that is looked at counts one step and everything made counts its bytes; past a limit
 * the evaluation ends with ERR_TOO_LARGE, so an expression of strangers can neither hold the loop
 * nor fill the memory. Depth is limited when the expression is compiled.
 *
 * Null is the answer of whatever does not fit (a member of a string, an index into an object);
 * errors are left to functions. */
#include "model/expr_int.h"

#define STEPS_USUAL ((size_t)200000)
#define BYTES_USUAL ((size_t)64 << 20)

static const struct expr_value NOTHING = {0};

int expr_step(struct expr_run *r, size_t count) {
    if (count > r->steps_left) {
        r->steps_left = 0;
        return err_set(r->err, ERR_TOO_LARGE, "the expression takes too many steps");
    }
    r->steps_left -= count;
    return 0;
}

int expr_alloc(struct expr_run *r, size_t count, size_t item_bytes, void *out_pointer) {
    if (count > r->bytes_left / item_bytes) {
        r->bytes_left = 0;
        return err_set(r->err, ERR_TOO_LARGE, "the expression takes too much memory");
    }
    r->bytes_left -= count * item_bytes;
    void *p = arena_try_alloc(r->a, count * item_bytes + 1);
    if (!p)
        return err_set(r->err, ERR_TOO_LARGE, "the expression takes too much memory");
    memcpy(out_pointer, &p, sizeof(p));
    return 0;
}

static struct expr_value at_index(const struct expr_value *v, int64_t index) {
    int64_t count = (int64_t)expr_count(v);
    if (v->kind != EXPR_ARRAY || index >= count || index < -count)
        return NOTHING;
    return expr_at(v, (size_t)(index < 0 ? index + count : index));
}

/* A bound of a slice, within the array. */
static int64_t bound(const struct expr_node *n, int part, int64_t count, int64_t step) {
    if (!n->has[part])
        return part == 0 ? (step < 0 ? count - 1 : 0) : (step < 0 ? -1 : count);
    int64_t at = n->slice[part];
    if (at < 0) {
        at = at < -count ? -1 : at + count;
        return at < 0 ? (step < 0 ? -1 : 0) : at;
    }
    return at >= count ? (step < 0 ? count - 1 : count) : at;
}

static int eval_slice(struct expr_run *r, const struct expr_node *n, const struct expr_value *from,
                      struct expr_value *out) {
    const struct expr_value *items;
    struct expr_value *taken;
    size_t count = 0;
    *out = NOTHING;
    if (from->kind != EXPR_ARRAY)
        return 0;
    int64_t total = (int64_t)expr_count(from), step = n->has[2] ? n->slice[2] : 1;
    /* A step beyond the array takes one element, like one just as long. */
    step = step > total ? total + 1 : step < -total ? -total - 1 : step;
    int rc = expr_items(r, from, &items);
    if (rc == 0)
        rc = expr_alloc(r, (size_t)total, sizeof(*taken), &taken);
    if (rc < 0)
        return rc;
    int64_t stop = bound(n, 1, total, step);
    for (int64_t i = bound(n, 0, total, step); step > 0 ? i < stop : i > stop; i += step)
        taken[count++] = items[i];
    *out = expr_of_items(taken, count);
    return 0;
}

static int eval_flatten(struct expr_run *r, const struct expr_value *from, struct expr_value *out) {
    const struct expr_value *items, *inner;
    struct expr_value *flat;
    size_t count = expr_count(from), total = 0, n = 0;
    *out = NOTHING;
    if (from->kind != EXPR_ARRAY)
        return 0;
    int rc = expr_items(r, from, &items);
    for (size_t i = 0; i < count && rc == 0; i++)
        total += items[i].kind == EXPR_ARRAY ? expr_count(&items[i]) : 1;
    if (rc == 0)
        rc = expr_alloc(r, total, sizeof(*flat), &flat);
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (items[i].kind != EXPR_ARRAY) {
            flat[n++] = items[i];
            continue;
        }
        rc = expr_items(r, &items[i], &inner);
        for (size_t j = 0; j < expr_count(&items[i]) && rc == 0; j++)
            flat[n++] = inner[j];
    }
    if (rc == 0)
        *out = expr_of_items(flat, n);
    return rc;
}

/* Right on each element of left, without those that give null. */
static int eval_projection(struct expr_run *r, const struct expr_node *n,
                           const struct expr_value *from, struct expr_value *out) {
    const struct expr_value *items;
    struct expr_value *kept, test;
    size_t count = expr_count(from), k = 0;
    *out = NOTHING;
    if (from->kind != (n->op == OP_PROJECT_VALUES ? EXPR_OBJECT : EXPR_ARRAY))
        return 0;
    int rc = expr_items(r, from, &items);
    if (rc == 0)
        rc = expr_alloc(r, count, sizeof(*kept), &kept);
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (n->condition) {
            rc = expr_node_eval(r, n->condition, &items[i], &test);
            if (rc < 0 || !expr_is_true(&test))
                continue;
        }
        rc = expr_node_eval(r, n->right, &items[i], &kept[k]);
        k += rc == 0 && kept[k].kind != EXPR_NULL;
    }
    if (rc == 0)
        *out = expr_of_items(kept, k);
    return rc;
}

static int eval_list(struct expr_run *r, const struct expr_node *n,
                     const struct expr_value *current, struct expr_value *out) {
    struct expr_value *items;
    *out = NOTHING;
    if (current->kind == EXPR_NULL)
        return 0;
    int rc = expr_alloc(r, n->count, sizeof(*items), &items);
    for (size_t i = 0; i < n->count && rc == 0; i++)
        rc = expr_node_eval(r, n->items[i], current, &items[i]);
    if (rc == 0)
        *out = expr_of_items(items, n->count);
    return rc;
}

static int eval_hash(struct expr_run *r, const struct expr_node *n,
                     const struct expr_value *current, struct expr_value *out) {
    struct expr_member *members;
    size_t count = 0;
    *out = NOTHING;
    if (current->kind == EXPR_NULL)
        return 0;
    int rc = expr_alloc(r, n->count, sizeof(*members), &members);
    for (size_t i = 0; i < n->count && rc == 0; i++) {
        size_t at = 0;
        while (at < count && !str_eq(members[at].key, n->keys[i]))
            at++;
        members[at].key = n->keys[i];
        rc = expr_node_eval(r, n->items[i], current, &members[at].value);
        count += at == count;
    }
    if (rc == 0)
        *out = expr_of_members(members, count);
    return rc;
}

static int eval_comparison(struct expr_run *r, const struct expr_node *n,
                           const struct expr_value *current, struct expr_value *out) {
    struct expr_value a, b;
    int rc = expr_node_eval(r, n->left, current, &a);
    if (rc == 0)
        rc = expr_node_eval(r, n->right, current, &b);
    if (rc < 0)
        return rc;
    if (n->comparison == CMP_EQ || n->comparison == CMP_NE) {
        bool equal = expr_equal(r, &a, &b);
        if (r->steps_left == 0 || r->bytes_left == 0)
            return ERR_TOO_LARGE;
        *out = expr_of_bool(equal == (n->comparison == CMP_EQ));
        return 0;
    }
    *out = NOTHING;
    if (a.kind != EXPR_NUMBER || b.kind != EXPR_NUMBER)
        return 0;
    bool whole = a.integer && b.integer;
    bool less = whole ? a.whole < b.whole : a.real < b.real;
    bool more = whole ? a.whole > b.whole : a.real > b.real;
    *out = expr_of_bool(n->comparison == CMP_LT   ? less
                        : n->comparison == CMP_LE ? !more
                        : n->comparison == CMP_GT ? more
                                                  : !less);
    return 0;
}

static int eval_call(struct expr_run *r, const struct expr_node *n,
                     const struct expr_value *current, struct expr_value *out) {
    struct expr_value *args;
    int rc = expr_alloc(r, n->count, sizeof(*args), &args);
    for (size_t i = 0; i < n->count && rc == 0; i++) {
        if (n->items[i]->op == OP_REFERENCE)
            args[i] = (struct expr_value){.kind = EXPR_REFERENCE, .reference = n->items[i]->left};
        else
            rc = expr_node_eval(r, n->items[i], current, &args[i]);
    }
    return rc == 0 ? expr_call(r, n, args, out) : rc;
}

static int eval_from_left(struct expr_run *r, const struct expr_node *n,
                          const struct expr_value *current, struct expr_value *out) {
    struct expr_value left;
    int rc = expr_node_eval(r, n->left, current, &left);
    if (rc < 0)
        return rc;
    switch (n->op) {
    case OP_THEN:
        return expr_node_eval(r, n->right, &left, out);
    case OP_INDEX:
        *out = at_index(&left, n->slice[0]);
        return 0;
    case OP_SLICE:
        return eval_slice(r, n, &left, out);
    case OP_FLATTEN:
        return eval_flatten(r, &left, out);
    case OP_PROJECT:
    case OP_PROJECT_VALUES:
    case OP_FILTER:
        return eval_projection(r, n, &left, out);
    case OP_NOT:
        *out = expr_of_bool(!expr_is_true(&left));
        return 0;
    default: /* OP_OR, OP_AND */
        if (expr_is_true(&left) == (n->op == OP_AND))
            return expr_node_eval(r, n->right, current, out);
        *out = left;
        return 0;
    }
}

int expr_node_eval(struct expr_run *r, const struct expr_node *n, const struct expr_value *current,
                   struct expr_value *out) {
    int rc = expr_step(r, 1);
    if (rc < 0)
        return rc;
    switch (n->op) {
    case OP_CURRENT:
        *out = *current;
        return 0;
    case OP_ROOT:
        *out = r->root;
        return 0;
    case OP_FIELD:
        rc = expr_step(r, expr_count(current) / 16);
        *out = expr_member(current, n->name);
        return rc;
    case OP_LITERAL:
        *out = n->literal;
        return 0;
    case OP_LIST:
        return eval_list(r, n, current, out);
    case OP_HASH:
        return eval_hash(r, n, current, out);
    case OP_COMPARE:
        return eval_comparison(r, n, current, out);
    case OP_CALL:
        return eval_call(r, n, current, out);
    case OP_REFERENCE:
        UNREACHABLE(); /* the parser takes it as an argument only */
    default:
        return eval_from_left(r, n, current, out);
    }
}

int expr_eval(const struct expr *e, const struct expr_value *root, struct arena *a,
              const struct expr_limits *limits, struct expr_value *out, struct err *err) {
    struct expr_run r = {
        .a = a, .root = *root, .steps_left = STEPS_USUAL, .bytes_left = BYTES_USUAL, .err = err};
    if (limits && limits->steps_max)
        r.steps_left = limits->steps_max;
    if (limits && limits->bytes_max)
        r.bytes_left = limits->bytes_max;
    struct expr_value result;
    int rc = expr_node_eval(&r, e->top, root, &result);
    if (rc == 0)
        *out = result;
    return rc;
}
