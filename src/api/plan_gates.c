/* SPDX-License-Identifier: Apache-2.0 */
/* plan_gates.c - the handlers of /plans/gates: listing gates, deciding them, bringing evidence.
 *
 * A gate shows what the plan says of it and what became of it. Who decides is the one who asks; on
 * a server without authentication it is whom the body names. A decision is kept under the
 * request's Idempotency-Key by the batch that makes it, with the gate as it is then. */
#include "plans/plans.h"
#include "api/api_int.h"

#define PAGE_MAX 100

static struct plans *plans_of(struct api_request *r) { return api_options_of(r->api)->plans; }

/* --- encoding --- */

static void write_rule(struct json_writer *w, const struct gate *g) {
    static const char *const ops[] = {
        [GATE_AT_LEAST] = "at_least", [GATE_AT_MOST] = "at_most", [GATE_EQUALS] = "equals"};
    jw_key(w, "rule");
    if (g->kind != GATE_QUALITY) {
        jw_null(w);
        return;
    }
    jw_array(w);
    for (size_t i = 0; i < g->condition_count; i++) {
        jw_object(w);
        jw_key(w, "metric");
        jw_str(w, g->conditions[i].metric);
        jw_key(w, ops[g->conditions[i].op]);
        jw_val(w, g->conditions[i].value);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_gate(struct json_writer *w, struct arena *a, const struct gate_row *row) {
    struct gate g = {.kind = GATE_MANUAL, .waivable = true};
    str open = STR_NULL;
    if (gate_read_text(a, row->spec, &g, NULL) == 0 && row->status == GATE_PENDING)
        (void)gate_judge(a, &g, row->evidence, &open);
    jw_object(w);
    jw_key(w, "id");
    api_write_id(w, row->id);
    jw_key(w, "plan_id");
    api_write_id(w, row->plan_id);
    jw_key(w, "position");
    jw_i64(w, row->position);
    jw_key(w, "number");
    jw_i64(w, row->number);
    jw_key(w, "name");
    jw_str(w, g.name);
    jw_key(w, "kind");
    jw_str(w, word_text(&GATE_KIND_WORDS, (int)g.kind));
    jw_key(w, "prompt");
    jw_str(w, g.prompt);
    write_rule(w, &g);
    jw_key(w, "waivable");
    jw_bool(w, g.waivable);
    jw_key(w, "status");
    jw_str(w, gate_status_name(row->status));
    jw_key(w, "open");
    jw_str(w, open);
    jw_key(w, "evidence");
    jw_raw(w, row->evidence);
    jw_key(w, "actor");
    jw_str(w, row->actor);
    jw_key(w, "reason");
    jw_str(w, row->reason);
    api_write_time_member(w, "created_at", row->created_at);
    api_write_time_member(w, "expires_at", row->expires_at);
    api_write_time_member(w, "decided_at", row->decided_at);
    jw_object_end(w);
}

/* --- reading --- */

static int read_id(struct api_request *r, struct id *out, struct err *err) {
    return api_param_id(r, 0, out, err, "Gate not found");
}

int api_plan_gate_get(struct api_request *r, struct err *err) {
    struct id id;
    struct gate_row row;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = gate_get(r->store, &r->who, id, r->arena, &row, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_gate(&w, r->arena, &row);
    return api_reply_json(r, 200);
}

static int read_filter(struct api_request *r, struct gate_filter *f, enum gate_status *status,
                       struct err *err) {
    str word = http_query_get(&r->query, "status"), plan = http_query_get(&r->query, "plan_id");
    str after = http_query_get(&r->query, "after");
    *status = GATE_PENDING;
    if (word.len && !gate_status_parse(word, status)) {
        (void)word_refuse(&GATE_STATUS_WORDS, err);
        (void)err_context(err, "status");
        return ERR_INVALID;
    }
    f->status = word.len || !plan.len ? status : NULL; /* of a plan: all, unless asked */
    if (plan.len && !id_parse(plan, &f->plan_id))
        return err_set(err, ERR_INVALID, "plan_id: must be the id of a plan run");
    if (after.len && !id_parse(after, &f->after))
        return err_set(err, ERR_INVALID, "after: must be the id of a gate");
    return 0;
}

int api_plan_gate_list(struct api_request *r, struct err *err) {
    struct gate_filter f = {0};
    struct gate_row *list;
    enum gate_status status;
    size_t count;
    int64_t limit = 0;
    int rc = api_query_int(r, "limit", (struct body_range){1, PAGE_MAX, 20}, &limit, err);
    if (rc == 0)
        rc = read_filter(r, &f, &status, err);
    f.limit = limit + 1;
    if (rc == 0)
        rc = gate_list(r->store, &r->who, &f, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "gates");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_gate(&w, r->arena, &list[i]);
    jw_array_end(&w);
    jw_key(&w, "next");
    if (more)
        api_write_id(&w, list[count - 1].id);
    else
        jw_null(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- saying --- */

struct keeping {
    struct api_request *r;
    str answer;
};

static void join_batch(void *ctx, const struct gate_row *row, struct db_batch *b) {
    struct keeping *k = ctx;
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    write_gate(&w, k->r->arena, row);
    k->answer = arena_take(k->r->arena, &text);
    api_keyed_add(k->r, b, k->answer, ID_NIL, ID_NIL);
}

static int say(struct api_request *r, struct gate_answer answer, struct err *err) {
    struct keeping k = {.r = r};
    struct gate_row row;
    struct id id;
    struct plans_gate_word word = {.answer = answer,
                                   .actor = r->who.owner.len ? r->who.owner : answer.actor,
                                   .join_batch = join_batch,
                                   .ctx = &k};
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = plans_gate_say(plans_of(r), &r->who, id, &word, r->arena, &row, err);
    return rc < 0 ? rc : api_reply_text(r, 200, k.answer);
}

static int decide(struct api_request *r, enum gate_decision decision, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct gate_answer answer = {
        .decision = decision,
        .reason = body_str_sized(&b, "reason", 0, GATE_TEXT_BYTES_MAX, STR_NULL),
        .actor = body_str_sized(&b, "actor", 1, GATE_NAME_BYTES_MAX, STR_NULL)};
    if (decision != GATE_APPROVE && !answer.reason.len)
        body_fault(&b, "reason", "is required");
    int rc = body_done(&b, err);
    return rc < 0 ? rc : say(r, answer, err);
}

int api_plan_gate_approve(struct api_request *r, struct err *err) {
    return decide(r, GATE_APPROVE, err);
}
int api_plan_gate_reject(struct api_request *r, struct err *err) {
    return decide(r, GATE_REJECT, err);
}
int api_plan_gate_waive(struct api_request *r, struct err *err) {
    return decide(r, GATE_WAIVE, err);
}

int api_plan_gate_evidence(struct api_request *r, struct err *err) {
    int rc = api_body_object(r, err);
    if (rc < 0)
        return rc;
    struct gate_answer answer = {.evidence = r->body};
    struct body b;
    body_init(&b, r->arena, r->body);
    answer.actor = body_str_sized(&b, "actor", 1, GATE_NAME_BYTES_MAX, STR_NULL);
    rc = body_done(&b, err);
    return rc < 0 ? rc : say(r, answer, err);
}
