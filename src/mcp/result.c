/* SPDX-License-Identifier: Apache-2.0 */
/* result.c - what a tool answered, for a model and for people.
 *
 *   {"type":"text","text"}                          text
 *   {"type":"image"|"audio","data","mimeType"}      a block, as LangChain writes it
 *   {"type":"resource","resource":{uri,text|blob}}  its text; of a blob its address
 *   {"type":"resource_link","uri","name"}           name and address
 *   structuredContent                               kept; the text when there is no other
 *
 * Texts and blocks are bounded: a model would drown in what is left out, and it is told so. */
#include "mcp/mcp_int.h"

#define TEXT_BYTES_MAX       ((size_t)256 * 1024)
#define BLOCKS_BYTES_MAX     ((size_t)6 << 20)
#define STRUCTURED_BYTES_MAX ((size_t)1 << 20)
#define PARTS_MAX            256

struct result {
    struct arena *a;
    struct buf text, blocks;
    struct json_writer w;
    bool rich, cut;
};

static void add_text(struct result *r, str text) {
    size_t room = TEXT_BYTES_MAX - r->text.len;
    if (text.len == 0)
        return;
    if (r->text.len > 0 && room > 0) {
        buf_char(&r->text, '\n');
        room--;
    }
    str part = str_slice(text, 0, room);
    part.len = str_utf8_prefix(part);
    r->cut = r->cut || part.len < text.len;
    buf_str(&r->text, part);
    jw_object(&r->w);
    jw_key(&r->w, "type");
    jw_z(&r->w, "text");
    jw_key(&r->w, "text");
    jw_str(&r->w, part.p ? part : STR(""));
    jw_object_end(&r->w);
}

static void add_media(struct result *r, str type, yyjson_val *part) {
    str data = json_str(json_get(part, "data")), mime = json_str(json_get(part, "mimeType"));
    if (r->blocks.len + data.len + 1024 > BLOCKS_BYTES_MAX || mime.len > 128) {
        r->cut = true;
        return;
    }
    r->rich = true;
    jw_object(&r->w);
    jw_key(&r->w, "type");
    jw_str(&r->w, type);
    jw_key(&r->w, "base64");
    jw_str(&r->w, data);
    jw_key(&r->w, "mime_type");
    jw_str(&r->w, mime.len ? mime : STR("application/octet-stream"));
    jw_object_end(&r->w);
}

static void add_part(struct result *r, yyjson_val *part) {
    str type = json_str(json_get(part, "type"));
    yyjson_val *resource = json_get(part, "resource");
    if (str_eq(type, STR("text"))) {
        add_text(r, json_str(json_get(part, "text")));
    } else if (str_eq(type, STR("image")) || str_eq(type, STR("audio"))) {
        add_media(r, type, part);
    } else if (str_eq(type, STR("resource"))) {
        str text = json_str(json_get(resource, "text"));
        str uri = str_slice(json_str(json_get(resource, "uri")), 0, 2000);
        add_text(r, text.p ? text : arena_printf(r->a, "[resource " STR_FMT "]", STR_ARG(uri)));
    } else if (str_eq(type, STR("resource_link"))) {
        str name = str_slice(json_str(json_get(part, "name")), 0, 500);
        str uri = str_slice(json_str(json_get(part, "uri")), 0, 2000);
        add_text(r, arena_printf(r->a, "[resource " STR_FMT " at " STR_FMT "]", STR_ARG(name),
                                 STR_ARG(uri)));
    }
}

void mcp_answer_read(struct arena *a, yyjson_val *result, struct mcp_answer *out) {
    struct result r = {.a = a};
    yyjson_val *content = json_get(result, "content"), *part;
    yyjson_val *structured = json_get(result, "structuredContent");
    size_t i, n;
    *out = (struct mcp_answer){.failed = yyjson_is_true(json_get(result, "isError"))};
    buf_init(&r.text, TEXT_BYTES_MAX + 256);
    buf_init(&r.blocks, 2 * BLOCKS_BYTES_MAX);
    r.w = json_writer(&r.blocks);
    jw_array(&r.w);
    if (yyjson_is_arr(content))
        yyjson_arr_foreach(content, i, n, part) {
            r.cut = r.cut || i >= PARTS_MAX;
            if (i < PARTS_MAX)
                add_part(&r, part);
        }
    if (structured && !yyjson_is_null(structured)) {
        str text = json_text(a, structured);
        if (text.len <= STRUCTURED_BYTES_MAX)
            out->structured = text;
        if (r.text.len == 0 && !r.rich)
            add_text(&r, text);
    }
    if (r.cut)
        add_text(&r, STR("(cut here: the answer is longer than what can be kept)"));
    if (r.cut && r.text.len >= TEXT_BYTES_MAX)
        buf_z(&r.text, "\n(cut here: the answer is longer than what can be kept)");
    jw_array_end(&r.w);
    out->text = arena_dup(a, r.text.len ? buf_view(&r.text) : STR(""));
    if (r.rich && buf_ok(&r.blocks))
        out->blocks = arena_dup(a, buf_view(&r.blocks));
    buf_deinit(&r.text);
    buf_deinit(&r.blocks);
}
