/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - parses and checks plans, whole, before anything of them is stored.
 *
 * {"goal", "steps": [{"name", "tool", "inputs", "tools_allowed", "env_allowed", "secrets_scope",
 * "depends_on", "timeout", "retry", "priority", "gates"}], "project_id", "metadata", "concurrency"}
 *
 * depends_on holds names or positions; a name that several steps have stands for all of them.
 * Plans of older clients name them as inputs._dependsOn. The number of steps is looked at before
 * memory is taken for them. A circle is found by taking away what waits for nothing (Kahn): what
 * is left waits for itself. A step with a fault takes part in that, too: whoever waits for it will
 * not run, which the run finds out.
 *
 * The hash covers what is to be done: canonical JSON of goal and steps, so the order of keys and
 * white space do not matter. */
#include "model/plan.h"

#include <stdlib.h>

#include "base/hex.h"
#include "base/map.h"
#include "model/validate.h"

#define SECOND_US          INT64_C(1000000)
#define TIMEOUT_DEFAULT_US (30 * SECOND_US)
#define TIMEOUT_MAX_S      86400.0
#define WAIT_DEFAULT_US    SECOND_US
#define WAIT_MAX_S         86400.0

struct parse {
    struct arena *a;
    struct plan_spec *plan;
    plan_tool_fn tool_check;
    yyjson_val **values;
    struct map names; /* name → struct named */
    size_t depend_total, gate_total;
};
/* Steps of one name: position + 1, and the next one's. */
struct named {
    uint32_t first, last;
};

static void fault(struct parse *p, struct plan_step *s, const struct err *why) {
    if (s->fault.p)
        return;
    size_t len = str_utf8_prefix(str_of(why->message));
    s->fault = arena_dup(p->a, str_n(why->message, len));
    p->plan->fault_count++;
}

/* --- a step --- */

static int64_t seconds_us(struct body *b, const char *key, double min_s, double max_s,
                          int64_t fallback_us) {
    double s = body_double(b, key, min_s, max_s, -1);
    return s < 0 ? fallback_us : (int64_t)(s * (double)SECOND_US);
}

static void read_retry(struct body *b, struct plan_retry *out) {
    struct body r;
    body_init(&r, b->a, body_object_val(b, "retry"));
    out->attempts_max = (int)body_int(&r, "max_attempts",
                                      (struct body_range){1, PLAN_ATTEMPTS_MAX, 1});
    out->initial_us = seconds_us(&r, "initial_interval", 0, WAIT_MAX_S, WAIT_DEFAULT_US);
    out->max_us = seconds_us(&r, "max_interval", 0, WAIT_MAX_S, 60 * SECOND_US);
    out->factor = body_double(&r, "backoff_factor", 1, 100, 2);
    out->jitter = body_bool(&r, "jitter", true);
    struct err err = {0};
    if (body_done(&r, &err) < 0)
        body_fault(b, "retry", "%s", err.message);
}

static bool among(yyjson_val *list, str word) {
    yyjson_val *item;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, item) {
        if (str_eq(json_str(item), word))
            return true;
    }
    return false;
}

/* What is given of a policy, as one object. */
static str read_policy(struct body *b) {
    static const char *const keys[] = {"env_allowed", "secrets_scope", "tools_allowed"};
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    struct json_writer w = json_writer(&out);
    jw_object(&w);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        yyjson_val *v = body_get(b, keys[i]);
        if (!v)
            continue;
        bool scope = i == 1 && yyjson_is_str(v);
        if (!scope && !body_str_array(b, keys[i]))
            continue;
        jw_key(&w, keys[i]);
        jw_raw(&w, json_canonical(b->a, v));
    }
    jw_object_end(&w);
    str text = out.len > 2 ? arena_dup(b->a, buf_view(&out)) : STR("{}");
    buf_deinit(&out);
    return text;
}

static void check_tool(struct parse *p, struct body *b, const struct plan_step *s) {
    yyjson_val *allowed = body_get(b, "tools_allowed");
    const char *why = s->tool.len && p->tool_check ? p->tool_check(s->tool) : NULL;
    if (why)
        body_fault(b, "tool", "%.*s %s", (int)(s->tool.len < 60 ? s->tool.len : 60), s->tool.p,
                   why);
    else if (yyjson_is_arr(allowed) && !among(allowed, s->tool))
        body_fault(b, "tool", "is not among tools_allowed");
}

static void read_gates(struct parse *p, struct body *b, struct plan_step *s) {
    struct gate *gates;
    struct err err = {0};
    size_t count;
    if (!yyjson_is_obj(b->root))
        return;
    if (gates_read(p->a, body_get(b, "gates"), &gates, &count, &err) < 0) {
        body_fault(b, "gates", "%s", err.message);
        return;
    }
    s->gates = gates;
    s->gate_count = count;
    p->gate_total += count;
}

static void read_step(struct parse *p, yyjson_val *v, struct plan_step *s) {
    struct body b;
    struct err err = {0};
    s->inputs = s->policy = STR("{}");
    s->name = s->tool = STR("");
    body_init(&b, p->a, v);
    s->name = body_str_sized(&b, "name", 1, PLAN_NAME_BYTES_MAX, STR_NULL);
    s->tool = body_str_sized(&b, "tool", 1, PLAN_NAME_BYTES_MAX, STR_NULL);
    if (!s->name.p && !body_get(&b, "name"))
        body_fault(&b, "name", "is required");
    if (!s->tool.p && !body_get(&b, "tool"))
        body_fault(&b, "tool", "is required");
    s->name = s->name.p ? s->name : STR("");
    s->tool = s->tool.p ? s->tool : STR("");
    yyjson_val *inputs = body_object_val(&b, "inputs");
    if (inputs)
        s->inputs = json_canonical(p->a, inputs);
    s->policy = read_policy(&b);
    s->timeout_us = seconds_us(&b, "timeout", 0.001, TIMEOUT_MAX_S, TIMEOUT_DEFAULT_US);
    s->priority = (int)body_int(&b, "priority",
                                (struct body_range){-PLAN_PRIORITY_MAX, PLAN_PRIORITY_MAX, 0});
    read_retry(&b, &s->retry);
    read_gates(p, &b, s);
    check_tool(p, &b, s);
    if (body_done(&b, &err) < 0)
        fault(p, s, &err);
}

/* --- who waits for whom --- */

static void add_name(struct parse *p, uint32_t *next, uint32_t i) {
    str name = p->plan->steps[i].name;
    if (!name.len)
        return;
    struct named *n = map_get(&p->names, name);
    if (n) {
        next[n->last - 1] = i + 1;
        n->last = i + 1;
        return;
    }
    n = ARENA_NEW(p->a, struct named);
    n->first = n->last = i + 1;
    map_put(&p->names, name, n);
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

struct depends {
    uint32_t *list;
    size_t count, cap;
};

static bool push(struct parse *p, struct depends *d, uint32_t position) {
    if (d->count == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 8;
        uint32_t *list = ARENA_ARRAY(p->a, uint32_t, cap);
        if (d->count)
            memcpy(list, d->list, d->count * sizeof(*list));
        d->list = list;
        d->cap = cap;
    }
    d->list[d->count++] = position;
    return ++p->depend_total <= PLAN_DEPENDS_MAX;
}

/* False: there are too many of all steps together. */
static bool read_depend(struct parse *p, yyjson_val *v, const uint32_t *next, struct plan_step *s,
                        struct depends *d) {
    struct err err;
    if (yyjson_is_int(v)) {
        int64_t at = yyjson_is_uint(v) && yyjson_get_uint(v) > INT32_MAX ? -1 : yyjson_get_sint(v);
        if (at >= 0 && (size_t)at < p->plan->step_count)
            return push(p, d, (uint32_t)at);
        (void)err_set(&err, ERR_INVALID, "depends_on: there is no step at %lld", (long long)at);
        fault(p, s, &err);
        return true;
    }
    str name = json_str(v);
    struct named *n = name.len ? map_get(&p->names, name) : NULL;
    if (!n) {
        (void)err_set(&err, ERR_INVALID, "depends_on: there is no step named " STR_FMT,
                      STR_ARG(str_slice(name, 0, 100)));
        fault(p, s, &err);
        return true;
    }
    for (uint32_t at = n->first; at; at = next[at - 1])
        if (!push(p, d, at - 1))
            return false;
    return true;
}

static int read_depends(struct parse *p, size_t i, const uint32_t *next, struct err *err) {
    struct plan_step *s = &p->plan->steps[i];
    yyjson_val *list = json_get(p->values[i], "depends_on"), *item;
    struct depends d = {0};
    struct err why;
    size_t at, count;
    if (!list || yyjson_is_null(list))
        list = json_get(json_get(p->values[i], "inputs"), "_dependsOn");
    if (!list || yyjson_is_null(list))
        return 0;
    if (!yyjson_is_arr(list)) {
        (void)err_set(&why, ERR_INVALID, "depends_on: must be a list of names or positions");
        fault(p, s, &why);
        return 0;
    }
    yyjson_arr_foreach(list, at, count, item) {
        if (!read_depend(p, item, next, s, &d))
            return err_set(err, ERR_INVALID, "depends_on: of all steps there are more than %d",
                           PLAN_DEPENDS_MAX);
    }
    if (d.count)
        qsort(d.list, d.count, sizeof(*d.list), compare);
    size_t kept = 0;
    for (size_t k = 0; k < d.count; k++)
        if (kept == 0 || d.list[kept - 1] != d.list[k])
            d.list[kept++] = d.list[k];
    s->depends = d.list;
    s->depend_count = kept;
    return 0;
}

static int circle(const struct parse *p, const uint32_t *waits, struct err *err) {
    char names[160];
    size_t len = 0, shown = 0;
    for (size_t i = 0; i < p->plan->step_count && shown < 3; i++) {
        str name = str_slice(p->plan->steps[i].name, 0, 40);
        if (!waits[i])
            continue;
        if (shown++)
            names[len++] = ',', names[len++] = ' ';
        if (name.len)
            memcpy(names + len, name.p, name.len);
        len += name.len;
    }
    return err_set(err, ERR_INVALID, "depends_on: steps wait for each other in a circle: %.*s",
                   (int)len, names);
}

static int check_order(struct parse *p, struct err *err) {
    size_t n = p->plan->step_count, done = 0;
    uint32_t *waits = ARENA_ARRAY(p->a, uint32_t, n), *queue = ARENA_ARRAY(p->a, uint32_t, n);
    uint32_t *from = ARENA_ARRAY(p->a, uint32_t, n + 2);
    uint32_t *to = ARENA_ARRAY(p->a, uint32_t, p->depend_total + 1);
    for (size_t i = 0; i < n; i++) {
        const struct plan_step *s = &p->plan->steps[i];
        waits[i] = (uint32_t)s->depend_count;
        for (size_t k = 0; k < s->depend_count; k++)
            from[s->depends[k] + 2]++;
    }
    for (size_t i = 2; i < n + 2; i++)
        from[i] += from[i - 1];
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < p->plan->steps[i].depend_count; k++)
            to[from[p->plan->steps[i].depends[k] + 1]++] = (uint32_t)i;
    size_t end = 0;
    for (size_t i = 0; i < n; i++)
        if (!waits[i])
            queue[end++] = (uint32_t)i;
    while (done < end) {
        uint32_t i = queue[done++];
        for (uint32_t k = from[i]; k < from[i + 1]; k++)
            if (--waits[to[k]] == 0)
                queue[end++] = to[k];
    }
    p->plan->order = queue;
    return done < n ? circle(p, waits, err) : 0;
}

/* --- the plan --- */

static str plan_hash(struct arena *a, str goal, yyjson_val *steps) {
    unsigned char digest[HASH_SHA256_BYTES];
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    json_escape(&b, goal);
    buf_char(&b, '\n');
    buf_str(&b, json_canonical(a, steps));
    hash_sha256(buf_view(&b), digest);
    buf_deinit(&b);
    return hex_text(a, digest, sizeof(digest));
}

static int read_steps(struct parse *p, yyjson_val *steps, struct err *err) {
    size_t i, count, n = yyjson_arr_size(steps);
    yyjson_val *v;
    uint32_t *next = ARENA_ARRAY(p->a, uint32_t, n);
    p->plan->steps = ARENA_ARRAY(p->a, struct plan_step, n);
    p->plan->step_count = n;
    p->values = ARENA_ARRAY(p->a, yyjson_val *, n);
    yyjson_arr_foreach(steps, i, count, v) {
        p->values[i] = v;
        read_step(p, v, &p->plan->steps[i]);
        add_name(p, next, (uint32_t)i);
    }
    if (p->gate_total > PLAN_GATES_MAX)
        return err_set(err, ERR_TOO_LARGE, "gates: there are %zu; at most %d are taken",
                       p->gate_total, PLAN_GATES_MAX);
    for (i = 0; i < n; i++) {
        int rc = read_depends(p, i, next, err);
        if (rc < 0)
            return rc;
    }
    return check_order(p, err);
}

int plan_parse(struct arena *a, yyjson_val *v, plan_tool_fn tool_check, struct plan_spec *out,
               struct err *err) {
    struct plan_spec plan = {.metadata = STR("{}")};
    struct parse p = {.a = a, .plan = &plan, .tool_check = tool_check};
    struct body b;
    body_init(&b, a, v);
    plan.goal = body_str_sized(&b, "goal", 1, PLAN_GOAL_BYTES_MAX, STR_NULL);
    if (!body_get(&b, "goal"))
        body_fault(&b, "goal", "is required");
    plan.project = body_str_sized(&b, "project_id", 1, PLAN_NAME_BYTES_MAX, STR_NULL);
    plan.metadata = body_object(&b, "metadata");
    plan.concurrency =
        (int)body_int(&b, "concurrency", (struct body_range){1, PLAN_CONCURRENCY_MAX, 0});
    yyjson_val *steps = body_array(&b, "steps");
    if (yyjson_arr_size(steps) == 0)
        body_fault(&b, "steps", "must be a list of at least one step");
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    if (yyjson_arr_size(steps) > PLAN_STEPS_MAX)
        return err_set(err, ERR_TOO_LARGE, "steps: there are %zu; at most %d are taken",
                       yyjson_arr_size(steps), PLAN_STEPS_MAX);
    map_init(&p.names);
    rc = read_steps(&p, steps, err);
    map_deinit(&p.names);
    if (rc < 0)
        return rc;
    plan.hash = plan_hash(a, plan.goal, steps);
    *out = plan;
    return 0;
}

/* --- as it is kept --- */

str plan_step_spec(struct arena *a, const struct plan_step *s) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    if (s->depend_count) {
        jw_key(&w, "depends_on");
        jw_array(&w);
        for (size_t i = 0; i < s->depend_count; i++)
            jw_i64(&w, s->depends[i]);
        jw_array_end(&w);
    }
    if (s->gate_count) {
        jw_key(&w, "gates");
        jw_array(&w);
        for (size_t i = 0; i < s->gate_count; i++)
            jw_raw(&w, s->gates[i].text);
        jw_array_end(&w);
    }
    if (s->policy.len > 2) {
        jw_key(&w, "policy");
        jw_raw(&w, s->policy);
    }
    if (s->priority) {
        jw_key(&w, "priority");
        jw_i64(&w, s->priority);
    }
    if (s->retry.attempts_max > 1) {
        jw_key(&w, "retry");
        jw_array(&w);
        jw_i64(&w, s->retry.attempts_max);
        jw_i64(&w, s->retry.initial_us);
        jw_i64(&w, s->retry.max_us);
        jw_double(&w, s->retry.factor);
        jw_bool(&w, s->retry.jitter);
        jw_array_end(&w);
    }
    if (s->timeout_us != TIMEOUT_DEFAULT_US) {
        jw_key(&w, "timeout_us");
        jw_i64(&w, s->timeout_us);
    }
    jw_object_end(&w);
    str out = b.len > 2 ? arena_dup(a, buf_view(&b)) : STR("{}");
    buf_deinit(&b);
    return out;
}

static int read_kept_retry(yyjson_val *v, struct plan_retry *out) {
    if (!v)
        return 0;
    if (yyjson_arr_size(v) != 5)
        return ERR_CORRUPT;
    int64_t attempts = yyjson_get_sint(yyjson_arr_get(v, 0));
    if (attempts < 1 || attempts > PLAN_ATTEMPTS_MAX)
        return ERR_CORRUPT;
    *out = (struct plan_retry){.attempts_max = (int)attempts,
                               .initial_us = yyjson_get_sint(yyjson_arr_get(v, 1)),
                               .max_us = yyjson_get_sint(yyjson_arr_get(v, 2)),
                               .factor = yyjson_get_num(yyjson_arr_get(v, 3)),
                               .jitter = yyjson_get_bool(yyjson_arr_get(v, 4))};
    return 0;
}

static int read_kept_gates(struct arena *a, yyjson_val *v, struct plan_step *out) {
    struct gate *gates;
    int rc = gates_read(a, v, &gates, &out->gate_count, NULL);
    out->gates = rc < 0 ? NULL : gates;
    return rc;
}

int plan_step_spec_read(struct arena *a, str spec, size_t step_count, struct plan_step *out,
                        struct err *err) {
    out->depends = NULL;
    out->depend_count = 0;
    out->gates = NULL;
    out->gate_count = 0;
    out->policy = STR("{}");
    out->priority = 0;
    out->timeout_us = TIMEOUT_DEFAULT_US;
    out->retry = (struct plan_retry){.attempts_max = 1, .factor = 1};
    if (str_eq(spec, STR("{}")))
        return 0;
    yyjson_val *v, *item;
    size_t i, count;
    if (json_parse(a, spec, &v, NULL) < 0)
        return err_set(err, ERR_CORRUPT, "a step of a plan cannot be read");
    yyjson_val *list = json_get(v, "depends_on"), *policy = json_get(v, "policy");
    yyjson_val *timeout = json_get(v, "timeout_us");
    uint32_t *depends = ARENA_ARRAY(a, uint32_t, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, count, item) {
        uint64_t at = yyjson_get_uint(item);
        if (!yyjson_is_uint(item) || at >= step_count)
            return err_set(err, ERR_CORRUPT, "a step of a plan waits for one that is not there");
        depends[i] = (uint32_t)at;
    }
    out->depends = depends;
    out->depend_count = yyjson_arr_size(list);
    out->priority = (int)yyjson_get_sint(json_get(v, "priority"));
    if (timeout)
        out->timeout_us = yyjson_get_sint(timeout);
    if (policy)
        out->policy = json_text(a, policy);
    if (read_kept_gates(a, json_get(v, "gates"), out) < 0)
        return err_set(err, ERR_CORRUPT, "the gates of a step cannot be read");
    if (read_kept_retry(json_get(v, "retry"), &out->retry) < 0)
        return err_set(err, ERR_CORRUPT, "the retries of a step cannot be read");
    return 0;
}

void plan_step_key(struct id run, size_t position, str name, str inputs, char out[PLAN_KEY_LEN]) {
    unsigned char digest[HASH_SHA256_BYTES];
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_append(&b, run.b, sizeof(run.b));
    buf_u64(&b, position);
    buf_char(&b, '\n');
    buf_u64(&b, name.len);
    buf_char(&b, '\n');
    buf_str(&b, name);
    buf_str(&b, inputs);
    hash_sha256(buf_view(&b), digest);
    buf_deinit(&b);
    hex_write(digest, PLAN_KEY_LEN / 2, out);
}

int64_t plan_retry_wait_us(const struct plan_retry *r, int attempt, uint64_t dice) {
    double us = (double)r->initial_us;
    for (int i = 1; i < attempt && us < (double)r->max_us; i++)
        us *= r->factor;
    if (us > (double)r->max_us)
        us = (double)r->max_us;
    if (r->jitter)
        us = us / 2 + us / 2 * ((double)(dice >> 11) / (double)(UINT64_C(1) << 53));
    return us < 0 ? 0 : (int64_t)us;
}
