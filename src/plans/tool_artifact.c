/* SPDX-License-Identifier: Apache-2.0 */
/* tool_artifact.c - the tool "artifact:write": bytes that stay with the step, under a name.
 *
 *   {"name", "text" or "json" or "base64", "type"}  →  {"artifact_id", "name", "sha256", "bytes"}
 *
 * An attempt that is made again writes the same bytes under the same name: one artifact. */
#include "base/base64.h"
#include "plans/artifacts.h"
#include "plans/tools.h"

static int read_content(struct tool_call *call, struct artifact *out, str *data, struct err *err) {
    struct body b;
    body_init(&b, call->arena, call->input);
    out->name = body_str_required(&b, "name");
    str text = body_str(&b, "text", STR_NULL), bits = body_str(&b, "base64", STR_NULL);
    yyjson_val *value = body_get(&b, "json");
    str type = body_str(&b, "type", STR_NULL);
    if ((text.p != NULL) + (bits.p != NULL) + (value != NULL) != 1)
        body_fault(&b, "text", "one of text, json and base64 is required");
    if (bits.p && !base64_decode(call->arena, bits, data))
        body_fault(&b, "base64", "cannot be read");
    if (text.p)
        *data = text;
    if (value)
        *data = json_text(call->arena, value);
    out->type = type.p ? type
                : text.p ? STR("text/plain; charset=utf-8")
                : value  ? STR("application/json")
                         : STR("application/octet-stream");
    return body_done(&b, err);
}

static void write_output(struct tool_call *call, const struct artifact *it) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "artifact_id");
    jw_str(&w, id_dashed(call->arena, it->id));
    jw_key(&w, "name");
    jw_str(&w, it->name);
    jw_key(&w, "sha256");
    jw_str(&w, it->sha256);
    jw_key(&w, "bytes");
    jw_i64(&w, it->bytes);
    jw_object_end(&w);
    call->output = arena_take(call->arena, &b);
}

int tool_artifact(struct tool_call *call, struct err *err) {
    str owner = call->node->owner, data = STR("");
    struct principal who = {.owner = owner.p ? owner : STR("")};
    struct artifact it = {.plan_id = call->plan_id, .position = call->position};
    if (!call->tools->artifacts)
        return err_set(err, ERR_INVALID, "this server keeps no artifacts");
    int rc = read_content(call, &it, &data, err);
    if (rc == 0)
        rc = artifact_add(call->tools->artifacts, &who, &it, data, call->arena, err);
    if (rc == ERR_TOO_LARGE)
        return ERR_INVALID; /* it will not get smaller */
    if (rc == 0)
        write_output(call, &it);
    return rc;
}
