/* SPDX-License-Identifier: Apache-2.0 */
/* lg_checkpoints.h - checkpoints in LangGraph's own tables, which its savers share.
 *
 * A channel has a version; each (channel, version) is one blob. Triggers of tasks are channels as
 * well: "branch:to:NODE" with a value, whose version the node has not seen, means that NODE is
 * next. Rows written here carry next and tasks besides, under "holdfast". The formats:
 * docs/internals/checkpoints.md.
 * Memory: the arena given. Errors: as checkpoints.h; ERR_UNSUPPORTED for values in formats that
 * only Python can read. Suspends: the reading functions, not *_add.
 * Tests: tests/unit/store/test_lg_checkpoints.c, tests/integration/run-rows */
#ifndef HF_STORE_LG_CHECKPOINTS_H
#define HF_STORE_LG_CHECKPOINTS_H

#include "base/json.h"
#include "store/checkpoints.h"

struct lg_version {
    str channel, version;
    bool open; /* a trigger that has a value: its task is next */
};
struct lg_seen {
    str node, channel, version;
};
/* The versions as of one checkpoint. Never changed once made: the next checkpoint gets a copy. */
struct lg_versions {
    struct lg_version *channels;
    size_t count;
    struct lg_seen *seen;
    size_t seen_count;
    uint64_t newest; /* the greatest number */
    bool numbers;    /* JavaScript's: JSON numbers; else Python's texts */
};
/* What a statement brought of a checkpoint. */
struct lg_row {
    yyjson_val *root;           /* the checkpoint */
    const struct db_rows *rows; /* all of the answer; NULL: values were not asked for */
    str id;                     /* as it is stored */
    bool newest;                /* asked for as such: tasks that have ended are not next */
    bool native;                /* a saver's in the native layout: see store/saved_rows.h */
    str sends;                  /* JSON, that stand with the parent; absent: none */
};

MUST_CHECK MAY_SUSPEND int lg_checkpoint_get(struct store *s, struct id thread_id, str name_space,
                                             struct id id, struct arena *a, struct checkpoint *out,
                                             struct err *err);
MUST_CHECK MAY_SUSPEND int lg_checkpoint_list(struct store *s, struct id thread_id, str name_space,
                                              struct id before, str metadata, int64_t limit,
                                              struct arena *a, struct checkpoint **out,
                                              size_t *out_count, struct err *err);
MUST_CHECK MAY_SUSPEND int lg_checkpoint_load(struct store *s, struct checkpoint *c,
                                              struct arena *a, struct err *err);
/* From what others than savers keep: thread_states, or the thread's row. c->values are set. */
MUST_CHECK MAY_SUSPEND int lg_legacy_list(struct store *s, struct id thread_id, int64_t limit,
                                          struct arena *a, struct checkpoint **out,
                                          size_t *out_count, struct err *err);

/* A channel's version, a number or a text, as the text that rows have. */
str lg_version_text(struct arena *a, yyjson_val *version);
/* Of a checkpoint whose values are loaded. */
struct lg_versions *lg_versions_read(struct arena *a, const struct checkpoint *c);

/* A value that a checkpoint adds. */
struct lg_change {
    str channel;
    str json; /* its blob; absent: it has no value any more */
    bool open; /* what it leads to is next */
};
struct lg_step {
    const struct checkpoint *c;
    const struct lg_versions *before; /* NULL: a thread without checkpoints */
    const struct lg_change *changes;
    size_t change_count;
    const str *next; /* nodes */
    size_t next_count;
    str input; /* JSON of a run's input, whose checkpoint this is; absent else */
};
/* Adds the rows; every task that was next is taken as done. Returns the versions after it. */
struct lg_versions *lg_checkpoint_add(struct db_batch *b, struct arena *a,
                                      const struct lg_step *step);

#endif
