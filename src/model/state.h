/* SPDX-License-Identifier: Apache-2.0 */
/* state.h - states of runs and threads with their legal moves, and the option words of a run.
 *
 * Inside, a run is in one run_state; the API shows the run_status it maps to. Every vocabulary is a
 * word set with object_parse(text, &value) and object_name(value).
 * Memory: none. Errors: ERR_INVALID with a text for the client. Suspends: never.
 * Tests: tests/unit/model/test_state.c */
#ifndef HF_MODEL_STATE_H
#define HF_MODEL_STATE_H

#include "model/words.h"

/* What the API calls the state of a run. */
enum run_status { RUN_PENDING, RUN_RUNNING, RUN_ERROR, RUN_SUCCESS, RUN_TIMEOUT, RUN_INTERRUPTED };

enum thread_status { THREAD_IDLE, THREAD_BUSY, THREAD_INTERRUPTED, THREAD_ERROR };

/* The machine inside. The last four are final. */
enum run_state {
    RUN_STATE_QUEUED,
    RUN_STATE_RUNNING,
    RUN_STATE_BLOCKED, /* waits for a gate or an answer from outside; holds no fiber */
    RUN_STATE_SUCCEEDED,
    RUN_STATE_FAILED,
    RUN_STATE_CANCELLED,
    RUN_STATE_TIMED_OUT
};
#define RUN_STATE_COUNT 7

bool run_move_legal(enum run_state from, enum run_state to);
bool run_state_final(enum run_state state);
enum run_status run_status_of(enum run_state state); /* blocked and cancelled: interrupted */
enum run_state run_state_of(enum run_status status); /* interrupted: cancelled */

/* A set of modes is the OR of these. */
enum stream_mode {
    STREAM_VALUES = 1 << 0,
    STREAM_UPDATES = 1 << 1,
    STREAM_MESSAGES = 1 << 2,
    STREAM_MESSAGES_TUPLE = 1 << 3,
    STREAM_CUSTOM = 1 << 4,
    STREAM_DEBUG = 1 << 5,
    STREAM_EVENTS = 1 << 6,
    STREAM_TASKS = 1 << 7,
    STREAM_CHECKPOINTS = 1 << 8,
    STREAM_TOOLS = 1 << 9,
    /* No word of clients: a run's start and its end, for what is made of the others. */
    STREAM_LIFECYCLE = 1 << 10
};

/* A string or an array of strings; missing, null and [] give fallback. */
MUST_CHECK int stream_modes_read(yyjson_val *v, unsigned fallback, unsigned *out, struct err *err);
/* One query parameter: a word, a comma-separated list, or a JSON array; empty gives fallback.
 * Repeated parameters: OR the results. */
MUST_CHECK int stream_modes_parse(str text, unsigned fallback, unsigned *out, struct err *err);
void stream_modes_write(struct json_writer *w, unsigned modes); /* an array in the order above */

enum multitask_strategy {
    MULTITASK_REJECT,
    MULTITASK_ROLLBACK,
    MULTITASK_INTERRUPT,
    MULTITASK_ENQUEUE
};
enum cancel_action { CANCEL_INTERRUPT, CANCEL_ROLLBACK };
enum cancel_filter { CANCEL_PENDING, CANCEL_RUNNING, CANCEL_ALL }; /* body of POST /runs/cancel */
enum durability { DURABILITY_SYNC, DURABILITY_ASYNC, DURABILITY_EXIT };
enum on_disconnect { ON_DISCONNECT_CONTINUE, ON_DISCONNECT_CANCEL };
enum on_completion { ON_COMPLETION_DELETE, ON_COMPLETION_KEEP };
/* What happens to threads that are pruned, or whose time is over. */
enum prune_strategy { PRUNE_DELETE, PRUNE_KEEP_LATEST };
enum if_exists { IF_EXISTS_RAISE, IF_EXISTS_DO_NOTHING };
enum if_not_exists { IF_NOT_EXISTS_REJECT, IF_NOT_EXISTS_CREATE };

/* For each: extern const struct word_set SET; object_parse() false for an unknown word. */
#define WORDS_OF(object, SET)                                                                      \
    extern const struct word_set SET;                                                              \
    static inline bool object##_parse(str text, enum object *out) {                                \
        int value;                                                                                 \
        if (!word_parse(&SET, text, &value))                                                       \
            return false;                                                                          \
        *out = (enum object)value;                                                                 \
        return true;                                                                               \
    }                                                                                              \
    static inline str object##_name(enum object value) { return word_text(&SET, (int)value); }
WORDS_OF(run_status, RUN_STATUS_WORDS)
WORDS_OF(thread_status, THREAD_STATUS_WORDS)
WORDS_OF(run_state, RUN_STATE_WORDS)
WORDS_OF(stream_mode, STREAM_MODE_WORDS)
WORDS_OF(multitask_strategy, MULTITASK_STRATEGY_WORDS)
WORDS_OF(cancel_action, CANCEL_ACTION_WORDS)
WORDS_OF(cancel_filter, CANCEL_FILTER_WORDS)
WORDS_OF(durability, DURABILITY_WORDS)
WORDS_OF(on_disconnect, ON_DISCONNECT_WORDS)
WORDS_OF(on_completion, ON_COMPLETION_WORDS)
WORDS_OF(prune_strategy, PRUNE_STRATEGY_WORDS)
WORDS_OF(if_exists, IF_EXISTS_WORDS)
WORDS_OF(if_not_exists, IF_NOT_EXISTS_WORDS)
#undef WORDS_OF

#endif
