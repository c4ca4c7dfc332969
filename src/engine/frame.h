/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h - the execution of one graph within a run: the root's, or a subgraph's inside a task.
 *
 * A frame has a state, the checkpoint that it stands for, and the plan of the step that follows. A
 * subgraph's frame lives inside the task of its parent and has a namespace ("node:task") with
 * checkpoints of its own. docs/internals/graph-engine.md draws it.
 * Memory: the run's arena. Suspends: as marked. Tests: tests/unit/engine/test_steps.c */
#ifndef HF_ENGINE_FRAME_H
#define HF_ENGINE_FRAME_H

#include "base/vec.h"
#include "engine/plan.h"
#include "engine/state.h"
#include "store/writes.h"

struct engine;
struct live_run;
struct task;

/* What tasks of the step wrote before: their rows. */
struct pending {
    struct checkpoint_write *list;
    size_t count;
};

struct frame {
    struct live_run *run;
    struct frame *parent;      /* NULL: the root */
    const struct trace *trace; /* under which its tasks are */
    struct id thread_id;
    const struct graph_def *def;
    struct compiled_graph *compiled;
    str ns;      /* "" of the root */
    str parents; /* JSON: {namespace: checkpoint} of the frames around it */
    struct graph_view view;
    struct id checkpoint_id; /* nil: none yet */
    int step;                /* of checkpoint_id */
    struct id stored_id;     /* the newest one that is stored, its own or what it goes on from */
    bool unsaved;            /* checkpoint_id is not stored (yet) */
    yyjson_val *input;       /* of the run, or of the subgraph */
    bool from_input;         /* checkpoint_id holds a run's input that is not applied yet */
    struct plan plan;        /* the tasks that come next */
    struct pending pending;
    bool resumed;  /* goes on with a step that was begun before: no stop in front of it */
    bool replayed; /* from an older checkpoint: tasks that ended run again */
};

struct interrupt {
    str id, value; /* value: JSON */
};

struct task {
    struct live_run *run;
    struct frame *frame;
    const struct node_def *node;
    const struct planned *planned;
    struct id id;
    struct route next; /* what it said by itself, then all that follows it */
    struct node_ctx ctx;
    struct span span; /* of an attempt */
    VEC(struct state_write) writes;
    int rc;
    struct err err;
    str seen; /* of a subgraph: JSON, the ids of messages that went in */
    struct fiber_group *group; /* NULL: it has no siblings that run */
    bool restored;             /* it ended before: its writes are from the rows */
    bool routed;               /* next is complete */
    bool kept;                 /* what it wrote is stored, and in the log */
    /* answers that it got, in order, and how many questions it has asked */
    VEC(yyjson_val *) answers;
    size_t asked;
    bool answered; /* there are answers that are not stored */
    str answered_id; /* of the question whose answer the run's command brought; absent: none */
    VEC(struct interrupt) interrupts;
};

/* frame.c */
void frame_init(struct frame *f, struct live_run *run, struct frame *parent,
                const struct graph_def *def, str ns);
struct id frame_task_id(struct frame *f, const struct planned *t);
str frame_task_ns(struct frame *f, const struct planned *t, struct id task_id);
/* Takes over a checkpoint, whose values it loads. */
MUST_CHECK MAY_SUSPEND int frame_take(struct frame *f, struct checkpoint *c, bool shared,
                                      struct err *err);
/* Applies an input and plans the first tasks. */
MUST_CHECK MAY_SUSPEND int frame_input(struct frame *f, const struct state_write *writes,
                                       size_t count, struct err *err);
/* The pending writes of the checkpoint, those of nobody applied. */
MUST_CHECK MAY_SUSPEND int frame_pending(struct frame *f, struct err *err);

/* begin.c */
struct command {
    yyjson_val *resume, *update, *go; /* NULL: absent or null */
    struct state_write *writes;
    size_t count;
    struct route route;
};
MUST_CHECK int command_read(struct frame *f, yyjson_val *command, struct command *out,
                            struct err *err);

/* answers.c: a command's, less those that an execution before this one gave; what does not fit, if
 * the run is strict, sets the run's refusal. */
MUST_CHECK int answers_take(struct frame *f, yyjson_val *resume, bool superseded, struct err *err);
/* With the batch that stores what a task made of its answer: the answer is given. */
void answers_add_taken(struct db_batch *b, const struct task *t);

/* inspect.c: the graph of a namespace below g. NULL: unknown here, or g was NULL. */
const struct graph_def *graph_of_namespace(const struct graph_def *g, str ns);

/* step.c: the super-steps */
struct step_end {
    bool ours; /* false: the run is not ours any more */
    int rc;    /* 0: the frame has come to its end; ERR_INTERRUPTED, ERR_CANCELLED, a failure */
    struct err err;
    struct interrupt *interrupts;
    size_t interrupt_count;
};
/* One super-step, committed. True: the frame is over. */
MAY_SUSPEND bool frame_step(struct frame *f, struct step_end *end);
/* Asks the graph's runner what follows; view: the frame's, or as one task sees it. */
MAY_SUSPEND void frame_route(const struct frame *f, const struct graph_view *view, int from,
                             struct route *out);
bool frame_stops_before(const struct frame *f);

/* subgraph.c: a task that is a graph. */
MAY_SUSPEND int subgraph_run(struct task *t, struct err *err);

/* pending.c */
bool pending_has_ended(const struct pending *p, struct id task_id);
/* Gives a task what it wrote before, and the answers that it got. */
void pending_restore(const struct pending *p, struct task *t, bool output);
/* Rows of a task: its writes when it has ended, else its error or interrupts, and its answers. */
void pending_add(struct db_batch *b, struct task *t);
/* Rows of nobody's writes (of a command). path: tells whose they are. */
void pending_add_null(struct frame *f, struct db_batch *b, const struct state_write *writes,
                      size_t count, const struct route *route, str path);
/* Applies those to the state and the plan. */
MUST_CHECK int pending_apply_null(struct frame *f, struct err *err);
/* The writes of tasks that have ended, which their siblings do not see yet. */
MUST_CHECK int pending_apply_ended(struct frame *f, struct err *err);
bool pending_has_null(const struct pending *p, str path);
/* Interrupts ({"id","value"}) that were asked and not answered yet; their number. */
size_t pending_questions(const struct pending *p, struct arena *a, yyjson_val ***out);
str interrupt_id(struct arena *a, str ns, size_t answered);

/* entries.c: entries of the log, and the rows of checkpoints */
struct hub_entry;
struct hub_entry start_entry(struct live_run *run);
struct hub_entry end_entry(struct live_run *run);
struct hub_entry task_entry(struct task *t);
/* The state of a frame as it was stored before: a run goes on from it. changed: its values are no
 * longer those that are stored. */
struct hub_entry resumed_entry(struct frame *f, str source, bool changed);
/* Makes the checkpoint of the current state and its log entry; stored: its rows, too (else the
 * entry carries the values). */
void checkpoint_make(struct frame *f, const char *source, bool stored, struct db_batch *b,
                     struct hub_entry *out);
/* The plan's tasks as a thread's state shows them. */
str frame_tasks_text(struct frame *f);
/* The rows of a checkpoint that was made without. */
void checkpoint_save(struct frame *f, struct db_batch *b);
void interrupts_write(struct json_writer *w, const struct interrupt *list, size_t count);
str error_json(struct arena *a, int code, const char *message);
const char *error_class(int code);

#endif
