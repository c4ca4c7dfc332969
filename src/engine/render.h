/* SPDX-License-Identifier: Apache-2.0 */
/* render.h - turns the items of a run (log entries and live fragments) into the frames of the
 * stream modes that a reader asked for.
 *
 * Pure and deterministic: the same items give the same frames, live or replayed, so a stream cut
 * anywhere and resumed equals the uncut one. It must see a run from its start; a reader that
 * resumes feeds the earlier items with `mute` set. Memory: its own, bounded by the messages under
 * way. Errors: frames that cannot be made (a fragment that cannot be read) are left out and logged.
 * Suspends: only inside the values callback. Tests: tests/unit/engine/test_render.c */
#ifndef HF_ENGINE_RENDER_H
#define HF_ENGINE_RENDER_H

#include "base/map.h"
#include "base/vec.h"
#include "history/log.h"
#include "model/state.h"

struct stream_item {
    enum log_kind kind; /* LOG_FRAGMENTS: one fragment */
    int64_t seq, k;     /* of a fragment: base and number from 1; else k is 0 */
    struct id run_id;
    int64_t at;
    str data;   /* JSON: the entry's or the fragment's */
    str values; /* LOG_CHECKPOINT: the state's JSON when at hand; absent: ask */
};
/* Beside the stream modes: those that each run was started with, as its start entry says. */
#define RENDER_MODES_OF_RUN (1u << 31)
struct render_options {
    struct id thread_id;
    unsigned modes; /* enum stream_mode */
    /* Gives the values of a checkpoint of this thread, or absent; valid until the call returns. */
    str (*values)(void *ctx, str name_space, struct id checkpoint_id);
    /* false: the reader is gone, render no more. */
    bool (*frame)(void *ctx, str event, str data);
    void *ctx;
};
struct render;
struct render *render_new(const struct render_options *o);
void render_free(struct render *r);
/* Does it show states, as far as it knows the run's modes? */
bool render_shows_values(const struct render *r);
void render_item(struct render *r, const struct stream_item *item, bool mute);

#endif
