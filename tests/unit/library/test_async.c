/* SPDX-License-Identifier: Apache-2.0 */
/* test_async.c - the forms that do not wait.
 *
 * Goal: each of them gives what the plain form gives, once, and takes nothing from its caller that
 * must stay; what blocks in a callback is refused; limits of calls under way are kept; the log goes
 * where it is told, or nowhere. Method: callbacks that note what they got, and a gate for each. */
#include "stores.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

static struct stores stores;

static int setup(void **state) {
    (void)state;
    stores_make(&stores);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    stores_clear(stores.folder);
    return 0;
}

/* What a callback got; the test waits for it. */
struct got {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count, code;
    void *result;
    struct hf_error error;
};

static void got_init(struct got *g) {
    *g = (struct got){.count = 0};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
}

static void note(void *ctx, int code, void *result, const struct hf_error *error) {
    struct got *g = ctx;
    pthread_mutex_lock(&g->lock);
    g->count++;
    g->code = code;
    g->result = result;
    g->error = *error;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void *await(struct got *g, int code) {
    pthread_mutex_lock(&g->lock);
    while (g->count == 0)
        pthread_cond_wait(&g->changed, &g->lock);
    g->count--;
    pthread_mutex_unlock(&g->lock);
    if (g->code != code)
        fail_msg("%s: %s", hf_code_name(g->code), g->error.message);
    assert_true((g->result == NULL) == (code != HF_OK));
    assert_int_equal(g->error.code, code);
    return g->result;
}

typedef void (*scene_fn)(struct hf_history *h, const char *owner, struct got *g);

static void on_each(scene_fn fn) {
    for (size_t i = 0; i < stores.count; i++) {
        char owner[ID_HEX_LEN + 1];
        struct got g;
        struct hf_history *h = stores_open(stores.urls[i]);
        got_init(&g);
        fn(h, stores_owner(owner), &g);
        assert_int_equal(hf_close(h), HF_OK);
        assert_int_equal(g.count, 0);
    }
}

/* --- each call --- */

static void events(struct hf_history *h, const char *owner, struct got *g) {
    struct hf_results *results;
    struct hf_page *page;
    struct hf_text *text;
    char session[] = "session", id[] = "id-1", type[] = "type", payload[] = "{\"a\": 1}",
         json[] = "{\"id\":\"id-2\",\"type\":\"t\",\"payload\":2}";
    struct hf_event e = stores_event(id, payload);
    e.type = type;
    check_ok(hf_append_async(h, owner, session, &e, 1, note, g, error));
    memset(&e, 0x55, sizeof e); /* it is the caller's again */
    memset(id, 'x', sizeof id - 1);
    memset(type, 'x', sizeof type - 1);
    memset(payload, 'x', sizeof payload - 1);
    results = await(g, HF_OK);
    assert_string_equal(results->items[0]->id, "id-1");
    hf_free(results);
    check_ok(hf_append_json_async(h, owner, session, json, strlen(json), note, g, error));
    memset(json, 'x', sizeof json - 1);
    results = await(g, HF_OK);
    assert_int_equal(results->items[0]->seq, 2);
    hf_free(results);
    struct hf_position after = {.occurred_at = 0, .seq = 1};
    struct hf_range range = {.struct_size = sizeof range, .after = &after};
    check_ok(hf_read_async(h, owner, session, &range, note, g, error));
    memset(&range, 0x55, sizeof range);
    memset(&after, 0x55, sizeof after);
    page = await(g, HF_OK);
    assert_true(page->count == 1 && page->events[0]->seq == 2);
    hf_free(page);
    check_ok(hf_read_json_async(h, owner, session, NULL, note, g, error));
    text = await(g, HF_OK);
    assert_non_null(strstr(text->text, "\"type\":\"type\""));
    assert_non_null(strstr(text->text, "\"payload\":{\"a\":1}}"));
    hf_free(text);
    check_ok(hf_follow_async(h, owner, session, 1, 0, -1, note, g, error));
    page = await(g, HF_OK);
    assert_int_equal(page->count, 1);
    hf_free(page);
    check_ok(hf_wait_async(h, owner, session, 2, 10, note, g, error));
    assert_null(await(g, HF_TIMEOUT));
    check_ok(hf_read_async(h, owner, "none", NULL, note, g, error));
    assert_null(await(g, HF_NOT_FOUND));
}

static void test_events(void **state) {
    (void)state;
    on_each(events);
}

static void others(struct hf_history *h, const char *owner, struct got *g) {
    struct hf_event e = stores_event("1", "1");
    struct hf_checkpoint c = {.struct_size = sizeof c, .payload = "1", .payload_size = 1}, *put;
    struct hf_retention keep = {.struct_size = sizeof keep, .count_max = 9}, *kept;
    struct hf_consumers *consumers;
    struct hf_sessions *sessions;
    int64_t *number;
    check_ok(hf_append(h, owner, "s", &e, 1, NULL, error));
    check_ok(hf_checkpoint_put_async(h, owner, "s", &c, note, g, error));
    put = await(g, HF_OK);
    check_ok(hf_checkpoint_rollback_async(h, owner, "s", put->id, note, g, error));
    hf_free(await(g, HF_OK));
    check_ok(hf_checkpoint_get_async(h, owner, "s", put->id, note, g, error));
    hf_free(await(g, HF_OK));
    hf_free(put);
    check_ok(hf_checkpoint_list_async(h, owner, "s", NULL, 5, note, g, error));
    hf_free(await(g, HF_OK));
    check_ok(hf_consumer_ack_async(h, owner, "s", "c", 1, note, g, error));
    number = await(g, HF_OK);
    assert_int_equal(*number, 1);
    hf_free(number);
    check_ok(hf_consumer_list_async(h, owner, "s", note, g, error));
    consumers = await(g, HF_OK);
    assert_string_equal(consumers->items[0]->name, "c");
    hf_free(consumers);
    check_ok(hf_consumer_delete_async(h, owner, "s", "c", note, g, error));
    hf_free(await(g, HF_OK));
    check_ok(hf_retention_set_async(h, owner, &keep, note, g, error));
    hf_free(await(g, HF_OK));
    check_ok(hf_retention_get_async(h, owner, note, g, error));
    kept = await(g, HF_OK);
    assert_int_equal(kept->count_max, 9);
    hf_free(kept);
    check_ok(hf_session_list_async(h, owner, NULL, 0, note, g, error));
    sessions = await(g, HF_OK);
    assert_int_equal(sessions->count, 1);
    hf_free(sessions);
    check_ok(hf_session_get_async(h, owner, "s", note, g, error));
    hf_free(await(g, HF_OK));
    check_ok(hf_session_delete_async(h, owner, "s", note, g, error));
    hf_free(await(g, HF_OK));
    check_ok(hf_sweep_async(h, 0, note, g, error));
    hf_free(await(g, HF_OK));
    check_ok(hf_stats_async(h, note, g, error));
    hf_free(await(g, HF_OK));
    check_ok(hf_digest_async(h, note, g, error));
    hf_free(await(g, HF_OK));
    /* What is refused at once is not called back. */
    check_code(hf_stats_async(h, NULL, NULL, error), HF_INVALID);
    check_code(hf_stats_async(NULL, note, g, error), HF_INVALID);
    check_code(hf_session_get_async(h, owner, NULL, note, g, error), HF_INVALID);
}

static void test_others(void **state) {
    (void)state;
    on_each(others);
}

/* --- inside of a callback --- */

struct inside {
    struct got g;
    struct hf_history *h;
    const char *owner;
    int blocked, closed, started;
};

static void from_inside(void *ctx, int code, void *result, const struct hf_error *error) {
    struct inside *i = ctx;
    (void)error;
    assert_int_equal(code, HF_OK);
    hf_free(result);
    i->blocked = hf_session_get(i->h, i->owner, "s", NULL, NULL);
    i->closed = hf_close(i->h);
    i->started = hf_session_get_async(i->h, i->owner, "s", note, &i->g, NULL);
}

static void inside(struct hf_history *h, const char *owner, struct got *g) {
    struct inside i = {.h = h, .owner = owner};
    struct hf_event e = stores_event("1", "1");
    (void)g;
    got_init(&i.g);
    check_ok(hf_append_async(h, owner, "s", &e, 1, from_inside, &i, error));
    struct hf_session *s = await(&i.g, HF_OK);
    assert_int_equal(s->last_seq, 1);
    hf_free(s);
    assert_int_equal(i.blocked, HF_INVALID);
    assert_int_equal(i.closed, HF_INVALID);
    assert_int_equal(i.started, HF_OK);
}

static void test_inside(void **state) {
    (void)state;
    on_each(inside);
}

static void stop(void *ctx, int code, void *result, const struct hf_error *error) {
    hf_stop(((struct inside *)ctx)->h);
    note(&((struct inside *)ctx)->g, code, result, error);
}

static void stop_inside(struct hf_history *h, const char *owner, struct got *g) {
    struct inside i = {.h = h};
    (void)g;
    got_init(&i.g);
    check_ok(hf_stats_async(h, stop, &i, error));
    hf_free(await(&i.g, HF_OK));
    check_code(hf_session_get(h, owner, "s", NULL, error), HF_CLOSED);
}

static void test_stop_inside(void **state) {
    (void)state;
    on_each(stop_inside);
}

/* --- limits --- */

static void drop(void *ctx, int code, void *result, const struct hf_error *error) {
    (void)code;
    (void)error;
    hf_free(result);
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

static void test_limits(void **state) {
    struct hf_options o = {.struct_size = sizeof o, .calls_max = 3, .calls_bytes_max = 3000};
    struct hf_history *h;
    struct hf_event e = stores_event("1", "1");
    char owner[ID_HEX_LEN + 1], large[4000];
    _Atomic int answered = 0;
    (void)state;
    check_ok(hf_open(stores.urls[0], &o, &h, error));
    stores_owner(owner);
    for (int i = 0; i < 3; i++)
        check_ok(hf_wait_async(h, owner, "s", 0, -1, drop, &answered, error));
    check_code(hf_wait_async(h, owner, "s", 0, -1, drop, &answered, error), HF_LIMIT);
    check_code(hf_append_async(h, owner, "s", &e, 1, drop, &answered, error), HF_LIMIT);
    check_ok(hf_append(h, owner, "s", &e, 1, NULL, error)); /* who waits is no burden */
    while (atomic_load(&answered) < 3)
        usleep(1000);
    memset(large, '1', sizeof large);
    e = (struct hf_event){.struct_size = sizeof e,
                          .type = "t",
                          .payload_kind = HF_BYTES,
                          .payload = large,
                          .payload_size = sizeof large};
    check_code(hf_append_async(h, owner, "s", &e, 1, drop, &answered, error), HF_LIMIT);
    check_ok(hf_append(h, owner, "s", &e, 1, NULL, error));
    e.payload_size = 20;
    check_ok(hf_append_async(h, owner, "s", &e, 1, drop, &answered, error));
    assert_int_equal(hf_close(h), HF_OK);
    assert_int_equal(atomic_load(&answered), 4);
}

/* --- the log --- */

struct lines {
    _Atomic int count;
    char last[512];
};

static void keep_line(void *ctx, int level, const char *event, const char *message,
                      const char *fields) {
    struct lines *l = ctx;
    assert_true(level >= HF_LOG_DEBUG && level <= HF_LOG_ERROR);
    assert_true(event[0] && message[0] && fields[0] == '{');
    atomic_fetch_add(&l->count, 1);
}

/* A file that is no database makes SQLite say something. */
static void open_bad_file(const struct hf_options *o) {
    char path[128], url[160];
    struct hf_history *h;
    (void)snprintf(path, sizeof path, "%s/bad.db", stores.folder);
    (void)snprintf(url, sizeof url, "sqlite:%s", path);
    FILE *f = fopen(path, "we");
    for (int i = 0; i < 1000; i++)
        (void)fputs("this is no database", f);
    (void)fclose(f);
    assert_true(hf_open(url, o, &h, NULL) < 0);
}

static void test_log(void **state) {
    struct lines lines = {0};
    struct hf_options o = {.struct_size = sizeof o, .log = keep_line, .log_ctx = &lines};
    char text[64] = "";
    int ends[2], kept = dup(STDERR_FILENO);
    (void)state;
    open_bad_file(&o);
    assert_true(atomic_load(&lines.count) > 0);
    /* Uninvited, not a word. */
    assert_int_equal(pipe(ends), 0);
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    (void)fflush(stderr);
    (void)dup2(ends[1], STDERR_FILENO);
    open_bad_file(NULL);
    (void)dup2(kept, STDERR_FILENO);
    assert_true(read(ends[0], text, sizeof text - 1) <= 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(kept);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events), cmocka_unit_test(test_others),
        cmocka_unit_test(test_inside), cmocka_unit_test(test_stop_inside),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
