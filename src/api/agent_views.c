/* SPDX-License-Identifier: Apache-2.0 */
/* agent_views.c - what the protocols of agents (A2A, protocol v2) read of threads and messages.
 *
 * A thread keeps its questions by task; both protocols know them as one list, by id. A message
 * comes as stream modes show it, whole or as a chunk, whose type is "ai" or "AIMessageChunk". */
#include "api/agent_views.h"

#include "engine/engine.h"

yyjson_val *api_questions_of(struct arena *a, const struct thread *t) {
    yyjson_val *root, *key, *list, *item, *out = NULL;
    size_t i, count, j, items;
    struct buf b;
    if (t->status != THREAD_INTERRUPTED || json_parse(a, t->interrupts, &root, NULL) < 0)
        return NULL;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    yyjson_obj_foreach(root, i, count, key, list) {
        yyjson_arr_foreach(list, j, items, item) { jw_val(&w, item); }
    }
    jw_array_end(&w);
    if (json_parse(a, arena_dup(a, buf_view(&b)), &out, NULL) < 0)
        out = NULL;
    buf_deinit(&b);
    return out;
}

bool api_has_question(yyjson_val *questions, str id) {
    yyjson_val *item;
    size_t i, count;
    yyjson_arr_foreach(questions, i, count, item) {
        if (id.len > 0 && str_eq(json_str(json_get(item, "id")), id))
            return true;
    }
    return false;
}

bool api_graph_takes_messages(struct api_request *r, str graph_id) {
    const struct graph_def *g = graph_library_find(engine_library(r->engine), graph_id);
    yyjson_val *root;
    if (!g || !g->input_schema || json_parse(r->arena, str_of(g->input_schema), &root, NULL) < 0)
        return true;
    yyjson_val *properties = json_get(root, "properties");
    return !yyjson_is_obj(properties) || json_has(properties, "messages");
}

bool api_message_is_ai(yyjson_val *message) {
    str type = json_str(json_get(message, "type"));
    return str_eq(type, STR("ai")) || str_starts(type, STR("AI"));
}

str api_message_text(struct arena *a, yyjson_val *message) {
    yyjson_val *content = json_get(message, "content"), *block;
    size_t i, count;
    str text = json_str(content);
    yyjson_arr_foreach(content, i, count, block) {
        str part = json_str(json_get(block, "text"));
        if (part.len)
            text = arena_concat(a, (str[]){text, part}, 2);
    }
    return text;
}
