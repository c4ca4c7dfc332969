/* SPDX-License-Identifier: Apache-2.0 */
/* test_threads.c - one handle and many threads, many handles and one process.
 *
 * Goal: no event of a thread is lost, doubled or out of its order; whoever is under way when the
 * history is stopped or closed gets an answer; handles do not know of each other; the process's
 * signals and its other state stay as they were.
 * Method: real threads; the sanitizers watch. HF_TEST_FULL=1: more of everything. */
#include "stores.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define THREADS 16

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

static int many(void) { return getenv("HF_TEST_FULL") ? 500 : 40; }

struct worker {
    pthread_t thread;
    struct hf_history *h;
    const char *owner, *url;
    int number, appends, answers[3];
    _Atomic int done, code; /* callbacks write them, too */
};

static void start_all(struct worker *w, struct hf_history *h, const char *owner,
                      void *(*fn)(void *)) {
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.h = h, .owner = owner, .number = i, .appends = many()};
        assert_int_equal(pthread_create(&w[i].thread, NULL, fn, &w[i]), 0);
    }
}

static void join_all(struct worker *w) {
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
}

static struct hf_event numbered(char text[2][32], int thread, int i) {
    (void)snprintf(text[0], 32, "%d-%d", thread, i);
    (void)snprintf(text[1], 32, "%d", i);
    return stores_event(text[0], text[1]);
}

/* --- appending --- */

static void count_done(void *ctx, int code, void *result, const struct hf_error *error) {
    struct worker *w = ctx;
    (void)error;
    hf_free(result);
    if (code != HF_OK)
        w->code = code;
    atomic_fetch_add(&w->done, 1);
}

/* Half of them wait for each, half of them for none. */
static void *append(void *arg) {
    struct worker *w = arg;
    char text[2][32];
    for (int i = 0; i < w->appends && w->code == HF_OK; i++) {
        struct hf_event e = numbered(text, w->number, i);
        int code = w->number % 2
                       ? hf_append(w->h, w->owner, "all", &e, 1, NULL, NULL)
                       : hf_append_async(w->h, w->owner, "all", &e, 1, count_done, w, NULL);
        if (code != HF_OK)
            w->code = code;
    }
    while (w->number % 2 == 0 && atomic_load(&w->done) < w->appends && w->code == HF_OK)
        usleep(500);
    return NULL;
}

/* Each thread's events are all there, once, in its order. */
static void check_all(struct hf_history *h, const char *owner, int appends) {
    int next[THREADS] = {0};
    struct hf_range r = {.struct_size = sizeof r};
    struct hf_page *page;
    int64_t seq = 0;
    bool more = true;
    while (more) {
        r.seq_min = seq + 1;
        check_ok(hf_read(h, owner, "all", &r, &page, error));
        for (size_t i = 0; i < page->count; i++) {
            const char *at = strchr(page->events[i]->id, '-');
            int thread = 0, n = 0;
            assert_non_null(at);
            assert_int_equal(sscanf(page->events[i]->id, "%d-%d", &thread, &n), 2);
            assert_int_equal(n, next[thread]);
            next[thread]++;
            assert_int_equal(page->events[i]->seq, ++seq);
        }
        more = page->more;
        hf_free(page);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], appends);
}

static void test_append(void **state) {
    (void)state;
    for (size_t s = 0; s < stores.count; s++) {
        struct worker w[THREADS];
        char owner[ID_HEX_LEN + 1];
        struct hf_history *h = stores_open(stores.urls[s]);
        start_all(w, h, stores_owner(owner), append);
        join_all(w);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(w[i].code, HF_OK);
        check_all(h, owner, many());
        assert_int_equal(hf_close(h), HF_OK);
    }
}

/* --- stopping and closing under way --- */

static void *until_closed(void *arg) {
    struct worker *w = arg;
    char text[2][32];
    for (int i = 0; w->code == HF_OK; i++) {
        struct hf_event e = numbered(text, w->number, i);
        struct hf_page *page = NULL;
        if (w->number % 4 == 0)
            w->code = hf_follow(w->h, w->owner, "never", 0, 0, -1, &page, NULL);
        else if (w->number % 4 == 1)
            w->code = hf_append_async(w->h, w->owner, "s", &e, 1, count_done, w, NULL);
        else
            w->code = hf_append(w->h, w->owner, "s", &e, 1, NULL, NULL);
        hf_free(page);
        if (w->code == HF_LIMIT)
            w->code = HF_OK;
    }
    return NULL;
}

static void test_stop(void **state) {
    (void)state;
    for (size_t s = 0; s < stores.count; s++) {
        struct worker w[THREADS];
        char owner[ID_HEX_LEN + 1];
        struct hf_history *h = stores_open(stores.urls[s]);
        start_all(w, h, stores_owner(owner), until_closed);
        usleep(30000);
        hf_stop(h);
        join_all(w);
        assert_int_equal(hf_close(h), HF_OK);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(w[i].code, HF_CLOSED);
    }
}

static void count_codes(void *ctx, int code, void *result, const struct hf_error *error) {
    struct worker *w = ctx;
    assert_int_equal(error->code, code);
    hf_free(result);
    w->answers[code == HF_OK ? 0 : code == HF_CLOSED ? 1 : 2]++;
}

/* Nothing waits for the calls but hf_close(). */
static void test_close(void **state) {
    (void)state;
    for (size_t s = 0; s < stores.count; s++) {
        struct worker w = {.number = 0};
        char owner[ID_HEX_LEN + 1], text[2][32];
        struct hf_history *h = stores_open(stores.urls[s]);
        stores_owner(owner);
        for (int i = 0; i < 200; i++) {
            struct hf_event e = numbered(text, 0, i);
            check_ok(hf_append_async(h, owner, "s", &e, 1, count_codes, &w, error));
            check_ok(hf_wait_async(h, owner, "never", 0, -1, count_codes, &w, error));
            check_ok(hf_read_async(h, owner, "s", NULL, count_codes, &w, error));
        }
        assert_int_equal(hf_close(h), HF_OK);
        assert_int_equal(w.answers[0] + w.answers[1] + w.answers[2], 600);
        assert_true(w.answers[1] >= 200); /* of those that wait, at least */
    }
}

/* --- handles --- */

static void *open_and_close(void *arg) {
    struct worker *w = arg;
    char url[600], text[2][32];
    for (int i = 0; i < 6 && w->code == HF_OK; i++) {
        struct hf_history *h = NULL;
        struct hf_event e = numbered(text, w->number, i);
        if (stores.count == 1)
            (void)snprintf(url, sizeof url, "%s", stores.urls[0]);
        else
            (void)snprintf(url, sizeof url, "%s%s-%d", stores.urls[w->number % 2],
                           w->number % 2 ? "x" : "", w->number);
        w->code = hf_open(url, NULL, &h, NULL);
        if (w->code == HF_OK)
            w->code = hf_append(h, w->owner, "s", &e, 1, NULL, NULL);
        (void)hf_close(h);
    }
    return NULL;
}

/* Several stores at once, again and again; what they share does not come between them. */
static void test_handles(void **state) {
    struct worker w[THREADS];
    char owner[ID_HEX_LEN + 1];
    (void)state;
    stores_owner(owner);
    int at_once = stores.count == 1 ? 4 : THREADS; /* a server takes so many connections only */
    for (int i = 0; i < at_once; i++) {
        w[i] = (struct worker){.owner = owner, .number = i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, open_and_close, &w[i]), 0);
    }
    for (int i = 0; i < at_once; i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
        if (w[i].code != HF_OK)
            fail_msg("thread %d: %s", i, hf_code_name(w[i].code));
    }
}

/* A callback of one handle appends to another one: it may even wait there. */
struct pair {
    struct hf_history *other;
    const char *owner;
    _Atomic int code;
};

static void pass_on(void *ctx, int code, void *result, const struct hf_error *error) {
    struct pair *p = ctx;
    struct hf_event e = stores_event("passed", "1");
    (void)error;
    hf_free(result);
    int passed = code == HF_OK ? hf_append(p->other, p->owner, "s", &e, 1, NULL, NULL) : code;
    atomic_store(&p->code, passed);
}

static void test_two_handles(void **state) {
    char owner[ID_HEX_LEN + 1], other[128];
    struct hf_event e = stores_event("1", "1");
    struct hf_session *s;
    (void)state;
    (void)snprintf(other, sizeof other, "file:%s/other", stores.folder);
    struct hf_history *h = stores_open(stores.urls[0]);
    struct pair p = {.other = stores_open(other), .owner = stores_owner(owner), .code = 1};
    check_ok(hf_append_async(h, owner, "s", &e, 1, pass_on, &p, error));
    while (atomic_load(&p.code) == 1)
        usleep(500);
    assert_int_equal(hf_close(h), HF_OK);
    assert_int_equal(atomic_load(&p.code), HF_OK);
    check_ok(hf_session_get(p.other, owner, "s", &s, error));
    hf_free(s);
    assert_int_equal(hf_close(p.other), HF_OK);
}

/* --- the process around it --- */

static void on_pipe(int number) { (void)number; }

static void test_process(void **state) {
    struct sigaction mine = {.sa_handler = on_pipe}, now;
    sigset_t before, after;
    (void)state;
    sigemptyset(&mine.sa_mask);
    assert_int_equal(sigaction(SIGPIPE, &mine, NULL), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
    struct hf_history *h = stores_open(stores.urls[0]);
    assert_int_equal(hf_close(h), HF_OK);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_true(now.sa_handler == on_pipe);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &after), 0);
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),      cmocka_unit_test(test_stop),
        cmocka_unit_test(test_close),       cmocka_unit_test(test_handles),
        cmocka_unit_test(test_two_handles), cmocka_unit_test(test_process),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
