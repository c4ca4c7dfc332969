/* SPDX-License-Identifier: Apache-2.0 */
/* parts.c - blocks of content, messages and tools, as the dialects' bodies want to see them.
 *
 *   {"type":"text","text"}, a string                             text
 *   {"type":"image_url","image_url":{"url"} or a string}         image, of a data: URL or at one
 *   {"type":"input_audio","input_audio":{"data","format"}}       audio
 *   {"type":"file","file":{"file_data","filename"}}              file
 *   {"type":"image|audio|video|file|document", …} with
 *       base64, mime_type | url                                  LangChain's newer form
 *       source_type, data | url | text, mime_type                its older form
 *       source {type, media_type, data | url}                    Anthropic's
 *   {"type":"media","mime_type","data"|"file_uri"}               by the first word of mime_type */
#include "llm/parts.h"

static str first_of(yyjson_val *v, const char *one, const char *other) {
    str s = json_str(json_get(v, one));
    return s.len ? s : json_str(json_get(v, other));
}

/* data:image/png;base64,AAAA */
static void read_url(str url, struct llm_part *out) {
    ptrdiff_t comma = str_find_char(url, ',');
    if (!str_starts(url, STR("data:")) || comma < 0) {
        out->url = url;
        return;
    }
    str head = str_slice(url, 5, (size_t)comma);
    ptrdiff_t semicolon = str_find_char(head, ';');
    if (!out->mime.len)
        out->mime = semicolon < 0 ? head : str_slice(head, 0, (size_t)semicolon);
    if (str_ends(head, STR(";base64")))
        out->base64 = str_slice(url, (size_t)comma + 1, url.len);
    else
        out->url = url;
}

static enum llm_part_kind kind_of_mime(str mime) {
    if (str_starts(mime, STR("image/")))
        return LLM_PART_IMAGE;
    if (str_starts(mime, STR("audio/")))
        return LLM_PART_AUDIO;
    return str_starts(mime, STR("video/")) ? LLM_PART_VIDEO : LLM_PART_FILE;
}

static enum llm_part_kind kind_of_type(str type) {
    static const struct {
        const char *type;
        enum llm_part_kind kind;
    } kinds[] = {{"image", LLM_PART_IMAGE},
                 {"audio", LLM_PART_AUDIO},
                 {"video", LLM_PART_VIDEO},
                 {"file", LLM_PART_FILE},
                 {"document", LLM_PART_FILE}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (str_eq(type, str_of(kinds[i].type)))
            return kinds[i].kind;
    return LLM_PART_NONE;
}

static void read_data(yyjson_val *block, struct llm_part *out) {
    yyjson_val *source = json_get(block, "source");
    yyjson_val *from = yyjson_is_obj(source) ? source : block;
    str how = yyjson_is_obj(source) ? json_str(json_get(source, "type"))
                                    : json_str(json_get(block, "source_type"));
    out->mime = first_of(from, "mime_type", "media_type");
    out->name = first_of(block, "filename", "title");
    if (str_eq(how, STR("text"))) {
        out->kind = LLM_PART_TEXT;
        out->text = first_of(from, "text", "data");
        return;
    }
    out->base64 = first_of(from, "base64", "data");
    if (!out->base64.len)
        read_url(json_str(json_get(from, "url")), out);
}

static void read_openai(struct arena *a, yyjson_val *block, str type, struct llm_part *out) {
    if (str_eq(type, STR("image_url"))) {
        yyjson_val *v = json_get(block, "image_url");
        out->kind = LLM_PART_IMAGE;
        read_url(yyjson_is_str(v) ? json_str(v) : json_str(json_get(v, "url")), out);
    } else if (str_eq(type, STR("input_audio"))) {
        yyjson_val *v = json_get(block, "input_audio");
        out->kind = LLM_PART_AUDIO;
        out->base64 = json_str(json_get(v, "data"));
        out->mime = arena_printf(a, "audio/" STR_FMT,
                                 STR_ARG(str_slice(json_str(json_get(v, "format")), 0, 32)));
    } else { /* file */
        yyjson_val *v = json_get(block, "file");
        out->kind = LLM_PART_FILE;
        out->name = json_str(json_get(v, "filename"));
        read_url(json_str(json_get(v, "file_data")), out);
    }
}

void llm_part_read(struct arena *a, yyjson_val *block, struct llm_part *out) {
    *out = (struct llm_part){.kind = LLM_PART_NONE};
    str type = json_str(json_get(block, "type"));
    if (yyjson_is_str(block) || str_eq(type, STR("text"))) {
        out->kind = LLM_PART_TEXT;
        out->text = yyjson_is_str(block) ? json_str(block) : json_str(json_get(block, "text"));
        return;
    }
    if (str_eq(type, STR("image_url")) || str_eq(type, STR("input_audio")) ||
        (str_eq(type, STR("file")) && yyjson_is_obj(json_get(block, "file")))) {
        read_openai(a, block, type, out);
    } else if (str_eq(type, STR("media"))) {
        out->mime = json_str(json_get(block, "mime_type"));
        out->kind = kind_of_mime(out->mime);
        out->base64 = json_str(json_get(block, "data"));
        out->url = first_of(block, "file_uri", "url");
    } else if ((out->kind = kind_of_type(type)) != LLM_PART_NONE) {
        read_data(block, out);
    }
    if (out->kind != LLM_PART_TEXT && !out->base64.len && !out->url.len)
        out->kind = LLM_PART_NONE;
}

int llm_part_refuse(struct err *err, const struct llm_part *part, const char *server) {
    static const char *const words[] = {
        [LLM_PART_NONE] = "this content", [LLM_PART_TEXT] = "this text",
        [LLM_PART_IMAGE] = "this image",  [LLM_PART_AUDIO] = "audio",
        [LLM_PART_VIDEO] = "video",       [LLM_PART_FILE] = "this file"};
    return err_set(err, ERR_MODEL_REQUEST, "%s (" STR_FMT ") cannot be sent to %s",
                   words[part->kind], STR_ARG(str_slice(part->mime, 0, 64)), server);
}

int llm_messages_load(struct arena *a, const struct llm_request *r, struct message **out,
                      size_t *out_count, struct err *err) {
    struct message *list = ARENA_ARRAY(a, struct message, r->message_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < r->message_count; i++) {
        struct err why = {0};
        if (r->messages[i].type == MESSAGE_REMOVE)
            continue;
        list[count] = r->messages[i];
        if (message_load(a, &list[count], &why) < 0)
            return err_set(err, ERR_MODEL_REQUEST,
                           "messages[%zu] cannot be sent to a model: %.160s", i, why.message);
        count++;
    }
    *out = list;
    *out_count = count;
    return 0;
}

int llm_tools_load(struct arena *a, const struct llm_request *r, yyjson_val **out,
                   struct err *err) {
    yyjson_val *list = NULL;
    if (r->tools.len > 0 && (json_parse(a, r->tools, &list, NULL) < 0 || !yyjson_is_arr(list)))
        return err_set(err, ERR_MODEL_REQUEST, "the list of tools is not a JSON array");
    *out = yyjson_arr_size(list) > 0 ? list : NULL;
    return 0;
}

yyjson_val *llm_tool_function(yyjson_val *tool) {
    yyjson_val *function = json_get(tool, "function");
    return yyjson_is_obj(function) ? function : tool;
}

void llm_roles_close(struct llm_roles *l, struct json_writer *w) {
    if (!l->role)
        return;
    jw_array_end(w);
    jw_object_end(w);
    l->role = NULL;
}

void llm_roles_open(struct llm_roles *l, struct json_writer *w, const char *role) {
    if (l->role && strcmp(l->role, role) == 0)
        return;
    llm_roles_close(l, w);
    l->role = role;
    jw_object(w);
    jw_key(w, "role");
    jw_z(w, role);
    jw_key(w, l->key);
    jw_array(w);
}
