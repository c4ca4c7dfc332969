/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_a2a_message.c - the parameters of an A2A client's message.
 *
 * Checks: a refusal has a code and a text; of what is taken, content, data and metadata are JSON of
 * the right kind, a task stands in its context, and numbers are within their bounds. */
#include "api/a2a_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static yyjson_val *parsed(struct arena *a, str json) {
    yyjson_val *root = NULL;
    if (json.p)
        ASSERT(json_parse(a, json, &root, NULL) == 0);
    return root;
}

static void check(struct arena *a, const struct api_a2a_send *s) {
    yyjson_val *content = parsed(a, s->content);
    ASSERT(!content || yyjson_is_str(content) || yyjson_is_arr(content));
    ASSERT(!s->data.p || yyjson_is_obj(parsed(a, s->data)));
    ASSERT(!s->metadata.p || yyjson_is_obj(parsed(a, s->metadata)));
    ASSERT(!s->text.p || (content && str_is_utf8(s->text)));
    ASSERT(!s->resume || yyjson_is_arr(s->resume));
    ASSERT(s->content.p || s->data.p || s->resume);
    ASSERT(s->history >= 0 && s->history <= A2A_HISTORY_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct api_a2a_send s;
    struct rpc_error e = {0};
    yyjson_val *root;
    struct id thread_id, run_id;
    str text = str_n((const char *)data, size);
    if (size > 1 << 16)
        return 0;
    arena_init(&a, (size_t)256 << 20);
    (void)api_a2a_task_id_read(text, &thread_id, &run_id);
    (void)api_a2a_version_is_known(text);
    if (json_parse(&a, text, &root, NULL) == 0) {
        if (api_a2a_send_read(&a, root, &s, &e))
            check(&a, &s);
        else
            ASSERT(e.code < 0 && e.text.len > 0);
        ASSERT(api_a2a_history_read(root) <= A2A_HISTORY_MAX);
    }
    arena_deinit(&a);
    return 0;
}
