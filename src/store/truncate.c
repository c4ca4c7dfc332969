/* SPDX-License-Identifier: Apache-2.0 */
/* truncate.c - everything of a kind goes, whosever it is.
 *
 * A thread is deleted, or forgets its states, in one batch, as with the requests for one thread;
 * the caller has stopped its runs. Rows that are found by their kind alone go ROWS at a time, each
 * time in a batch of their own, so that nobody waits long. A stop in between leaves every thread
 * whole, and asking again goes on. */
#include "store/truncate.h"

#include "store/assistants.h"
#include "store/conversation_texts.h"
#include "store/items.h"

#define ROWS 500

int truncate_walk(struct store *s, struct arena *a, struct truncate_page *page, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_TRUNCATE_THREADS,
                     DB_PARAMS(DB_UUID(page->after), DB_I(TRUNCATE_PAGE)), a, &rows, err);
    if (rc < 0)
        return rc;
    page->count = rows.row_count;
    for (size_t i = 0; i < rows.row_count; i++) {
        page->threads[i] = (struct truncate_thread){db_id(&rows, i, 0), db_int(&rows, i, 1)};
        page->after = page->threads[i].id;
    }
    return 0;
}

int truncate_states(struct store *s, struct id thread_id, struct arena *a, struct err *err) {
    static const enum db_stmt rest[] = {SQL_THREAD_DELETE_EVENTS, SQL_THREAD_DELETE_CHECKPOINTS,
                                        SQL_THREAD_DELETE_WRITES, SQL_THREAD_DELETE_VALUES,
                                        SQL_THREAD_DELETE_LISTS};
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_TRUNCATE_STATE, DB_PARAMS(DB_UUID(thread_id)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    for (size_t i = 0; i < ARRAY_COUNT(rest); i++)
        store_add_known(s, &b, rest[i], DB_PARAMS(DB_UUID(thread_id)));
    conversation_texts_drop_add(&b, thread_id);
    return db_commit(s->db, &b, err);
}

/* Until there is none left. */
static int clear(struct store *s, enum db_stmt stmt, struct err *err) {
    struct arena a;
    int64_t changed;
    int rc;
    arena_init(&a, SIZE_MAX / 2);
    do {
        struct db_batch b;
        arena_reset(&a);
        db_batch_init(&b, &a);
        db_batch_add(&b, stmt, DB_PARAMS(DB_I(ROWS)), DB_EXPECT_COUNT);
        rc = db_commit(s->db, &b, err);
        changed = b.ops[0].changed;
    } while (rc == 0 && changed > 0);
    arena_deinit(&a);
    return rc;
}

static int clear_all(struct store *s, const enum db_stmt *stmts, size_t count, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = clear(s, stmts[i], err);
    return rc;
}

int truncate_runs(struct store *s, struct err *err) {
    static const enum db_stmt stmts[] = {SQL_TRUNCATE_PLANS, SQL_TRUNCATE_EVENTS,
                                         SQL_TRUNCATE_RUNS};
    int rc = clear_all(s, stmts, ARRAY_COUNT(stmts), err);
    return rc == 0 && s->shared ? clear(s, SQL_TRUNCATE_RUN_STATES, err) : rc;
}

int truncate_rest_of_threads(struct store *s, struct err *err) {
    int rc = clear(s, SQL_TRUNCATE_ALL_CONVERSATION_OWNERS, err);
    return rc == 0 && s->shared ? clear(s, SQL_TRUNCATE_STRANGE_THREADS, err) : rc;
}

/* Of LangGraph's tables that which refers goes first, as its libraries write it last. */
int truncate_loose_states(struct store *s, struct err *err) {
    static const enum db_stmt stmts[] = {SQL_TRUNCATE_THREAD_STATES, SQL_TRUNCATE_LG_CHECKPOINTS,
                                         SQL_TRUNCATE_LG_WRITES, SQL_TRUNCATE_LG_BLOBS};
    return s->shared ? clear_all(s, stmts, ARRAY_COUNT(stmts), err) : 0;
}

/* A source first: what comes meanwhile finds none. */
int truncate_inbox(struct store *s, struct err *err) {
    static const enum db_stmt stmts[] = {SQL_TRUNCATE_ALL_INBOX_SOURCES, SQL_TRUNCATE_ALL_INBOX};
    return clear_all(s, stmts, ARRAY_COUNT(stmts), err);
}

/* Logs first: what has none makes no insight. */
int truncate_agent_logs(struct store *s, struct err *err) {
    static const enum db_stmt stmts[] = {SQL_TRUNCATE_ALL_AGENT_LOGS,
                                         SQL_TRUNCATE_ALL_AGENT_INSIGHTS};
    return clear_all(s, stmts, ARRAY_COUNT(stmts), err);
}

int truncate_plan_templates(struct store *s, struct err *err) {
    return clear(s, SQL_TRUNCATE_ALL_PLAN_TEMPLATES, err);
}

int truncate_projects(struct store *s, struct err *err) {
    static const enum db_stmt stmts[] = {SQL_TRUNCATE_ALL_PROJECTS, SQL_TRUNCATE_ALL_SETTINGS};
    return clear_all(s, stmts, ARRAY_COUNT(stmts), err);
}

int truncate_preferences(struct store *s, struct err *err) {
    static const enum db_stmt stmts[] = {SQL_TRUNCATE_ALL_PREFERENCES,
                                         SQL_TRUNCATE_ALL_PREFERENCE_OVERRIDES};
    return clear_all(s, stmts, ARRAY_COUNT(stmts), err);
}

int truncate_webhooks(struct store *s, struct err *err) {
    static const enum db_stmt stmts[] = {SQL_TRUNCATE_ALL_WEBHOOKS, SQL_TRUNCATE_ALL_DELIVERIES};
    return clear_all(s, stmts, ARRAY_COUNT(stmts), err);
}

/* A session last: what is without one could get into the next of its number. */
int truncate_histories(struct store *s, struct err *err) {
    static const enum db_stmt stmts[] = {
        SQL_TRUNCATE_ALL_HISTORY_EVENTS, SQL_TRUNCATE_ALL_HISTORY_CHECKPOINTS,
        SQL_TRUNCATE_HISTORY_CONSUMERS, SQL_TRUNCATE_ALL_HISTORY_SESSIONS,
        SQL_TRUNCATE_HISTORY_RETENTION};
    return clear_all(s, stmts, ARRAY_COUNT(stmts), err);
}

int truncate_assistants(struct store *s, struct err *err) {
    static const struct principal server = {.all = true};
    struct arena a;
    struct id after = ID_NIL;
    size_t count;
    int rc;
    arena_init(&a, SIZE_MAX / 2);
    do {
        struct db_rows rows;
        arena_reset(&a);
        rc = db_read(s->db, SQL_TRUNCATE_ASSISTANTS, DB_PARAMS(DB_UUID(after), DB_I(ROWS)), &a,
                     &rows, err);
        count = rc == 0 ? rows.row_count : 0;
        for (size_t i = 0; rc == 0 && i < count; i++) {
            after = db_id(&rows, i, 0);
            rc = assistant_delete(s, &server, after, false, &a, err);
            if (rc == ERR_NOT_FOUND) { /* somebody else has deleted it */
                err_reset(err);
                rc = 0;
            }
        }
    } while (rc == 0 && count == ROWS);
    arena_deinit(&a);
    return rc;
}

/* *after: three texts in memory that outlives the page's. */
static int items_page(struct store *s, str after[3], struct arena *a, size_t *out_count,
                      struct err *err) {
    struct db_rows rows;
    struct db_batch b;
    int rc = db_read(s->db, SQL_TRUNCATE_ITEMS,
                     DB_PARAMS(DB_T(after[0]), DB_T(after[1]), DB_T(after[2]), DB_I(ROWS)), a,
                     &rows, err);
    if (rc < 0)
        return rc;
    *out_count = rows.row_count;
    db_batch_init(&b, a);
    for (size_t i = 0; i < rows.row_count; i++) {
        struct principal owner = {.owner = db_str(&rows, i, 0)};
        item_delete_add(&owner, db_str(&rows, i, 1), db_str(&rows, i, 2), &b);
        for (size_t k = 0; k < 3; k++)
            after[k] = db_str(&rows, i, k);
    }
    return b.count ? db_commit(s->db, &b, err) : 0;
}

int truncate_items(struct store *s, struct err *err) {
    struct arena pages[2]; /* where a page ended lies in its own, until the next one is read */
    str after[3] = {STR(""), STR(""), STR("")};
    size_t count = 0, turn = 0;
    int rc;
    for (size_t i = 0; i < 2; i++)
        arena_init(&pages[i], SIZE_MAX / 2);
    do {
        struct arena *a = &pages[turn++ % 2];
        arena_reset(a);
        rc = items_page(s, after, a, &count, err);
    } while (rc == 0 && count == ROWS);
    for (size_t i = 0; i < 2; i++)
        arena_deinit(&pages[i]);
    return rc;
}
