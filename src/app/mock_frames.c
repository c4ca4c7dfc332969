/* SPDX-License-Identifier: Apache-2.0 */
/* mock_frames.c - answers of the model stand-in as ready-made server-sent events.
 *
 * The stand-in shares its machine with what it measures, so the usual answer is formatted once per
 * model and then only copied. Each frame
 *     data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk",…}\n\n
 * has its id at the same place; 16 hex digits are written over it when it is sent. Ids must differ
 * between answers, since consumers merge messages by them.
 *
 * A token is a word or the blanks after it: the fixed answer of 34 words gives 67. */
#include "app/mock_llm_int.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"

#define FRAMES_BYTES_MAX ((size_t)256 << 20)
#define FIXED_ANSWER                                                                               \
    "This stand-in answers every question with the same sentence, because a benchmark "            \
    "should measure the server in front of it, its storage, its streams and its queues, and "      \
    "never the mood of a model."
#define ID_PLACE "0000000000000000"

str mock_fixed_answer(void) { return STR(FIXED_ANSWER); }

/* The next token of the text from *at on; starts over at its end. */
str mock_next_token(str text, size_t *at) {
    if (*at >= text.len)
        *at = 0;
    size_t start = *at;
    size_t end = start;
    bool blank = text.p[start] == ' ';
    while (end < text.len && (text.p[end] == ' ') == blank)
        end++;
    *at = end;
    return str_slice(text, start, end);
}

size_t mock_count_tokens(str text) {
    size_t count = 0;
    for (size_t at = 0; at < text.len; count++)
        (void)mock_next_token(text, &at); /* only the position counts */
    return count;
}

static void frame_begin(struct mock_frames *f, int64_t created) {
    struct buf *b = &f->stream;
    size_t start = b->len;
    buf_z(b, "data: {\"id\":\"chatcmpl-");
    f->stream_id_at = b->len - start;
    buf_z(b, ID_PLACE "\",\"object\":\"chat.completion.chunk\",\"created\":");
    buf_i64(b, created);
    buf_z(b, ",\"model\":");
    buf_z(b, f->model);
    buf_z(b, ",\"choices\":[{\"index\":0,\"delta\":{");
}

static void frame_end(struct mock_frames *f, const char *finish_reason) {
    struct buf *b = &f->stream;
    buf_z(b, "},\"finish_reason\":");
    buf_z(b, finish_reason);
    buf_z(b, "}]}\n\n");
    vec_push(&f->ends, (uint32_t)b->len);
}

static void add_text(struct mock_frames *f, const char *member, str text, size_t count,
                     int64_t created) {
    size_t at = 0;
    for (size_t i = 0; i < count && text.len > 0; i++) {
        str token = mock_next_token(text, &at);
        frame_begin(f, created);
        buf_printf(&f->stream, "\"%s\":\"", member);
        json_escape(&f->stream, token);
        buf_char(&f->stream, '"');
        frame_end(f, "null");
        json_escape(&f->whole, token);
    }
}

/* Up to n bytes, at least one character, never a part of one. */
str mock_next_piece(str *rest, size_t n) {
    size_t end = n < rest->len ? n : rest->len;
    while (end < rest->len && ((unsigned char)rest->p[end] & 0xc0) == 0x80)
        end++;
    str piece = str_slice(*rest, 0, end);
    *rest = str_slice(*rest, end, rest->len);
    return piece;
}

static void write_call_head(struct buf *b, str id, str name) {
    buf_z(b, "\"id\":\"call_");
    buf_str(b, id);
    buf_z(b, "\",\"type\":\"function\",\"function\":{\"name\":\"");
    json_escape(b, name);
    buf_z(b, "\",\"arguments\":\"");
}

/* As the original does: the name in a first piece, the arguments in further ones. */
static void add_call(struct mock_frames *f, const struct mock_tool_call *call, size_t index,
                     int64_t created) {
    char hex[ID_HEX_LEN];
    id_write_hex(id_v4(), hex);
    str id = str_n(hex, 24);
    struct buf *b = &f->stream;
    frame_begin(f, created);
    buf_printf(b, "\"tool_calls\":[{\"index\":%zu,", index);
    write_call_head(b, id, call->name);
    buf_z(b, "\"}}]");
    frame_end(f, "null");
    for (str rest = call->arguments; rest.len > 0;) {
        str piece = mock_next_piece(&rest, 12);
        frame_begin(f, created);
        buf_printf(b, "\"tool_calls\":[{\"index\":%zu,\"function\":{\"arguments\":\"", index);
        json_escape(b, piece);
        buf_z(b, "\"}}]");
        frame_end(f, "null");
    }
    b = &f->whole;
    buf_z(b, index > 0 ? ",{" : "{");
    write_call_head(b, id, call->name);
    json_escape(b, call->arguments);
    buf_z(b, "\"}}");
}

struct mock_frames *mock_frames_new(str model, const struct mock_answer *answer) {
    struct mock_frames *f = NEW(struct mock_frames);
    f->refs = 1;
    buf_init(&f->stream, FRAMES_BYTES_MAX);
    buf_init(&f->whole, FRAMES_BYTES_MAX);
    if (model.len < 3 || model.len >= sizeof f->model)
        model = STR("\"mock\"");
    memcpy(f->model, model.p, model.len);
    int64_t created = clock_wall_us() / 1000000;
    buf_z(&f->whole, "{\"id\":\"chatcmpl-");
    f->whole_id_at = f->whole.len;
    buf_z(&f->whole, ID_PLACE "\",\"object\":\"chat.completion\",\"created\":");
    buf_i64(&f->whole, created);
    buf_printf(&f->whole,
               ",\"model\":%s,\"choices\":[{\"index\":0,\"message\":"
               "{\"role\":\"assistant\",",
               f->model);
    frame_begin(f, created);
    buf_z(&f->stream, "\"role\":\"assistant\",\"content\":");
    buf_z(&f->stream, answer->call_count > 0 ? "null" : "\"\"");
    frame_end(f, "null");
    if (answer->thinking.len) {
        buf_z(&f->whole, "\"reasoning_content\":\"");
        add_text(f, "reasoning_content", answer->thinking, mock_count_tokens(answer->thinking),
                 created);
        buf_z(&f->whole, "\",");
    }
    buf_z(&f->whole, "\"content\":");
    const char *reason = "\"stop\"";
    if (answer->call_count > 0) {
        reason = "\"tool_calls\"";
        buf_z(&f->whole, "null,\"tool_calls\":[");
        for (size_t i = 0; i < answer->call_count; i++)
            add_call(f, &answer->calls[i], i, created);
        buf_char(&f->whole, ']');
    } else {
        str text = answer->text.p ? answer->text : STR(FIXED_ANSWER);
        size_t count = answer->token_count > 0 ? answer->token_count : mock_count_tokens(text);
        if (answer->token_max > 0 && count > answer->token_max) {
            count = answer->token_max;
            reason = "\"length\"";
        }
        buf_char(&f->whole, '"');
        add_text(f, "content", text, count, created);
        buf_char(&f->whole, '"');
    }
    f->token_count = f->ends.count - 1;
    frame_begin(f, created);
    frame_end(f, reason);
    buf_printf(&f->whole, "},\"finish_reason\":%s}],\"usage\":", reason);
    ASSERT(buf_ok(&f->stream) && buf_ok(&f->whole));
    return f;
}

void mock_frames_unref(struct mock_frames *f) {
    if (!f || --f->refs > 0)
        return;
    buf_deinit(&f->stream);
    buf_deinit(&f->whole);
    vec_deinit(&f->ends);
    mem_free(f);
}

void mock_frames_write(const struct mock_frames *f, size_t from, size_t to,
                       const char id[MOCK_ID_LEN], struct buf *out) {
    if (from >= to)
        return;
    size_t start = from > 0 ? f->ends.p[from - 1] : 0;
    size_t at = out->len;
    buf_append(out, f->stream.p + start, f->ends.p[to - 1] - start);
    if (!buf_ok(out) || f->baked)
        return;
    for (size_t i = from; i < to; i++) {
        size_t frame = (i > 0 ? f->ends.p[i - 1] : 0) - start;
        memcpy(out->p + at + frame + f->stream_id_at, id, MOCK_ID_LEN);
    }
}

static void write_usage(const struct mock_frames *f, size_t prompt_tokens, struct buf *out) {
    buf_z(out, "{\"prompt_tokens\":");
    buf_u64(out, prompt_tokens);
    buf_z(out, ",\"completion_tokens\":");
    buf_u64(out, f->token_count);
    buf_z(out, ",\"total_tokens\":");
    buf_u64(out, prompt_tokens + f->token_count);
    buf_z(out, "}}");
}

void mock_frames_write_usage(const struct mock_frames *f, const char id[MOCK_ID_LEN],
                             size_t prompt_tokens, struct buf *out) {
    size_t at = out->len;
    str head = str_n(f->stream.p, f->ends.p[0]);
    ptrdiff_t choices = str_find(head, STR("[{\"index\":0"));
    ASSERT(choices > 0);
    buf_append(out, head.p, (size_t)choices);
    if (buf_ok(out))
        memcpy(out->p + at + f->stream_id_at, id, MOCK_ID_LEN);
    buf_z(out, "[],\"usage\":");
    write_usage(f, prompt_tokens, out);
    buf_z(out, "\n\n");
}

void mock_frames_write_whole(const struct mock_frames *f, const char id[MOCK_ID_LEN],
                             size_t prompt_tokens, struct buf *out) {
    size_t at = out->len;
    buf_str(out, buf_view(&f->whole));
    if (f->baked)
        return;
    if (buf_ok(out))
        memcpy(out->p + at + f->whole_id_at, id, MOCK_ID_LEN);
    write_usage(f, prompt_tokens, out);
}
