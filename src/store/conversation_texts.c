/* SPDX-License-Identifier: Apache-2.0 */
/* conversation_texts.c - makes texts of the messages that were added since somebody searched last.
 *
 *   conversation_owners   owner → upto_at: threads that were added to before have been looked at
 *   conversation_marks    thread → seen_at, its updated_at then, and which messages have texts
 *   conversation_texts    (thread, number) → words; number -1 is the title
 *
 * A walk goes along the index (owner, updated_at) from upto_at on and passes over those whose
 * seen_at is their updated_at. What several processes commit comes into that order late: upto_at
 * stays OVERLAP_US behind.
 *
 * A mark is "LIST:COUNT:CHAIN". Of a list in segments the number of the list stands for its
 * messages: if it is the same, only what is behind COUNT is read. Elsewhere LIST is 0, a state is
 * read whole, and CHAIN, a hash over the first COUNT messages, says whether they are the same. When
 * they are not, the texts of the thread are made anew.
 *
 * Texts of many threads share a batch. Each stands behind a lock on its thread (PostgreSQL), so
 * that none is left of one that goes, and behind its mark, which must be as it was read: of two
 * that do the same one is refused, does its page again thread by thread, and passes over what the
 * other does. */
#include "store/conversation_texts.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "model/terms.h"
#include "store/conversation_messages.h"
#include "store/waiting_words.h"

#define OVERLAP_US      INT64_C(60000000)
#define STEP_THREADS    50
#define PART_SEGMENTS   200
#define BATCH_TEXTS     200
#define BATCH_BYTES     ((size_t)512 << 10)
#define WORDS_BYTES_MAX ((size_t)TERMS_COUNT_MAX * (TERM_BYTES_MAX + 1))
#define LIST_BYTES_MAX  (BATCH_BYTES + 2 * WORDS_BYTES_MAX)

/* --- marks --- */

struct mark {
    int64_t list, count;
    struct id chain; /* list 0: of the first `count` messages */
};

static str mark_write(struct arena *a, const struct mark *m) {
    return arena_printf(a, "%lld:%lld:" STR_FMT, (long long)m->list, (long long)m->count,
                        STR_ARG(id_hex(a, m->chain)));
}

static bool mark_read(str text, struct mark *out) {
    str list, count;
    return str_split_next(&text, ':', &list) && str_split_next(&text, ':', &count) &&
           str_to_i64(list, &out->list) && str_to_i64(count, &out->count) &&
           id_parse(text, &out->chain);
}

static struct id chained(struct id chain, yyjson_val *message, struct arena *a) {
    str parts[] = {str_n((const char *)chain.b, sizeof(chain.b)),
                   json_text(a, json_get(message, "id")),
                   json_text(a, json_get(message, "content"))};
    struct id next;
    STATIC_ASSERT(sizeof(next.b) == HASH_XXH3_BYTES, "a chain is a hash");
    hash_xxh3(arena_concat(a, parts, ARRAY_COUNT(parts)), next.b);
    return next;
}

/* --- texts, gathered for a batch --- */

struct gather {
    struct store *s;
    str owner, owner_word;
    struct arena batch_arena; /* of what waits for the commit */
    struct arena read_arena;  /* of what is read of one thread */
    struct db_batch b;
    size_t texts, bytes; /* in the batch */
    bool alone;          /* a batch has one thread: who is refused is passed over */
    bool refused;        /* somebody else does one of them at the same time */
};

/* The thread that is looked at. */
struct looked {
    struct id id;
    int64_t updated_at;
    str old;          /* its mark as it is stored; "": none */
    struct mark mark; /* as far as it has come */
    bool anew;        /* what there is goes */
    struct buf list;  /* JSON array of texts */
    struct json_writer w;
    size_t count; /* of texts in it */
};

static int commit(struct gather *g, struct err *err) {
    int rc = g->b.count > 0 ? db_commit(g->s->db, &g->b, err) : 0;
    if (g->alone && (rc == ERR_NOT_FOUND || rc == ERR_CONFLICT)) {
        g->refused = g->refused || rc == ERR_CONFLICT;
        err_reset(err);
        rc = 0;
    }
    arena_reset(&g->batch_arena);
    db_batch_init(&g->b, &g->batch_arena);
    g->texts = g->bytes = 0;
    return rc;
}

static void list_begin(struct looked *t) {
    buf_reset(&t->list);
    t->w = json_writer(&t->list);
    jw_array(&t->w);
    t->count = 0;
}

/* What was gathered of the thread goes into the batch. whole: it is all of it. */
static int put(struct gather *g, struct looked *t, bool whole, struct err *err) {
    struct arena *a = &g->batch_arena;
    str mark = mark_write(a, &t->mark);
    jw_array_end(&t->w);
    db_batch_add(&g->b, SQL_CONVERSATION_HOLD, DB_PARAMS(DB_UUID(t->id), DB_T(g->owner)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(&g->b, SQL_CONVERSATION_ROW, DB_PARAMS(DB_UUID(t->id)), DB_EXPECT_NONE);
    db_batch_add(&g->b, SQL_CONVERSATION_MARK,
                 DB_PARAMS(DB_UUID(t->id), DB_I(whole ? t->updated_at : 0), DB_T(mark),
                           DB_T(arena_dup(a, t->old))),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    if (t->anew)
        db_batch_add(&g->b, SQL_CONVERSATION_TEXTS_DROP, DB_PARAMS(DB_UUID(t->id)), DB_EXPECT_NONE);
    if (t->count > 0)
        db_batch_add(
            &g->b, SQL_CONVERSATION_TEXTS_PUT,
            DB_PARAMS(DB_UUID(t->id), DB_T(g->owner_word), DB_T(arena_dup(a, buf_view(&t->list)))),
            DB_EXPECT_NONE);
    g->texts += t->count;
    g->bytes += t->list.len;
    t->anew = false;
    list_begin(t);
    bool full = g->texts >= BATCH_TEXTS || g->bytes >= BATCH_BYTES;
    if (!whole)
        t->old = arena_dup(&g->read_arena, mark); /* in whose place the next one comes */
    return full || g->alone ? commit(g, err) : 0;
}

/* --- messages --- */

static bool is_said(yyjson_val *message) {
    str type = json_str(json_get(message, "type"));
    return str_eq(type, STR("human")) || str_eq(type, STR("ai"));
}

/* A text, or blocks of which some are texts. */
static size_t words_of(struct buf *words, yyjson_val *message) {
    yyjson_val *content = json_get(message, "content"), *block;
    size_t i, n, count = terms_write(words, json_str(content), 0);
    yyjson_arr_foreach(content, i, n, block) {
        bool text = str_eq(json_str(json_get(block, "type")), STR("text"));
        str said = text ? json_str(json_get(block, "text")) : json_str(block);
        count = terms_write(words, said, count);
    }
    return count;
}

static void add_text(struct looked *t, int64_t number, yyjson_val *message) {
    struct buf words;
    buf_init(&words, WORDS_BYTES_MAX);
    size_t count = is_said(message) ? words_of(&words, message) : 0;
    if (count > 0) {
        jw_array(&t->w);
        jw_i64(&t->w, number);
        jw_i64(&t->w, (int64_t)count);
        jw_str(&t->w, buf_view(&words));
        jw_array_end(&t->w);
        t->count++;
    }
    buf_deinit(&words);
}

/* Those of the list that have no text yet; a full batch is committed. */
static int add_messages(struct gather *g, struct looked *t, const struct message_list *list,
                        struct err *err) {
    int rc = 0;
    while (rc == 0 && t->mark.count < list->first + list->count) {
        yyjson_val *message = list->items[t->mark.count - list->first];
        add_text(t, t->mark.count, message);
        t->mark.count++;
        if (t->mark.list == 0)
            t->mark.chain = chained(t->mark.chain, message, &g->read_arena);
        if (g->texts + t->count >= BATCH_TEXTS || g->bytes + t->list.len >= BATCH_BYTES)
            rc = put(g, t, false, err);
    }
    return rc;
}

static void begin_anew(struct looked *t, int64_t list) {
    t->mark = (struct mark){.list = list};
    t->anew = t->old.len > 0;
}

static int add_listed(struct gather *g, struct looked *t, const struct checkpoint *c, int64_t list,
                      int64_t total, struct err *err) {
    struct arena each;
    int rc = 0;
    if (t->mark.list != list || t->mark.count > total)
        begin_anew(t, list);
    arena_init(&each, SIZE_MAX / 2);
    while (rc == 0 && t->mark.count < total) {
        struct message_list part;
        int64_t from = t->mark.count;
        arena_reset(&each);
        rc = conversation_messages_part(g->s, c, from, PART_SEGMENTS, &each, &part, err);
        if (rc == 0 && (part.first > from || part.first + part.count <= from))
            rc = err_set(err, ERR_CORRUPT, "a list of messages is shorter than its state says");
        if (rc == 0)
            rc = add_messages(g, t, &part, err);
    }
    arena_deinit(&each);
    return rc;
}

static int add_whole(struct gather *g, struct looked *t, struct checkpoint *c, struct err *err) {
    struct message_list all;
    struct id chain = ID_NIL;
    int rc = conversation_messages_all(g->s, c, &g->read_arena, &all, err);
    if (rc < 0)
        return rc;
    bool same = t->mark.list == 0 && t->mark.count <= all.count;
    for (int64_t i = 0; same && i < t->mark.count; i++)
        chain = chained(chain, all.items[i], &g->read_arena);
    if (!same || !id_eq(chain, t->mark.chain))
        begin_anew(t, 0);
    return add_messages(g, t, &all, err);
}

/* --- threads --- */

static int look(struct gather *g, struct looked *t, struct err *err) {
    struct checkpoint c;
    int64_t list, total;
    if (t->old.len == 0 || !mark_read(t->old, &t->mark))
        begin_anew(t, 0);
    int rc = checkpoint_get(g->s, t->id, STR(""), ID_NIL, &g->read_arena, &c, err);
    if (rc == ERR_NOT_FOUND) {
        err_reset(err);
        rc = 0;
        begin_anew(t, 0);
    } else if (rc == 0 && conversation_messages_listed(&c, &g->read_arena, &list, &total)) {
        rc = add_listed(g, t, &c, list, total, err);
    } else if (rc == 0) {
        rc = add_whole(g, t, &c, err);
    }
    /* One without messages leaves no trace. */
    return rc < 0 || (t->old.len == 0 && t->mark.count == 0) ? rc : put(g, t, true, err);
}

/* What cannot be read has no texts, and keeps nobody from the others. */
static bool is_unreadable(int rc) {
    return rc == ERR_CORRUPT || rc == ERR_TOO_LARGE || rc == ERR_INVALID;
}

static int look_at_row(struct gather *g, const struct db_rows *rows, size_t row, struct err *err) {
    char text[ID_DASHED_LEN];
    struct looked t = {
        .id = db_id(rows, row, 0), .updated_at = db_int(rows, row, 1), .old = db_str(rows, row, 3)};
    if (db_int(rows, row, 2))
        return 0;
    arena_reset(&g->read_arena);
    buf_init(&t.list, LIST_BYTES_MAX);
    list_begin(&t);
    int rc = look(g, &t, err);
    buf_deinit(&t.list);
    if (!is_unreadable(rc))
        return rc;
    id_write_dashed(t.id, text);
    log_event(LOG_WARN, "conversation.unread", err->message,
              LOG_STR("thread_id", str_n(text, sizeof(text))));
    err_reset(err);
    return 0;
}

static int look_at_page(struct gather *g, const struct db_rows *rows, struct err *err) {
    int rc = 0;
    arena_reset(&g->batch_arena);
    db_batch_init(&g->b, &g->batch_arena);
    g->texts = g->bytes = 0;
    for (size_t i = 0; rc == 0 && i < rows->row_count; i++)
        rc = look_at_row(g, rows, i, err);
    return rc == 0 ? commit(g, err) : rc;
}

/* --- walks --- */

int conversation_walk_begin(struct store *s, str owner, struct conversation_walk *w,
                            struct err *err) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, SIZE_MAX / 2);
    *w = (struct conversation_walk){.owner = owner, .began_us = clock_wall_us()};
    int rc = db_read(s->db, SQL_CONVERSATION_OWNER_GET, DB_PARAMS(DB_T(owner)), &a, &rows, err);
    if (rc == 0 && rows.row_count > 0)
        w->upto_at = w->at = db_int(&rows, 0, 0);
    arena_deinit(&a);
    return rc;
}

/* Behind what others may still commit; not worth a commit for less than the overlap. */
static int walk_note(struct store *s, const struct conversation_walk *w, struct arena *a,
                     struct err *err) {
    struct db_batch b;
    int64_t upto = w->began_us - OVERLAP_US;
    if (w->at < upto)
        upto = w->at;
    if (w->refused || upto < w->upto_at + OVERLAP_US)
        return 0;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_CONVERSATION_OWNER_PUT, DB_PARAMS(DB_T(w->owner), DB_I(upto)),
                 DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

/* The page behind where the walk is; its marks are read again for each try. */
static int look_at_next(struct gather *g, const struct conversation_walk *w, int64_t limit,
                        struct arena *a, struct db_rows *rows, struct err *err) {
    int rc =
        db_read(g->s->db, SQL_CONVERSATION_CHANGED,
                DB_PARAMS(DB_T(w->owner), DB_I(w->at), DB_UUID(w->id), DB_I(limit)), a, rows, err);
    return rc == 0 ? look_at_page(g, rows, err) : rc;
}

static int walk_step(struct gather *g, struct conversation_walk *w, int64_t limit,
                     int64_t *out_count, bool *more, struct arena *a, struct err *err) {
    struct db_rows rows;
    int rc = look_at_next(g, w, limit, a, &rows, err);
    if (rc == ERR_NOT_FOUND || rc == ERR_CONFLICT) {
        err_reset(err);
        g->alone = true;
        rc = look_at_next(g, w, limit, a, &rows, err);
    }
    if (rc < 0)
        return rc;
    w->refused = w->refused || g->refused;
    *out_count = (int64_t)rows.row_count;
    *more = *out_count == limit;
    if (rows.row_count > 0) {
        w->at = db_int(&rows, rows.row_count - 1, 1);
        w->id = db_id(&rows, rows.row_count - 1, 0);
    }
    return *more ? 0 : walk_note(g->s, w, a, err);
}

int conversation_walk_step(struct store *s, struct conversation_walk *w, int64_t limit,
                           int64_t *out_count, bool *more, struct err *err) {
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    struct gather g = {.s = s, .owner = w->owner, .owner_word = terms_owner(&a, w->owner)};
    arena_init(&g.batch_arena, SIZE_MAX / 2);
    arena_init(&g.read_arena, SIZE_MAX / 2);
    *out_count = 0;
    *more = false;
    int rc = walk_step(&g, w, limit, out_count, more, &a, err);
    arena_deinit(&g.read_arena);
    arena_deinit(&g.batch_arena);
    arena_deinit(&a);
    return rc;
}

int conversation_texts_update(struct store *s, str owner, int64_t budget_us, bool *whole,
                              struct err *err) {
    struct conversation_walk w;
    struct arena a;
    int64_t until_us = clock_mono_us() + budget_us, count;
    bool more = true;
    int rc = conversation_walk_begin(s, owner, &w, err);
    while (rc == 0 && more && clock_mono_us() < until_us)
        rc = conversation_walk_step(s, &w, STEP_THREADS, &count, &more, err);
    *whole = rc == 0 && !more;
    arena_init(&a, SIZE_MAX / 2);
    if (rc == 0 && more) /* the next one goes on from here */
        rc = walk_note(s, &w, &a, err);
    arena_deinit(&a);
    return rc;
}

/* --- what else is done with texts --- */

void conversation_texts_drop_add(struct db_batch *b, struct id thread_id) {
    db_batch_add(b, SQL_CONVERSATION_TEXTS_DROP, DB_PARAMS(DB_UUID(thread_id)), DB_EXPECT_NONE);
    db_batch_add(b, SQL_CONVERSATION_MARK_DROP, DB_PARAMS(DB_UUID(thread_id)), DB_EXPECT_NONE);
}

static const struct waiting_words WAITING = {SQL_CONVERSATION_TEXTS_WAITING,
                                             SQL_CONVERSATION_TEXTS_INDEX};

int conversation_words_index(struct store *s, int64_t limit, struct arena *a, int64_t *out_done,
                             struct err *err) {
    return waiting_words_take(s, &WAITING, limit, a, out_done, err);
}

int conversation_words_index_all(struct store *s, struct arena *a, struct err *err) {
    return waiting_words_take_all(s, &WAITING, a, err);
}
