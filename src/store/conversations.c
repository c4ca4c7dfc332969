/* SPDX-License-Identifier: Apache-2.0 */
/* conversations.c - the list of conversations, and what they have beyond their threads.
 *
 * Design: a list is a walk along the threads' own indexes, from a place that a client names:
 * (owner, updated_at), which every run's end moves anyway, and the same of those with an
 * archived_at, which is empty for who archives nothing. The row of a title is looked up by key; its
 * words for the full-text index are written with it. Deleting a thread takes both along.
 *
 * A title is put behind a lock on the thread's row (PostgreSQL), so none is left of a thread that
 * goes at the same time. */
#include "store/conversations.h"

#include "base/clock.h"
#include "model/terms.h"
#include "store/conversation_texts.h"

#define WORDS_BYTES_MAX ((size_t)CONVERSATION_TITLE_BYTES_MAX * 2)

static int not_found(struct id id, struct err *err) {
    char text[ID_DASHED_LEN];
    id_write_dashed(id, text);
    return err_set(err, ERR_NOT_FOUND, "Conversation with ID %.*s not found", ID_DASHED_LEN, text);
}

str conversation_place_write(struct arena *a, const struct conversation_place *p) {
    return arena_printf(a, "%lld:" STR_FMT, (long long)p->updated_at, STR_ARG(id_dashed(a, p->id)));
}

bool conversation_place_read(str text, struct conversation_place *out) {
    struct conversation_place place;
    ptrdiff_t colon = text.len <= CONVERSATION_PLACE_LEN ? str_find_char(text, ':') : -1;
    if (colon < 0 || !str_to_i64(str_slice(text, 0, (size_t)colon), &place.updated_at) ||
        place.updated_at < 0 || place.updated_at > CONVERSATION_NEWEST.updated_at ||
        !id_parse(str_slice(text, (size_t)colon + 1, text.len), &place.id))
        return false;
    *out = place;
    return true;
}

str conversation_hit_write(struct arena *a, const struct conversation_hit *h) {
    return arena_printf(a, "%lld:" STR_FMT, (long long)h->rank,
                        STR_ARG(conversation_place_write(a, &h->at)));
}

bool conversation_hit_read(str text, struct conversation_hit *out) {
    struct conversation_hit hit;
    ptrdiff_t colon = text.len <= CONVERSATION_PLACE_LEN ? str_find_char(text, ':') : -1;
    if (colon < 0 || !str_to_i64(str_slice(text, 0, (size_t)colon), &hit.rank) || hit.rank < 0 ||
        hit.rank > CONVERSATION_RANK_MAX ||
        !conversation_place_read(str_slice(text, (size_t)colon + 1, text.len), &hit.at))
        return false;
    *out = hit;
    return true;
}

static void from_row(const struct db_rows *r, size_t row, struct conversation *out) {
    *out = (struct conversation){
        .id = db_id(r, row, 0),
        .metadata = db_str(r, row, 2),
        .created_at = db_int(r, row, 3),
        .updated_at = db_int(r, row, 4),
        .title = db_str(r, row, 5),
    };
    if (!thread_status_parse(db_str(r, row, 1), &out->status))
        out->status = THREAD_ERROR;
}

static void from_rows(const struct db_rows *r, struct arena *a, struct conversation **out,
                      size_t *out_count) {
    *out = ARENA_ARRAY(a, struct conversation, r->row_count + 1);
    for (size_t i = 0; i < r->row_count; i++)
        from_row(r, i, &(*out)[i]);
    *out_count = r->row_count;
}

int conversation_list(struct store *s, const struct principal *who,
                      const struct conversation_page *page, struct arena *a,
                      struct conversation **out, size_t *out_count, struct err *err) {
    static const enum db_stmt stmts[2][2] = {
        {SQL_CONVERSATION_OLDER_OPEN, SQL_CONVERSATION_OLDER_ARCHIVED},
        {SQL_CONVERSATION_NEWER_OPEN, SQL_CONVERSATION_NEWER_ARCHIVED},
    };
    struct db_rows rows;
    int rc = db_read(s->db, stmts[page->newer][page->archived],
                     DB_PARAMS(DB_T(principal_owner(who)), DB_I(page->from.updated_at),
                               DB_UUID(page->from.id), DB_I(page->limit)),
                     a, &rows, err);
    if (rc == 0)
        from_rows(&rows, a, out, out_count);
    return rc;
}

int conversation_search(struct store *s, const struct principal *who, str text,
                        const struct conversation_hit *from, int64_t limit, struct arena *a,
                        struct conversation **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    size_t count;
    str owner = principal_owner(who), words = terms_query(a, text, &count);
    *out_count = 0;
    if (count == 0)
        return 0;
    int rc = conversation_words_index_all(s, a, err);
    if (rc == 0)
        rc = db_read(s->db, SQL_CONVERSATION_SEARCH,
                     DB_PARAMS(DB_T(owner), DB_T(terms_owner(a, owner)), DB_T(words), DB_I(limit),
                               DB_I(from->rank), DB_I(from->at.updated_at), DB_UUID(from->at.id)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    from_rows(&rows, a, out, out_count);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i].rank = db_int(&rows, i, 6);
    return 0;
}

static void title_add(struct db_batch *b, struct id id, str owner, str title) {
    struct buf words;
    buf_init(&words, WORDS_BYTES_MAX);
    size_t count = terms_write(&words, title, 0);
    str text = arena_dup(b->arena, buf_view(&words));
    buf_deinit(&words);
    db_batch_add(b, SQL_CONVERSATION_TITLE,
                 DB_PARAMS(DB_UUID(id), title.len ? DB_T(title) : DB_NIL), DB_EXPECT_NONE);
    db_batch_add(b, SQL_CONVERSATION_TITLE_WORDS,
                 DB_PARAMS(DB_UUID(id), DB_I((int64_t)count), DB_T(terms_owner(b->arena, owner)),
                           DB_T(text.p ? text : STR(""))),
                 DB_EXPECT_NONE);
}

int conversation_create(struct store *s, const struct principal *who, const struct thread_new *n,
                        str title, struct arena *a, struct err *err) {
    struct db_batch b;
    int64_t now = clock_wall_us();
    db_batch_init(&b, a);
    thread_insert_add(&b, who, n, now);
    if (title.len)
        title_add(&b, n->id, principal_owner(who), title);
    store_ride(s, &b, now);
    int rc = db_commit(s->db, &b, err);
    if (rc != ERR_EXISTS)
        return rc;
    /* Somebody else's answers as any other use of its id does. */
    struct conversation there;
    rc = conversation_get(s, who, n->id, a, &there, err);
    return rc < 0 ? rc : err_set(err, ERR_EXISTS, "Conversation already exists");
}

int conversation_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                     struct conversation *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_CONVERSATION_GET, who, id, "not found", a, &rows, err);
    if (rc < 0)
        return rc == ERR_NOT_FOUND ? not_found(id, err) : rc;
    from_row(&rows, 0, out);
    out->owner = db_str(&rows, 0, 6);
    out->config = db_str(&rows, 0, 7);
    out->summary = db_str(&rows, 0, 8);
    out->summary_upto = db_str(&rows, 0, 9);
    out->summary_at = db_int(&rows, 0, 10);
    return 0;
}

int conversation_change(struct store *s, const struct principal *who, const struct conversation *c,
                        const struct conversation_change *change, struct arena *a,
                        struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    if (change->metadata.p || change->opened)
        db_batch_add(&b, SQL_CONVERSATION_SET,
                     DB_PARAMS(DB_UUID(c->id), DB_T(principal_owner_low(who)),
                               DB_T(principal_owner_high(who)),
                               DB_T(change->metadata.p ? store_metadata(a, change->metadata)
                                                 : STR("{}")),
                               DB_T(change->opened ? STR(CONVERSATION_ARCHIVED) : STR(""))),
                     DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    if (change->titled) {
        db_batch_add(&b, SQL_CONVERSATION_HOLD, DB_PARAMS(DB_UUID(c->id), DB_T(c->owner)),
                     DB_EXPECT_CHANGE(ERR_NOT_FOUND));
        title_add(&b, c->id, c->owner, change->title);
    }
    if (b.count == 0)
        return 0;
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? not_found(c->id, err) : rc;
}

int conversation_summary_put(struct store *s, const struct conversation *c, str summary, str upto,
                             struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_CONVERSATION_HOLD, DB_PARAMS(DB_UUID(c->id), DB_T(c->owner)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(&b, SQL_CONVERSATION_SUMMARY,
                 DB_PARAMS(DB_UUID(c->id), DB_T(summary), DB_T(upto), DB_I(clock_wall_us()),
                           DB_T(c->summary_upto.p ? c->summary_upto : STR(""))),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? not_found(c->id, err) : rc;
}
