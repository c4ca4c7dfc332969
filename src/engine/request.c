/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - reads a RunCreate: what it asks for, and whether each member has its type.
 *
 * Whatever is wrong is refused here, before anything is stored, so that a run that has to wait is
 * refused for the same faults as one that begins at once. What the members mean to the graph
 * (input, command's targets, configurable) only the graph can tell: its begin checks those. Unknown
 * members are ignored, and null is as good as missing. */
#include "engine/submit_int.h"

#include "engine/crons.h"
#include "model/validate.h"

static int read_word(yyjson_val *body, const char *key, const struct word_set *set, int fallback,
                     int *out, struct err *err) {
    yyjson_val *v = json_get(body, key);
    *out = fallback;
    if (!v || yyjson_is_null(v))
        return 0;
    if (word_parse(set, json_str(v), out))
        return 0;
    (void)word_refuse(set, err);
    (void)err_context(err, "%s", key);
    return ERR_INVALID;
}

yyjson_val *run_request_checkpoint(yyjson_val *body) {
    yyjson_val *at = json_get(body, "checkpoint");
    yyjson_val *configurable = json_get(json_get(body, "config"), "configurable");
    if ((!at || yyjson_is_null(at)) && !json_str(json_get(body, "checkpoint_id")).p)
        return configurable;
    return at;
}

static int check_checkpoint(yyjson_val *body, struct err *err) {
    yyjson_val *checkpoint = json_get(body, "checkpoint");
    yyjson_val *id = json_get(run_request_checkpoint(body), "checkpoint_id");
    struct id parsed;
    if (!id || yyjson_is_null(id))
        id = json_get(body, "checkpoint_id");
    if (checkpoint && !yyjson_is_obj(checkpoint) && !yyjson_is_null(checkpoint))
        return err_set(err, ERR_INVALID, "checkpoint: must be an object");
    if (id && !yyjson_is_null(id) && !id_parse(json_str(id), &parsed))
        return err_set(err, ERR_INVALID, "checkpoint_id: must name a checkpoint");
    return 0;
}

/* "*", or a list of nodes. */
static void check_nodes(struct body *b, const char *key) {
    yyjson_val *v = body_get(b, key);
    if (yyjson_is_str(v) && str_eq(json_str(v), STR("*")))
        return;
    if (v && !yyjson_is_arr(v))
        body_fault(b, key, "must be \"*\" or a list of nodes");
    else
        (void)body_str_array(b, key);
}

static void check_config(struct body *b) {
    yyjson_val *config = body_object_val(b, "config"), *tag;
    yyjson_val *tags = json_get(config, "tags"), *limit = json_get(config, "recursion_limit");
    yyjson_val *configurable = json_get(config, "configurable");
    size_t i, count;
    if (configurable && !yyjson_is_null(configurable) && !yyjson_is_obj(configurable))
        body_fault(b, "config", "configurable must be an object");
    if (limit && !yyjson_is_null(limit) && !(yyjson_is_int(limit) && yyjson_get_sint(limit) > 0))
        body_fault(b, "config", "recursion_limit must be an integer of at least 1");
    bool wrong = tags && !yyjson_is_null(tags) && !yyjson_is_arr(tags);
    yyjson_arr_foreach(tags, i, count, tag) wrong = wrong || !yyjson_is_str(tag);
    if (wrong)
        body_fault(b, "config", "tags must be a list of strings");
}

static int check_members(struct arena *a, yyjson_val *root, struct err *err) {
    static const char *const objects[] = {"metadata", "context", "command"};
    static const char *const flags[] = {"stream_subgraphs", "stream_resumable", "strict_resume",
                                        "checkpoint_during"};
    struct body b;
    body_init(&b, a, root);
    for (size_t i = 0; i < ARRAY_COUNT(objects); i++)
        (void)body_object_val(&b, objects[i]);
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++)
        (void)body_bool(&b, flags[i], false);
    check_config(&b);
    check_nodes(&b, "interrupt_before");
    check_nodes(&b, "interrupt_after");
    return body_done(&b, err);
}

static int read_after(yyjson_val *body, int64_t *out, struct err *err) {
    yyjson_val *after = json_get(body, "after_seconds");
    if (!after || yyjson_is_null(after))
        return 0;
    double seconds = yyjson_get_num(after);
    if (!yyjson_is_num(after) || seconds < 0 || seconds > 366.0 * 86400)
        return err_set(err, ERR_INVALID, "after_seconds: must be a number between 0 and 31622400");
    *out = (int64_t)(seconds * 1e6);
    return 0;
}

int run_request_read(struct engine *e, const struct run_submit *s, struct run_request *out,
                     struct err *err) {
    yyjson_val *body = s->body;
    int multitask, completion, disconnect, missing, durability;
    struct arena scratch;
    arena_init(&scratch, SIZE_MAX / 2);
    int rc = check_members(&scratch, body, err);
    arena_deinit(&scratch);
    if (rc == 0)
        rc = stream_modes_read(json_get(body, "stream_mode"), STREAM_VALUES, &out->modes, err);
    if (rc == 0)
        rc = read_word(body, "multitask_strategy", &MULTITASK_STRATEGY_WORDS,
                       (int)e->o.multitask_default, &multitask, err);
    if (rc == 0)
        rc = read_word(body, "on_completion", &ON_COMPLETION_WORDS, ON_COMPLETION_DELETE,
                       &completion, err);
    if (rc == 0)
        rc = read_word(body, "on_disconnect", &ON_DISCONNECT_WORDS, ON_DISCONNECT_CONTINUE,
                       &disconnect, err);
    if (rc == 0)
        rc = read_word(body, "if_not_exists", &IF_NOT_EXISTS_WORDS, IF_NOT_EXISTS_REJECT, &missing,
                       err);
    if (rc == 0)
        rc = read_word(body, "durability", &DURABILITY_WORDS, DURABILITY_ASYNC, &durability, err);
    if (rc == 0)
        rc = check_checkpoint(body, err);
    if (rc == 0)
        rc = read_after(body, &out->after_us, err);
    if (rc < 0)
        return rc;
    out->multitask = (enum multitask_strategy)multitask;
    out->on_completion = (enum on_completion)completion;
    out->on_disconnect = (enum on_disconnect)disconnect;
    out->if_not_exists = (enum if_not_exists)missing;
    out->stateless = id_is_nil(s->thread_id);
    return 0;
}

int engine_check(struct engine *e, const struct run_submit *s, struct err *err) {
    struct run_request q = {0};
    return run_request_read(e, s, &q, err);
}
