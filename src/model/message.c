/* SPDX-License-Identifier: Apache-2.0 */
/* message.c - from every form of chat message that clients send to the one flat form kept.
 *
 * Design: three stages, each one pass. open_message() unwraps the outer form (string, pair, lc
 * constructor, stored {"type","data"}, plain object) and sorts the members it knows into slots;
 * resolve_type() decides the type from class name, "type" and "role"; write_message() writes the
 * flat form straight into a scratch buffer, which is copied into the arena once. A list shares one
 * scratch.
 *
 * Order of members (fixed, so equal messages have equal texts):
 *   content, [ai: tool_calls, invalid_tool_calls, usage_metadata], additional_kwargs,
 *   response_metadata, id, [name], type, [tool: tool_call_id, status, artifact], then every other
 *   member as it came.
 *
 * Invariants: the flat form is a fixed point (normalising it gives the same bytes; fuzzed), nests
 * no deeper than its input or MESSAGE_ARGUMENTS_DEPTH_MAX allows, and always has the strings "type"
 * and "id".
 * A new message type: a row in KINDS, and in write_own() when it has members of its own. */
#include "model/message.h"

#include "base/id.h"

enum slot {
    SLOT_CONTENT,
    SLOT_TYPE,
    SLOT_ROLE,
    SLOT_ID,
    SLOT_NAME,
    SLOT_ADDITIONAL_KWARGS,
    SLOT_RESPONSE_METADATA,
    SLOT_TOOL_CALLS,
    SLOT_INVALID_TOOL_CALLS,
    SLOT_USAGE_METADATA,
    SLOT_TOOL_CALL_ID,
    SLOT_STATUS,
    SLOT_ARTIFACT,
    SLOT_LC, /* from here on: outer forms only; a flat message keeps such members as they are */
    SLOT_KWARGS,
    SLOT_DATA,
    SLOT_COUNT
};
#define BIT(slot) (1u << (slot))

static const str SLOT_NAMES[SLOT_COUNT] = {
    [SLOT_CONTENT] = {"content", 7},
    [SLOT_TYPE] = {"type", 4},
    [SLOT_ROLE] = {"role", 4},
    [SLOT_ID] = {"id", 2},
    [SLOT_NAME] = {"name", 4},
    [SLOT_ADDITIONAL_KWARGS] = {"additional_kwargs", 17},
    [SLOT_RESPONSE_METADATA] = {"response_metadata", 17},
    [SLOT_TOOL_CALLS] = {"tool_calls", 10},
    [SLOT_INVALID_TOOL_CALLS] = {"invalid_tool_calls", 18},
    [SLOT_USAGE_METADATA] = {"usage_metadata", 14},
    [SLOT_TOOL_CALL_ID] = {"tool_call_id", 12},
    [SLOT_STATUS] = {"status", 6},
    [SLOT_ARTIFACT] = {"artifact", 8},
    [SLOT_LC] = {"lc", 2},
    [SLOT_KWARGS] = {"kwargs", 6},
    [SLOT_DATA] = {"data", 4},
};

enum spelling {
    SPELLING_WORD, /* of "type" or "role" */
    SPELLING_DEVELOPER,
    SPELLING_CLASS /* a class name: in lc ids, and as "type" of Python's chunks */
};

/* Accepted words: what they mean, and the word kept. */
static const struct kind {
    str word;
    enum message_type type;
    enum spelling spelling;
    str flat;
} KINDS[] = {
    {{"human", 5}, MESSAGE_HUMAN, SPELLING_WORD, {"human", 5}},
    {{"user", 4}, MESSAGE_HUMAN, SPELLING_WORD, {"human", 5}},
    {{"ai", 2}, MESSAGE_AI, SPELLING_WORD, {"ai", 2}},
    {{"assistant", 9}, MESSAGE_AI, SPELLING_WORD, {"ai", 2}},
    {{"system", 6}, MESSAGE_SYSTEM, SPELLING_WORD, {"system", 6}},
    {{"developer", 9}, MESSAGE_SYSTEM, SPELLING_DEVELOPER, {"system", 6}},
    {{"tool", 4}, MESSAGE_TOOL, SPELLING_WORD, {"tool", 4}},
    {{"remove", 6}, MESSAGE_REMOVE, SPELLING_WORD, {"remove", 6}},
    {{"function", 8}, MESSAGE_OTHER, SPELLING_WORD, {"function", 8}},
    {{"chat", 4}, MESSAGE_OTHER, SPELLING_WORD, {"chat", 4}},
    {{"HumanMessage", 12}, MESSAGE_HUMAN, SPELLING_CLASS, {"human", 5}},
    {{"HumanMessageChunk", 17}, MESSAGE_HUMAN, SPELLING_CLASS, {"human", 5}},
    {{"AIMessage", 9}, MESSAGE_AI, SPELLING_CLASS, {"ai", 2}},
    {{"AIMessageChunk", 14}, MESSAGE_AI, SPELLING_CLASS, {"ai", 2}},
    {{"SystemMessage", 13}, MESSAGE_SYSTEM, SPELLING_CLASS, {"system", 6}},
    {{"SystemMessageChunk", 18}, MESSAGE_SYSTEM, SPELLING_CLASS, {"system", 6}},
    {{"ToolMessage", 11}, MESSAGE_TOOL, SPELLING_CLASS, {"tool", 4}},
    {{"ToolMessageChunk", 16}, MESSAGE_TOOL, SPELLING_CLASS, {"tool", 4}},
    {{"RemoveMessage", 13}, MESSAGE_REMOVE, SPELLING_CLASS, {"remove", 6}},
    {{"FunctionMessage", 15}, MESSAGE_OTHER, SPELLING_CLASS, {"function", 8}},
    {{"FunctionMessageChunk", 20}, MESSAGE_OTHER, SPELLING_CLASS, {"function", 8}},
    {{"ChatMessage", 11}, MESSAGE_OTHER, SPELLING_CLASS, {"chat", 4}},
    {{"ChatMessageChunk", 16}, MESSAGE_OTHER, SPELLING_CLASS, {"chat", 4}},
};

#define OPENAI_ROLE "__openai_role__" /* LangChain's mark of a developer message */

/* One message as it came. */
struct view {
    enum message_type type;
    str type_name;
    bool developer;
    bool lenient;       /* from a constructor, whose defaults may be left out */
    yyjson_val *object; /* holds the members; NULL for pairs and strings */
    yyjson_val *slot[SLOT_COUNT];
    uint32_t seen; /* BIT(slot) of the members there */
    bool extra;    /* members without a slot */
};

/* Scratch memory of one call. */
struct scratch {
    struct arena *a;
    struct buf out, invalid;
};

static void scratch_init(struct scratch *s, struct arena *a) {
    s->a = a;
    buf_init(&s->out, MESSAGE_BYTES_MAX);
    buf_init(&s->invalid, MESSAGE_BYTES_MAX);
}

static void scratch_deinit(struct scratch *s) {
    buf_deinit(&s->out);
    buf_deinit(&s->invalid);
}

static str key_of(yyjson_val *key) { return str_n(yyjson_get_str(key), yyjson_get_len(key)); }

static const struct kind *kind_find(str word) {
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        if (str_eq(KINDS[i].word, word))
            return &KINDS[i];
    return NULL;
}

static enum slot slot_find(str key) {
    for (enum slot i = 0; i < SLOT_COUNT; i++)
        if (str_eq(SLOT_NAMES[i], key))
            return i;
    return SLOT_COUNT;
}

static bool missing(yyjson_val *v) { return !v || yyjson_is_null(v); }

/* ---- opening ---- */

static void sort_members(struct view *view, yyjson_val *object) {
    memset(view->slot, 0, sizeof(view->slot));
    view->object = object;
    view->seen = 0;
    view->extra = false;
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, count, key, value) {
        enum slot slot = slot_find(key_of(key));
        if (slot == SLOT_COUNT) {
            view->extra = true;
        } else {
            view->slot[slot] = value;
            view->seen |= BIT(slot);
        }
    }
}

static void view_set_kind(struct view *view, const struct kind *kind) {
    view->type = kind->type;
    view->type_name = kind->flat;
    view->developer = kind->spelling == SPELLING_DEVELOPER;
}

/* A word that stands for a role or, when unknown, is LangChain's free-form chat role. */
static void view_set_role(struct view *view, str role) {
    const struct kind *kind = kind_find(role);
    if (kind) {
        view_set_kind(view, kind);
    } else {
        view->type = MESSAGE_OTHER;
        view->type_name = STR("chat");
    }
}

/* Also of unwrapped members: a free-form role is kept. */
static int check_role(const struct view *view, struct err *err) {
    yyjson_val *role = view->slot[SLOT_ROLE];
    if (missing(role) || !str_empty(json_str(role)))
        return 0;
    return err_set(err, ERR_INVALID, "role: must be a string that is not empty");
}

static int resolve_type(struct view *view, struct err *err) {
    str type = json_str(view->slot[SLOT_TYPE]);
    str role = json_str(view->slot[SLOT_ROLE]);
    if (!missing(view->slot[SLOT_TYPE]) && str_empty(type))
        return err_set(err, ERR_INVALID, "type: must be a string that is not empty");
    if (!type.p && !role.p)
        return err_set(err, ERR_INVALID, "must have a \"role\" or a \"type\"");
    const struct kind *kind = type.p ? kind_find(type) : NULL;
    if (kind) {
        view_set_kind(view, kind);
    } else if (!type.p || str_eq(type, STR("message"))) {
        /* OpenAI's newer items are {"type": "message", "role": …}. */
        if (!role.p)
            return err_set(err, ERR_INVALID, "role: is required");
        view_set_role(view, role);
    } else {
        view->type = MESSAGE_OTHER;
        view->type_name = type;
    }
    return 0;
}

/* {"lc":1,"type":"constructor","id":[…,"HumanMessage"],"kwargs":{…}} */
static int open_constructor(struct view *view, struct err *err) {
    yyjson_val *path = view->slot[SLOT_ID];
    yyjson_val *kwargs = view->slot[SLOT_KWARGS];
    if (!str_eq(json_str(view->slot[SLOT_TYPE]), STR("constructor")))
        return err_set(err, ERR_INVALID, "type: of an lc object must be \"constructor\"");
    str class_name = json_str(yyjson_arr_get_last(path));
    const struct kind *kind = class_name.p ? kind_find(class_name) : NULL;
    if (!kind || kind->spelling != SPELLING_CLASS)
        return err_set(err, ERR_INVALID, "id: must end with the class name of a message");
    if (!yyjson_is_obj(kwargs))
        return err_set(err, ERR_INVALID, "kwargs: must be an object");
    sort_members(view, kwargs);
    view->lenient = true;
    view_set_kind(view, kind);
    return check_role(view, err);
}

static int open_pair(struct view *view, yyjson_val *pair, struct err *err) {
    str role = json_str(yyjson_arr_get_first(pair));
    if (yyjson_arr_size(pair) != 2 || str_empty(role))
        return err_set(err, ERR_INVALID, "a pair must be [role, content]");
    view_set_role(view, role);
    view->slot[SLOT_CONTENT] = yyjson_arr_get_last(pair);
    view->slot[SLOT_ROLE] = yyjson_arr_get_first(pair);
    return 0;
}

static int open_message(struct view *view, yyjson_val *in, struct err *err) {
    if (yyjson_is_str(in)) {
        view->type = MESSAGE_HUMAN;
        view->type_name = STR("human");
        view->slot[SLOT_CONTENT] = in;
        return 0;
    }
    if (yyjson_is_arr(in))
        return open_pair(view, in, err);
    if (!yyjson_is_obj(in))
        return err_set(err, ERR_INVALID,
                       "must be a message object, a [role, content] pair or a string");
    sort_members(view, in);
    int rc = check_role(view, err);
    if (rc < 0)
        return rc;
    if (yyjson_is_num(view->slot[SLOT_LC]) && !(view->seen & BIT(SLOT_CONTENT)))
        return open_constructor(view, err);
    if (yyjson_is_obj(view->slot[SLOT_DATA]) && !(view->seen & BIT(SLOT_CONTENT))) {
        /* LangChain's stored form {"type": "human", "data": {…}}. */
        rc = resolve_type(view, err);
        if (rc < 0)
            return rc;
        sort_members(view, view->slot[SLOT_DATA]);
        view->lenient = true;
        return check_role(view, err);
    }
    return resolve_type(view, err);
}

/* ---- writing ---- */

/* Content parts are texts or objects; what is inside an object is the model server's affair. */
static bool parts_valid(yyjson_val *parts) {
    size_t i, count;
    yyjson_val *part;
    yyjson_arr_foreach(parts, i, count, part) {
        if (!yyjson_is_obj(part) && !yyjson_is_str(part))
            return false;
    }
    return true;
}

static int write_content(struct scratch *s, struct json_writer *w, const struct view *view,
                         struct err *err) {
    yyjson_val *content = view->slot[SLOT_CONTENT];
    jw_key(w, "content");
    if (yyjson_is_str(content)) {
        jw_str(w, json_str(content));
    } else if (missing(content)) {
        /* An assistant turn that only calls tools, or a removal, has none. */
        bool optional = view->lenient || view->type == MESSAGE_AI || view->type == MESSAGE_REMOVE ||
                        view->type == MESSAGE_OTHER;
        if (!optional)
            return err_set(err, ERR_INVALID, "content: is required");
        jw_str(w, STR(""));
    } else if (yyjson_is_arr(content) && parts_valid(content)) {
        jw_val(w, content);
    } else if (view->type == MESSAGE_TOOL) {
        jw_str(w, json_text(s->a, content));
    } else {
        return err_set(err, ERR_INVALID, "content: must be a string or an array of content parts");
    }
    return 0;
}

static void write_invalid_call(struct scratch *s, struct json_writer *w, str name, str arguments,
                               yyjson_val *id, const char *reason) {
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, name);
    jw_key(w, "args");
    jw_str(w, arguments);
    jw_key(w, "id");
    jw_val(w, id);
    jw_key(w, "error");
    jw_str(w, arena_printf(s->a, "The arguments of the call are not valid: %s", reason));
    jw_key(w, "type");
    jw_z(w, "invalid_tool_call");
    jw_object_end(w);
}

/* Arguments that come as text; *out_reason says why they cannot be used. */
static yyjson_val *parse_arguments(struct scratch *s, str text, const char **out_reason) {
    if (json_depth(text, MESSAGE_ARGUMENTS_DEPTH_MAX) > MESSAGE_ARGUMENTS_DEPTH_MAX) {
        *out_reason = "nested too deep";
        return NULL;
    }
    struct err err = {0};
    yyjson_val *root = NULL;
    if (json_parse(s->a, text, &root, &err) < 0) {
        *out_reason = arena_z(s->a, str_of(err.message));
        return NULL;
    }
    if (!yyjson_is_obj(root)) {
        *out_reason = "must be a JSON object";
        return NULL;
    }
    return root;
}

static bool call_key_known(str key) {
    return str_eq(key, STR("name")) || str_eq(key, STR("args")) || str_eq(key, STR("id")) ||
           str_eq(key, STR("type")) || str_eq(key, STR("function"));
}

static void write_call(struct json_writer *w, yyjson_val *call, str name, yyjson_val *args) {
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, name);
    jw_key(w, "args");
    if (args)
        jw_val(w, args);
    else
        jw_raw(w, STR("{}"));
    jw_key(w, "id");
    jw_val(w, json_get(call, "id"));
    jw_key(w, "type");
    jw_z(w, "tool_call");
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(call, i, count, key, value) {
        if (call_key_known(key_of(key)))
            continue;
        jw_key_str(w, key_of(key));
        jw_val(w, value);
    }
    jw_object_end(w);
}

/* OpenAI's {id, type: "function", function: {name, arguments: "json"}} or {name, args, id}. */
static int convert_call(struct scratch *s, struct json_writer *w, struct json_writer *invalid,
                        yyjson_val *call, struct err *err) {
    if (!yyjson_is_obj(call))
        return err_set(err, ERR_INVALID, "must be an object");
    yyjson_val *function = json_get(call, "function");
    yyjson_val *args = function ? json_get(function, "arguments") : json_get(call, "args");
    yyjson_val *id = json_get(call, "id");
    yyjson_val *args_object = NULL;
    str name = json_str(json_get(function ? function : call, "name"));
    if (!name.p)
        return err_set(err, ERR_INVALID, "name: must be a string");
    if (!missing(id) && !yyjson_is_str(id))
        return err_set(err, ERR_INVALID, "id: must be a string");
    const char *reason = NULL;
    bool is_text = yyjson_is_str(args);
    if (is_text && yyjson_get_len(args) > 0)
        args_object = parse_arguments(s, json_str(args), &reason);
    else if (yyjson_is_obj(args))
        args_object = args;
    else if (!is_text && !missing(args))
        reason = "must be a JSON object";
    /* Model servers send "" for functions without parameters: that is {}. */
    if (reason)
        write_invalid_call(s, invalid, name, is_text ? json_str(args) : json_text(s->a, args), id,
                           reason);
    else
        write_call(w, call, name, args_object);
    return 0;
}

/* Where the tool calls stand: as a member, or, by older clients, in additional_kwargs only. */
static yyjson_val *find_calls(const struct view *view) {
    yyjson_val *calls = view->slot[SLOT_TOOL_CALLS];
    if (!missing(calls) && !(yyjson_is_arr(calls) && yyjson_arr_size(calls) == 0))
        return calls;
    yyjson_val *older = json_get(view->slot[SLOT_ADDITIONAL_KWARGS], "tool_calls");
    bool told = yyjson_arr_size(view->slot[SLOT_INVALID_TOOL_CALLS]) > 0;
    return !told && yyjson_arr_size(older) > 0 ? older : NULL;
}

static int write_tool_calls(struct scratch *s, struct json_writer *w, const struct view *view,
                            struct err *err) {
    buf_reset(&s->invalid);
    struct json_writer invalid = json_writer(&s->invalid);
    yyjson_val *known_invalid = view->slot[SLOT_INVALID_TOOL_CALLS];
    yyjson_val *calls = find_calls(view), *call;
    size_t i, count;
    if (calls && !yyjson_is_arr(calls))
        return err_set(err, ERR_INVALID, "tool_calls: must be an array");
    if (!missing(known_invalid) && !yyjson_is_arr(known_invalid))
        return err_set(err, ERR_INVALID, "invalid_tool_calls: must be an array");
    jw_array(&invalid);
    yyjson_arr_foreach(known_invalid, i, count, call) { jw_val(&invalid, call); }
    jw_key(w, "tool_calls");
    jw_array(w);
    yyjson_arr_foreach(calls, i, count, call) {
        int rc = convert_call(s, w, &invalid, call, err);
        if (rc < 0) {
            err_context(err, "tool_calls[%zu]", i);
            return rc;
        }
    }
    jw_array_end(w);
    jw_array_end(&invalid);
    jw_key(w, "invalid_tool_calls");
    jw_raw(w, buf_view(&s->invalid));
    return 0;
}

static int write_object(struct json_writer *w, const struct view *view, enum slot slot,
                        struct err *err) {
    yyjson_val *v = view->slot[slot];
    bool mark = slot == SLOT_ADDITIONAL_KWARGS && view->developer && !json_has(v, OPENAI_ROLE);
    if (!missing(v) && !yyjson_is_obj(v))
        return err_set(err, ERR_INVALID, "%s: must be an object", SLOT_NAMES[slot].p);
    jw_key_str(w, SLOT_NAMES[slot]);
    if (mark) {
        size_t i, count;
        yyjson_val *key, *value;
        jw_object(w);
        yyjson_obj_foreach(v, i, count, key, value) {
            jw_key_str(w, key_of(key));
            jw_val(w, value);
        }
        jw_key(w, OPENAI_ROLE);
        jw_z(w, "developer");
        jw_object_end(w);
    } else if (missing(v)) {
        jw_raw(w, STR("{}"));
    } else {
        jw_val(w, v);
    }
    return 0;
}

/* Ids are texts; numbers are taken as their text. Absent when there is none. */
static int id_text(struct arena *a, yyjson_val *v, const char *what, str *out, struct err *err) {
    if (missing(v)) {
        *out = STR_NULL;
    } else if (yyjson_is_str(v)) {
        *out = arena_dup(a, json_str(v));
    } else if (yyjson_is_int(v)) {
        *out = json_text(a, v);
    } else {
        return err_set(err, ERR_INVALID, "%s: must be a string", what);
    }
    return 0;
}

static int write_tool_members(struct scratch *s, struct json_writer *w, const struct view *view,
                              struct err *err) {
    str call_id;
    str status = json_str(view->slot[SLOT_STATUS]);
    int rc = id_text(s->a, view->slot[SLOT_TOOL_CALL_ID], "tool_call_id", &call_id, err);
    if (rc < 0)
        return rc;
    if (!call_id.p)
        return err_set(err, ERR_INVALID, "tool_call_id: is required");
    if (!missing(view->slot[SLOT_STATUS]) && !str_eq(status, STR("success")) &&
        !str_eq(status, STR("error")))
        return err_set(err, ERR_INVALID, "status: must be success or error");
    jw_key(w, "tool_call_id");
    jw_str(w, call_id);
    jw_key(w, "status");
    jw_str(w, status.p ? status : STR("success"));
    if (view->slot[SLOT_ARTIFACT]) {
        jw_key(w, "artifact");
        jw_val(w, view->slot[SLOT_ARTIFACT]);
    }
    return 0;
}

/* The slots that the writer itself writes for this type; the others are kept as they came. */
static uint32_t slots_written(enum message_type type) {
    uint32_t bits = BIT(SLOT_CONTENT) | BIT(SLOT_TYPE) | BIT(SLOT_ID) | BIT(SLOT_NAME) |
                    BIT(SLOT_ADDITIONAL_KWARGS) | BIT(SLOT_RESPONSE_METADATA);
    if (type != MESSAGE_OTHER)
        bits |= BIT(SLOT_ROLE);
    if (type == MESSAGE_AI)
        bits |= BIT(SLOT_TOOL_CALLS) | BIT(SLOT_INVALID_TOOL_CALLS) | BIT(SLOT_USAGE_METADATA);
    if (type == MESSAGE_TOOL)
        bits |= BIT(SLOT_TOOL_CALL_ID) | BIT(SLOT_STATUS) | BIT(SLOT_ARTIFACT);
    return bits;
}

static void write_rest(struct json_writer *w, const struct view *view) {
    uint32_t written = slots_written(view->type);
    if (!view->object) {
        /* A pair of a free-form role. */
        if (view->type == MESSAGE_OTHER && view->slot[SLOT_ROLE] &&
            str_eq(view->type_name, STR("chat"))) {
            jw_key(w, "role");
            jw_val(w, view->slot[SLOT_ROLE]);
        }
        return;
    }
    if (!view->extra && !(view->seen & ~written))
        return;
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(view->object, i, count, key, value) {
        enum slot slot = slot_find(key_of(key));
        if (slot != SLOT_COUNT && (written & BIT(slot)))
            continue;
        jw_key_str(w, key_of(key));
        jw_val(w, value);
    }
}

/* name, type, and what only this type has. */
static int write_own(struct scratch *s, struct json_writer *w, const struct view *view,
                     struct err *err) {
    yyjson_val *name = view->slot[SLOT_NAME];
    if (!missing(name) && !yyjson_is_str(name))
        return err_set(err, ERR_INVALID, "name: must be a string");
    if (!missing(name)) {
        jw_key(w, "name");
        jw_val(w, name);
    }
    jw_key(w, "type");
    jw_str(w, view->type_name);
    return view->type == MESSAGE_TOOL ? write_tool_members(s, w, view, err) : 0;
}

static int write_ai_members(struct scratch *s, struct json_writer *w, const struct view *view,
                            struct err *err) {
    yyjson_val *usage = view->slot[SLOT_USAGE_METADATA];
    int rc = write_tool_calls(s, w, view, err);
    if (rc < 0)
        return rc;
    if (missing(usage))
        return 0;
    return write_object(w, view, SLOT_USAGE_METADATA, err);
}

static int write_message(struct scratch *s, const struct view *view, str id, struct err *err) {
    buf_reset(&s->out);
    struct json_writer w = json_writer(&s->out);
    jw_object(&w);
    int rc = write_content(s, &w, view, err);
    if (rc == 0 && view->type == MESSAGE_AI)
        rc = write_ai_members(s, &w, view, err);
    if (rc == 0)
        rc = write_object(&w, view, SLOT_ADDITIONAL_KWARGS, err);
    if (rc == 0)
        rc = write_object(&w, view, SLOT_RESPONSE_METADATA, err);
    if (rc < 0)
        return rc;
    jw_key(&w, "id");
    jw_str(&w, id);
    rc = write_own(s, &w, view, err);
    if (rc < 0)
        return rc;
    write_rest(&w, view);
    jw_object_end(&w);
    if (!buf_ok(&s->out) || !buf_ok(&s->invalid))
        return err_set(err, ERR_TOO_LARGE, "the message is larger than %zu bytes",
                       MESSAGE_BYTES_MAX);
    return 0;
}

static int normalise_with(struct scratch *s, yyjson_val *in, struct message *out, struct err *err) {
    struct view view = {0};
    str id;
    int rc = open_message(&view, in, err);
    if (rc < 0)
        return rc;
    rc = id_text(s->a, view.slot[SLOT_ID], "id", &id, err);
    if (rc < 0)
        return rc;
    if (str_empty(id)) {
        if (view.type == MESSAGE_REMOVE)
            return err_set(err, ERR_INVALID, "id: is required");
        id = id_dashed(s->a, id_v7());
    }
    rc = write_message(s, &view, id, err);
    if (rc < 0)
        return rc;
    char *json = arena_try_alloc(s->a, s->out.len + 1);
    if (!json)
        return err_set(err, ERR_TOO_LARGE, "the messages are too large for one request");
    memcpy(json, s->out.p, s->out.len);
    json[s->out.len] = '\0';
    str type_name = view.type_name;
    if (view.type == MESSAGE_OTHER)
        type_name = arena_dup(s->a, type_name);
    *out = (struct message){
        .type = view.type, .id = id, .json = str_n(json, s->out.len), .type_name = type_name};
    return 0;
}

int message_normalise(struct arena *a, yyjson_val *in, struct message *out, struct err *err) {
    struct scratch s;
    scratch_init(&s, a);
    int rc = normalise_with(&s, in, out, err);
    scratch_deinit(&s);
    return rc;
}

int message_normalise_list(struct arena *a, yyjson_val *in, struct message **out, size_t *out_count,
                           struct err *err) {
    struct scratch s;
    size_t i, count;
    yyjson_val *item;
    int rc = 0;
    bool many = yyjson_is_arr(in);
    size_t total = many ? yyjson_arr_size(in) : 1;
    struct message *list = arena_try_alloc(a, (total ? total : 1) * sizeof(*list));
    if (!list)
        return err_set(err, ERR_TOO_LARGE, "there are too many messages for one request");
    scratch_init(&s, a);
    if (!many)
        rc = normalise_with(&s, in, &list[0], err);
    yyjson_arr_foreach(in, i, count, item) {
        rc = normalise_with(&s, item, &list[i], err);
        if (rc < 0) {
            err_context(err, "messages[%zu]", i);
            break;
        }
    }
    scratch_deinit(&s);
    if (rc < 0)
        return rc;
    *out = list;
    *out_count = total;
    return 0;
}

/* ---- reading what was kept ---- */

static int read_flat(struct arena *a, str json, struct message *out, struct err *err) {
    struct err cause = {0};
    yyjson_val *root = NULL;
    if (json_parse(a, json, &root, &cause) < 0)
        return err_set(err, ERR_CORRUPT, "a stored message cannot be read: %s", cause.message);
    str type = json_str(json_get(root, "type"));
    str id = json_str(json_get(root, "id"));
    if (str_empty(type) || str_empty(id))
        return err_set(err, ERR_CORRUPT, "a stored message has no type or no id");
    const struct kind *kind = kind_find(type);
    bool known = kind && str_eq(kind->flat, type);
    *out = (struct message){.type = known ? kind->type : MESSAGE_OTHER,
                            .id = id,
                            .json = json,
                            .root = root,
                            .type_name = type};
    return 0;
}

int message_parse_flat(struct arena *a, str json, struct message *out, struct err *err) {
    return read_flat(a, json, out, err);
}

int message_load(struct arena *a, struct message *m, struct err *err) {
    return m->root ? 0 : read_flat(a, m->json, m, err);
}

/* The text of one part: a plain string, or text by any of the names that model servers use. */
static str part_text(yyjson_val *part) {
    if (yyjson_is_str(part))
        return json_str(part);
    str type = json_str(json_get(part, "type"));
    bool is_text = str_eq(type, STR("text")) || str_eq(type, STR("input_text")) ||
                   str_eq(type, STR("output_text"));
    return is_text ? json_str(json_get(part, "text")) : STR_NULL;
}

str message_text(struct arena *a, const struct message *m) {
    struct message loaded = *m;
    if (message_load(a, &loaded, NULL) < 0)
        return STR("");
    yyjson_val *content = json_get(loaded.root, "content"), *part;
    if (yyjson_is_str(content))
        return json_str(content);
    size_t i, count, bytes = 0, at = 0;
    yyjson_arr_foreach(content, i, count, part) { bytes += part_text(part).len; }
    if (bytes == 0)
        return STR("");
    char *text = arena_alloc(a, bytes + 1);
    yyjson_arr_foreach(content, i, count, part) {
        str piece = part_text(part);
        if (piece.len == 0)
            continue;
        memcpy(text + at, piece.p, piece.len);
        at += piece.len;
    }
    text[at] = '\0';
    return str_n(text, at);
}

yyjson_val *message_tool_calls(const struct message *m) {
    yyjson_val *calls = json_get(m->root, "tool_calls");
    return yyjson_is_arr(calls) ? calls : NULL;
}

str message_type_name(const struct message *m) {
    switch (m->type) {
    case MESSAGE_HUMAN:
        return STR("human");
    case MESSAGE_AI:
        return STR("ai");
    case MESSAGE_SYSTEM:
        return STR("system");
    case MESSAGE_TOOL:
        return STR("tool");
    case MESSAGE_REMOVE:
        return STR("remove");
    case MESSAGE_OTHER:
        return m->type_name;
    }
    UNREACHABLE();
}

/* ---- building ---- */

static void make_open(struct buf *b, struct json_writer *w, str content) {
    buf_init(b, MESSAGE_BYTES_MAX);
    *w = json_writer(b);
    jw_object(w);
    jw_key(w, "content");
    jw_str(w, content.p ? content : STR(""));
}

static void make_open_json(struct buf *b, struct json_writer *w, str content) {
    buf_init(b, SIZE_MAX / 2);
    *w = json_writer(b);
    jw_object(w);
    jw_key(w, "content");
    jw_raw(w, content);
}

static void make_common(struct json_writer *w, str additional, str response_metadata, str id) {
    jw_key(w, "additional_kwargs");
    jw_raw(w, str_empty(additional) ? STR("{}") : additional);
    jw_key(w, "response_metadata");
    jw_raw(w, str_empty(response_metadata) ? STR("{}") : response_metadata);
    jw_key(w, "id");
    jw_str(w, id);
}

static void make_close(struct arena *a, struct buf *b, struct json_writer *w, struct message *out) {
    jw_object_end(w);
    ASSERT(buf_ok(b));
    out->json = arena_dup(a, buf_view(b));
    buf_deinit(b);
}

static void make_identity(struct arena *a, enum message_type type, str id, struct message *out) {
    *out = (struct message){.type = type};
    out->type_name = message_type_name(out);
    out->id = str_empty(id) ? id_dashed(a, id_v7()) : arena_dup(a, id);
}

void message_make_ai(struct arena *a, const struct message_ai *in, struct message *out) {
    struct buf b;
    struct json_writer w;
    make_identity(a, MESSAGE_AI, in->id, out);
    make_open(&b, &w, in->content);
    jw_key(&w, "tool_calls");
    jw_raw(&w, str_empty(in->tool_calls) ? STR("[]") : in->tool_calls);
    jw_key(&w, "invalid_tool_calls");
    jw_raw(&w, str_empty(in->invalid_tool_calls) ? STR("[]") : in->invalid_tool_calls);
    if (in->input_tokens >= 0 || in->output_tokens >= 0) {
        int64_t input = in->input_tokens >= 0 ? in->input_tokens : 0;
        int64_t output = in->output_tokens >= 0 ? in->output_tokens : 0;
        jw_key(&w, "usage_metadata");
        jw_object(&w);
        jw_key(&w, "input_tokens");
        jw_i64(&w, input);
        jw_key(&w, "output_tokens");
        jw_i64(&w, output);
        jw_key(&w, "total_tokens");
        jw_i64(&w, (int64_t)((uint64_t)input + (uint64_t)output));
        jw_object_end(&w);
    }
    make_common(&w, in->additional_kwargs, in->response_metadata, out->id);
    jw_key(&w, "type");
    jw_z(&w, "ai");
    make_close(a, &b, &w, out);
}

void message_make_tool_answer(struct arena *a, const struct message_tool *in, struct message *out) {
    struct buf b;
    struct json_writer w;
    make_identity(a, MESSAGE_TOOL, in->id, out);
    if (in->blocks.p)
        make_open_json(&b, &w, in->blocks);
    else
        make_open(&b, &w, in->content);
    make_common(&w, STR_NULL, STR_NULL, out->id);
    if (in->name.p) {
        jw_key(&w, "name");
        jw_str(&w, in->name);
    }
    jw_key(&w, "type");
    jw_z(&w, "tool");
    jw_key(&w, "tool_call_id");
    jw_str(&w, in->tool_call_id.p ? in->tool_call_id : STR(""));
    if (in->artifact.p) {
        jw_key(&w, "artifact");
        jw_raw(&w, in->artifact);
    }
    jw_key(&w, "status");
    jw_z(&w, in->error ? "error" : "success");
    make_close(a, &b, &w, out);
}

void message_make_tool(struct arena *a, str id, str tool_call_id, str name, str content, bool error,
                       struct message *out) {
    struct message_tool in = {
        .id = id, .tool_call_id = tool_call_id, .name = name, .content = content, .error = error};
    message_make_tool_answer(a, &in, out);
}

void message_make_human(struct arena *a, str id, str content, struct message *out) {
    struct buf b;
    struct json_writer w;
    make_identity(a, MESSAGE_HUMAN, id, out);
    make_open(&b, &w, content);
    make_common(&w, STR_NULL, STR_NULL, out->id);
    jw_key(&w, "type");
    jw_z(&w, "human");
    make_close(a, &b, &w, out);
}
