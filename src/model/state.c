/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - the run's machine, its words on the wire, and the option words of a run.
 *
 *            ┌──────────────────────────┐
 *            ▼                          │ retry, lease lost, drain
 *   QUEUED ─────► RUNNING ──────────────┤
 *     ▲  │          │  ▲                │
 *     │  │   gate   ▼  │ answered       │
 *     └──┼──────── BLOCKED              │
 *        │          │                   ▼
 *        └──────────┴──► CANCELLED, TIMED_OUT, FAILED;  SUCCEEDED only from RUNNING
 *
 * Invariants: a final state has no way out; only a running run succeeds. A new state: a row and a
 * column in LEGAL_MOVES, a word, and its place in both mappings. A new word: a row in its set. */
#include "model/state.h"

#define MOVE(state) (1u << RUN_STATE_##state)
static const unsigned LEGAL_MOVES[RUN_STATE_COUNT] = {
    [RUN_STATE_QUEUED] = MOVE(RUNNING) | MOVE(FAILED) | MOVE(CANCELLED) | MOVE(TIMED_OUT),
    [RUN_STATE_RUNNING] = MOVE(QUEUED) | MOVE(BLOCKED) | MOVE(SUCCEEDED) | MOVE(FAILED) |
                          MOVE(CANCELLED) | MOVE(TIMED_OUT),
    [RUN_STATE_BLOCKED] =
        MOVE(QUEUED) | MOVE(RUNNING) | MOVE(FAILED) | MOVE(CANCELLED) | MOVE(TIMED_OUT),
};

#define WORD(literal, value)                                                                       \
    { {"" literal, sizeof(literal) - 1}, value }
#define WORD_SET(SET, ...)                                                                         \
    static const struct word SET##_LIST[] = {__VA_ARGS__};                                         \
    const struct word_set SET = {SET##_LIST, ARRAY_COUNT(SET##_LIST)}

WORD_SET(RUN_STATUS_WORDS, WORD("pending", RUN_PENDING), WORD("running", RUN_RUNNING),
         WORD("error", RUN_ERROR), WORD("success", RUN_SUCCESS), WORD("timeout", RUN_TIMEOUT),
         WORD("interrupted", RUN_INTERRUPTED));
WORD_SET(THREAD_STATUS_WORDS, WORD("idle", THREAD_IDLE), WORD("busy", THREAD_BUSY),
         WORD("interrupted", THREAD_INTERRUPTED), WORD("error", THREAD_ERROR));
WORD_SET(RUN_STATE_WORDS, WORD("queued", RUN_STATE_QUEUED), WORD("running", RUN_STATE_RUNNING),
         WORD("blocked", RUN_STATE_BLOCKED), WORD("succeeded", RUN_STATE_SUCCEEDED),
         WORD("failed", RUN_STATE_FAILED), WORD("cancelled", RUN_STATE_CANCELLED),
         WORD("timed_out", RUN_STATE_TIMED_OUT));
WORD_SET(STREAM_MODE_WORDS, WORD("values", STREAM_VALUES), WORD("updates", STREAM_UPDATES),
         WORD("messages", STREAM_MESSAGES), WORD("messages-tuple", STREAM_MESSAGES_TUPLE),
         WORD("custom", STREAM_CUSTOM), WORD("debug", STREAM_DEBUG), WORD("events", STREAM_EVENTS),
         WORD("tasks", STREAM_TASKS), WORD("checkpoints", STREAM_CHECKPOINTS),
         WORD("tools", STREAM_TOOLS));
WORD_SET(MULTITASK_STRATEGY_WORDS, WORD("reject", MULTITASK_REJECT),
         WORD("rollback", MULTITASK_ROLLBACK), WORD("interrupt", MULTITASK_INTERRUPT),
         WORD("enqueue", MULTITASK_ENQUEUE));
WORD_SET(CANCEL_ACTION_WORDS, WORD("interrupt", CANCEL_INTERRUPT),
         WORD("rollback", CANCEL_ROLLBACK));
WORD_SET(CANCEL_FILTER_WORDS, WORD("pending", CANCEL_PENDING), WORD("running", CANCEL_RUNNING),
         WORD("all", CANCEL_ALL));
WORD_SET(DURABILITY_WORDS, WORD("sync", DURABILITY_SYNC), WORD("async", DURABILITY_ASYNC),
         WORD("exit", DURABILITY_EXIT));
WORD_SET(ON_DISCONNECT_WORDS, WORD("continue", ON_DISCONNECT_CONTINUE),
         WORD("cancel", ON_DISCONNECT_CANCEL));
WORD_SET(ON_COMPLETION_WORDS, WORD("delete", ON_COMPLETION_DELETE),
         WORD("keep", ON_COMPLETION_KEEP));
WORD_SET(PRUNE_STRATEGY_WORDS, WORD("delete", PRUNE_DELETE),
         WORD("keep_latest", PRUNE_KEEP_LATEST));
WORD_SET(IF_EXISTS_WORDS, WORD("raise", IF_EXISTS_RAISE), WORD("do_nothing", IF_EXISTS_DO_NOTHING));
WORD_SET(IF_NOT_EXISTS_WORDS, WORD("reject", IF_NOT_EXISTS_REJECT),
         WORD("create", IF_NOT_EXISTS_CREATE));

bool run_move_legal(enum run_state from, enum run_state to) {
    ASSERT(from < RUN_STATE_COUNT && to < RUN_STATE_COUNT);
    return (LEGAL_MOVES[from] & (1u << to)) != 0;
}

bool run_state_final(enum run_state state) {
    ASSERT(state < RUN_STATE_COUNT);
    return LEGAL_MOVES[state] == 0;
}

enum run_status run_status_of(enum run_state state) {
    switch (state) {
    case RUN_STATE_QUEUED:
        return RUN_PENDING;
    case RUN_STATE_RUNNING:
        return RUN_RUNNING;
    case RUN_STATE_BLOCKED:
        return RUN_INTERRUPTED;
    case RUN_STATE_SUCCEEDED:
        return RUN_SUCCESS;
    case RUN_STATE_FAILED:
        return RUN_ERROR;
    case RUN_STATE_CANCELLED:
        return RUN_INTERRUPTED;
    case RUN_STATE_TIMED_OUT:
        return RUN_TIMEOUT;
    }
    UNREACHABLE();
}

enum run_state run_state_of(enum run_status status) {
    switch (status) {
    case RUN_PENDING:
        return RUN_STATE_QUEUED;
    case RUN_RUNNING:
        return RUN_STATE_RUNNING;
    case RUN_ERROR:
        return RUN_STATE_FAILED;
    case RUN_SUCCESS:
        return RUN_STATE_SUCCEEDED;
    case RUN_TIMEOUT:
        return RUN_STATE_TIMED_OUT;
    case RUN_INTERRUPTED:
        return RUN_STATE_CANCELLED;
    }
    UNREACHABLE();
}

static int add_mode(str word, unsigned *modes, struct err *err) {
    enum stream_mode mode;
    if (!stream_mode_parse(word, &mode)) {
        int rc = word_refuse(&STREAM_MODE_WORDS, err);
        err_context(err, "stream_mode");
        return rc;
    }
    *modes |= (unsigned)mode;
    return 0;
}

int stream_modes_read(yyjson_val *v, unsigned fallback, unsigned *out, struct err *err) {
    unsigned modes = 0;
    int rc = 0;
    size_t i, count;
    yyjson_val *item;
    if (yyjson_is_str(v)) {
        rc = add_mode(json_str(v), &modes, err);
    } else if (v && !yyjson_is_null(v) && !yyjson_is_arr(v)) {
        rc = err_set(err, ERR_INVALID, "stream_mode: must be a string or an array of strings");
    }
    yyjson_arr_foreach(v, i, count, item) {
        if (rc == 0)
            rc = add_mode(json_str(item), &modes, err);
    }
    if (rc < 0)
        return rc;
    *out = modes ? modes : fallback;
    return 0;
}

/* The words have no characters that JSON escapes, so an array of them needs no JSON parser. */
int stream_modes_parse(str text, unsigned fallback, unsigned *out, struct err *err) {
    unsigned modes = 0;
    str rest = str_trim(text), word;
    bool array = str_starts(rest, STR("[")) && str_ends(rest, STR("]")) && rest.len >= 2;
    if (array)
        rest = str_trim(str_slice(rest, 1, rest.len - 1));
    if (str_empty(rest)) {
        *out = fallback;
        return 0;
    }
    while (str_split_next(&rest, ',', &word)) {
        word = str_trim(word);
        if (array && word.len >= 2 && word.p[0] == '"' && word.p[word.len - 1] == '"')
            word = str_slice(word, 1, word.len - 1);
        int rc = add_mode(word, &modes, err);
        if (rc < 0)
            return rc;
    }
    *out = modes ? modes : fallback;
    return 0;
}

void stream_modes_write(struct json_writer *w, unsigned modes) {
    jw_array(w);
    for (size_t i = 0; i < STREAM_MODE_WORDS.count; i++) {
        if (modes & (unsigned)STREAM_MODE_WORDS.words[i].value)
            jw_str(w, STREAM_MODE_WORDS.words[i].text);
    }
    jw_array_end(w);
}
