/* SPDX-License-Identifier: Apache-2.0 */
/* plans.c - plans and their steps.
 *
 * Creating a plan is one statement (three, where the database cannot do them in one) and changing
 * many of its steps is two, whatever their number: the rows go as one JSON text that the database
 * takes apart. Lists are read by keyset: ids are
 * ordered by time, so a page begins before the last id of the one before. */
#include "store/plans.h"

#include "store/gates.h"
#include "store/plan_work.h"
#include "store/webhooks.h"

#define PLAN_COLUMNS 24
static enum run_state state_of(str word) {
    enum run_state state;
    return run_state_parse(word, &state) ? state : RUN_STATE_FAILED;
}

static struct plan_row plan_from_row(const struct db_rows *r, size_t row) {
    return (struct plan_row){
        .id = db_id(r, row, 0),
        .thread_id = db_id(r, row, 1),
        .run_id = db_id(r, row, 2),
        .owner = db_str(r, row, 3),
        .project = db_str(r, row, 4),
        .goal = db_str(r, row, 5),
        .hash = db_str(r, row, 6),
        .metadata = db_str(r, row, 7),
        .concurrency = db_int(r, row, 8),
        .status = state_of(db_str(r, row, 9)),
        .version = db_int(r, row, 10),
        .step_count = db_int(r, row, 11),
        .fault_count = db_int(r, row, 12),
        .succeeded = db_int(r, row, 13),
        .failed = db_int(r, row, 14),
        .cancelled = db_int(r, row, 15),
        .timed_out = db_int(r, row, 16),
        .error = db_str(r, row, 17),
        .created_at = db_int(r, row, 18),
        .started_at = db_int(r, row, 19),
        .ended_at = db_int(r, row, 20),
        .updated_at = db_int(r, row, 21),
        .attempt = db_int(r, row, 22),
        .rerun_of = db_is_null(r, row, 23) ? ID_NIL : db_id(r, row, 23),
    };
}

static struct plan_step_row step_from_row(const struct db_rows *r, size_t row, size_t col) {
    return (struct plan_step_row){
        .position = db_int(r, row, col),
        .name = db_str(r, row, col + 1),
        .tool = db_str(r, row, col + 2),
        .inputs = db_str(r, row, col + 3),
        .spec = db_str(r, row, col + 4),
        .key = db_str(r, row, col + 5),
        .status = state_of(db_str(r, row, col + 6)),
        .attempt = db_int(r, row, col + 7),
        .wish = db_str(r, row, col + 8),
        .output = db_str(r, row, col + 9),
        .error = db_str(r, row, col + 10),
        .started_at = db_int(r, row, col + 11),
        .ended_at = db_int(r, row, col + 12),
        .losses = db_int(r, row, col + 13),
        .spent = db_int(r, row, col + 14),
    };
}

/* --- writing --- */

static struct plan_step_row new_step(struct arena *a, struct id plan_id, size_t i,
                                     const struct plan_step *s, int64_t now_us) {
    char key[PLAN_KEY_LEN];
    plan_step_key(plan_id, i, s->name, s->inputs, key);
    bool over = s->fault.p || s->output.p;
    return (struct plan_step_row){.position = (int64_t)i,
                                  .name = s->name,
                                  .tool = s->tool,
                                  .inputs = s->inputs,
                                  .spec = plan_step_spec(a, s),
                                  .key = arena_dup(a, str_n(key, sizeof(key))),
                                  .status = s->fault.p    ? RUN_STATE_FAILED
                                            : s->output.p ? RUN_STATE_SUCCEEDED
                                                          : RUN_STATE_QUEUED,
                                  .output = s->fault.p ? STR_NULL : s->output,
                                  .error = s->fault,
                                  .ended_at = over ? now_us : 0};
}

void plan_rows_make(struct arena *a, const struct plan_place *place, const struct plan_spec *plan,
                    int64_t now_us, struct plan_rows *out) {
    struct plan_step_row *steps = ARENA_ARRAY(a, struct plan_step_row, plan->step_count + 1);
    int64_t done = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        steps[i] = new_step(a, place->id, i, &plan->steps[i], now_us);
        done += steps[i].status == RUN_STATE_SUCCEEDED;
    }
    *out = (struct plan_rows){
        .row = {.id = place->id,
                .thread_id = place->thread_id,
                .run_id = place->run_id,
                .owner = place->owner.p ? place->owner : STR(""),
                .project = plan->project.p ? plan->project : STR("default"),
                .goal = plan->goal,
                .hash = plan->hash,
                .metadata = plan->metadata,
                .concurrency = plan->concurrency,
                .status = RUN_STATE_QUEUED,
                .version = 1,
                .step_count = (int64_t)plan->step_count,
                .fault_count = (int64_t)plan->fault_count,
                .succeeded = done,
                .failed = (int64_t)plan->fault_count,
                .created_at = now_us,
                .updated_at = now_us,
                .rerun_of = place->rerun_of},
        .steps = steps};
}

static size_t step_bytes(const struct plan_step_row *s) {
    return sizeof(*s) + s->name.len + s->tool.len + s->inputs.len + s->spec.len + s->key.len +
           s->output.len + s->error.len;
}

struct plan_rows *plan_rows_copy(struct arena *a, const struct plan_rows *rows, size_t bytes_max) {
    size_t count = (size_t)rows->row.step_count, bytes = 0;
    for (size_t i = 0; i < count && bytes <= bytes_max; i++)
        bytes += step_bytes(&rows->steps[i]);
    if (bytes > bytes_max)
        return NULL;
    struct plan_rows *out = ARENA_NEW(a, struct plan_rows);
    struct plan_row *row = &out->row;
    *row = rows->row;
    row->owner = arena_dup(a, row->owner);
    row->project = arena_dup(a, row->project);
    row->goal = arena_dup(a, row->goal);
    row->hash = arena_dup(a, row->hash);
    row->metadata = arena_dup(a, row->metadata);
    out->steps = ARENA_ARRAY(a, struct plan_step_row, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct plan_step_row *s = &out->steps[i];
        *s = rows->steps[i];
        s->name = arena_dup(a, s->name);
        s->tool = arena_dup(a, s->tool);
        s->inputs = arena_dup(a, s->inputs);
        s->spec = arena_dup(a, s->spec);
        s->key = arena_dup(a, s->key);
        s->output = arena_dup(a, s->output);
        s->error = arena_dup(a, s->error);
    }
    return out;
}

static str insert_rows(struct arena *a, const struct plan_rows *rows) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (int64_t i = 0; i < rows->row.step_count; i++) {
        const struct plan_step_row *s = &rows->steps[i];
        jw_object(&w);
        jw_key(&w, "p");
        jw_i64(&w, s->position);
        jw_key(&w, "n");
        jw_str(&w, s->name);
        jw_key(&w, "t");
        jw_str(&w, s->tool);
        jw_key(&w, "i");
        jw_raw(&w, s->inputs);
        jw_key(&w, "s");
        jw_raw(&w, s->spec);
        jw_key(&w, "k");
        jw_str(&w, s->key);
        if (s->error.p) {
            jw_key(&w, "x");
            jw_str(&w, s->error);
        } else if (s->output.p) {
            jw_key(&w, "o");
            jw_raw(&w, s->output);
        }
        jw_object_end(&w);
    }
    jw_array_end(&w);
    return arena_take(a, &b);
}

#define NEW_PARAMS(r)                                                                       \
    DB_UUID((r)->id), DB_UUID((r)->thread_id), DB_UUID((r)->run_id), DB_T((r)->owner),             \
        DB_T((r)->project), DB_T((r)->goal), DB_T((r)->hash), DB_T((r)->metadata),                 \
        DB_I((r)->concurrency), DB_I((r)->step_count), DB_I((r)->fault_count),                     \
        DB_I((r)->created_at), db_uuid_or_null((r)->rerun_of), DB_I((r)->succeeded)

size_t plan_rows_add(struct store *s, struct db_batch *b, const struct plan_rows *rows,
                     int64_t log_count, int64_t kind) {
    const struct plan_row *r = &rows->row;
    str steps = insert_rows(b->arena, rows);
    if (db_knows(s->db, SQL_PLAN_NEW))
        return db_batch_add(b, SQL_PLAN_NEW,
                            DB_PARAMS(NEW_PARAMS(r), DB_T(steps), DB_I(log_count), DB_I(kind),
                                      DB_I(r->created_at / 1000)),
                            DB_EXPECT_NONE);
    db_batch_add(b, SQL_PLAN_INSERT, DB_PARAMS(NEW_PARAMS(r)), DB_EXPECT_NONE);
    db_batch_add(b, SQL_PLAN_STEPS_INSERT,
                 DB_PARAMS(DB_UUID(r->id), DB_I(r->created_at), DB_T(steps)), DB_EXPECT_NONE);
    return webhook_outbox_add(b, r->thread_id, log_count, (const int64_t[]){kind, kind},
                              r->created_at);
}

static void write_ago(struct json_writer *w, const char *key, int64_t at, int64_t now_us) {
    if (!at)
        return;
    jw_key(w, key);
    jw_i64(w, now_us - at);
}

static void write_count(struct json_writer *w, const char *key, int count) {
    if (!count)
        return;
    jw_key(w, key);
    jw_i64(w, count);
}

static str change_rows(struct arena *a, const struct plan_change *c, int64_t now_us) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < c->step_count; i++) {
        const struct plan_step_change *s = &c->steps[i];
        jw_object(&w);
        jw_key(&w, "p");
        jw_i64(&w, (int64_t)s->position);
        jw_key(&w, "s");
        jw_str(&w, run_state_name(s->status));
        jw_key(&w, "a");
        jw_i64(&w, s->attempt);
        write_count(&w, "l", s->losses);
        write_count(&w, "f", s->spent);
        write_ago(&w, "b", s->started_at, now_us);
        write_ago(&w, "e", s->ended_at, now_us);
        if (s->output.p) {
            jw_key(&w, "o");
            jw_raw(&w, s->output);
        }
        if (s->error.p) {
            jw_key(&w, "x");
            jw_str(&w, s->error);
        }
        jw_object_end(&w);
    }
    jw_array_end(&w);
    return arena_take(a, &b);
}

void plan_change_add(struct db_batch *b, const struct plan_change *c, int64_t now_us) {
    db_batch_add(b, SQL_PLAN_ADVANCE,
                 DB_PARAMS(DB_UUID(c->plan_id), DB_I(c->version), DB_T(run_state_name(c->status)),
                           DB_I(c->succeeded), DB_I(c->failed), DB_I(c->cancelled),
                           DB_I(c->timed_out), DB_T(c->error), DB_UUID(c->run_id), DB_I(now_us),
                           DB_I(c->run_attempt)),
                 DB_EXPECT_CHANGE(c->code ? c->code : ERR_CONFLICT));
    if (!c->step_count)
        return;
    str rows = change_rows(b->arena, c, now_us);
    db_batch_add(b, SQL_PLAN_STEPS_UPDATE,
                 DB_PARAMS(DB_UUID(c->plan_id), DB_I(now_us), DB_T(rows)), DB_EXPECT_NONE);
}

void plan_step_wish_add(struct db_batch *b, struct id plan_id, int64_t position, str wish) {
    db_batch_add(b, SQL_PLAN_STEP_WISH, DB_PARAMS(DB_UUID(plan_id), DB_I(position), DB_T(wish)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
}

void plan_end_add(struct db_batch *b, struct id thread_id, struct id run_id, bool blocked,
                  enum run_state status, str error, int64_t now_us) {
    db_batch_add(b, SQL_PLAN_END,
                 DB_PARAMS(DB_UUID(thread_id), DB_T(run_state_name(status)), DB_T(error),
                           DB_T(blocked ? STR("blocked") : STR("queued")), DB_T(STR("running")),
                           DB_I(now_us), DB_UUID(run_id)),
                 DB_EXPECT_NONE);
    db_batch_add(b, SQL_PLAN_END_STEPS, DB_PARAMS(DB_UUID(thread_id), DB_I(now_us)),
                 DB_EXPECT_NONE);
    gates_end_add(b, thread_id, now_us);
    work_end_add(b, thread_id);
}

/* --- reading --- */

int plan_get(struct store *s, const struct principal *who, struct id id, int64_t step_limit,
             struct arena *a, struct plan_row *out, struct plan_step_row **out_steps,
             size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PLAN_GET,
                     DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)),
                               DB_T(principal_owner_high(who)), DB_I(step_limit)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, "Plan run not found");
    *out = plan_from_row(&rows, 0);
    struct plan_step_row *steps = ARENA_ARRAY(a, struct plan_step_row, rows.row_count);
    size_t count = 0;
    for (size_t i = 0; i < rows.row_count; i++)
        if (!db_is_null(&rows, i, PLAN_COLUMNS))
            steps[count++] = step_from_row(&rows, i, PLAN_COLUMNS);
    *out_steps = steps;
    *out_count = count;
    return 0;
}

int plan_of_thread(struct store *s, struct id thread_id, struct arena *a, struct plan_row *out,
                   bool *out_found, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PLAN_OF_THREAD, DB_PARAMS(DB_UUID(thread_id)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out_found = rows.row_count > 0;
    if (*out_found)
        *out = plan_from_row(&rows, 0);
    return 0;
}

int plan_steps(struct store *s, struct id plan_id, int64_t after, const enum run_state *status,
               int64_t limit, struct arena *a, struct plan_step_row **out, size_t *out_count,
               struct err *err) {
    struct db_rows rows;
    str low = status ? run_state_name(*status) : STR("");
    int rc = db_read(s->db, SQL_PLAN_STEPS,
                     DB_PARAMS(DB_UUID(plan_id), DB_I(after), DB_T(low),
                               DB_T(status ? low : STR_LAST), DB_I(limit)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    struct plan_step_row *list = ARENA_ARRAY(a, struct plan_step_row, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = step_from_row(&rows, i, 0);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int plan_wishes(struct store *s, struct id plan_id, struct arena *a, struct plan_wishes *out,
                struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PLAN_WISHES, DB_PARAMS(DB_UUID(plan_id)), a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, "Plan run not found");
    *out = (struct plan_wishes){.version = db_int(&rows, 0, 0),
                                .run_id = db_id(&rows, 0, 3),
                                .status = state_of(db_str(&rows, 0, 4)),
                                .list = ARENA_ARRAY(a, struct plan_wish, rows.row_count)};
    for (size_t i = 0; i < rows.row_count; i++)
        if (!db_is_null(&rows, i, 1))
            out->list[out->count++] =
                (struct plan_wish){db_int(&rows, i, 1), db_str(&rows, i, 2)};
    return 0;
}

int plan_list(struct store *s, const struct principal *who, const struct plan_filter *f,
              struct arena *a, struct plan_row **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    struct db_value owner = DB_T(principal_owner(who));
    struct db_value before = DB_UUID(id_is_nil(f->before) ? ID_LAST : f->before);
    str low = f->status ? run_state_name(*f->status) : STR("");
    int rc;
    if (f->project.p)
        rc = db_read(s->db, SQL_PLAN_PAGE_PROJECT,
                     DB_PARAMS(owner, before, DB_I(f->limit), DB_T(f->project), DB_T(low),
                               DB_T(f->status ? low : STR_LAST)),
                     a, &rows, err);
    else if (f->status)
        rc = db_read(s->db, SQL_PLAN_PAGE_STATUS,
                     DB_PARAMS(owner, before, DB_I(f->limit), DB_T(low)), a, &rows, err);
    else
        rc = db_read(s->db, SQL_PLAN_PAGE, DB_PARAMS(owner, before, DB_I(f->limit)), a, &rows,
                     err);
    if (rc < 0)
        return rc;
    struct plan_row *list = ARENA_ARRAY(a, struct plan_row, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = plan_from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int plan_events(struct store *s, struct id thread_id, int64_t after, int kind, int64_t limit,
                struct arena *a, struct plan_event_row **out, size_t *out_count,
                struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PLAN_EVENTS,
                     DB_PARAMS(DB_UUID(thread_id), DB_I(after), DB_I(kind), DB_I(limit)), a,
                     &rows, err);
    if (rc < 0)
        return rc;
    struct plan_event_row *list = ARENA_ARRAY(a, struct plan_event_row, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = (struct plan_event_row){.seq = db_int(&rows, i, 0),
                                          .run_id = db_id(&rows, i, 1),
                                          .at = db_int(&rows, i, 2),
                                          .data = db_str(&rows, i, 3)};
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int plan_backlog(struct store *s, struct arena *a, int64_t *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PLAN_BACKLOG, DB_NO_PARAMS, a, &rows, err);
    if (rc == 0)
        *out = db_int(&rows, 0, 0);
    return rc;
}
