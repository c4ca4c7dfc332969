/* SPDX-License-Identifier: Apache-2.0 */
/* summaries.c - summaries of conversations that fill their model's context.
 *
 * Design: the end of a run notes its thread, in memory. A slice looks at what is noted: when the
 * messages since the last summary come to 80 % of the window, the configured model is asked for a
 * summary of the older ones, with the last summary before them; the newest fifth of the window
 * stays out of it. What one request cannot hold is done in several, each kept before the next.
 *
 * Tokens are what the model said of its last answer, which counts all that it was given; where it
 * said nothing, or a summary stands for a part, 4 characters are one.
 *
 * A summary names its last message, and is stored only where the one before it still stands: two
 * processes make one of it, and a stop in between loses nothing that the next run's end does not
 * bring back, for a conversation that was too long still is. */
#include "engine/summaries.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/engine_int.h"
#include "store/conversation_messages.h"
#include "store/conversations.h"

#define FULL_PERCENT      80
#define CHARS_PER_TOKEN   4
#define TAIL_LOOK         20 /* messages, among which the last answer is looked for */
#define SUMMARY_BYTES_MAX 32768
#define PROMPT                                                                                     \
    "Summarise the conversation below for somebody who will continue it. Keep names, numbers, "    \
    "decisions, open questions and what was asked for. If it begins with an earlier summary, the " \
    "new one takes its place. Answer with the summary only."

struct summaries {
    struct rt *rt;
    struct store *store;
    struct llm *llm;
    struct summaries_options o;
    struct id noted[SUMMARIES_NOTED_MAX];
    size_t count;
};

struct summaries *summaries_new(struct rt *rt, struct store *store, struct llm *llm,
                                const struct summaries_options *o) {
    struct summaries *s = NEW(struct summaries);
    s->rt = rt;
    s->store = store;
    s->llm = llm;
    s->o = *o;
    return s;
}

void summaries_free(struct summaries *s) { mem_free(s); }

void engine_ended_set(struct engine *e, void (*ended)(void *ctx, struct id thread_id), void *ctx) {
    e->ended = ended;
    e->ended_ctx = ctx;
}

void summaries_note(struct summaries *s, struct id thread_id) {
    for (size_t i = 0; i < s->count; i++)
        if (id_eq(s->noted[i], thread_id))
            return;
    if (s->count < SUMMARIES_NOTED_MAX)
        s->noted[s->count++] = thread_id;
}

/* --- tokens --- */

static int64_t estimate(struct arena *a, yyjson_val *message) {
    return (int64_t)json_text(a, json_get(message, "content")).len / CHARS_PER_TOKEN + 1;
}

static int64_t estimate_all(struct arena *a, const struct message_list *list, int64_t from,
                            int64_t to) {
    int64_t sum = 0;
    for (int64_t i = from; i < to; i++)
        sum += estimate(a, list->items[i - list->first]);
    return sum;
}

/* What the model said of the newest answer that says; -1: none does. */
static int64_t said_tokens(const struct message_list *list) {
    for (int64_t i = list->count; i-- > 0;) {
        yyjson_val *usage = json_get(list->items[i], "usage_metadata");
        yyjson_val *in = json_get(usage, "input_tokens"), *out = json_get(usage, "output_tokens");
        if (yyjson_is_int(in) && yyjson_get_sint(in) > 0)
            return yyjson_get_sint(in) + (yyjson_is_int(out) ? yyjson_get_sint(out) : 0);
    }
    return -1;
}

static bool is_full(const struct summaries *s, int64_t tokens) {
    return tokens >= s->o.window_tokens / 100 * FULL_PERCENT;
}

/* --- one conversation --- */

struct part {
    int64_t from, to; /* messages that are summed up now */
    bool more;        /* others after them, too */
    str before;       /* the summary so far; absent: none */
};

static bool is_tool(const struct message_list *list, int64_t number) {
    return str_eq(json_str(json_get(list->items[number], "type")), STR("tool"));
}

/* False: nothing is to be done. */
static bool choose(const struct summaries *s, const struct conversation *c,
                   const struct message_list *list, struct arena *a, struct part *out) {
    int64_t last = c->summary_upto.p ? message_find(list, c->summary_upto) : -1;
    *out = (struct part){.from = last + 1, .before = last >= 0 ? c->summary : STR_NULL};
    int64_t said = last < 0 ? said_tokens(list) : -1;
    int64_t own = (int64_t)out->before.len / CHARS_PER_TOKEN;
    int64_t tokens = said >= 0 ? said : own + estimate_all(a, list, out->from, list->count);
    if (!is_full(s, tokens))
        return false;
    /* The newest fifth of the window stays, and always the last message. */
    int64_t end = list->count, kept = 0;
    while (end > out->from && (end == list->count || kept <= s->o.window_tokens / 5))
        kept += estimate(a, list->items[--end]);
    int64_t took = own;
    for (out->to = out->from; out->to < end; out->to++) {
        took += estimate(a, list->items[out->to]);
        if (out->to > out->from && is_full(s, took))
            break;
    }
    /* An answer of a tool stays with its call. */
    while (out->to < list->count - 1 && is_tool(list, out->to))
        out->to++;
    out->more = out->to < end;
    return out->to > out->from;
}

static void add_lines(struct buf *b, str who, str text) {
    buf_str(b, who);
    buf_str(b, STR(": "));
    buf_str(b, text);
    buf_str(b, STR("\n"));
}

/* What the model reads, cut to what its window may hold. */
static str transcript(const struct summaries *s, const struct message_list *list,
                      const struct part *p, struct arena *a) {
    size_t most = (size_t)s->o.window_tokens * CHARS_PER_TOKEN;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    if (p->before.p)
        add_lines(&b, STR("earlier summary"), p->before);
    for (int64_t i = p->from; i < p->to; i++) {
        str type = json_str(json_get(list->items[i], "type"));
        yyjson_val *content = json_get(list->items[i], "content");
        str text = yyjson_is_str(content) ? json_str(content) : json_text(a, content);
        add_lines(&b, type, text_model_cut(text, most));
    }
    str all = arena_take(a, &b);
    return text_model_cut(all, most);
}

static int sum_up(const struct summaries *s, struct id id, struct arena *a, bool *again,
                  struct err *err) {
    static const struct principal server = {.all = true};
    struct message_window tail = {.side = MESSAGES_NEWEST, .limit = TAIL_LOOK};
    struct conversation c;
    struct checkpoint at;
    struct message_list list;
    struct part p;
    str summary;
    int rc = conversation_get(s->store, &server, id, a, &c, err);
    if (rc == 0)
        rc = checkpoint_get(s->store, id, STR(""), ID_NIL, a, &at, err);
    if (rc == 0)
        rc = conversation_messages(s->store, &at, &tail, a, &list, err);
    if (rc < 0)
        return rc;
    int64_t said = said_tokens(&list);
    if (said >= 0 && !is_full(s, said)) /* what most have: the end of the list has told */
        return 0;
    rc = conversation_messages_all(s->store, &at, a, &list, err);
    if (rc < 0 || !choose(s, &c, &list, a, &p))
        return rc;
    rc = text_model_ask(s->llm, &s->o.model, STR(PROMPT), transcript(s, &list, &p, a),
                        SUMMARY_BYTES_MAX, a, &summary, err);
    if (rc < 0)
        return rc;
    *again = p.more;
    return conversation_summary_put(s->store, &c, summary, message_id_at(&list, p.to - 1), a, err);
}

/* What cannot be done now is left; the process that is ending is told. */
static int sum_up_one(const struct summaries *s, struct id id, bool *again, struct err *err) {
    struct arena a;
    char text[ID_DASHED_LEN];
    *again = false;
    arena_init(&a, SIZE_MAX / 2);
    int rc = sum_up(s, id, &a, again, err);
    arena_deinit(&a);
    if (rc == 0 || rc == ERR_CANCELLED)
        return rc;
    *again = false;
    id_write_dashed(id, text);
    if (rc != ERR_NOT_FOUND && rc != ERR_CONFLICT)
        log_event(LOG_WARN, "summary.failed", err->message,
                  LOG_STR("thread_id", str_n(text, sizeof(text))));
    err_reset(err);
    return 0;
}

int summaries_slice(struct summaries *s, int64_t budget_us, bool *out_more, struct err *err) {
    int64_t until_us = rt_mono_us(s->rt) + budget_us;
    int rc = 0;
    do {
        bool again;
        if (s->count == 0)
            break;
        struct id id = s->noted[0];
        memmove(s->noted, s->noted + 1, --s->count * sizeof(s->noted[0]));
        rc = sum_up_one(s, id, &again, err);
        if (again)
            summaries_note(s, id);
    } while (rc == 0 && rt_mono_us(s->rt) < until_us);
    *out_more = s->count > 0;
    return rc;
}
