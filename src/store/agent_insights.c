/* SPDX-License-Identifier: Apache-2.0 */
/* agent_insights.c - rows of insights, and the two ways of searching them.
 *
 * An insight is put where all of its logs still wait for one: they are locked by the statement that
 * writes it, and marked in the same batch. So two processes, or one that was killed and began
 * again, make one of them.
 *
 * By words they are found as titles of conversations are. By meaning: an owner has few of them, so
 * the vectors are read along the index of the list, a step at a time, and the best ones are kept;
 * nothing stays in memory. Past AGENT_INSIGHT_SCAN_MAX a search is refused, never answered in part.
 * Vectors of another model are not looked at. */
#include "store/agent_insights.h"

#include "base/clock.h"
#include "base/vector.h"
#include "model/terms.h"
#include "store/items.h"

#define STEP            256
#define STEP_BYTES_MAX  ((size_t)64 << 20)
#define WORDS_BYTES_MAX ((size_t)AGENT_INSIGHT_BYTES_MAX * 4)

/* --- making them --- */

int agent_log_pending_list(struct store *s, const struct agent_log_place *behind, int64_t limit,
                           int64_t chars_max, struct arena *a, struct agent_log_pending **out,
                           size_t *out_count, struct err *err) {
    struct db_rows r;
    int rc = db_read(s->db, SQL_AGENT_LOG_PENDING,
                     DB_PARAMS(DB_T(behind->owner), DB_UUID(behind->session_id), DB_I(behind->at),
                               DB_I(limit), DB_I(chars_max)),
                     a, &r, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct agent_log_pending, r.row_count + 1);
    *out_count = r.row_count;
    for (size_t i = 0; i < r.row_count; i++)
        (*out)[i] = (struct agent_log_pending){.owner = db_str(&r, i, 0),
                                               .session_id = db_id(&r, i, 1),
                                               .created_at = db_int(&r, i, 2),
                                               .id = db_id(&r, i, 3),
                                               .level = db_str(&r, i, 4),
                                               .category = db_str(&r, i, 5),
                                               .message = db_str(&r, i, 6),
                                               .data = db_str(&r, i, 7)};
    return 0;
}

int agent_insight_embed(struct store *s, str text, struct arena *a, float **out, struct err *err) {
    const struct item_embedder *e = s->items.embedder;
    *out = NULL;
    return e ? e->embed(e->ctx, &text, 1, a, out, err) : 0;
}

static struct db_value ids_value(struct arena *a, const struct agent_log_pending *logs,
                                 size_t count) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        jw_str(&w, id_hex(a, logs[i].id));
    jw_array_end(&w);
    return DB_T(arena_take(a, &text));
}

static void text_add(struct store *s, struct db_batch *b, const struct agent_insight *n, str owner,
                     const float *vector) {
    const struct item_embedder *e = s->items.embedder;
    struct buf words;
    buf_init(&words, WORDS_BYTES_MAX);
    size_t count = terms_write(&words, n->text, 0);
    str text = arena_dup(b->arena, buf_view(&words));
    buf_deinit(&words);
    db_batch_add(b, SQL_AGENT_INSIGHT_TEXT,
                 DB_PARAMS(DB_UUID(n->id), DB_I((int64_t)count), DB_T(terms_owner(b->arena, owner)),
                           DB_T(text.p ? text : STR("")), vector ? DB_T(e->model) : DB_NIL,
                           vector ? DB_B(str_n((const char *)vector, e->dims * sizeof(*vector)))
                                  : DB_NIL),
                 DB_EXPECT_NONE);
}

int agent_insight_put(struct store *s, const struct agent_insight *n,
                      const struct agent_log_pending *logs, const float *vector, struct arena *a,
                      struct err *err) {
    struct db_value ids = ids_value(a, logs, (size_t)n->logs);
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_AGENT_INSIGHT_PUT,
                 DB_PARAMS(DB_UUID(n->id), DB_T(logs->owner), DB_UUID(n->session_id),
                           DB_T(n->category), DB_T(n->text), DB_I(n->logs), DB_I(n->first_at),
                           DB_I(n->last_at), DB_T(n->model), DB_I(n->created_at), ids),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    db_batch_add(&b, SQL_AGENT_INSIGHT_COVERS, DB_PARAMS(ids), DB_EXPECT_NONE);
    text_add(s, &b, n, logs->owner, vector);
    int rc = db_commit(s->db, &b, err);
    if (rc != ERR_CONFLICT)
        return rc;
    err_reset(err);
    return err_set(err, ERR_CONFLICT, "some of its logs have gone, or have an insight, meanwhile");
}

/* --- asking --- */

static struct agent_insight from_row(const struct db_rows *r, size_t row) {
    return (struct agent_insight){
        .id = db_id(r, row, 0),
        .session_id = db_id(r, row, 1),
        .category = db_str(r, row, 2),
        .logs = db_int(r, row, 3),
        .first_at = db_int(r, row, 4),
        .last_at = db_int(r, row, 5),
        .model = db_str(r, row, 6),
        .created_at = db_int(r, row, 7),
        .text = db_str(r, row, 9),
    };
}

int agent_insight_list(struct store *s, const struct principal *who,
                       const struct agent_log_query *q, struct arena *a, struct agent_insight **out,
                       size_t *out_count, struct agent_log_next *next, struct err *err) {
    struct db_rows rows;
    bool of_session = !id_is_nil(q->session_id);
    int64_t scan = q->category.p ? AGENT_LOG_SCAN_MAX : q->limit;
    int rc = db_read(s->db,
                     of_session ? SQL_AGENT_INSIGHT_LIST_SESSION : SQL_AGENT_INSIGHT_LIST_USER,
                     DB_PARAMS(DB_T(principal_owner(who)), db_uuid_or_null(q->session_id),
                               DB_T(q->category), DB_I(q->since_us), DB_I(q->below_us),
                               DB_UUID(q->below_id), DB_I(scan)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    size_t *page = agent_log_page(&rows, q, scan, 8, 7, a, out_count, next);
    *out = ARENA_ARRAY(a, struct agent_insight, *out_count + 1);
    for (size_t i = 0; i < *out_count; i++)
        (*out)[i] = from_row(&rows, page[i]);
    return 0;
}

static int search_words(struct store *s, const struct principal *who, str text,
                        const struct agent_log_query *q, struct arena *a,
                        struct agent_insight **out, size_t *out_count, struct err *err) {
    struct db_rows r;
    size_t count;
    str owner = principal_owner(who), words = terms_query(a, text, &count);
    *out_count = 0;
    *out = NULL;
    if (count == 0)
        return 0;
    int rc = db_read(s->db, SQL_AGENT_INSIGHT_SEARCH,
                     DB_PARAMS(DB_T(owner), db_uuid_or_null(q->session_id), DB_T(q->category),
                               DB_I(q->since_us), DB_I(q->below_us), DB_UUID(q->below_id),
                               DB_I(q->limit), DB_T(terms_owner(a, owner)), DB_T(words)),
                     a, &r, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct agent_insight, r.row_count + 1);
    *out_count = r.row_count;
    for (size_t i = 0; i < r.row_count; i++) {
        (*out)[i] = from_row(&r, i);
        (*out)[i].scored = true;
        (*out)[i].score = db_cell(&r, i, 10)->type == DB_REAL ? db_cell(&r, i, 10)->d : 0;
    }
    return 0;
}

struct near {
    struct id id;
    float score;
};

/* Into the best ones so far, of which there are `most` at most; among equals the newer is first. */
static void keep(struct near *best, size_t *count, size_t most, struct near one) {
    size_t at = *count;
    while (at > 0 && best[at - 1].score < one.score)
        at--;
    if (at == most)
        return;
    if (*count < most)
        (*count)++;
    memmove(&best[at + 1], &best[at], (*count - at - 1) * sizeof(*best));
    best[at] = one;
}

/* One step along the list; *below goes on behind it. */
static int near_step(struct store *s, const struct principal *who, const float *query,
                     struct agent_log_query *below, struct near *best, size_t *count,
                     size_t *out_read, struct err *err) {
    const struct item_embedder *e = s->items.embedder;
    vector_dot_fn dot = vector_dot_best();
    float query_length = vector_length(query, e->dims);
    struct arena a;
    struct db_rows r;
    arena_init(&a, STEP_BYTES_MAX);
    bool of_session = !id_is_nil(below->session_id);
    int rc =
        db_read(s->db,
                of_session ? SQL_AGENT_INSIGHT_VECTORS_SESSION : SQL_AGENT_INSIGHT_VECTORS_USER,
                DB_PARAMS(DB_T(principal_owner(who)), db_uuid_or_null(below->session_id),
                          DB_T(below->category), DB_I(below->since_us), DB_I(below->below_us),
                          DB_UUID(below->below_id), DB_I(STEP), DB_T(e->model)),
                &a, &r, err);
    *out_read = rc == 0 ? r.row_count : 0;
    float *v = ARENA_ARRAY(&a, float, e->dims);
    for (size_t i = 0; i < *out_read; i++) {
        str bytes = db_str(&r, i, 2);
        below->below_us = db_int(&r, i, 1);
        below->below_id = db_id(&r, i, 0);
        if (bytes.len != e->dims * sizeof(*v))
            continue;
        memcpy(v, bytes.p, bytes.len);
        float lengths = vector_length(v, e->dims) * query_length;
        float score = lengths > 0 ? dot(query, v, e->dims) / lengths : 0;
        keep(best, count, (size_t)below->limit, (struct near){below->below_id, score});
    }
    arena_deinit(&a);
    return rc;
}

static int fetch(struct store *s, const struct principal *who, const struct near *best,
                 size_t count, struct arena *a, struct agent_insight **out, size_t *out_count,
                 struct err *err) {
    struct db_rows r;
    struct agent_log_pending *ids = ARENA_ARRAY(a, struct agent_log_pending, count + 1);
    for (size_t i = 0; i < count; i++)
        ids[i].id = best[i].id;
    int rc = db_read(s->db, SQL_AGENT_INSIGHT_MANY,
                     DB_PARAMS(DB_T(principal_owner(who)), ids_value(a, ids, count)), a, &r, err);
    *out = ARENA_ARRAY(a, struct agent_insight, count + 1);
    *out_count = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        for (size_t k = 0; k < r.row_count; k++)
            if (id_eq(db_id(&r, k, 0), best[i].id)) {
                struct agent_insight *n = &(*out)[(*out_count)++];
                *n = from_row(&r, k);
                n->scored = true;
                n->score = (double)best[i].score;
            }
    return rc;
}

static int search_near(struct store *s, const struct principal *who, str text,
                       const struct agent_log_query *q, struct arena *a,
                       struct agent_insight **out, size_t *out_count, struct err *err) {
    struct agent_log_query below = *q;
    struct near *best = ARENA_ARRAY(a, struct near, (size_t)q->limit + 1);
    size_t count = 0, read = STEP, all = 0;
    float *query;
    int rc = agent_insight_embed(s, text, a, &query, err);
    for (; rc == 0 && read == STEP; all += read) {
        if (all >= AGENT_INSIGHT_SCAN_MAX)
            return err_set(err, ERR_INVALID,
                           "q: there are more than %d insights; a session_id or times narrow it",
                           AGENT_INSIGHT_SCAN_MAX);
        rc = near_step(s, who, query, &below, best, &count, &read, err);
    }
    return rc < 0 ? rc : fetch(s, who, best, count, a, out, out_count, err);
}

int agent_insight_search(struct store *s, const struct principal *who, str text,
                         const struct agent_log_query *q, struct arena *a,
                         struct agent_insight **out, size_t *out_count, struct err *err) {
    return (s->items.embedder ? search_near : search_words)(s, who, text, q, a, out, out_count,
                                                           err);
}

int agent_insight_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                      struct agent_insight *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_AGENT_INSIGHT_GET, who, id, "Insight not found", a, &rows, err);
    if (rc == 0)
        *out = from_row(&rows, 0);
    return rc;
}

int agent_insight_delete(struct store *s, const struct principal *who, struct id id,
                         struct arena *a, struct err *err) {
    return store_delete_owned(s, SQL_AGENT_INSIGHT_DELETE, who, id, "Insight not found", a, err);
}
