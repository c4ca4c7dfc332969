/* SPDX-License-Identifier: Apache-2.0 */
/* chat_message.c - what the client of a chat says: one JSON object with a type.
 *
 *   message        content (a text, or a list of blocks), or resume
 *   abort          run_id; without one every run of the chat
 *   set:thinking   level
 *   session:info, ping
 *
 * Members that are unknown are passed over, as in requests. A new type: its word, its reader and
 * what is done with it in chat_socket.c. */
#include "api/chat_int.h"

#define BLOCK_COUNT_MAX 1000

static const struct word KIND_WORDS[] = {
    {STR("message"), CHAT_MESSAGE},
    {STR("abort"), CHAT_ABORT},
    {STR("set:thinking"), CHAT_THINKING},
    {STR("session:info"), CHAT_INFO},
    {STR("ping"), CHAT_PING},
};
static const struct word_set KINDS = {KIND_WORDS, ARRAY_COUNT(KIND_WORDS)};

static const struct word THINKING_WORDS[] = {
    {STR("off"), 0},    {STR("minimal"), 1}, {STR("low"), 2},
    {STR("medium"), 3}, {STR("high"), 4},    {STR("xhigh"), 5},
};
static const struct word_set THINKING = {THINKING_WORDS, ARRAY_COUNT(THINKING_WORDS)};

static const struct word DISCONNECT_WORDS[] = {{STR("continue"), 0}, {STR("cancel"), 1}};
static const struct word_set DISCONNECT = {DISCONNECT_WORDS, ARRAY_COUNT(DISCONNECT_WORDS)};

/* One of the words; absent when it is not said. */
static str read_level(struct body *b, const char *key) {
    str word = body_str(b, key, STR_NULL);
    int level;
    if (word.p && !word_parse(&THINKING, word, &level))
        body_fault(b, key, "must be one of off, minimal, low, medium, high, xhigh");
    return word;
}

static void read_content(struct body *b, struct chat_message *m) {
    yyjson_val *block;
    size_t i, count;
    m->content = body_get(b, "content");
    m->resume = json_has(m->root, "resume") ? json_get(m->root, "resume") : NULL;
    if (!m->content == !m->resume) {
        body_fault(b, "content", "is required, or resume; not both");
        return;
    }
    if (!m->content || (yyjson_is_str(m->content) && yyjson_get_len(m->content) > 0))
        return;
    bool well = yyjson_is_arr(m->content) && yyjson_arr_size(m->content) > 0 &&
                yyjson_arr_size(m->content) <= BLOCK_COUNT_MAX;
    yyjson_arr_foreach(m->content, i, count, block) well = well && yyjson_is_obj(block);
    if (!well)
        body_fault(b, "content", "must be a text or a list of blocks, and not empty");
}

static void read_message(struct body *b, struct chat_message *m) {
    read_content(b, m);
    m->assistant = body_str_sized(b, "assistant_id", 1, 255, STR_NULL);
    m->thinking = read_level(b, "thinking");
    m->cancel = body_enum(b, "on_disconnect", &DISCONNECT, 0) != 0;
    (void)body_object_val(b, "config");
    (void)body_object_val(b, "context");
    (void)body_object_val(b, "metadata");
    (void)body_str(b, "multitask_strategy", STR_NULL);
}

int chat_message_read(struct arena *a, yyjson_val *root, struct chat_message *out,
                      struct err *err) {
    struct body b;
    int kind;
    *out = (struct chat_message){.root = root};
    if (!yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "a message must be an object with a type");
    str id = json_str(json_get(root, "id"));
    if (id.len > 0 && id.len <= CHAT_ID_BYTES_MAX)
        out->id = id;
    str type = json_str(json_get(root, "type"));
    if (!type.p)
        return err_set(err, ERR_INVALID, "type: is required and must be a string");
    if (!word_parse(&KINDS, type, &kind))
        return err_set(err, ERR_INVALID, "type: is none of this server's");
    out->kind = (enum chat_kind)kind;
    body_init(&b, a, root);
    (void)body_str_sized(&b, "id", 1, CHAT_ID_BYTES_MAX, STR_NULL);
    out->has_thread = body_id(&b, "thread_id", &out->thread_id);
    if (out->kind == CHAT_MESSAGE)
        read_message(&b, out);
    else if (out->kind == CHAT_ABORT)
        (void)body_id(&b, "run_id", &out->run_id);
    else if (out->kind == CHAT_THINKING) {
        out->thinking = read_level(&b, "level");
        if (!out->thinking.p)
            body_fault(&b, "level", "is required");
    }
    return body_done(&b, err);
}

int chat_message_parse(struct arena *a, str text, struct chat_message *out, struct err *err) {
    yyjson_val *root;
    *out = (struct chat_message){0};
    int rc = json_parse(a, text, &root, err);
    return rc < 0 ? rc : chat_message_read(a, root, out, err);
}
