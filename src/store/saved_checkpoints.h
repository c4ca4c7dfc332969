/* SPDX-License-Identifier: Apache-2.0 */
/* saved_checkpoints.h - checkpoints that savers of other processes write and read.
 *
 * A saver is the part of a LangGraph process that keeps its state. It gives a checkpoint without
 * values, the values of channels that changed as a type and bytes, and what tasks wrote; it gets
 * all of that back, byte for byte. In LangGraph's layout the rows are those its own savers write,
 * in the native one see store/saved_rows.h; states and histories show both.
 *
 * Savers name threads by any text. One that is no UUID stands for the thread with an id made of it
 * and the owner, and is kept in that thread's metadata, "saver_thread_id".
 *
 * Memory: results in the caller's arena. Errors: ERR_NOT_FOUND for others' threads and what is not
 * there; ERR_CONFLICT while a run of this server has the thread, or for a checkpoint that it made
 * itself. Suspends: what has an err.
 * Tests: tests/integration/run-savers */
#ifndef HF_STORE_SAVED_CHECKPOINTS_H
#define HF_STORE_SAVED_CHECKPOINTS_H

#include "store/checkpoints.h"
#include "store/threads.h"

struct saved_value {
    str channel, version;
    str type, bytes; /* type "empty": the channel has no value */
};
struct saved_write {
    str task_id, task_path, channel, type, bytes;
    int64_t idx;
};
struct saved_checkpoint {
    struct id thread_id, id, parent_id; /* parent nil: none */
    str thread_name;                    /* absent: the id is its name */
    str name_space;
    yyjson_val *root; /* the checkpoint; without values but for those that stand in it */
    str metadata;     /* object text */
    const struct saved_value *values;
    size_t value_count;
    const struct saved_write *writes; /* by path, task and number */
    size_t write_count;
};

/* The thread that a saver of this owner means. *out_name: absent when it is a UUID. */
struct id saved_thread_id(const struct principal *who, str given, str *out_name);

/* Adds it, or replaces it, with the values that changed; the thread is made when there is none.
 * c->writes are not looked at. */
MUST_CHECK int saved_put(struct store *s, const struct principal *who,
                         const struct saved_checkpoint *c, struct arena *a, struct err *err);
/* What a task wrote after c. replace: rows of the same number, which else stay as they are. */
MUST_CHECK int saved_put_writes(struct store *s, const struct principal *who,
                                const struct saved_checkpoint *c, bool replace, struct arena *a,
                                struct err *err);
/* id nil: the newest of the namespace. thread_name is not filled. */
MUST_CHECK int saved_get(struct store *s, struct id thread_id, str name_space, struct id id,
                         struct arena *a, struct saved_checkpoint *out, struct err *err);

struct saved_filter {
    struct id thread_id; /* which the caller has looked up; nil: of the threads used last */
    str name_space;      /* absent: any */
    struct id before;    /* nil: from the newest */
    str metadata;        /* to be contained */
    int64_t limit;
};
struct saved_key {
    struct id thread_id, id;
    str thread_name, name_space; /* thread_name: only when threads were searched */
};
/* Newest first. */
MUST_CHECK int saved_list(struct store *s, const struct principal *who,
                          const struct saved_filter *f, struct arena *a, struct saved_key **out,
                          size_t *out_count, struct err *err);

/* Removes what savers wrote for a run (metadata.run_id), in all of the owner's threads. */
#define SAVED_RUN_BYTES_MAX 255 /* a longer id is kept, and found by no deletion */
MUST_CHECK int saved_delete_run(struct store *s, const struct principal *who, str run,
                                struct arena *a, struct err *err);

#endif
