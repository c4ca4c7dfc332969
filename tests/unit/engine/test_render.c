/* SPDX-License-Identifier: Apache-2.0 */
/* test_render.c - Goal: the frames of every stream mode are exactly what the API promises, the same
 * when the earlier items were rendered mutely. Method: a hand-written run of every kind of item
 * is rendered mode by mode and compared byte for byte, then again for each cut with everything
 * before the cut muted. */
#include "engine/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define RUN    "01a1fbe9-d2b2-73dd-928f-e07b61c578fd"
#define THREAD "01a1fbe9-ce18-765d-acc6-756d23aab223"
#define CP1    "1f0a0000-0000-6000-bfff-000000000001"
#define CP2    "1f0a0000-0000-6000-8000-000000000002"
#define CP3    "1f0a0000-0000-6000-8001-000000000003"
#define TASK   "77b345ef-05b5-5805-93b1-b2f3cb9aa172"
#define AT     "2026-11-21T02:22:46.334123Z"
#define AT_US  1795227766334123

#define HUMAN    "{\"content\":\"hi\",\"id\":\"m1\",\"type\":\"human\"}"
#define AI       "{\"content\":\"Hello\",\"tool_calls\":[],\"id\":\"run-1\",\"type\":\"ai\"}"
#define AI2      "{\"content\":\"whole\",\"tool_calls\":[],\"id\":\"run-2\",\"type\":\"ai\"}"
#define RUN_META "\"graph_id\":\"agent\",\"run_attempt\":1"
#define NEXT_TASK                                                                                  \
    "{\"id\":\"" TASK "\",\"name\":\"agent\",\"path\":[\"__pregel_pull\",\"agent\"],"              \
    "\"triggers\":[\"branch:to:agent\"]}"

struct fixture_item {
    enum log_kind kind;
    int64_t seq, k;
    const char *data, *values;
};
static const struct fixture_item items[] = {
    {LOG_START, 1, 0,
     "{\"attempt\":1,\"graph_id\":\"agent\",\"modes\":[\"values\"],\"metadata\":{" RUN_META "}}",
     NULL},
    {LOG_CHECKPOINT, 2, 0,
     "{\"id\":\"" CP1 "\",\"parent\":null,\"ns\":\"\",\"step\":-1,\"source\":\"input\","
     "\"next\":[\"__start__\"],\"tasks\":[]}",
     "{\"messages\":[]}"},
    {LOG_CHECKPOINT, 3, 0,
     "{\"id\":\"" CP2 "\",\"parent\":\"" CP1 "\",\"ns\":\"\",\"step\":0,\"source\":\"loop\","
     "\"next\":[\"agent\"],\"tasks\":[" NEXT_TASK "]}",
     "{\"messages\":[" HUMAN "]}"},
    {LOG_FRAGMENTS, 3, 1, "{\"t\":\"" TASK "\",\"m\":\"run-1\",\"c\":\"Hel\"}", NULL},
    {LOG_FRAGMENTS, 3, 2, "{\"t\":\"" TASK "\",\"x\":{\"progress\":0.5}}", NULL},
    {LOG_FRAGMENTS, 3, 3,
     "{\"t\":\"" TASK "\",\"m\":\"run-1\",\"c\":\"lo\",\"tc\":{\"index\":0,\"id\":\"call_1\","
     "\"name\":\"calculator\",\"args\":\"{\\\"a\\\":\"}}",
     NULL},
    {LOG_FRAGMENTS, 3, 4,
     "{\"t\":\"" TASK "\",\"m\":\"run-1\",\"tc\":{\"index\":0,\"id\":null,\"name\":null,"
     "\"args\":\"1}\"}}",
     NULL},
    {LOG_TASK, 4, 0,
     "{\"id\":\"" TASK "\",\"name\":\"agent\",\"result\":{\"messages\":[" AI "," AI2 "]}}", NULL},
    {LOG_CHECKPOINT, 5, 0,
     "{\"id\":\"" CP3 "\",\"parent\":\"" CP2 "\",\"ns\":\"\",\"step\":1,\"source\":\"loop\","
     "\"next\":[],\"tasks\":[]}",
     "{\"messages\":[" HUMAN "," AI "," AI2 "]}"},
    {LOG_END, 6, 0, "{\"status\":\"success\",\"graph_id\":\"agent\",\"error\":null}", NULL},
};
#define ITEM_COUNT ARRAY_COUNT(items)

/* --- what is expected --------------------------------------------------------------------------
 */

#define NS   "agent:" TASK
#define META "metadata {\"run_id\":\"" RUN "\",\"attempt\":1}\n"
#define TASK_META                                                                                  \
    "{\"tags\":[]," RUN_META ",\"thread_id\":\"" THREAD "\",\"run_id\":\"" RUN "\","               \
    "\"langgraph_step\":1,\"langgraph_node\":\"agent\","                                           \
    "\"langgraph_triggers\":[\"branch:to:agent\"],"                                                \
    "\"langgraph_path\":[\"__pregel_pull\",\"agent\"],\"langgraph_checkpoint_ns\":\"" NS "\","     \
    "\"checkpoint_ns\":\"" NS "\",\"ls_model_type\":\"chat\"}"
#define TAIL(id)                                                                                   \
    "\"invalid_tool_calls\":[],\"additional_kwargs\":{},\"response_metadata\":{},\"id\":\"" id     \
    "\",\"type\":\"ai\"}"
#define CHUNK(content, calls)                                                                      \
    "{\"content\":\"" content "\",\"tool_call_chunks\":[" calls "],\"tool_calls\":[]," TAIL("run-" \
                                                                                            "1")
#define CALL_CHUNK(name, args, id)                                                                 \
    "{\"name\":" name ",\"args\":\"" args "\",\"id\":" id                                          \
    ",\"index\":0,\"type\":\"tool_call_chunk\"}"
#define CHUNK1  CHUNK("Hel", "")
#define CHUNK2  CHUNK("lo", CALL_CHUNK("\"calculator\"", "{\\\"a\\\":", "\"call_1\""))
#define CHUNK3  CHUNK("", CALL_CHUNK("null", "1}", "null"))
#define VALUES1 "{\"messages\":[" HUMAN "]}"
#define VALUES2 "{\"messages\":[" HUMAN "," AI "," AI2 "]}"
#define RESULT  "{\"messages\":[" AI "," AI2 "]}"
#define TASK_BEGIN                                                                                 \
    "{\"id\":\"" TASK "\",\"name\":\"agent\",\"input\":" VALUES1                                   \
    ",\"triggers\":[\"branch:to:agent\"],\"interrupts\":[],\"metadata\":{" RUN_META                \
    ",\"run_id\":\"" RUN "\"}}"
#define TASK_END "{\"id\":\"" TASK "\",\"name\":\"agent\",\"result\":" RESULT ",\"interrupts\":[]}"
#define CONFIG(id)                                                                                 \
    "{\"configurable\":{\"thread_id\":\"" THREAD                                                   \
    "\",\"checkpoint_ns\":\"\",\"checkpoint_id\":\"" id "\"}}"
#define CHECKPOINT(id, parent, values, source, step, next, tasks)                                  \
    "{\"config\":" CONFIG(id) ",\"parent_config\":" parent ",\"values\":" values                   \
                              ",\"metadata\":{\"source\":\"" source "\",\"step\":" step            \
                              ",\"parents\":{}," RUN_META "},"                                     \
                              "\"next\":[" next "],\"tasks\":[" tasks "]}"
#define CHECKPOINT1 CHECKPOINT(CP1, "null", "{\"messages\":[]}", "input", "-1", "\"__start__\"", "")
#define CHECKPOINT2                                                                                \
    CHECKPOINT(CP2, CONFIG(CP1), VALUES1, "loop", "0", "\"agent\"",                                \
               "{\"id\":\"" TASK "\",\"name\":\"agent\",\"interrupts\":[],\"state\":null}")
#define CHECKPOINT3 CHECKPOINT(CP3, CONFIG(CP2), VALUES2, "loop", "1", "", "")
#define DEBUG(step, type, payload)                                                                 \
    "debug {\"step\":" step ",\"type\":\"" type "\",\"timestamp\":\"" AT "\",\"payload\":" payload \
    "}\n"
#define EVENT(event, name, metadata, data)                                                         \
    "events {\"event\":\"" event "\",\"run_id\":\"" RUN "\",\"name\":\"" name                      \
    "\",\"tags\":[],\"metadata\":" metadata ",\"parent_ids\":[],\"data\":{" data "}}\n"

static const struct {
    unsigned modes;
    const char *frames;
} expected[] = {
    {STREAM_VALUES, META "values " VALUES1 "\nvalues " VALUES2 "\n"},
    {STREAM_UPDATES, META "updates {\"agent\":" RESULT "}\n"},
    {STREAM_CUSTOM, META "custom {\"progress\":0.5}\n"},
    {STREAM_TASKS, META "tasks " TASK_BEGIN "\ntasks " TASK_END "\n"},
    {STREAM_CHECKPOINTS, META "checkpoints " CHECKPOINT1 "\ncheckpoints " CHECKPOINT2
                              "\ncheckpoints " CHECKPOINT3 "\n"},
    {STREAM_DEBUG, META DEBUG("-1", "checkpoint", CHECKPOINT1) DEBUG("0", "checkpoint", CHECKPOINT2)
                       DEBUG("1", "task", TASK_BEGIN) DEBUG("1", "task_result", TASK_END)
                           DEBUG("1", "checkpoint", CHECKPOINT3)},
    /* The second message was not streamed: it comes whole with its task. */
    {STREAM_MESSAGES_TUPLE, META "messages [" CHUNK1 "," TASK_META "]\n"
                                 "messages [" CHUNK2 "," TASK_META "]\n"
                                 "messages [" CHUNK3 "," TASK_META "]\n"
                                 "messages [" AI2 "," TASK_META "]\n"},
    {STREAM_MESSAGES, META
     "messages/complete [" HUMAN "]\n"
     "messages/metadata {\"run-1\":{\"metadata\":" TASK_META "}}\n"
     "messages/partial [" CHUNK(
         "Hel",
         "") "]\n"
             "messages/partial [" CHUNK(
                 "Hello",
                 CALL_CHUNK(
                     "\"calculator\"", "{\\\"a\\\":",
                     "\"call_1\"")) "]\n"
                                    "messages/partial "
                                    "[{\"content\":\"Hello\",\"tool_call_chunks\":[" CALL_CHUNK(
                                        "\"calculator\"", "{\\\"a\\\":1}",
                                        "\"call_1\"") "],\"tool_calls\":[{\"name\":\"calculator\","
                                                      "\"args\":{\"a\":1},"
                                                      "\"id\":\"call_1\",\"type\":\"tool_call\"}]"
                                                      "," TAIL("run-1") "]\n"
                                                                        "messages/complete [" AI
                                                                        "," AI2 "]\n"},
    {STREAM_EVENTS,
     META EVENT("on_chain_start", "agent", "{" RUN_META "}", "\"input\":null")
         EVENT("on_chain_start", "agent", TASK_META, "\"input\":" VALUES1)
             EVENT("on_chat_model_stream", "chat_model", TASK_META, "\"chunk\":" CHUNK1)
                 EVENT("on_chat_model_stream", "chat_model", TASK_META, "\"chunk\":" CHUNK2)
                     EVENT("on_chat_model_stream", "chat_model", TASK_META, "\"chunk\":" CHUNK3)
                         EVENT("on_chain_stream", "agent", TASK_META, "\"chunk\":" RESULT)
                             EVENT("on_chain_end", "agent", TASK_META, "\"output\":" RESULT) EVENT(
                                 "on_chain_end", "agent", "{" RUN_META "}", "\"output\":" VALUES2)},
};

/* --- rendering ---------------------------------------------------------------------------------
 */

struct sink {
    struct buf text;
    size_t frames, frames_max;
    size_t asked; /* for values */
};

static bool on_frame(void *ctx, str event, str data) {
    struct sink *k = ctx;
    buf_printf(&k->text, STR_FMT " " STR_FMT "\n", STR_ARG(event), STR_ARG(data));
    return ++k->frames < k->frames_max;
}

static str on_values(void *ctx, str name_space, struct id checkpoint_id) {
    struct sink *k = ctx;
    k->asked++;
    assert_int_equal(name_space.len, 0);
    for (size_t i = 0; i < ITEM_COUNT; i++) {
        char id[ID_DASHED_LEN + 1] = {0};
        id_write_dashed(checkpoint_id, id);
        if (items[i].values && strstr(items[i].data, id) == items[i].data + strlen("{\"id\":\""))
            return str_of(items[i].values);
    }
    return STR_NULL;
}

static struct render *open_render(struct sink *k, unsigned modes) {
    struct render_options o = {
        .modes = modes, .values = on_values, .frame = on_frame, .ctx = k};
    *k = (struct sink){.frames_max = SIZE_MAX};
    buf_init(&k->text, 1 << 20);
    assert_true(id_parse(STR(THREAD), &o.thread_id));
    return render_new(&o);
}

static void feed(struct render *r, const struct fixture_item *f, bool with_values, bool mute) {
    struct stream_item item = {.kind = f->kind,
                               .seq = f->seq,
                               .k = f->k,
                               .at = AT_US,
                               .data = str_of(f->data),
                               .values = with_values ? str_of(f->values) : STR_NULL};
    assert_true(id_parse(STR(RUN), &item.run_id));
    render_item(r, &item, mute);
}

static const char *text_of(struct sink *k) {
    buf_char(&k->text, '\0');
    return k->text.p;
}

static void test_modes(void **state) {
    (void)state;
    for (size_t m = 0; m < ARRAY_COUNT(expected); m++) {
        for (int live = 0; live <= 1; live++) {
            struct sink k;
            struct render *r = open_render(&k, expected[m].modes);
            for (size_t i = 0; i < ITEM_COUNT; i++)
                feed(r, &items[i], live, false);
            assert_string_equal(text_of(&k), expected[m].frames);
            assert_true(!live || k.asked == 0);
            render_free(r);
            buf_deinit(&k.text);
        }
    }
}

/* Several modes interleave item by item; each keeps its own frames in its own order. */
static void test_modes_together(void **state) {
    (void)state;
    unsigned all = 0;
    size_t frames = 1 - ARRAY_COUNT(expected); /* metadata is one for all */
    for (size_t m = 0; m < ARRAY_COUNT(expected); m++) {
        all |= expected[m].modes;
        for (const char *p = expected[m].frames; *p; p++)
            frames += *p == '\n';
    }
    struct sink k;
    struct render *r = open_render(&k, all);
    for (size_t i = 0; i < ITEM_COUNT; i++)
        feed(r, &items[i], true, false);
    assert_int_equal(k.frames, frames);
    for (size_t m = 0; m < ARRAY_COUNT(expected); m++) {
        const char *at = text_of(&k), *line = expected[m].frames;
        while (*line) { /* a subsequence */
            size_t len = (size_t)(strchr(line, '\n') + 1 - line);
            char one[8192];
            assert_true(len < sizeof(one));
            memcpy(one, line, len);
            one[len] = '\0';
            const char *found = strstr(at, one);
            if (!found)
                fail_msg("missing or out of order: %s", one);
            at = found + len;
            line += len;
        }
    }
    render_free(r);
    buf_deinit(&k.text);
}

/* A reader that resumes: what was seen is fed mutely, what follows is the same. */
static void test_cuts(void **state) {
    (void)state;
    for (size_t m = 0; m < ARRAY_COUNT(expected); m++) {
        for (size_t cut = 0; cut <= ITEM_COUNT; cut++) {
            struct sink k, head;
            struct render *r = open_render(&head, expected[m].modes);
            for (size_t i = 0; i < cut; i++)
                feed(r, &items[i], true, false);
            render_free(r);
            r = open_render(&k, expected[m].modes);
            for (size_t i = 0; i < ITEM_COUNT; i++)
                feed(r, &items[i], false, i < cut);
            size_t seen = head.text.len;
            assert_string_equal(text_of(&k), expected[m].frames + seen);
            render_free(r);
            buf_deinit(&k.text);
            buf_deinit(&head.text);
        }
    }
}

static void test_modes_of_run(void **state) {
    (void)state;
    struct sink k;
    struct render *r = open_render(&k, RENDER_MODES_OF_RUN);
    for (size_t i = 0; i < ITEM_COUNT; i++)
        feed(r, &items[i], true, false);
    assert_string_equal(text_of(&k), expected[0].frames);
    render_free(r);
    buf_deinit(&k.text);
}

static void test_gone(void **state) {
    (void)state;
    struct sink k;
    struct render *r = open_render(&k, STREAM_VALUES);
    k.frames_max = 2;
    for (size_t i = 0; i < ITEM_COUNT; i++)
        feed(r, &items[i], true, false);
    assert_int_equal(k.frames, 2); /* nothing after the sink said no */
    render_free(r);
    buf_deinit(&k.text);
}

static void check_one(unsigned modes, const struct fixture_item *list, size_t count,
                      const char *frames) {
    struct sink k;
    struct render *r = open_render(&k, modes);
    for (size_t i = 0; i < count; i++)
        feed(r, &list[i], true, false);
    assert_string_equal(text_of(&k), frames);
    render_free(r);
    buf_deinit(&k.text);
}

#define START items[0]
static void test_ends(void **state) {
    (void)state;
    const struct fixture_item failed[] = {
        START,
        items[2],
        {LOG_TASK, 4, 0,
         "{\"id\":\"" TASK "\",\"name\":\"agent\",\"error\":{\"error\":\"E\",\"message\":\"m\"}}",
         NULL},
        {LOG_END, 5, 0,
         "{\"status\":\"error\",\"graph_id\":\"agent\",\"error\":{\"error\":\"E\",\"message\":"
         "\"m\"}}",
         NULL},
    };
    check_one(STREAM_UPDATES | STREAM_TASKS, failed, 4,
              META "tasks " TASK_BEGIN "\ntasks {\"id\":\"" TASK
                   "\",\"name\":\"agent\",\"error\":{\"error\":\"E\",\"message\":\"m\"},"
                   "\"interrupts\":[]}\nerror {\"error\":\"E\",\"message\":\"m\"}\n");
    const struct fixture_item interrupted[] = {
        START,
        {LOG_END, 2, 0,
         "{\"status\":\"success\",\"graph_id\":\"agent\",\"error\":null,\"interrupts\":[]}", NULL},
    };
    check_one(STREAM_UPDATES, interrupted, 2, META "updates {\"__interrupt__\":[]}\n");
    /* A run that was cancelled ends without a word. */
    const struct fixture_item cancelled[] = {
        START, {LOG_END, 2, 0, "{\"status\":\"interrupted\",\"error\":null}", NULL}};
    check_one(STREAM_VALUES, cancelled, 2, META);
    /* It never got as far as a checkpoint. */
    const struct fixture_item early[] = {START, failed[3]};
    check_one(STREAM_EVENTS, early, 2,
              META EVENT("on_chain_start", "agent", "{" RUN_META "}",
                         "\"input\":null") "error {\"error\":\"E\",\"message\":\"m\"}\n");
}

/* Another attempt begins again: what the first had streamed is told anew. */
static void test_second_attempt(void **state) {
    (void)state;
    const struct fixture_item list[] = {
        START,
        items[2],
        items[3],
        {LOG_START, 4, 0,
         "{\"attempt\":2,\"graph_id\":\"agent\",\"modes\":[],\"metadata\":{" RUN_META "}}", NULL},
        {LOG_CHECKPOINT, 5, 0,
         "{\"id\":\"" CP2 "\",\"parent\":null,\"ns\":\"\",\"step\":0,\"source\":\"loop\","
         "\"next\":[\"agent\"],\"tasks\":[" NEXT_TASK "]}",
         VALUES1},
        {LOG_FRAGMENTS, 5, 1, "{\"t\":\"" TASK "\",\"m\":\"run-9\",\"c\":\"Hel\"}", NULL},
    };
    check_one(STREAM_MESSAGES, list, ARRAY_COUNT(list),
              META "messages/complete [" HUMAN "]\n"
                   "messages/metadata {\"run-1\":{\"metadata\":" TASK_META "}}\n"
                   "messages/partial [" CHUNK(
                       "Hel", "") "]\n"
                                  "metadata {\"run_id\":\"" RUN "\",\"attempt\":2}\n"
                                  "messages/complete [" HUMAN "]\n"
                                  "messages/metadata {\"run-9\":{\"metadata\":" TASK_META "}}\n"
                                  "messages/partial [{\"content\":\"Hel\",\"tool_call_chunks\":[],"
                                  "\"tool_calls\":[]," TAIL("run-9") "]\n");
}

/* What cannot be read is left out; the rest goes on. */
static void test_unreadable(void **state) {
    (void)state;
    const struct fixture_item list[] = {
        START,
        items[2],
        {LOG_FRAGMENTS, 3, 1, "{\"t\":", NULL},
        {LOG_TASK, 4, 0, "nonsense", NULL},
        {LOG_FRAGMENTS, 4, 1, "{\"t\":\"stranger\",\"m\":\"run-1\",\"c\":\"Hel\"}", NULL},
        {LOG_QUEUED, 5, 0, "{}", NULL},
    };
    check_one(STREAM_MESSAGES_TUPLE | STREAM_UPDATES, list, ARRAY_COUNT(list),
              META "messages [" CHUNK1 ",{}]\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),          cmocka_unit_test(test_modes_together),
        cmocka_unit_test(test_cuts),           cmocka_unit_test(test_modes_of_run),
        cmocka_unit_test(test_gone),           cmocka_unit_test(test_ends),
        cmocka_unit_test(test_second_attempt), cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
