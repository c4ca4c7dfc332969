/* SPDX-License-Identifier: Apache-2.0 */
/* preferences.c - preferences of owners, and what stands in for them in one thread for a while.
 *
 * No write reads before it writes: whether a row may be changed and whether there is room for one
 * more stand in the statement, so writers of one key meet in the database alone. What a run gets is
 * read with its assistant and its thread (run_context), so it costs no statement of its own.
 *
 * What holds in a thread ends by itself. Using it moves the end on, but only when a quarter of the
 * time is over, and with a batch that is written anyway, where there is one. */
#include "store/preferences.h"

#include "base/clock.h"

#define RENEW_PART 4

static struct preference from_row(const struct db_rows *r, size_t row) {
    return (struct preference){.key = db_str(r, row, 0),
                               .value = db_str(r, row, 1),
                               .mutable = db_int(r, row, 2) != 0,
                               .updated_at = db_int(r, row, 3)};
}

static void from_rows(const struct db_rows *rows, struct arena *a, struct preference **out,
                      size_t *out_count) {
    struct preference *list = ARENA_ARRAY(a, struct preference, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        list[i] = from_row(rows, i);
    *out = list;
    *out_count = rows->row_count;
}

static int not_found(struct err *err) {
    return err_set(err, ERR_NOT_FOUND, "Preference not found");
}

static int fixed(str key, struct err *err) {
    return err_set(err, ERR_CONFLICT, STR_FMT ": this preference cannot be changed", STR_ARG(key));
}

static int too_many(struct err *err) {
    return err_set(err, ERR_LIMIT, "There can be at most %d preferences", PREFERENCE_COUNT_MAX);
}

static str one_key(struct arena *a, str key) {
    return arena_printf(a, "[\"" STR_FMT "\"]", STR_ARG(key)); /* nothing in a key is escaped */
}

/* Nothing was stored: is one of them fixed, or are there too many? */
static int refused(struct store *s, const struct preference_actor *by, str keys, struct arena *a,
                   struct err *err) {
    struct preference *list;
    size_t count;
    err_reset(err);
    int rc = preference_list(s, by->owner, keys, a, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!list[i].mutable && !by->service)
            return fixed(list[i].key, err);
    return rc < 0 ? rc : too_many(err);
}

void preference_put_add(struct db_batch *b, const struct preference_actor *by, str key, str value) {
    db_batch_add(b, SQL_PREFERENCE_PUT,
                 DB_PARAMS(DB_UUID(id_v7()), DB_T(by->owner), DB_T(key), DB_T(value),
                           DB_I(!by->fixes), DB_I(clock_wall_us()), DB_I(by->service),
                           DB_I(PREFERENCE_COUNT_MAX)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
}

int preference_put(struct store *s, const struct preference_actor *by, str key, str value,
                   struct arena *a, struct preference *out, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    preference_put_add(&b, by, key, value);
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_CONFLICT)
        return refused(s, by, one_key(a, key), a, err);
    if (rc == 0)
        *out = from_row(&b.ops[0].rows, 0);
    return rc;
}

static str keys_of(struct arena *a, yyjson_val *object) {
    struct buf b;
    yyjson_val *key, *value;
    size_t i, n;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    yyjson_obj_foreach(object, i, n, key, value) {
        (void)value;
        jw_str(&w, json_str(key));
    }
    jw_array_end(&w);
    return arena_take(a, &b);
}

int preference_put_all(struct store *s, const struct preference_actor *by, yyjson_val *object,
                       struct arena *a, struct preference **out, size_t *out_count,
                       struct err *err) {
    struct db_batch b;
    *out_count = 0;
    if (yyjson_obj_size(object) == 0)
        return 0;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PREFERENCE_PUT_ALL,
                 DB_PARAMS(DB_T(by->owner), DB_T(json_canonical(a, object)), DB_I(!by->fixes),
                           DB_I(clock_wall_us()), DB_I(by->service), DB_I(PREFERENCE_COUNT_MAX)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_CONFLICT)
        return refused(s, by, keys_of(a, object), a, err);
    if (rc == 0)
        from_rows(&b.ops[0].rows, a, out, out_count);
    return rc;
}

int preference_get(struct store *s, str owner, str key, struct arena *a, struct preference *out,
                   struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PREFERENCE_GET, DB_PARAMS(DB_T(owner), DB_T(key)), a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return not_found(err);
    *out = from_row(&rows, 0);
    return 0;
}

int preference_list(struct store *s, str owner, str keys, struct arena *a, struct preference **out,
                    size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PREFERENCE_LIST,
                     DB_PARAMS(DB_T(owner), DB_T(keys), DB_I(PREFERENCE_COUNT_MAX)), a, &rows, err);
    if (rc == 0)
        from_rows(&rows, a, out, out_count);
    return rc;
}

int preference_delete(struct store *s, const struct preference_actor *by, str key, struct arena *a,
                      struct err *err) {
    struct db_batch b;
    struct preference kept;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PREFERENCE_DELETE,
                 DB_PARAMS(DB_T(by->owner), DB_T(key), DB_I(by->service)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    int rc = db_commit(s->db, &b, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    err_reset(err);
    rc = preference_get(s, by->owner, key, a, &kept, err);
    return rc < 0 ? rc : fixed(key, err);
}

/* --- of one thread --- */

int preference_override_put(struct store *s, const struct principal *who, struct id thread_id,
                            str key, str value, struct arena *a, struct preference_override *out,
                            struct err *err) {
    struct db_batch b;
    struct thread t;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PREFERENCE_OVERRIDE_PUT,
                 DB_PARAMS(DB_UUID(thread_id), DB_T(principal_owner(who)), DB_T(key), DB_T(value),
                           DB_I(clock_wall_us() + s->preferences.override_us),
                           DB_I(PREFERENCE_COUNT_MAX)),
                 DB_EXPECT_CHANGE(ERR_LIMIT));
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out = (struct preference_override){.key = db_str(&b.ops[0].rows, 0, 0),
                                            .value = db_str(&b.ops[0].rows, 0, 1),
                                            .expires_at = db_int(&b.ops[0].rows, 0, 2)};
    if (rc != ERR_LIMIT || b.failed_at != 0)
        return rc;
    err_reset(err);
    rc = thread_get(s, who, thread_id, a, &t, err);
    return rc < 0 ? rc : too_many(err);
}

int preference_override_delete(struct store *s, const struct principal *who, struct id thread_id,
                               str key, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(
        &b, SQL_PREFERENCE_OVERRIDE_DELETE,
        DB_PARAMS(DB_UUID(thread_id), DB_T(principal_owner(who)), DB_T(key), DB_I(clock_wall_us())),
        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? not_found(err) : rc;
}

bool preference_override_renew_add(const struct store *s, const struct principal *who,
                                   struct id thread_id, const struct run_context *ctx,
                                   int64_t now_us, struct db_batch *b) {
    int64_t whole = s->preferences.override_us;
    if (!ctx->overrides_until || ctx->overrides_until - now_us > whole - whole / RENEW_PART)
        return false;
    db_batch_add(b, SQL_PREFERENCE_OVERRIDE_RENEW,
                 DB_PARAMS(DB_UUID(thread_id), DB_T(principal_owner(who)), DB_I(now_us),
                           DB_I(now_us + whole)),
                 DB_EXPECT_NONE);
    return true;
}

int preference_override_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                              int64_t *out_deleted, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PREFERENCE_OVERRIDE_SWEEP, DB_PARAMS(DB_I(now_us), DB_I(limit)),
                 DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}

/* --- what holds --- */

bool preference_any(const struct store *s, const struct run_context *ctx) {
    return s->preferences.platform.defaults.len > 2 || ctx->preferences.len > 2 ||
           ctx->overrides.len > 2;
}

str preference_of_context(const struct store *s, const struct run_context *ctx, str of_assistant,
                          str of_request, struct arena *a) {
    if (!preference_any(s, ctx))
        return STR_NULL;
    str layers[] = {of_assistant, ctx->preferences, ctx->overrides, of_request};
    return preference_effective(&s->preferences.platform, a, layers, ARRAY_COUNT(layers));
}

str preference_of_configurable(struct arena *a, str configurable) {
    yyjson_val *root;
    if (str_find(configurable, STR("preferences")) < 0 ||
        json_parse(a, configurable, &root, NULL) < 0)
        return STR_NULL;
    yyjson_val *v = json_get(root, "preferences");
    return yyjson_is_obj(v) ? json_text(a, v) : STR_NULL;
}

str preference_of_assistant(struct arena *a, const struct assistant *assistant) {
    yyjson_val *config = NULL, *configurable;
    if (str_find(assistant->config, STR("preferences")) >= 0 &&
        json_parse(a, assistant->config, &config, NULL) < 0)
        config = NULL;
    configurable = json_get(config, "configurable");
    str newer = preference_of_configurable(a, assistant->context);
    str older = yyjson_is_obj(json_get(configurable, "preferences"))
                    ? json_text(a, json_get(configurable, "preferences"))
                    : STR_NULL;
    return newer.p ? json_merge(a, older, newer) : older;
}
