/* SPDX-License-Identifier: Apache-2.0 */
/* answers.c - which questions a command answers: one answer for the only one, or answers by id.
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
    run->refusal = arena_dup(&run->arena, buf_view(&b));
    buf_deinit(&b);
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

int answers_take(struct frame *f, yyjson_val *resume, bool superseded, struct err *err) {
    struct live_run *run = f->run;
    yyjson_val **questions;
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
    return 0;
}
