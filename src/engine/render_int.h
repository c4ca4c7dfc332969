/* SPDX-License-Identifier: Apache-2.0 */
/* render_int.h - what render.c and render_messages.c share. */
#ifndef HF_ENGINE_RENDER_INT_H
#define HF_ENGINE_RENDER_INT_H

#include "base/json.h"
#include "engine/render.h"

struct render_task {
    str id, name, triggers, path; /* in the step arena */
    str input;                    /* of a send; absent: the state */
    str metadata;                 /* of its messages; built on first use */
};
struct tool_chunk {
    int64_t index;
    struct buf id, name, args;
};
/* A message of this run, by id: seen in a stream, or told as complete. */
struct render_message {
    str id;
    bool streamed, complete, told; /* told: whole, in messages-tuple */
    struct buf content, thinking;
    VEC(struct tool_chunk) tools;
};
/* A graph under way: the root, or a subgraph by its namespace. */
struct render_scope {
    struct list node;
    str ns; /* heap; "" of the root */
    struct arena step; /* reset at each checkpoint */
    int64_t step_number;
    struct render_task *tasks;
    size_t task_count;
    struct id checkpoint_id;
    str values; /* of the last checkpoint when known */
    str hidden; /* JSON: names of channels that are not shown; absent: none */
};
struct render {
    struct render_options o;
    struct arena item; /* the JSON of the item being rendered */
    struct arena run;  /* reset at each start */
    struct id run_id;
    int64_t attempt;
    bool subgraphs;   /* shown, too */
    str run_metadata; /* members without braces, from the start entry */
    struct render_scope root, *s; /* s: of the item being rendered */
    struct list scopes;           /* of subgraphs */
    struct map messages; /* id → struct render_message */
    struct buf out;      /* the frame being written */
    unsigned modes;      /* in force for this run */
    bool mute, gone;
};

#define RENDER_FRAME_BYTES_MAX ((size_t)256 << 20)

static inline bool render_wants(const struct render *r, unsigned modes) {
    return (r->modes & modes) != 0;
}
struct json_writer render_begin(struct render *r);
void render_end(struct render *r, const char *event); /* hands the frame on unless mute */
struct render_task *render_task_of(struct render *r, str id);
str render_task_metadata(struct render *r, struct render_task *t);
void render_event_head(struct render *r, struct json_writer *w, const char *event, str name,
                       struct render_task *t); /* {"event": …, "metadata": {…}, of mode events */

void render_messages_reset(struct render *r);
void render_fragment(struct render *r, yyjson_val *fragment);
/* Messages of a task's result that were not streamed (messages-tuple). */
void render_task_messages(struct render *r, struct render_task *t, yyjson_val *result,
                          yyjson_val *seen /* ids that its input held */);
/* messages/complete for what the state holds and was not told yet. */
void render_state_messages(struct render *r, str values);

#endif
