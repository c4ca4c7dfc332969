/* SPDX-License-Identifier: Apache-2.0 */
/* test_calls.c - every call of the library in its plain form, on every kind of store.
 *
 * Goal: what holdfast.h says of each; whatever is passed in, wrong or right, is answered, and
 * nothing but that happens. Method: the public header alone, against real stores. */
#include "stores.h"

#include <time.h>

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

typedef void (*scene_fn)(struct hf_history *h, const char *owner);

static void on_each(scene_fn fn) {
    for (size_t i = 0; i < stores.count; i++) {
        char owner[ID_HEX_LEN + 1];
        struct hf_history *h = stores_open(stores.urls[i]);
        fn(h, stores_owner(owner));
        assert_int_equal(hf_close(h), HF_OK);
    }
}

static void append_numbers(struct hf_history *h, const char *owner, const char *session,
                           int count) {
    for (int i = 0; i < count; i++) {
        char id[16], payload[32];
        (void)snprintf(id, sizeof id, "e%d", i);
        (void)snprintf(payload, sizeof payload, "{\"n\": %d}", i);
        struct hf_event e = stores_event(id, payload);
        e.occurred_at = 1000000 * (int64_t)(count - i);
        check_ok(hf_append(h, owner, session, &e, 1, NULL, error));
    }
}

/* --- events --- */

static void appends(struct hf_history *h, const char *owner) {
    struct hf_results *r;
    struct hf_page *page;
    struct hf_event events[3] = {stores_event("a", " {\"x\" : [1, 2]} "),
                                 stores_event(NULL, "null"), stores_event("c", "\x01\x00\xff")};
    events[0].source = "src";
    events[0].trace_id = "trace";
    events[0].headers = "{\"k\":\"v\"}";
    events[0].occurred_at = 1234567;
    events[0].ttl_ms = 3600000LL * 24 * 366 * 90;
    events[2].payload_kind = HF_BYTES;
    events[2].payload_size = 3;
    check_ok(hf_append(h, owner, "s", events, 3, &r, error));
    assert_int_equal(r->count, 3);
    assert_int_equal(r->duplicates, 0);
    assert_string_equal(r->items[0]->id, "a");
    assert_int_equal(r->items[2]->seq, 3);
    assert_int_equal(strlen(r->items[1]->id), 36);
    hf_free(r);
    check_ok(hf_append(h, owner, "s", events, 1, &r, error));
    assert_true(r->duplicates == 1 && r->items[0]->duplicate && r->items[0]->seq == 1);
    hf_free(r);
    check_ok(hf_read(h, owner, "s", NULL, &page, error));
    assert_int_equal(page->count, 3);
    const struct hf_event *e = page->events[0];
    assert_string_equal(e->id, "a");
    assert_string_equal(e->source, "src");
    assert_string_equal(e->trace_id, "trace");
    assert_string_equal(e->headers, "{\"k\":\"v\"}");
    assert_int_equal(e->occurred_at, 1234567);
    assert_int_equal(e->ttl_ms, events[0].ttl_ms);
    assert_int_equal(e->payload_size, 11);
    assert_memory_equal(e->payload, "{\"x\":[1,2]}", 11);
    assert_true(e->stored_at > 0 && e->struct_size == sizeof *e && e->session == NULL);
    assert_null(page->events[1]->source);
    assert_int_equal(page->events[2]->payload_kind, HF_BYTES);
    assert_memory_equal(page->events[2]->payload, "\x01\x00\xff", 3);
    hf_free(page);
    events[0].payload = "1";
    events[0].payload_size = 1;
    check_code(hf_append(h, owner, "s", events, 1, &r, error), HF_CONFLICT);
    assert_null(r);
}

static void test_appends(void **state) {
    (void)state;
    on_each(appends);
}

static void appends_to_many(struct hf_history *h, const char *owner) {
    struct hf_event events[4];
    struct hf_session *s;
    for (int i = 0; i < 4; i++) {
        events[i] = stores_event(NULL, "1");
        events[i].session = i % 2 ? "odd" : NULL;
    }
    check_ok(hf_append(h, owner, "even", events, 4, NULL, error));
    check_ok(hf_session_get(h, owner, "odd", &s, error));
    assert_int_equal(s->last_seq, 2);
    hf_free(s);
    check_code(hf_append(h, owner, NULL, events, 4, NULL, error), HF_INVALID);
    events[0].session = events[2].session = "even";
    check_ok(hf_append(h, owner, NULL, events, 4, NULL, error));
    check_ok(hf_session_get(h, owner, "even", &s, error));
    assert_int_equal(s->last_seq, 4);
    hf_free(s);
}

static void test_appends_to_many(void **state) {
    (void)state;
    on_each(appends_to_many);
}

static void json(struct hf_history *h, const char *owner) {
    static const char one[] = "{\"id\":\"1\",\n \"type\":\"t\",\"payload\":{\"a\":1}}",
                      array[] = "[{\"id\":\"2\",\"type\":\"t\",\"payload\":2},"
                                "{\"id\":\"3\",\"type\":\"t\",\"payloadBase64\":\"AAE=\"}]",
                      lines[] = "{\"id\":\"4\",\"type\":\"t\",\"payload\":4}\n\n"
                                "{\"id\":\"5\",\"type\":\"t\",\"payload\":5,\"sessionId\":\"o\"}\n",
                      bad[] = "{\"id\":\"6\",\"type\":\"t\",\"payload\":6}\n{\"id\":}\n";
    struct hf_results *r;
    struct hf_text *text;
    check_ok(hf_append_json(h, owner, "s", one, strlen(one), &r, error));
    assert_int_equal(r->count, 1);
    hf_free(r);
    check_ok(hf_append_json(h, owner, "s", array, strlen(array), NULL, error));
    check_ok(hf_append_json(h, owner, "s", lines, strlen(lines), &r, error));
    assert_true(r->count == 2 && r->items[0]->seq == 4 && r->items[1]->seq == 1);
    hf_free(r);
    check_code(hf_append_json(h, owner, "s", bad, strlen(bad), NULL, error), HF_MALFORMED);
    check_code(hf_append_json(h, owner, "s", "[]", 2, NULL, error), HF_INVALID);
    check_code(hf_append_json(h, owner, "s", "", 0, NULL, error), HF_MALFORMED);
    check_code(hf_append_json(h, owner, "s", NULL, 0, NULL, error), HF_INVALID);
    check_code(hf_append_json(h, owner, "s", "x", (size_t)-1, NULL, error), HF_TOO_LARGE);
    check_code(hf_append_json(h, owner, NULL, one, strlen(one), NULL, error), HF_INVALID);
    struct hf_range range = {.struct_size = sizeof range, .seq_min = 2, .limit = 2};
    check_ok(hf_read_json(h, owner, "s", &range, &text, error));
    assert_true(text->count == 2 && text->more && text->next.seq == 3);
    assert_int_equal(text->size, strlen(text->text));
    assert_non_null(strstr(text->text, "{\"seq\":2,\"id\":\"2\",\"type\":\"t\""));
    assert_non_null(strstr(text->text, "\"payloadBase64\":\"AAE=\"}\n"));
    assert_int_equal(text->text[text->size - 1], '\n');
    hf_free(text);
}

static void test_json(void **state) {
    (void)state;
    on_each(json);
}

static void reads(struct hf_history *h, const char *owner) {
    struct hf_page *page;
    struct hf_position after;
    struct hf_range r = {.struct_size = sizeof r, .limit = 4};
    append_numbers(h, owner, "s", 10);
    check_ok(hf_read(h, owner, "s", &r, &page, error));
    assert_true(page->count == 4 && page->more && page->events[3]->seq == 4);
    after = page->next;
    hf_free(page);
    r.after = &after;
    r.headers_only = 1;
    check_ok(hf_read(h, owner, "s", &r, &page, error));
    assert_true(page->events[0]->seq == 5 && page->events[0]->payload == NULL);
    assert_int_equal(page->events[0]->payload_size, strlen("{\"n\":4}"));
    hf_free(page);
    r = (struct hf_range){
        .struct_size = sizeof r, .by_time = 1, .time_min = 3000000, .time_max = 6000000};
    check_ok(hf_read(h, owner, "s", &r, &page, error));
    assert_int_equal(page->count, 3);
    assert_true(page->events[0]->occurred_at == 3000000 && page->events[0]->seq == 8);
    assert_false(page->more);
    hf_free(page);
    r = (struct hf_range){.struct_size = sizeof r, .newest_first = 1, .seq_max = 9, .limit = 1};
    check_ok(hf_read(h, owner, "s", &r, &page, error));
    assert_int_equal(page->events[0]->seq, 9);
    hf_free(page);
    check_code(hf_read(h, owner, "none", NULL, &page, error), HF_NOT_FOUND);
    check_code(hf_read(h, "another", "s", NULL, &page, error), HF_NOT_FOUND);
    r.limit = HF_PAGE_MAX + 1;
    check_code(hf_read(h, owner, "s", &r, &page, error), HF_INVALID);
}

static void test_reads(void **state) {
    (void)state;
    on_each(reads);
}

static void waits(struct hf_history *h, const char *owner) {
    struct hf_page *page;
    int64_t last = 0;
    check_code(hf_wait(h, owner, "s", 0, 20, &last, error), HF_TIMEOUT);
    check_code(hf_follow(h, owner, "s", 0, 0, 20, &page, error), HF_TIMEOUT);
    append_numbers(h, owner, "s", 3);
    check_ok(hf_wait(h, owner, "s", 1, -1, &last, error));
    assert_int_equal(last, 3);
    check_ok(hf_follow(h, owner, "s", 1, 1, 0, &page, error));
    assert_true(page->count == 1 && page->events[0]->seq == 2 && page->more);
    hf_free(page);
    check_code(hf_follow(h, owner, "s", 3, 0, 20, &page, error), HF_TIMEOUT);
    check_code(hf_follow(h, owner, "s", INT64_MAX, 0, 20, &page, error), HF_TIMEOUT);
    check_code(hf_wait(h, owner, "s", -1, 20, &last, error), HF_INVALID);
}

static void test_waits(void **state) {
    (void)state;
    on_each(waits);
}

/* --- checkpoints, sessions, consumers --- */

static void checkpoints(struct hf_history *h, const char *owner) {
    struct hf_checkpoint in = {.struct_size = sizeof in, .payload = "{ }", .payload_size = 3};
    struct hf_checkpoint *first, *second, *got;
    struct hf_checkpoints *list;
    append_numbers(h, owner, "s", 2);
    check_ok(hf_checkpoint_put(h, owner, "s", &in, &first, error));
    assert_true(first->seq == 2 && first->parent == NULL && first->payload == NULL);
    in.label = "named";
    in.seq = 1;
    in.payload_kind = HF_BYTES;
    check_ok(hf_checkpoint_put(h, owner, "s", &in, &second, error));
    assert_string_equal(second->parent, first->id);
    check_ok(hf_checkpoint_get(h, owner, "s", NULL, &got, error));
    assert_string_equal(got->id, second->id);
    assert_string_equal(got->label, "named");
    assert_true(got->seq == 1 && got->payload_size == 3 && got->created_at > 0);
    assert_memory_equal(got->payload, "{ }", 3);
    assert_memory_equal(got->sha256, second->sha256, 32);
    hf_free(got);
    check_ok(hf_checkpoint_get(h, owner, "s", first->id, &got, error));
    assert_memory_equal(got->payload, "{}", got->payload_size);
    hf_free(got);
    check_ok(hf_checkpoint_list(h, owner, "s", NULL, 0, &list, error));
    assert_true(list->count == 2 && strcmp(list->items[0]->id, second->id) == 0);
    hf_free(list);
    check_ok(hf_checkpoint_list(h, owner, "s", second->id, 1, &list, error));
    assert_true(list->count == 1 && strcmp(list->items[0]->id, first->id) == 0);
    hf_free(list);
    check_ok(hf_checkpoint_rollback(h, owner, "s", first->id, error));
    check_ok(hf_checkpoint_get(h, owner, "s", NULL, &got, error));
    assert_string_equal(got->id, first->id);
    hf_free(got);
    check_code(
        hf_checkpoint_get(h, owner, "s", "00000000-0000-0000-0000-000000000001", &got, error),
        HF_NOT_FOUND);
    check_code(hf_checkpoint_get(h, owner, "s", "what", &got, error), HF_INVALID);
    check_code(
        hf_checkpoint_get(h, owner, "s", "00000000-0000-0000-0000-000000000000", &got, error),
        HF_INVALID);
    check_code(hf_checkpoint_rollback(h, owner, "s", NULL, error), HF_INVALID);
    check_code(hf_checkpoint_put(h, owner, "s", NULL, NULL, error), HF_INVALID);
    hf_free(first);
    hf_free(second);
}

static void test_checkpoints(void **state) {
    (void)state;
    on_each(checkpoints);
}

static void sessions(struct hf_history *h, const char *owner) {
    struct hf_sessions *list;
    struct hf_session *s;
    append_numbers(h, owner, "a", 1);
    append_numbers(h, owner, "b", 2);
    check_ok(hf_session_list(h, owner, NULL, 0, &list, error));
    assert_int_equal(list->count, 2);
    assert_string_equal(list->items[1]->name, "b");
    assert_true(list->items[1]->last_seq == 2 && list->items[1]->first_seq == 1 &&
                list->items[1]->payload_bytes == 14);
    hf_free(list);
    check_ok(hf_session_list(h, owner, "a", 1, &list, error));
    assert_true(list->count == 1 && strcmp(list->items[0]->name, "b") == 0);
    hf_free(list);
    check_ok(hf_session_delete(h, owner, "a", error));
    check_code(hf_session_get(h, owner, "a", &s, error), HF_NOT_FOUND);
    assert_null(s);
    check_code(hf_session_delete(h, owner, "a", error), HF_NOT_FOUND);
}

static void test_sessions(void **state) {
    (void)state;
    on_each(sessions);
}

static void consumers(struct hf_history *h, const char *owner) {
    struct hf_consumers *list;
    int64_t at = 0;
    append_numbers(h, owner, "s", 3);
    check_ok(hf_consumer_ack(h, owner, "s", "c", 2, &at, error));
    assert_int_equal(at, 2);
    check_ok(hf_consumer_ack(h, owner, "s", "c", 1, NULL, error));
    check_ok(hf_consumer_list(h, owner, "s", &list, error));
    assert_true(list->count == 1 && list->items[0]->acked_seq == 2);
    assert_string_equal(list->items[0]->name, "c");
    hf_free(list);
    check_code(hf_consumer_ack(h, owner, "s", "c", 4, &at, error), HF_INVALID);
    check_code(hf_consumer_ack(h, owner, "s", NULL, 1, &at, error), HF_INVALID);
    check_code(hf_consumer_ack(h, owner, "s", "", 1, &at, error), HF_INVALID);
    check_ok(hf_consumer_delete(h, owner, "s", "c", error));
    check_code(hf_consumer_delete(h, owner, "s", "c", error), HF_NOT_FOUND);
}

static void test_consumers(void **state) {
    (void)state;
    on_each(consumers);
}

static void retention(struct hf_history *h, const char *owner) {
    struct hf_retention in = {.struct_size = sizeof in, .count_max = 2}, *out;
    struct hf_session *s;
    struct hf_stats *stats;
    int64_t removed, total = 0;
    append_numbers(h, owner, "s", 5);
    check_ok(hf_retention_set(h, owner, &in, error));
    check_ok(hf_retention_get(h, owner, &out, error));
    assert_true(out->count_max == 2 && out->age_ms_max == 0);
    hf_free(out);
    do {
        check_ok(hf_sweep(h, 0, &removed, error));
        total += removed;
    } while (removed > 0);
    assert_true(total >= 3);
    check_ok(hf_session_get(h, owner, "s", &s, error));
    assert_true(s->first_seq == 4 && s->last_seq == 5);
    hf_free(s);
    check_ok(hf_stats(h, &stats, error));
    assert_true(stats->appends >= 5 && stats->appended_events >= 5 && stats->queue_count == 0);
    hf_free(stats);
    in.count_max = -1;
    check_code(hf_retention_set(h, owner, &in, error), HF_INVALID);
    check_code(hf_sweep(h, (size_t)-1, &removed, error), HF_INVALID);
}

static void test_retention(void **state) {
    (void)state;
    on_each(retention);
}

/* The same contents in a folder and in a file of SQLite. */
static void test_digests(void **state) {
    char *digests[STORES_MAX] = {NULL};
    char folder[128];
    (void)state;
    for (size_t i = 0; i < stores.count; i++) {
        struct hf_history *h;
        struct hf_checkpoint c = {.struct_size = sizeof c,
                                  .id = "01890000-0000-7000-8000-000000000001",
                                  .payload = "1",
                                  .payload_size = 1,
                                  .created_at = 1};
        if (stores.count == 1) {
            h = stores_open(stores.urls[i]);
            check_ok(hf_digest(h, &digests[i], error));
        } else {
            (void)snprintf(folder, sizeof folder, "%s/digest", stores.urls[i]);
            if (i == 1)
                (void)snprintf(folder, sizeof folder, "sqlite:%s/digest.db", stores.folder);
            else
                (void)snprintf(folder, sizeof folder, "file:%s/digest", stores.folder);
            h = stores_open(folder);
            append_numbers(h, "o", "s", 7);
            check_ok(hf_checkpoint_put(h, "o", "s", &c, NULL, error));
            check_ok(hf_digest(h, &digests[i], error));
        }
        assert_int_equal(strlen(digests[i]), 32);
        assert_int_equal(hf_close(h), HF_OK);
    }
    if (stores.count == 2)
        assert_string_equal(digests[0], digests[1]);
    hf_free(digests[0]);
    hf_free(digests[1]);
}

/* --- what is wrong --- */

static void wrong_events(struct hf_history *h, const char *owner) {
    char name[1000];
    struct hf_event e = stores_event("a", "1"), two[2] = {e, e};
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    check_code(hf_append(NULL, owner, "s", &e, 1, NULL, error), HF_INVALID);
    check_code(hf_append(h, owner, "s", NULL, 1, NULL, error), HF_INVALID);
    check_code(hf_append(h, owner, "s", &e, 0, NULL, error), HF_INVALID);
    check_code(hf_append(h, owner, "s", &e, HF_APPEND_COUNT_MAX + 1, NULL, error), HF_INVALID);
    check_code(hf_append(h, owner, "", &e, 1, NULL, error), HF_INVALID);
    check_code(hf_append(h, owner, name, &e, 1, NULL, error), HF_INVALID);
    check_code(hf_append(h, name, "s", &e, 1, NULL, error), HF_INVALID);
    check_code(hf_append(h, owner, "\xff", &e, 1, NULL, error), HF_INVALID);
    two[1].struct_size += 8;
    check_code(hf_append(h, owner, "s", two, 2, NULL, error), HF_INVALID);
    e.struct_size = 0;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e = stores_event(name, "1");
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e = stores_event("", "1");
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e = stores_event("a", "1");
    e.type = NULL;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e = stores_event("a", "{");
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_MALFORMED);
    e = stores_event("a", "1");
    e.payload_kind = 7;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e.payload_kind = HF_JSON;
    e.payload = NULL;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e.payload_size = 0;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_MALFORMED);
    e.payload = "1";
    e.payload_size = (size_t)-1;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_TOO_LARGE);
    e.payload_size = HF_PAYLOAD_BYTES_MAX + 1;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_TOO_LARGE);
    e = stores_event("a", "1");
    e.headers = "[]";
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e.headers = "{\"a\":1}";
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e.headers = NULL;
    e.ttl_ms = -1;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    e.ttl_ms = 0;
    e.occurred_at = INT64_MAX;
    check_code(hf_append(h, owner, "s", &e, 1, NULL, error), HF_INVALID);
    check_code(hf_session_get(h, owner, "s", NULL, error), HF_NOT_FOUND); /* nothing came of it */
}

static void test_wrong_events(void **state) {
    (void)state;
    on_each(wrong_events);
}

/* Of a later version: what it has beyond ours must be empty. */
static void later_structs(struct hf_history *h, const char *owner) {
    struct {
        struct hf_event event;
        int64_t more;
    } later = {stores_event("a", "1"), 0};
    later.event.struct_size = sizeof later;
    check_ok(hf_append(h, owner, "s", &later.event, 1, NULL, error));
    later.more = 1;
    check_code(hf_append(h, owner, "s", &later.event, 1, NULL, error), HF_UNSUPPORTED);
    struct hf_event first = stores_event("b", "1");
    first.struct_size = offsetof(struct hf_event, seq);
    check_ok(hf_append(h, owner, "s", &first, 1, NULL, error));
}

static void test_later_structs(void **state) {
    (void)state;
    on_each(later_structs);
}

static void test_wrong_opens(void **state) {
    struct hf_history *h = NULL;
    struct hf_options o = {.struct_size = sizeof o};
    char url[256], address[5000];
    (void)state;
    memset(address, 'x', sizeof address - 1);
    address[sizeof address - 1] = '\0';
    check_code(hf_open(NULL, NULL, &h, error), HF_INVALID);
    check_code(hf_open("file:/tmp/x", NULL, NULL, error), HF_INVALID);
    check_code(hf_open("http://x", NULL, &h, error), HF_INVALID);
    check_code(hf_open("", NULL, &h, error), HF_INVALID);
    check_code(hf_open("file:", NULL, &h, error), HF_INVALID);
    check_code(hf_open(address, NULL, &h, error), HF_INVALID);
    (void)snprintf(url, sizeof url, "sqlite:%s/no/such/folder/x.db", stores.folder);
    check_code(hf_open(url, NULL, &h, error), HF_IO);
    assert_null(h);
    check_code(hf_open("postgres://u@127.0.0.1:1/x?connect_timeout=1", NULL, &h, error),
               HF_UNAVAILABLE);
    o.read_only = 1;
    check_code(hf_open("sqlite:/tmp/x.db", &o, &h, error), HF_UNSUPPORTED);
    o = (struct hf_options){.struct_size = 3};
    check_code(hf_open("file:/tmp/x", &o, &h, error), HF_INVALID);
    o = (struct hf_options){.struct_size = sizeof o, .interval_us = -1};
    check_code(hf_open("file:/tmp/x", &o, &h, error), HF_INVALID);
    assert_int_equal(hf_close(NULL), HF_OK);
    hf_stop(NULL);
    hf_free(NULL);
    assert_string_equal(hf_kind(NULL), "");
    assert_string_equal(hf_version(), HF_VERSION_TEXT);
    assert_string_equal(hf_code_name(HF_NOT_FOUND), "NOT_FOUND");
}

/* A store has one handle that writes; a folder can be read beside it. */
static void test_one_writer(void **state) {
    (void)state;
    for (size_t i = 0; i < stores.count && stores.count == 2; i++) {
        struct hf_history *first = stores_open(stores.urls[i]), *second = NULL;
        struct hf_event e = stores_event("only", "1");
        check_ok(hf_append(first, "one", "s", &e, 1, NULL, error));
        check_code(hf_open(stores.urls[i], NULL, &second, error), HF_UNAVAILABLE);
        if (i == 0) {
            struct hf_options o = {.struct_size = sizeof o, .read_only = 1};
            struct hf_session *s;
            check_ok(hf_open(stores.urls[i], &o, &second, error));
            assert_string_equal(hf_kind(second), "file");
            check_ok(hf_session_get(second, "one", "s", &s, error));
            hf_free(s);
            e.id = "another";
            int code = hf_append(second, "one", "s", &e, 1, NULL, NULL);
            assert_true(code < 0);
            assert_int_equal(hf_close(second), HF_OK);
        }
        assert_int_equal(hf_close(first), HF_OK);
    }
}

/* What comes out outlives the handle. */
static void test_results_stay(void **state) {
    struct hf_page *page;
    char owner[ID_HEX_LEN + 1];
    struct hf_history *h = stores_open(stores.urls[0]);
    (void)state;
    append_numbers(h, stores_owner(owner), "s", 2);
    check_ok(hf_read(h, owner, "s", NULL, &page, error));
    assert_int_equal(hf_close(h), HF_OK);
    assert_memory_equal(page->events[1]->payload, "{\"n\":1}", 7);
    hf_free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),      cmocka_unit_test(test_appends_to_many),
        cmocka_unit_test(test_json),         cmocka_unit_test(test_reads),
        cmocka_unit_test(test_waits),        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_sessions),     cmocka_unit_test(test_consumers),
        cmocka_unit_test(test_retention),    cmocka_unit_test(test_digests),
        cmocka_unit_test(test_wrong_events), cmocka_unit_test(test_later_structs),
        cmocka_unit_test(test_wrong_opens),  cmocka_unit_test(test_one_writer),
        cmocka_unit_test(test_results_stay),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
