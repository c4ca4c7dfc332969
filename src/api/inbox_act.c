/* SPDX-License-Identifier: Apache-2.0 */
/* inbox_act.c - what is done with a delivery: it is kept, or a run or a plan is made of it.
 *
 *   {"kind": "run", "assistant_id": "agent", "thread_key": "{{ data.chat }}", "input": {…}}
 *   {"kind": "plan", "template": "deploy", "params": {"commit": "{{ data.after }}"}}
 *   {"kind": "evidence", "run_id": "{{ data.run }}", "step": "test", "gate": "coverage",
 *    "evidence": {"metrics": {"coverage": "{{ data.percent }}"}}}
 *
 * The delivery's row goes into the batch that makes the run durable: both are there, or neither. So
 * a process that dies in between loses nothing, and who delivers again finds the row or is the
 * first. What can never succeed (the assistant is gone, the input does not fit) is kept as failed,
 * for its owner to see; what may succeed later is told to whoever delivers, and nothing is kept.
 *
 * Both are made in the name of the source's owner. Which assistant, which template, which thread of
 * the owner's and which webhook it is, the source says, and not the delivery: those texts hold no
 * expressions. A thread_key may: it only chooses among threads of this source. */
#include "api/inbox_int.h"
#include "api/plans_int.h"
#include "api/runs_int.h"
#include "base/clock.h"
#include "graphs/fill.h"
#include "plans/plans.h"
#include "store/plan_templates.h"

#define ACTION_BYTES_MAX 65536
#define FILLED_BYTES_MAX ((size_t)4 << 20)
#define THREAD_KEY_MAX   1024
#define DEFAULT_INPUT                                                                              \
    "{\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"Received: {{ data }}\"}]}}"

struct acting {
    struct api_request *r;
    const struct inbox_source *source;
    struct inbox_delivery *d;
    bool again;
    bool refused; /* it names what is not there: nothing is kept */
    struct id gate_thread;
};

/* What the action does not say, the delivery does. */
#define DEFAULT_EVIDENCE                                                                           \
    "{\"run_id\":\"{{ data.run_id }}\",\"step\":\"{{ data.step }}\",\"gate\":\"{{ data.gate }}\"," \
    "\"evidence\":\"{{ data.evidence }}\"}"

/* --- as it is given --- */

static int literal(yyjson_val *action, const char *key, struct err *err) {
    yyjson_val *v = json_get(action, key);
    if (yyjson_is_str(v) && str_find(json_str(v), STR("{{")) >= 0)
        return err_set(err, ERR_INVALID, "action.%s: cannot hold expressions", key);
    return 0;
}

static int check_run(struct api_request *r, yyjson_val *action, struct err *err) {
    static const char *const fixed[] = {"assistant_id", "thread_id", "webhook"};
    struct id id;
    yyjson_val *thread = json_get(action, "thread_id");
    str name = json_str(json_get(action, "assistant_id"));
    int rc = 0;
    if (!name.len)
        return err_set(err, ERR_INVALID, "action.assistant_id: is required");
    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(fixed); i++)
        rc = literal(action, fixed[i], err);
    if (rc == 0 && thread && !yyjson_is_null(thread) && !id_parse(json_str(thread), &id))
        rc = err_set(err, ERR_INVALID, "action.thread_id: must be an id");
    if (rc == 0 && !id_parse(name, &id) && !engine_has_graph(r->engine, name))
        rc = api_assistant_unknown(name, err);
    return rc < 0 ? rc : run_check_webhook(r, json_get(action, "webhook"), err);
}

static int check_plan(struct api_request *r, yyjson_val *action, struct err *err) {
    struct plan_template t;
    str name = json_str(json_get(action, "template"));
    int rc = 0;
    if (!name.len)
        return err_set(err, ERR_INVALID, "action.template: is required");
    rc = literal(action, "template", err);
    if (rc == 0)
        rc = literal(action, "webhook", err);
    if (rc == 0)
        rc = plan_template_find(r->store, &r->who, name, r->arena, &t, err);
    return rc < 0 ? rc : run_check_webhook(r, json_get(action, "webhook"), err);
}

int inbox_action_read(struct api_request *r, yyjson_val *action, str *out, struct err *err) {
    str kind = json_str(json_get(action, "kind")), text = json_text(r->arena, action);
    int rc = 0;
    if (!action || str_eq(kind, STR("keep"))) {
        *out = STR("{\"kind\":\"keep\"}");
        return 0;
    }
    if (text.len > ACTION_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "action: has at most %d bytes", ACTION_BYTES_MAX);
    bool run = str_eq(kind, STR("run")), evidence = str_eq(kind, STR("evidence"));
    if (!run && !evidence && !str_eq(kind, STR("plan")))
        return err_set(err, ERR_INVALID, "action.kind: must be one of keep, run, plan, evidence");
    if (!evidence)
        rc = run ? check_run(r, action, err) : check_plan(r, action, err);
    else
        text = json_merge(r->arena, STR(DEFAULT_EVIDENCE), text);
    if (rc == 0 && run && !json_has(action, "input") && !json_has(action, "command"))
        text = json_merge(r->arena, text, STR(DEFAULT_INPUT));
    if (rc == 0)
        rc = fill_check(r->arena, action, err);
    if (rc == ERR_MALFORMED)
        rc = err_set(err, ERR_INVALID, "action: %s", err->message);
    if (rc == 0)
        *out = text;
    return rc;
}

/* --- as it is done --- */

static struct expr_value root_of(struct arena *a, yyjson_val *event) {
    struct expr_member *m = ARENA_ARRAY(a, struct expr_member, 2);
    m[0] = (struct expr_member){STR("event"), expr_of_json(event)};
    m[1] = (struct expr_member){STR("data"), expr_of_json(json_get(event, "data"))};
    return expr_of_members(m, 2);
}

static void row_add(struct db_batch *b, const struct acting *x) {
    if (x->again)
        inbox_again_add(b, x->d);
    else
        inbox_put_add(b, x->d);
}

static int put(struct acting *x, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, x->r->arena);
    row_add(&b, x);
    return db_commit(x->r->store->db, &b, err);
}

static void join_run(void *ctx, const struct live_run *run, struct db_batch *b) {
    struct acting *x = ctx;
    const struct run *row = live_run_row(run);
    x->d->status = INBOX_STARTED;
    x->d->thread_id = row->thread_id;
    x->d->run_id = row->id;
    x->d->error = STR_NULL;
    row_add(b, x);
}

/* The thread that the action names; nil: a new one. */
static int thread_of(struct acting *x, yyjson_val *filled, struct id *out, struct err *err) {
    yyjson_val *key = json_get(filled, "thread_key");
    str text = key && !yyjson_is_null(key) ? json_text(x->r->arena, key) : STR_NULL;
    *out = ID_NIL;
    if (text.len > THREAD_KEY_MAX)
        return err_set(err, ERR_INVALID, "thread_key: has more than %d bytes", THREAD_KEY_MAX);
    if (text.len)
        *out = id_v5(x->source->id, text);
    else
        (void)id_parse(json_str(json_get(filled, "thread_id")), out); /* looked at before */
    return 0;
}

static int start_run(struct acting *x, yyjson_val *filled, struct err *err) {
    struct arena *a = x->r->arena;
    struct principal owner = {.owner = x->source->owner, .by = "inbox"};
    struct run_submit s = {.who = &owner,
                           .assistant_name = json_str(json_get(filled, "assistant_id")),
                           .header_configurable = STR("{}"),
                           .join_batch = join_run,
                           .ctx = x};
    int rc = thread_of(x, filled, &s.thread_id, err);
    if (rc < 0)
        return rc;
    if (!id_parse(s.assistant_name, &s.assistant_id))
        s.assistant_id = assistant_id_of_graph(s.assistant_name);
    str text = json_text(a, filled);
    text =
        json_without(a, json_without(a, json_without(a, text, "kind"), "thread_key"), "thread_id");
    text = json_merge(a, STR("{\"if_not_exists\":\"create\",\"on_completion\":\"keep\"}"), text);
    rc = json_parse(a, text, &s.body, err);
    return rc < 0 ? rc : engine_submit(x->r->engine, &s, NULL, err);
}

static void join_plan(void *ctx, struct id plan_id, struct id thread_id, struct db_batch *b) {
    struct acting *x = ctx;
    x->d->status = INBOX_STARTED;
    x->d->thread_id = thread_id;
    x->d->run_id = plan_id; /* of its first run, too */
    x->d->error = STR_NULL;
    row_add(b, x);
}

static int start_plan(struct acting *x, yyjson_val *filled, struct err *err) {
    struct api_request *r = x->r;
    struct principal owner = {.owner = x->source->owner, .by = "inbox"};
    struct plan_asked asked;
    struct plans_made made;
    int rc = api_plan_read(r, &owner, filled, STR_NULL, &asked, err);
    if (rc < 0)
        return rc;
    struct plans_create c = {.who = &owner,
                             .plan = &asked.plan,
                             .webhook = asked.webhook,
                             .context = &asked.context,
                             .header_configurable = STR("{}"),
                             .join_batch = join_plan,
                             .ctx = x};
    return plans_create(api_options_of(r->api)->plans, &c, r->arena, &made, err);
}

/* --- evidence for a gate --- */

static int not_found(struct acting *x, struct err *err) {
    x->refused = true;
    return err_set(err, ERR_NOT_FOUND, "Gate not found");
}

/* A place in a list by its number, or by its name; absent: -1 and no name. False: neither. */
static bool read_place(yyjson_val *v, int64_t *out_number, str *out_name) {
    *out_number = -1;
    *out_name = json_str(v);
    if (yyjson_is_int(v))
        *out_number = yyjson_get_sint(v);
    return !v || yyjson_is_null(v) || (yyjson_is_str(v) && out_name->len) ||
           (yyjson_is_int(v) && *out_number >= 0 && *out_number <= PLAN_STEPS_MAX);
}

static void join_said(void *ctx, const struct gate_row *row, struct db_batch *b) {
    struct acting *x = ctx;
    x->d->status = INBOX_STARTED;
    x->d->thread_id = x->gate_thread;
    x->d->run_id = row->plan_id;
    x->d->error = STR_NULL;
    row_add(b, x);
}

static int bring_evidence(struct acting *x, yyjson_val *filled, struct err *err) {
    struct arena *a = x->r->arena;
    struct plans *plans = api_options_of(x->r->api)->plans;
    struct principal owner = {.owner = x->source->owner, .by = "inbox"};
    struct plans_gate_name name;
    struct gate_row row;
    struct id id;
    struct plans_gate_word word = {
        .answer = {.evidence = json_get(filled, "evidence")},
        .actor = arena_printf(a, "inbox: " STR_FMT,
                              STR_ARG(str_slice(x->source->name, 0, GATE_NAME_BYTES_MAX))),
        .join_batch = join_said,
        .ctx = x};
    if (!id_parse(json_str(json_get(filled, "run_id")), &name.run_id) ||
        !read_place(json_get(filled, "step"), &name.step.position, &name.step.name) ||
        (name.step.position < 0 && !name.step.name.len) ||
        !read_place(json_get(filled, "gate"), &name.number, &name.name))
        return not_found(x, err);
    int rc = plans_gate_find(plans, &owner, &name, a, &id, &x->gate_thread, err);
    if (rc == 0 && !yyjson_is_obj(word.answer.evidence))
        rc = err_set(err, ERR_INVALID, "evidence: must be an object");
    if (rc == 0)
        rc = plans_gate_say(plans, &owner, id, &word, a, &row, err);
    return rc == ERR_NOT_FOUND ? not_found(x, err) : rc;
}

static int act(struct acting *x, struct err *err) {
    struct arena *a = x->r->arena;
    yyjson_val *action, *event, *filled;
    str text;
    int rc = json_parse(a, x->source->action, &action, err);
    if (rc == 0 && str_eq(json_str(json_get(action, "kind")), STR("keep"))) {
        x->d->status = INBOX_KEPT;
        return put(x, err);
    }
    if (rc == 0)
        rc = json_parse(a, x->d->event, &event, err);
    if (rc < 0)
        return rc;
    struct expr_value root = root_of(a, event);
    rc = fill(a, action, &root, FILLED_BYTES_MAX, &text, err);
    if (rc == 0)
        rc = json_parse(a, text, &filled, err);
    if (rc < 0)
        return rc;
    str kind = json_str(json_get(filled, "kind"));
    if (str_eq(kind, STR("evidence")))
        return bring_evidence(x, filled, err);
    return str_eq(kind, STR("plan")) ? start_plan(x, filled, err) : start_run(x, filled, err);
}

static bool may_work_later(int rc) { return rc == ERR_CANCELLED || err_retryable(rc); }

int inbox_act(struct api_request *r, const struct inbox_source *s, struct inbox_delivery *d,
              bool again, struct err *err) {
    struct acting x = {.r = r, .source = s, .d = d, .again = again};
    struct err why = {0};
    int rc = act(&x, &why);
    if (rc == 0)
        return 0;
    if (rc == ERR_REPEATED || x.refused || may_work_later(rc)) {
        if (err)
            *err = why;
        return rc;
    }
    d->status = INBOX_FAILED;
    d->thread_id = d->run_id = ID_NIL;
    str text = str_of(why.message[0] ? why.message : err_text(rc));
    d->error = arena_dup(r->arena, str_slice(text, 0, str_utf8_prefix(text)));
    return put(&x, err);
}
