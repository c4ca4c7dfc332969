/* SPDX-License-Identifier: Apache-2.0 */
/* json_filter.c - checks conditions on JSON values and finds out whether they hold.
 *
 * Design: a condition is a plain value (equality) or an object whose keys all must hold:
 * comparisons and logical operators look at the value itself, other keys at its members.
 * Comparisons and members in one object would contradict each other (a value is not 1 and an
 * object), so they are refused.
 * An object without keys holds for objects.
 *
 * Invariant: both walks are bounded by the check: its depth, and its count of conditions. A new
 * operator is a row of `operators`, a case of holds(), and a branch of holdfast.meets() in a
 * migration. */
#include "base/json_filter.h"

#include <stdio.h>

#include "base/json_int.h"

#define PATH_BYTES       160
#define INDEX_DIGITS_MAX 9

enum filter_op {
    OP_NONE,
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_GTE,
    OP_LT,
    OP_LTE,
    OP_IN,
    OP_NIN,
    OP_EXISTS,
    OP_AND,
    OP_OR,
    OP_NOT
};
enum operand { OPERAND_ANY, OPERAND_ORDERED, OPERAND_LIST, OPERAND_BOOL, OPERAND_CONDITIONS };

static const struct {
    str name;
    enum operand operand;
} operators[] = {
    [OP_EQ] = {STR("$eq"), OPERAND_ANY},          [OP_NE] = {STR("$ne"), OPERAND_ANY},
    [OP_GT] = {STR("$gt"), OPERAND_ORDERED},      [OP_GTE] = {STR("$gte"), OPERAND_ORDERED},
    [OP_LT] = {STR("$lt"), OPERAND_ORDERED},      [OP_LTE] = {STR("$lte"), OPERAND_ORDERED},
    [OP_IN] = {STR("$in"), OPERAND_LIST},         [OP_NIN] = {STR("$nin"), OPERAND_LIST},
    [OP_EXISTS] = {STR("$exists"), OPERAND_BOOL}, [OP_AND] = {STR("$and"), OPERAND_CONDITIONS},
    [OP_OR] = {STR("$or"), OPERAND_CONDITIONS},   [OP_NOT] = {STR("$not"), OPERAND_ANY},
};

static enum filter_op op_of(str name) {
    for (size_t i = OP_EQ; i < ARRAY_COUNT(operators); i++)
        if (str_eq(name, operators[i].name))
            return (enum filter_op)i;
    return OP_NONE;
}

static bool is_operator(str name) { return name.len > 0 && name.p[0] == '$'; }

/* --- checking --- */

struct check {
    char path[PATH_BYTES]; /* of the condition that is looked at; cut when it is long */
    size_t len;
    int depth, conditions;
    struct err *err;
};

/* Returns the length to go back to. */
static size_t enter(struct check *c, str name) {
    size_t before = c->len, room = PATH_BYTES - 1 - c->len;
    int n = snprintf(c->path + c->len, room + 1, "." STR_FMT,
                     (int)(name.len < PATH_BYTES ? name.len : PATH_BYTES), name.p);
    size_t added = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
    /* A character must not be cut in two. */
    c->len += str_utf8_prefix(str_n(c->path + c->len, added));
    c->path[c->len] = '\0';
    return before;
}

static void leave(struct check *c, size_t before) {
    c->len = before;
    c->path[before] = '\0';
}

static int count(struct check *c, size_t more) {
    if (more > JSON_FILTER_CONDITIONS_MAX ||
        (c->conditions += (int)more) > JSON_FILTER_CONDITIONS_MAX)
        return err_set(c->err, ERR_INVALID, "filter: more than %d conditions and values",
                       JSON_FILTER_CONDITIONS_MAX);
    return 0;
}

static int check_condition(struct check *c, yyjson_val *v);

static int check_conditions(struct check *c, yyjson_val *list) {
    yyjson_val *v = unsafe_yyjson_get_first(list);
    int rc = count(c, yyjson_arr_size(list));
    for (size_t left = yyjson_arr_size(list); rc == 0 && left; left--) {
        if (yyjson_is_obj(v))
            rc = check_condition(c, v);
        else
            rc = err_set(c->err, ERR_INVALID, "%s: must be a list of objects", c->path);
        v = unsafe_yyjson_get_next(v);
    }
    return rc;
}

static int check_operand(struct check *c, enum filter_op op, yyjson_val *v) {
    switch (operators[op].operand) {
    case OPERAND_ORDERED:
        return yyjson_is_num(v) || yyjson_is_str(v)
                   ? 0
                   : err_set(c->err, ERR_INVALID, "%s: must be a number or a string", c->path);
    case OPERAND_BOOL:
        return yyjson_is_bool(v)
                   ? 0
                   : err_set(c->err, ERR_INVALID, "%s: must be true or false", c->path);
    case OPERAND_LIST:
        return yyjson_is_arr(v) ? count(c, yyjson_arr_size(v))
                                : err_set(c->err, ERR_INVALID, "%s: must be a list", c->path);
    case OPERAND_CONDITIONS:
        return yyjson_is_arr(v)
                   ? check_conditions(c, v)
                   : err_set(c->err, ERR_INVALID, "%s: must be a list of objects", c->path);
    case OPERAND_ANY:
        return op == OP_NOT ? check_condition(c, v) : 0;
    }
    UNREACHABLE();
}

static int check_member(struct check *c, str name, yyjson_val *v) {
    enum filter_op op = op_of(name);
    if (is_operator(name) && op == OP_NONE)
        return err_set(c->err, ERR_INVALID, "%s: unknown operator", c->path);
    return op == OP_NONE ? check_condition(c, v) : check_operand(c, op, v);
}

static int check_condition(struct check *c, yyjson_val *v) {
    if (!yyjson_is_obj(v))
        return 0;
    if (++c->depth > JSON_FILTER_DEPTH_MAX)
        return err_set(c->err, ERR_INVALID, "filter: nested deeper than %d", JSON_FILTER_DEPTH_MAX);
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    bool comparisons = false, members = false;
    int rc = count(c, yyjson_obj_size(v));
    for (yyjson_val *key; rc == 0 && (key = yyjson_obj_iter_next(&it)) != NULL;) {
        str name = json_str(key);
        enum filter_op op = op_of(name);
        comparisons = comparisons || (op != OP_NONE && op < OP_AND);
        members = members || !is_operator(name);
        if (comparisons && members)
            return err_set(c->err, ERR_INVALID, "%s: operators and members cannot be mixed",
                           c->path);
        size_t before = enter(c, name);
        rc = check_member(c, name, yyjson_obj_iter_get_val(key));
        leave(c, before);
    }
    c->depth--;
    return rc;
}

int json_filter_check(yyjson_val *filter, struct err *err) {
    struct check c = {.path = "filter", .len = 6, .err = err};
    if (!yyjson_is_obj(filter))
        return err_set(err, ERR_INVALID, "filter: must be an object");
    return check_condition(&c, filter);
}

/* --- whether it holds --- */

static yyjson_val *element_at(yyjson_val *array, str label) {
    uint64_t index;
    if (label.len > INDEX_DIGITS_MAX || !str_to_u64(label, &index))
        return NULL;
    return yyjson_arr_get(array, (size_t)index);
}

static yyjson_val *member_at(yyjson_val *obj, str name) {
    yyjson_val *v = json_get_str(obj, name);
    if (v || str_find_char(name, '.') < 0)
        return v;
    str label, rest = name;
    v = obj;
    while (v && str_split_next(&rest, '.', &label))
        v = yyjson_is_obj(v)   ? json_get_str(v, label)
            : yyjson_is_arr(v) ? element_at(v, label)
                               : NULL;
    return v;
}

static bool in_list(yyjson_val *value, yyjson_val *list) {
    yyjson_val *v = unsafe_yyjson_get_first(list);
    for (size_t left = yyjson_arr_size(list); value && left; left--) {
        if (json_equal(value, v))
            return true;
        v = unsafe_yyjson_get_next(v);
    }
    return false;
}

/* Whether each condition of the list holds, or none does. */
static bool all_are(yyjson_val *value, yyjson_val *list, bool wanted) {
    yyjson_val *v = unsafe_yyjson_get_first(list);
    for (size_t left = yyjson_arr_size(list); left; left--) {
        if (json_filter_meets(value, v) != wanted)
            return false;
        v = unsafe_yyjson_get_next(v);
    }
    return true;
}

static bool holds(enum filter_op op, yyjson_val *value, yyjson_val *operand) {
    int order = 0;
    bool ordered = op >= OP_GT && op <= OP_LTE && value && json_order(value, operand, &order);
    switch (op) {
    case OP_EQ:
        return value && json_equal(value, operand);
    case OP_NE:
        return !(value && json_equal(value, operand));
    case OP_GT:
        return ordered && order > 0;
    case OP_GTE:
        return ordered && order >= 0;
    case OP_LT:
        return ordered && order < 0;
    case OP_LTE:
        return ordered && order <= 0;
    case OP_IN:
        return in_list(value, operand);
    case OP_NIN:
        return !in_list(value, operand);
    case OP_EXISTS:
        return (value != NULL) == yyjson_get_bool(operand);
    case OP_AND:
        return all_are(value, operand, true);
    case OP_OR:
        return !all_are(value, operand, false);
    case OP_NOT:
        return !json_filter_meets(value, operand);
    case OP_NONE:
        return false;
    }
    UNREACHABLE();
}

bool json_filter_meets(yyjson_val *value, yyjson_val *filter) {
    if (!yyjson_is_obj(filter))
        return value && json_equal(value, filter);
    if (yyjson_obj_size(filter) == 0)
        return yyjson_is_obj(value);
    yyjson_obj_iter it = yyjson_obj_iter_with(filter);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL;) {
        str name = json_str(key);
        yyjson_val *wanted = yyjson_obj_iter_get_val(key);
        bool met = is_operator(name)
                       ? holds(op_of(name), value, wanted)
                       : yyjson_is_obj(value) && json_filter_meets(member_at(value, name), wanted);
        if (!met)
            return false;
    }
    return true;
}
