/* SPDX-License-Identifier: Apache-2.0 */
/* expr_functions.c - the functions of expressions: a table, the check of arguments, the code.
 *
 * Kinds of an argument, one word each, the last one for all that follow; a word is a set of
 *   n number   s string   a array   o object   e &expression   * anything
 *   N array of numbers    S array of strings
 * An argument of another kind is an error that names function and argument, as the specification
 * wants it. A new function: its row, its code, a line in docs/reference/expressions.md. */
#include "model/expr_int.h"

#include <math.h>

#include "model/extract.h"

#define ARGS                                                                \
    struct expr_run *r, const struct expr_value *args, size_t count, struct expr_value *out
#define UNUSED (void)r, (void)count

/* --- numbers --- */

static int f_abs(ARGS) {
    UNUSED;
    *out = args[0];
    if (args[0].integer && args[0].whole < 0 && args[0].whole != INT64_MIN)
        *out = expr_of_int(-args[0].whole);
    else if (args[0].real < 0)
        *out = expr_of_real(fabs(args[0].real));
    return 0;
}

static int f_ceil(ARGS) {
    UNUSED;
    *out = args[0].integer ? args[0] : expr_of_real(ceil(args[0].real));
    return 0;
}

static int f_floor(ARGS) {
    UNUSED;
    *out = args[0].integer ? args[0] : expr_of_real(floor(args[0].real));
    return 0;
}

static int f_sum(ARGS) {
    (void)count;
    const struct expr_value *items;
    int64_t whole = 0;
    double real = 0;
    bool exact = true;
    int rc = expr_items(r, &args[0], &items);
    for (size_t i = 0; i < expr_count(&args[0]) && rc == 0; i++) {
        exact = exact && items[i].integer && !__builtin_add_overflow(whole, items[i].whole, &whole);
        real += items[i].real;
    }
    if (rc == 0)
        *out = exact ? expr_of_int(whole) : expr_of_real(real);
    return rc;
}

static int f_avg(ARGS) {
    struct expr_value sum;
    size_t n = expr_count(&args[0]);
    int rc = f_sum(r, args, count, &sum);
    if (rc == 0)
        *out = n ? expr_of_real(sum.real / (double)n) : (struct expr_value){0};
    return rc;
}

static int f_to_number(ARGS) {
    UNUSED;
    yyjson_val *v;
    *out = (struct expr_value){0};
    if (args[0].kind == EXPR_NUMBER)
        *out = args[0];
    else if (args[0].kind == EXPR_STRING && args[0].string.len <= 400 &&
             json_parse(r->a, args[0].string, &v, NULL) == 0 && expr_of_json(v).kind == EXPR_NUMBER)
        *out = expr_of_json(v);
    return 0;
}

/* --- strings --- */

static int new_string(struct expr_run *r, size_t bytes, char **out) {
    return expr_alloc(r, bytes, 1, out);
}

static int f_starts_with(ARGS) {
    UNUSED;
    *out = expr_of_bool(str_starts(args[0].string, args[1].string));
    return 0;
}

static int f_ends_with(ARGS) {
    UNUSED;
    *out = expr_of_bool(str_ends(args[0].string, args[1].string));
    return 0;
}

static int f_join(ARGS) {
    (void)count;
    const struct expr_value *items;
    size_t n = expr_count(&args[1]), bytes = 0, at = 0;
    char *p;
    int rc = expr_items(r, &args[1], &items);
    for (size_t i = 0; i < n && rc == 0; i++)
        bytes += items[i].string.len + (i ? args[0].string.len : 0);
    if (rc == 0)
        rc = new_string(r, bytes, &p);
    for (size_t i = 0; i < n && rc == 0; i++) {
        str parts[2] = {i ? args[0].string : STR_NULL, items[i].string};
        for (int k = 0; k < 2; k++) {
            if (parts[k].len)
                memcpy(p + at, parts[k].p, parts[k].len);
            at += parts[k].len;
        }
    }
    if (rc == 0)
        *out = expr_of_str(str_n(p, bytes));
    return rc;
}

static int f_split(ARGS) {
    (void)count;
    str rest = args[0].string, by = args[1].string;
    struct expr_value *items;
    size_t n = 1;
    ptrdiff_t at = -1;
    if (!by.len)
        return err_set(r->err, ERR_INVALID, "split(): the separator must not be empty");
    for (str s = rest; (at = str_find(s, by)) >= 0; n++)
        s = str_slice(s, (size_t)at + by.len, s.len);
    int rc = expr_step(r, n);
    if (rc == 0)
        rc = expr_alloc(r, n, sizeof(*items), &items);
    for (size_t i = 0; i < n && rc == 0; i++) {
        at = str_find(rest, by);
        items[i] = expr_of_str(str_slice(rest, 0, at < 0 ? rest.len : (size_t)at));
        rest = at < 0 ? STR("") : str_slice(rest, (size_t)at + by.len, rest.len);
    }
    if (rc == 0)
        *out = expr_of_items(items, n);
    return rc;
}

static size_t code_points(str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static int f_to_string(ARGS) {
    (void)count;
    str text;
    if (args[0].kind == EXPR_STRING) {
        *out = args[0];
        return 0;
    }
    int rc = expr_json(r->a, &args[0], r->bytes_left, &text, r->err);
    if (rc == 0) {
        r->bytes_left -= text.len;
        *out = expr_of_str(text);
    }
    return rc;
}

/* The places that are tried do not overlap, so three times the text is parsed at most. */
#define PARSE_BYTES_EACH 48

static int f_parse_json(ARGS) {
    (void)count;
    size_t len = args[0].string.len;
    int rc = expr_step(r, len / 32);
    if (rc < 0)
        return rc;
    if (len > r->bytes_left / PARSE_BYTES_EACH)
        return err_set(r->err, ERR_TOO_LARGE, "parse_json(): the text is too long");
    r->bytes_left -= len * PARSE_BYTES_EACH;
    *out = expr_of_json(extract_json(r->a, args[0].string));
    return 0;
}

/* --- arrays and strings --- */

static int f_length(ARGS) {
    UNUSED;
    *out = expr_of_int((int64_t)(args[0].kind == EXPR_STRING ? code_points(args[0].string)
                                                             : expr_count(&args[0])));
    return 0;
}

static int f_contains(ARGS) {
    (void)count;
    const struct expr_value *items;
    bool found = false;
    if (args[0].kind == EXPR_STRING) {
        *out = expr_of_bool(args[1].kind == EXPR_STRING &&
                            str_find(args[0].string, args[1].string) >= 0);
        return 0;
    }
    int rc = expr_items(r, &args[0], &items);
    for (size_t i = 0; i < expr_count(&args[0]) && rc == 0 && !found; i++) {
        found = expr_equal(r, &items[i], &args[1]);
        rc = r->steps_left == 0 || r->bytes_left == 0 ? ERR_TOO_LARGE : 0;
    }
    *out = expr_of_bool(found);
    return rc;
}

static int reverse_string(struct expr_run *r, str s, struct expr_value *out) {
    char *p;
    int rc = new_string(r, s.len, &p);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s.len;) {
        size_t end = i + 1;
        while (end < s.len && ((unsigned char)s.p[end] & 0xc0) == 0x80)
            end++;
        memcpy(p + s.len - end, s.p + i, end - i);
        i = end;
    }
    *out = expr_of_str(str_n(p, s.len));
    return 0;
}

static int f_reverse(ARGS) {
    (void)count;
    const struct expr_value *items;
    struct expr_value *back;
    size_t n = expr_count(&args[0]);
    if (args[0].kind == EXPR_STRING)
        return reverse_string(r, args[0].string, out);
    int rc = expr_items(r, &args[0], &items);
    if (rc == 0)
        rc = expr_alloc(r, n, sizeof(*back), &back);
    for (size_t i = 0; i < n && rc == 0; i++)
        back[i] = items[n - 1 - i];
    if (rc == 0)
        *out = expr_of_items(back, n);
    return rc;
}

static int f_to_array(ARGS) {
    (void)count;
    struct expr_value *one;
    *out = args[0];
    if (args[0].kind == EXPR_ARRAY)
        return 0;
    int rc = expr_alloc(r, 1, sizeof(*one), &one);
    if (rc == 0) {
        *one = args[0];
        *out = expr_of_items(one, 1);
    }
    return rc;
}

static int f_map(ARGS) {
    (void)count;
    const struct expr_value *items;
    struct expr_value *mapped;
    size_t n = expr_count(&args[1]);
    int rc = expr_items(r, &args[1], &items);
    if (rc == 0)
        rc = expr_alloc(r, n, sizeof(*mapped), &mapped);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = expr_node_eval(r, args[0].reference, &items[i], &mapped[i]);
    if (rc == 0)
        *out = expr_of_items(mapped, n);
    return rc;
}

/* --- order --- */

struct keyed {
    struct expr_value key, value;
};

static int compare(const struct expr_value *a, const struct expr_value *b) {
    if (a->kind == EXPR_STRING)
        return str_cmp(a->string, b->string);
    if (a->integer && b->integer)
        return a->whole < b->whole ? -1 : a->whole > b->whole;
    return a->real < b->real ? -1 : a->real > b->real;
}

/* Elements with their keys (the elements themselves without `by`), all numbers or all strings. */
static int read_keys(struct expr_run *r, const struct expr_value *array,
                     const struct expr_value *by, struct keyed **out) {
    const struct expr_value *items;
    struct keyed *keys;
    size_t n = expr_count(array);
    int rc = expr_items(r, array, &items);
    if (rc == 0)
        rc = expr_alloc(r, n, sizeof(*keys), &keys);
    for (size_t i = 0; i < n && rc == 0; i++) {
        keys[i].value = keys[i].key = items[i];
        if (by)
            rc = expr_node_eval(r, by->reference, &items[i], &keys[i].key);
        enum expr_kind kind = keys[i].key.kind;
        if (rc == 0 && ((kind != EXPR_NUMBER && kind != EXPR_STRING) || kind != keys[0].key.kind))
            rc = err_set(r->err, ERR_INVALID,
                         "what is ordered by must be a number or a string, the same for all "
                         "elements; one is %s",
                         expr_kind_name(kind));
    }
    if (rc == 0)
        *out = keys;
    return rc;
}

static void merge_halves(struct keyed *a, struct keyed *spare, size_t half, size_t n) {
    size_t i = 0, j = half, k = 0;
    memcpy(spare, a, n * sizeof(*a));
    while (i < half || j < n) {
        bool left = j >= n || (i < half && compare(&spare[i].key, &spare[j].key) <= 0);
        a[k++] = left ? spare[i++] : spare[j++];
    }
}

static void merge_sort(struct keyed *a, struct keyed *spare, size_t n) {
    if (n < 2)
        return;
    merge_sort(a, spare, n / 2);
    merge_sort(a + n / 2, spare, n - n / 2);
    merge_halves(a, spare, n / 2, n);
}

static int sorted(struct expr_run *r, const struct expr_value *array, const struct expr_value *by,
                  struct expr_value *out) {
    struct keyed *keys, *spare;
    struct expr_value *items;
    size_t n = expr_count(array), rounds = 1;
    while (n >> rounds)
        rounds++;
    int rc = read_keys(r, array, by, &keys);
    if (rc == 0)
        rc = expr_step(r, n * rounds);
    if (rc == 0)
        rc = expr_alloc(r, n, sizeof(*spare), &spare);
    if (rc == 0)
        rc = expr_alloc(r, n, sizeof(*items), &items);
    if (rc < 0)
        return rc;
    merge_sort(keys, spare, n);
    for (size_t i = 0; i < n; i++)
        items[i] = keys[i].value;
    *out = expr_of_items(items, n);
    return 0;
}

/* want: 1 the greatest, -1 the least; the first of equals. */
static int extreme(struct expr_run *r, const struct expr_value *array, const struct expr_value *by,
                   int want, struct expr_value *out) {
    struct keyed *keys;
    size_t n = expr_count(array), best = 0;
    int rc = read_keys(r, array, by, &keys);
    for (size_t i = 1; i < n && rc == 0; i++)
        if (compare(&keys[i].key, &keys[best].key) * want > 0)
            best = i;
    if (rc == 0)
        *out = n ? keys[best].value : (struct expr_value){0};
    return rc;
}

static int f_sort(ARGS) {
    (void)count;
    return sorted(r, &args[0], NULL, out);
}
static int f_sort_by(ARGS) {
    (void)count;
    return sorted(r, &args[0], &args[1], out);
}
static int f_max(ARGS) {
    (void)count;
    return extreme(r, &args[0], NULL, 1, out);
}
static int f_max_by(ARGS) {
    (void)count;
    return extreme(r, &args[0], &args[1], 1, out);
}
static int f_min(ARGS) {
    (void)count;
    return extreme(r, &args[0], NULL, -1, out);
}
static int f_min_by(ARGS) {
    (void)count;
    return extreme(r, &args[0], &args[1], -1, out);
}

/* --- objects, and what is what --- */

static int f_keys(ARGS) {
    (void)count;
    const struct expr_member *members;
    struct expr_value *keys;
    size_t n = 0;
    int rc = expr_members(r, &args[0], &members, &n);
    if (rc == 0)
        rc = expr_alloc(r, n, sizeof(*keys), &keys);
    for (size_t i = 0; i < n && rc == 0; i++)
        keys[i] = expr_of_str(members[i].key);
    if (rc == 0)
        *out = expr_of_items(keys, n);
    return rc;
}

static int f_values(ARGS) {
    (void)count;
    const struct expr_value *items;
    int rc = expr_items(r, &args[0], &items);
    if (rc == 0)
        *out = expr_of_items(items, expr_count(&args[0]));
    return rc;
}

static int f_items(ARGS) {
    (void)count;
    const struct expr_member *members;
    struct expr_value *pairs, *parts;
    size_t n = 0;
    int rc = expr_members(r, &args[0], &members, &n);
    if (rc == 0)
        rc = expr_alloc(r, n, sizeof(*pairs), &pairs);
    if (rc == 0)
        rc = expr_alloc(r, 2 * n, sizeof(*parts), &parts);
    for (size_t i = 0; i < n && rc == 0; i++) {
        parts[2 * i] = expr_of_str(members[i].key);
        parts[2 * i + 1] = members[i].value;
        pairs[i] = expr_of_items(&parts[2 * i], 2);
    }
    if (rc == 0)
        *out = expr_of_items(pairs, n);
    return rc;
}

static int f_merge(ARGS) {
    const struct expr_member *members;
    struct expr_member *merged;
    size_t room = 0, total = 0, n;
    for (size_t i = 0; i < count; i++)
        room += expr_count(&args[i]);
    int rc = expr_alloc(r, room, sizeof(*merged), &merged);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = expr_members(r, &args[i], &members, &n);
        for (size_t j = 0; rc == 0 && j < n; j++) {
            size_t at = 0;
            rc = expr_step(r, 1 + total / 8);
            while (at < total && !str_eq(merged[at].key, members[j].key))
                at++;
            merged[at] = members[j];
            total += at == total;
        }
    }
    if (rc == 0)
        *out = expr_of_members(merged, total);
    return rc;
}

static int f_not_null(ARGS) {
    UNUSED;
    *out = (struct expr_value){0};
    for (size_t i = 0; i < count && out->kind == EXPR_NULL; i++)
        *out = args[i];
    return 0;
}

static int f_type(ARGS) {
    UNUSED;
    *out = expr_of_str(str_of(expr_kind_name(args[0].kind)));
    return 0;
}

/* --- the table --- */

static const struct expr_function FUNCTIONS[] = {
    {"abs", 1, 1, "n", f_abs},
    {"avg", 1, 1, "N", f_avg},
    {"ceil", 1, 1, "n", f_ceil},
    {"contains", 2, 2, "as *", f_contains},
    {"ends_with", 2, 2, "s s", f_ends_with},
    {"floor", 1, 1, "n", f_floor},
    {"items", 1, 1, "o", f_items},
    {"join", 2, 2, "s S", f_join},
    {"keys", 1, 1, "o", f_keys},
    {"length", 1, 1, "sao", f_length},
    {"map", 2, 2, "e a", f_map},
    {"max", 1, 1, "NS", f_max},
    {"max_by", 2, 2, "a e", f_max_by},
    {"merge", 1, -1, "o", f_merge},
    {"min", 1, 1, "NS", f_min},
    {"min_by", 2, 2, "a e", f_min_by},
    {"not_null", 1, -1, "*", f_not_null},
    {"parse_json", 1, 1, "s", f_parse_json},
    {"reverse", 1, 1, "as", f_reverse},
    {"sort", 1, 1, "NS", f_sort},
    {"sort_by", 2, 2, "a e", f_sort_by},
    {"split", 2, 2, "s s", f_split},
    {"starts_with", 2, 2, "s s", f_starts_with},
    {"sum", 1, 1, "N", f_sum},
    {"to_array", 1, 1, "*", f_to_array},
    {"to_number", 1, 1, "*", f_to_number},
    {"to_string", 1, 1, "*", f_to_string},
    {"type", 1, 1, "*", f_type},
    {"values", 1, 1, "o", f_values},
};

const struct expr_function *expr_function_find(str name) {
    for (size_t i = 0; i < ARRAY_COUNT(FUNCTIONS); i++)
        if (str_eq(name, str_of(FUNCTIONS[i].name)))
            return &FUNCTIONS[i];
    return NULL;
}

/* Are all elements of that kind? Counted: a negative result is a limit. */
static int all_are(struct expr_run *r, const struct expr_value *v, enum expr_kind kind) {
    const struct expr_value *items;
    int rc = expr_items(r, v, &items);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < expr_count(v); i++)
        if (items[i].kind != kind)
            return 0;
    return 1;
}

static int is_of(struct expr_run *r, const struct expr_value *v, char kind) {
    switch (kind) {
    case 'n':
        return v->kind == EXPR_NUMBER;
    case 's':
        return v->kind == EXPR_STRING;
    case 'a':
        return v->kind == EXPR_ARRAY;
    case 'o':
        return v->kind == EXPR_OBJECT;
    case 'e':
        return v->kind == EXPR_REFERENCE;
    case 'N':
        return v->kind == EXPR_ARRAY ? all_are(r, v, EXPR_NUMBER) : 0;
    case 'S':
        return v->kind == EXPR_ARRAY ? all_are(r, v, EXPR_STRING) : 0;
    default: /* anything but a reference */
        return v->kind != EXPR_REFERENCE;
    }
}

static int check(struct expr_run *r, const struct expr_function *f, const struct expr_value *v,
                 size_t index, str kinds) {
    for (size_t i = 0; i < kinds.len; i++) {
        int fits = is_of(r, v, kinds.p[i]);
        if (fits)
            return fits < 0 ? fits : 0;
    }
    return err_set(r->err, ERR_INVALID, "%s(): argument %zu is of the wrong kind: %s%s", f->name,
                   index + 1, expr_kind_name(v->kind),
                   v->kind == EXPR_ARRAY ? " of other elements" : "");
}

int expr_call(struct expr_run *r, const struct expr_node *n, const struct expr_value *args,
              struct expr_value *out) {
    const struct expr_function *f = n->function;
    str rest = str_of(f->kinds), kinds = STR_NULL;
    for (size_t i = 0; i < n->count; i++) {
        (void)str_split_next(&rest, ' ', &kinds); /* none left: the last one again */
        int rc = check(r, f, &args[i], i, kinds);
        if (rc < 0)
            return rc;
    }
    struct expr_value result = {0};
    int rc = f->run(r, args, n->count, &result);
    if (rc == 0)
        *out = result;
    return rc;
}
