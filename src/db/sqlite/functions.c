/* SPDX-License-Identifier: Apache-2.0 */
/* functions.c - the scalar functions of the statements: JSON containment, filters, labels.
 *
 * Design: the second argument of the JSON functions is a parameter of the statement, so it is
 * parsed once and kept as SQLite's auxiliary data of the running statement; the first is parsed per
 * row into an arena of the connection that is reset by each call. '{}' and '' match everything
 * before anything is parsed, which keeps lists without a filter as cheap as their index.
 *
 * Filters are those of base/json_filter.h; store/items.c has checked them.
 *
 * Invariant: stored JSON is valid; one that is not fails the statement, never the process. */
#include "db/sqlite/functions.h"

#include "base/json_filter.h"
#include "base/mem.h"
#include "db/sqlite/text_score.h"

#define SCRATCH_BYTES_MAX ((size_t)512 << 20)

struct functions {
    struct arena scratch; /* of one call */
};

/* An argument that stays the same for all rows, parsed. */
struct constant {
    struct arena arena;
    yyjson_val *root;
};

static void functions_free(void *p) {
    struct functions *f = p;
    arena_deinit(&f->scratch);
    mem_free(f);
}

static void constant_free(void *p) {
    struct constant *c = p;
    arena_deinit(&c->arena);
    mem_free(c);
}

static str text_of(sqlite3_value *v) {
    const void *p = sqlite3_value_text(v);
    return p ? str_n(p, (size_t)sqlite3_value_bytes(v)) : STR_NULL;
}

/* The parsed argument `index`; NULL after it has failed the statement. */
static yyjson_val *constant_of(sqlite3_context *ctx, sqlite3_value **args, int index) {
    struct constant *c = sqlite3_get_auxdata(ctx, index);
    if (c)
        return c->root;
    c = NEW(struct constant);
    arena_init(&c->arena, SCRATCH_BYTES_MAX);
    /* The text belongs to the statement, which may go before the auxiliary data does. */
    str text = arena_dup(&c->arena, text_of(args[index]));
    if (json_parse(&c->arena, text, &c->root, NULL) < 0) {
        constant_free(c);
        sqlite3_result_error(ctx, "the filter is not JSON", -1);
        return NULL;
    }
    sqlite3_set_auxdata(ctx, index, c, constant_free);
    /* SQLite may have dropped it at once; then it is gone and the call cannot go on. */
    c = sqlite3_get_auxdata(ctx, index);
    if (!c) {
        sqlite3_result_error_nomem(ctx);
        return NULL;
    }
    return c->root;
}

/* The row's JSON; NULL after it has failed the statement. */
static yyjson_val *row_json(sqlite3_context *ctx, sqlite3_value *arg) {
    struct functions *f = sqlite3_user_data(ctx);
    yyjson_val *root;
    arena_reset(&f->scratch);
    if (json_parse(&f->scratch, text_of(arg), &root, NULL) == 0)
        return root;
    sqlite3_result_error(ctx, "stored JSON cannot be read", -1);
    return NULL;
}

static void fn_contains(sqlite3_context *ctx, int count, sqlite3_value **args) {
    (void)count;
    str part = text_of(args[1]);
    if (part.len == 0 || str_eq(part, STR("{}"))) {
        sqlite3_result_int(ctx, 1);
        return;
    }
    yyjson_val *wanted = constant_of(ctx, args, 1);
    yyjson_val *whole = wanted ? row_json(ctx, args[0]) : NULL;
    if (whole)
        sqlite3_result_int(ctx, json_contains(whole, wanted));
}

static void fn_filter(sqlite3_context *ctx, int count, sqlite3_value **args) {
    (void)count;
    str filter = text_of(args[1]);
    if (filter.len == 0 || str_eq(filter, STR("{}"))) {
        sqlite3_result_int(ctx, 1);
        return;
    }
    yyjson_val *wanted = constant_of(ctx, args, 1);
    yyjson_val *value = wanted ? row_json(ctx, args[0]) : NULL;
    if (!value)
        return;
    sqlite3_result_int(ctx, json_filter_meets(value, wanted));
}

static void fn_in(sqlite3_context *ctx, int count, sqlite3_value **args) {
    (void)count;
    str text = text_of(args[0]), rest = text_of(args[1]), part;
    bool found = rest.len == 0;
    while (!found && str_split_next(&rest, ',', &part))
        found = str_eq(part, text);
    sqlite3_result_int(ctx, found);
}

static void fn_icontains(sqlite3_context *ctx, int count, sqlite3_value **args) {
    (void)count;
    str text = text_of(args[0]), part = text_of(args[1]);
    bool found = part.len == 0;
    for (size_t i = 0; !found && i + part.len <= text.len; i++)
        found = str_ieq(str_n(text.p + i, part.len), part);
    sqlite3_result_int(ctx, found);
}

static void fn_merge(sqlite3_context *ctx, int count, sqlite3_value **args) {
    (void)count;
    struct functions *f = sqlite3_user_data(ctx);
    arena_reset(&f->scratch);
    str merged = json_merge(&f->scratch, text_of(args[0]), text_of(args[1]));
    sqlite3_result_text64(ctx, merged.p, merged.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void fn_labels_cut(sqlite3_context *ctx, int count, sqlite3_value **args) {
    (void)count;
    str text = text_of(args[0]);
    int64_t labels = sqlite3_value_int64(args[1]);
    size_t end = 0;
    for (int64_t seen = 0; end < text.len; end++)
        if (text.p[end] == '.' && ++seen == labels)
            break;
    sqlite3_result_text64(ctx, text.p, end, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static size_t label_count(str s) {
    size_t count = s.len > 0;
    for (size_t i = 0; i < s.len; i++)
        count += s.p[i] == '.';
    return count;
}

/* The labels of pattern against as many labels of text, after skipping `skip` of them. */
static bool labels_fit(str text, size_t skip, str pattern) {
    str label, wanted;
    while (skip-- > 0)
        if (!str_split_next(&text, '.', &label))
            return false;
    while (pattern.len > 0 && str_split_next(&pattern, '.', &wanted)) {
        if (!str_split_next(&text, '.', &label))
            return false;
        if (!str_eq(wanted, STR("*")) && !str_eq(wanted, label))
            return false;
    }
    return true;
}

static void fn_labels_match(sqlite3_context *ctx, int count, sqlite3_value **args) {
    (void)count;
    str text = text_of(args[0]), prefix = text_of(args[1]), suffix = text_of(args[2]);
    size_t have = label_count(text), last = label_count(suffix);
    bool fits =
        last <= have && labels_fit(text, 0, prefix) && labels_fit(text, have - last, suffix);
    sqlite3_result_int(ctx, fits);
}

static void fn_returning(sqlite3_context *ctx, int count, sqlite3_value **args) {
    (void)count;
    struct lite_returned *r = sqlite3_user_data(ctx);
    *r = (struct lite_returned){true, sqlite3_value_int64(args[0])};
    sqlite3_result_int64(ctx, r->n);
}

int db_sqlite_functions_register(sqlite3 *db, struct lite_returned *returned) {
    static const struct {
        const char *name;
        int arg_count;
        void (*fn)(sqlite3_context *, int, sqlite3_value **);
    } all[] = {
        {"hf_contains", 2, fn_contains},
        {"hf_filter", 2, fn_filter},
        {"hf_in", 2, fn_in},
        {"hf_icontains", 2, fn_icontains},
        {"hf_merge", 2, fn_merge},
        {"hf_labels_cut", 2, fn_labels_cut},
        {"hf_labels_match", 3, fn_labels_match},
    };
    struct functions *f = NEW(struct functions);
    arena_init(&f->scratch, SCRATCH_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        /* The first one owns the scratch memory; SQLite frees it also when this call fails. */
        int rc =
            sqlite3_create_function_v2(db, all[i].name, all[i].arg_count,
                                       SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, f,
                                       all[i].fn, NULL, NULL, i == 0 ? functions_free : NULL);
        if (rc != SQLITE_OK)
            return rc;
    }
    int rc = sqlite3_create_function_v2(db, "hf_returning", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                        returned, fn_returning, NULL, NULL, NULL);
    return rc == SQLITE_OK ? db_sqlite_text_score_register(db) : rc;
}
