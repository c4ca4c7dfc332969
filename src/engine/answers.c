/* SPDX-License-Identifier: Apache-2.0 */
/* answers.c - which questions a command answers: one answer for the only one, or answers by id.
 *
 * An execution that died may have given an answer and stored what came of it, below the root or in
 * one of several tasks, while the root's checkpoint, from which the next execution begins, is still
 * the one with the questions. So the batch that stores the task which got an answer adds a row
 * beside the root's checkpoint; answers with such a row of the same run are not given again.
 *
 * A run with strict_resume whose answers do not fit what is asked is refused: it ends in error
 * before anything of it is written, and the thread stays as it was, with the same questions. */
#include "engine/engine_int.h"

struct ids {
    str *list;
    size_t count;
};

static bool is_hex32(str s) {
    bool hex = s.len == 32;
    for (size_t i = 0; hex && i < s.len; i++)
        hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
    return hex;
}

/* Answers by the ids of interrupts. */
static bool is_map(yyjson_val *resume) {
    yyjson_val *key, *value;
    size_t i, n;
    bool map = yyjson_is_obj(resume);
    yyjson_obj_foreach(resume, i, n, key, value) map = map && is_hex32(json_str(key));
    return map;
}

static int by_text(const void *a, const void *b) {
    return str_cmp(*(const str *)a, *(const str *)b);
}

static bool ids_have(const struct ids *ids, str id) {
    for (size_t i = 0; i < ids->count; i++)
        if (str_eq(ids->list[i], id))
            return true;
    return false;
}

/* Of what is asked and not answered yet, in order. */
static struct ids waiting_ids(struct arena *a, yyjson_val *const *questions, size_t count) {
    struct ids ids = {.list = ARENA_ARRAY(a, str, count + 1), .count = count};
    for (size_t i = 0; i < count; i++)
        ids.list[i] = json_str(json_get(questions[i], "id"));
    qsort(ids.list, ids.count, sizeof(str), by_text);
    return ids;
}

static struct ids unknown_ids(struct arena *a, yyjson_val *resume, const struct ids *waiting) {
    struct ids ids = {.list = ARENA_ARRAY(a, str, yyjson_obj_size(resume) + 1)};
    yyjson_val *key, *value;
    size_t i, n;
    yyjson_obj_foreach(resume, i, n, key, value) {
        if (!ids_have(waiting, json_str(key)))
            ids.list[ids.count++] = json_str(key);
    }
    qsort(ids.list, ids.count, sizeof(str), by_text);
    return ids;
}

static void write_ids(struct json_writer *w, const char *key, const struct ids *ids) {
    jw_key(w, key);
    jw_array(w);
    for (size_t i = 0; i < ids->count; i++)
        jw_str(w, ids->list[i]);
    jw_array_end(w);
}

static void refuse(struct live_run *run, const char *reason, str message, const struct ids *unknown,
                   const struct ids *waiting) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "error");
    jw_z(&w, "UnknownInterruptError");
    jw_key(&w, "message");
    jw_str(&w, message);
    jw_key(&w, "reason");
    jw_z(&w, reason);
    write_ids(&w, "interrupt_ids", unknown);
    write_ids(&w, "pending_ids", waiting);
    jw_object_end(&w);
    run->refusal = arena_take(&run->arena, &b);
}

#define AMBIGUOUS                                                                                  \
    "When there are multiple pending interrupts, you must specify the interrupt id when "          \
    "resuming."

/* As the libraries: one answer that nobody waits for goes on after a breakpoint. */
static void check(struct frame *f, yyjson_val *resume, struct ids waiting) {
    struct arena *a = &f->run->arena;
    struct ids unknown = {0};
    if (!is_map(resume)) {
        if (waiting.count > 1)
            refuse(f->run, "ambiguous", STR(AMBIGUOUS), &unknown, &waiting);
        return;
    }
    unknown = unknown_ids(a, resume, &waiting);
    if (yyjson_obj_size(resume) == 0)
        refuse(f->run, "empty_map", STR("The resume map names no interrupt"), &unknown, &waiting);
    else if (unknown.count)
        refuse(f->run, "not_pending",
               arena_printf(a, "Unknown or already-consumed interrupt: " STR_FMT,
                            STR_ARG(unknown.list[0])),
               &unknown, &waiting);
}

/* --- given once --- */

void answers_add_taken(struct db_batch *b, const struct task *t) {
    struct live_run *run = t->run;
    const struct frame *root = &run->root;
    if (!t->answered_id.p || id_is_nil(root->stored_id))
        return;
    if (root->replayed && t->frame != root) /* the next execution begins the subgraph anew */
        return;
    struct checkpoint_write row = {.task_id = ID_NIL,
                                   .idx = WRITE_TAKEN - run->taken_count++,
                                   .channel = STR("__no_writes__"), /* no library applies it */
                                   .value = arena_printf(b->arena, "\"" STR_FMT "\"",
                                                         STR_ARG(t->answered_id)),
                                   .task_path = id_dashed(b->arena, run->row.id)};
    checkpoint_write_add(run->engine->store, b, run->row.thread_id, root->ns, root->stored_id,
                         &row);
}

static bool is_taken(const struct frame *f, const struct checkpoint_write *w) {
    return id_is_nil(w->task_id) && w->idx <= WRITE_TAKEN &&
           str_eq(w->task_path, id_dashed(&f->run->arena, f->run->row.id));
}

static bool taken_has(const struct frame *f, str id) {
    struct arena *a = &f->run->arena;
    for (size_t i = 0; i < f->pending.count; i++)
        if (is_taken(f, &f->pending.list[i]) &&
            str_eq(f->pending.list[i].value, arena_printf(a, "\"" STR_FMT "\"", STR_ARG(id))))
            return true;
    return false;
}

/* *resume: what is left of the answers; NULL: nothing. */
static int leave_out_taken(struct frame *f, yyjson_val **resume, struct err *err) {
    struct live_run *run = f->run;
    yyjson_val *key, *value;
    size_t i, n, left = 0;
    for (i = 0; i < f->pending.count; i++)
        run->taken_count += is_taken(f, &f->pending.list[i]);
    if (run->taken_count == 0)
        return 0;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    if (is_map(*resume))
        yyjson_obj_foreach(*resume, i, n, key, value) {
            if (taken_has(f, json_str(key)))
                continue;
            left++;
            jw_key_str(&w, json_str(key));
            jw_val(&w, value);
        }
    jw_object_end(&w);
    str text = arena_take(&run->arena, &b);
    *resume = NULL;
    return left ? json_parse(&run->arena, text, resume, err) : 0;
}

int answers_take(struct frame *f, yyjson_val *resume, bool superseded, struct err *err) {
    struct live_run *run = f->run;
    yyjson_val **questions;
    int rc = leave_out_taken(f, &resume, err);
    if (rc < 0 || !resume)
        return rc;
    size_t count = pending_questions(&f->pending, &run->arena, &questions);
    if (yyjson_get_bool(json_get(run->kwargs, "strict_resume")) && !superseded)
        check(f, resume, waiting_ids(&run->arena, questions, count));
    if (run->refusal.p)
        return 0;
    if (is_map(resume) && yyjson_obj_size(resume) > 0) {
        run->resume_map = resume;
        return 0;
    }
    if (count > 1)
        return err_set(err, ERR_INVALID, "%s", AMBIGUOUS);
    run->resume_one = resume;
    if (count == 1)
        run->resume_id = json_str(json_get(questions[0], "id"));
    return 0;
}
