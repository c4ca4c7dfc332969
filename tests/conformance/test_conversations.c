/* SPDX-License-Identifier: Apache-2.0 */
/* test_conversations.c - conversations over every database.
 *
 * Goal: lists are in the order of updated_at, both ways, archived or not; titles are found by their
 * owner only and go with the thread; windows of messages are the same whatever segments the list is
 * cut into, and a place is found again when numbers have moved; the text of a place is read back;
 * messages are found by their words as the newest state has them, and go with it.
 * Method: one history on each driver. */
#include "fixture.h"

#include "base/clock.h"
#include "store/conversation_messages.h"
#include "store/conversation_texts.h"
#include "store/conversations.h"
#include "store/truncate.h"

#define COUNT    9
#define MESSAGES 21 /* 1 + 2 + … + 6 */

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};

static struct id made(struct store *s, const struct principal *who, const char *title,
                      const char *metadata, struct arena *a) {
    struct err err = {0};
    struct thread_new n = {.id = id_v7(), .metadata = str_of(metadata), .config = STR("{}")};
    return conversation_create(s, who, &n, title ? str_of(title) : STR_NULL, a, &err) == 0 ? n.id
                                                                                           : ID_NIL;
}

static int found(struct store *s, const struct principal *who, const char *q, struct arena *a,
                 struct conversation **list, size_t *count, struct err *err) {
    return conversation_search(s, who, str_of(q), &CONVERSATION_BEST, 10, a, list, count, err);
}

static void lists(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct id ids[COUNT];
    struct conversation *list, c;
    size_t count;
    for (int i = 0; i < COUNT; i++) {
        ids[i] = made(s, &ANNA, i % 2 ? "odd one" : "even one", "{}", a);
        CHECK(!id_is_nil(ids[i]));
    }
    struct conversation_page page = {.from = CONVERSATION_NEWEST, .limit = COUNT + 1};
    CHECK_CODE(conversation_list(s, &BERT, &page, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(conversation_list(s, &ANNA, &page, a, &list, &count, &err), 0);
    CHECK_INT(count, COUNT);
    for (int i = 0; i < COUNT; i++)
        CHECK(id_eq(list[i].id, ids[COUNT - 1 - i]));
    page.from = (struct conversation_place){list[3].updated_at, list[3].id};
    page.limit = 2;
    CHECK_CODE(conversation_list(s, &ANNA, &page, a, &list, &count, &err), 0);
    CHECK(count == 2 && id_eq(list[0].id, ids[4]) && id_eq(list[1].id, ids[3]));
    page.newer = true;
    CHECK_CODE(conversation_list(s, &ANNA, &page, a, &list, &count, &err), 0);
    CHECK(count == 2 && id_eq(list[0].id, ids[6]) && id_eq(list[1].id, ids[7]));

    CHECK_CODE(conversation_get(s, &BERT, ids[2], a, &c, &err), ERR_NOT_FOUND);
    CHECK_CODE(conversation_get(s, &ANNA, ids[2], a, &c, &err), 0);
    int64_t before = c.updated_at;
    struct conversation_change change = {.metadata = STR("{\"archived_at\":\"now\",\"k\":1}")};
    CHECK_CODE(conversation_change(s, &BERT, &c, &change, a, &err), ERR_NOT_FOUND);
    CHECK_CODE(conversation_change(s, &ANNA, &c, &change, a, &err), 0);
    page = (struct conversation_page){CONVERSATION_NEWEST, .archived = true, .limit = 5};
    CHECK_CODE(conversation_list(s, &ANNA, &page, a, &list, &count, &err), 0);
    CHECK(count == 1 && id_eq(list[0].id, ids[2]) && list[0].updated_at == before);
    change = (struct conversation_change){.opened = true};
    CHECK_CODE(conversation_change(s, &ANNA, &c, &change, a, &err), 0);
    CHECK_CODE(conversation_list(s, &ANNA, &page, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(conversation_get(s, &ANNA, ids[2], a, &c, &err), 0);
    CHECK(str_find(c.metadata, STR("archived_at")) < 0 && str_find(c.metadata, STR("\"k\"")) >= 0);
    page.archived = false;
    page.limit = COUNT + 1;
    CHECK_CODE(conversation_list(s, &ANNA, &page, a, &list, &count, &err), 0);
    CHECK_INT(count, COUNT);
}

static void titles(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct conversation *list, c;
    size_t count;
    struct id id = made(s, &ANNA, "A rare Okapi", "{}", a);
    CHECK(!id_is_nil(made(s, &BERT, "his okapi okapi", "{}", a)));
    CHECK_CODE(found(s, &ANNA, "okapi", a, &list, &count, &err), 0);
    CHECK(count == 1 && id_eq(list[0].id, id) && str_eq(list[0].title, STR("A rare Okapi")));
    CHECK_CODE(found(s, &ANNA, "...", a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(conversation_get(s, &ANNA, id, a, &c, &err), 0);
    struct conversation_change change = {.titled = true, .title = STR("zebra")};
    c.owner = STR("bert");
    CHECK_CODE(conversation_change(s, &BERT, &c, &change, a, &err), ERR_NOT_FOUND);
    c.owner = STR("anna");
    CHECK_CODE(conversation_change(s, &ANNA, &c, &change, a, &err), 0);
    CHECK_CODE(found(s, &ANNA, "okapi", a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(found(s, &ANNA, "ZEBRA okapi", a, &list, &count, &err), 0);
    CHECK_INT(count, 1);
    change.title = STR_NULL;
    CHECK_CODE(conversation_change(s, &ANNA, &c, &change, a, &err), 0);
    CHECK_CODE(conversation_get(s, &ANNA, id, a, &c, &err), 0);
    CHECK(!c.title.p);
    change.title = STR("gone");
    CHECK_CODE(conversation_change(s, &ANNA, &c, &change, a, &err), 0);
    CHECK_CODE(thread_delete(s, &ANNA, id, a, &err), 0);
    CHECK_CODE(found(s, &ANNA, "gone", a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(conversation_change(s, &ANNA, &c, &change, a, &err), ERR_NOT_FOUND);
    struct thread_new again = {.id = id, .metadata = STR("{}"), .config = STR("{}")};
    CHECK_CODE(conversation_create(s, &ANNA, &again, STR_NULL, a, &err), 0);
    CHECK_CODE(conversation_create(s, &ANNA, &again, STR("x"), a, &err), ERR_EXISTS);
    CHECK_CODE(conversation_create(s, &BERT, &again, STR("x"), a, &err), ERR_NOT_FOUND);
    CHECK_CODE(conversation_get(s, &ANNA, id, a, &c, &err), 0);
    CHECK_THAT(!c.title.p, "%s", "nothing of the one before");
}

/* A thread whose list has segments of 1, 2, 3, … messages; what stands behind MESSAGES is another
 * state's. */
static int listed(struct store *s, struct id thread, struct checkpoint *c, struct arena *a,
                  struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    for (int64_t start = 0, n = 1; start <= MESSAGES; start += n++) {
        struct buf items;
        buf_init(&items, 4096);
        for (int64_t i = start; i < start + n; i++) {
            str one = arena_printf(a, "%s{\"id\":\"m%lld\"}", i > start ? "," : "", (long long)i);
            buf_append(&items, one.p, one.len);
        }
        checkpoint_segment_add(&b, thread, 1, start, n, arena_take(a, &items));
    }
    *c = (struct checkpoint){.thread_id = thread,
                             .id = id_v6(0),
                             .name_space = STR(""),
                             .source = STR("loop"),
                             .channels = arena_printf(a, "{\"messages\":{\"l\":1,\"n\":%d}}",
                                                      MESSAGES),
                             .next = STR("[]"),
                             .tasks = STR("[]"),
                             .metadata = STR("{}"),
                             .created_at = clock_wall_us()};
    checkpoint_add(&b, c);
    return db_commit(s->db, &b, err);
}

static str id_of(struct arena *a, int64_t number) {
    return arena_printf(a, "m%lld", (long long)number);
}

static void one_window(struct fixture *f, struct store *s, const struct checkpoint *state,
                       enum message_side side, int64_t from, int64_t limit, struct arena *a) {
    struct err err = {0};
    struct message_list list;
    struct checkpoint c = *state;
    struct message_window w = {side, message_place_of(from, id_of(a, from)), limit};
    int64_t end = side == MESSAGES_NEWEST ? MESSAGES : from, begin = end - limit;
    if (side == MESSAGES_AFTER) {
        begin = from + 1;
        end = begin + limit;
    }
    begin = begin < 0 ? 0 : begin;
    end = end > MESSAGES ? MESSAGES : end;
    CHECK_CODE(conversation_messages(s, &c, &w, a, &list, &err), 0);
    CHECK_INT(list.total, MESSAGES);
    CHECK_INT(list.first, begin);
    CHECK_INT(list.count, end - begin);
    for (int64_t i = begin; i < end; i++)
        CHECK(str_eq(message_id_at(&list, i), id_of(a, i)));
    if (list.count > 0)
        CHECK(begin == 0 ? !list.parent.p : str_eq(list.parent, id_of(a, begin - 1)));
}

static void windows(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct checkpoint state;
    struct message_list list;
    struct id thread = made(s, &ANNA, "list", "{}", a);
    CHECK_CODE(listed(s, thread, &state, a, &err), 0);
    for (int64_t limit = 1; limit <= MESSAGES + 2; limit++) {
        one_window(f, s, &state, MESSAGES_NEWEST, 0, limit, a);
        for (int64_t from = 0; from < MESSAGES; from++) {
            one_window(f, s, &state, MESSAGES_BEFORE, from, limit, a);
            one_window(f, s, &state, MESSAGES_AFTER, from, limit, a);
        }
    }
    /* Numbers that moved; what is not there, or of another state. */
    struct message_window w = {MESSAGES_AFTER, message_place_of(2, STR("m18")), 2};
    struct checkpoint c = state;
    CHECK_CODE(conversation_messages(s, &c, &w, a, &list, &err), 0);
    CHECK(list.first == 19 && list.count == 2 && str_eq(list.parent, STR("m18")));
    static const char *const strange[] = {"m21", "m22", "", "x"};
    for (size_t i = 0; i < ARRAY_COUNT(strange); i++) {
        w.from = message_place_of(i ? 5 : MESSAGES, str_of(strange[i]));
        c = state;
        CHECK_CODE(conversation_messages(s, &c, &w, a, &list, &err), ERR_NOT_FOUND);
    }
    w.from = message_place_of(INT64_C(1) << 52, STR("m0"));
    CHECK_CODE(conversation_messages(s, &c, &w, a, &list, &err), 0);
    CHECK_INT(list.first, 1);
}

/* A state whose messages are the first `total` of the list; `items`: a segment that ends it. */
static int state_of(struct store *s, struct id thread, int64_t list, int64_t start, int64_t total,
                    const char *items, struct arena *a, struct err *err) {
    struct db_batch b;
    struct checkpoint c = {.thread_id = thread,
                           .id = id_v6(0),
                           .name_space = STR(""),
                           .source = STR("loop"),
                           .channels = arena_printf(a, "{\"messages\":{\"l\":%lld,\"n\":%lld}}",
                                                    (long long)list, (long long)total),
                           .next = STR("[]"),
                           .tasks = STR("[]"),
                           .metadata = STR("{}"),
                           .created_at = clock_wall_us()};
    struct thread t;
    db_batch_init(&b, a);
    if (items)
        checkpoint_segment_add(&b, thread, list, start, total - start, str_of(items));
    checkpoint_add(&b, &c);
    int rc = db_commit(s->db, &b, err);
    return rc < 0 ? rc : thread_patch(s, &ANNA, thread, STR("{}"), NULL, a, &t, err);
}

#define HUMAN(id, text) "{\"id\":\"" id "\",\"type\":\"human\",\"content\":\"" text "\"}"
#define BLOCKS(id, text)                                                                           \
    "{\"id\":\"" id "\",\"type\":\"ai\",\"content\":[{\"type\":\"text\",\"text\":\"" text          \
    "\"},{\"type\":\"image\",\"text\":\"unseen\"},\"barely\"]}"
#define TOOL(id, text) "{\"id\":\"" id "\",\"type\":\"tool\",\"content\":\"" text "\"}"

/* How many of anna's conversations have the word, once all that was added is looked at. */
static int64_t count_of(struct store *s, const struct principal *who, const char *q,
                        struct arena *a) {
    struct err err = {0};
    struct conversation *list;
    size_t count;
    bool whole = false;
    if (conversation_texts_update(s, who->owner, INT64_C(60000000), &whole, &err) < 0 || !whole ||
        found(s, who, q, a, &list, &count, &err) < 0)
        return -1;
    return (int64_t)count;
}

static void messages(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct id id = made(s, &ANNA, "a title", "{}", a);
    CHECK_CODE(
        state_of(s, id, 5, 0, 3,
                 HUMAN("a", "Quokkas smile") "," BLOCKS("b", "wombats dig") "," TOOL("c", "unseen"),
                 a, &err),
        0);
    CHECK_INT(count_of(s, &ANNA, "quokkas", a), 1);
    CHECK_INT(count_of(s, &ANNA, "WOMBATS", a), 1);
    CHECK_INT(count_of(s, &ANNA, "barely", a), 1);
    CHECK_INT(count_of(s, &ANNA, "unseen", a), 0);
    CHECK_INT(count_of(s, &BERT, "quokkas", a), 0);
    CHECK_INT(count_of(s, &ANNA, "title smile dig", a), 1);
    /* More of the same list; another one instead; that one with fewer. */
    CHECK_CODE(state_of(s, id, 5, 3, 4, HUMAN("d", "numbats"), a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "numbats quokkas", a), 1);
    CHECK_CODE(state_of(s, id, 6, 0, 1, HUMAN("a", "quokkas smile"), a, &err), 0);
    CHECK_CODE(state_of(s, id, 6, 1, 2, BLOCKS("e", "dingos"), a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "numbats wombats", a), 0);
    CHECK_INT(count_of(s, &ANNA, "quokkas", a), 1);
    CHECK_INT(count_of(s, &ANNA, "dingos", a), 1);
    CHECK_CODE(state_of(s, id, 6, 0, 1, NULL, a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "dingos", a), 0);
    CHECK_INT(count_of(s, &ANNA, "smile", a), 1);
    /* A title changes beside; what cannot be read keeps nobody from the others. */
    struct conversation c;
    struct conversation_change change = {.titled = true, .title = STR("bilbies")};
    CHECK_CODE(conversation_get(s, &ANNA, id, a, &c, &err), 0);
    CHECK_CODE(conversation_change(s, &ANNA, &c, &change, a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "bilbies", a), 1);
    CHECK_INT(count_of(s, &ANNA, "smile", a), 1);
    struct id broken = made(s, &ANNA, NULL, "{}", a), after = made(s, &ANNA, NULL, "{}", a);
    CHECK_CODE(state_of(s, broken, 9, 5, 6, HUMAN("x", "gap"), a, &err), 0);
    CHECK_CODE(state_of(s, after, 9, 0, 1, HUMAN("x", "gap"), a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "gap", a), 1);
    /* Its states go, then the thread. */
    CHECK_CODE(truncate_states(s, id, a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "smile", a), 0);
    CHECK_INT(count_of(s, &ANNA, "bilbies", a), 1);
    CHECK_CODE(state_of(s, id, 7, 0, 1, HUMAN("a", "smile again"), a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "smile", a), 1);
    CHECK_CODE(thread_delete(s, &ANNA, id, a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "smile bilbies", a), 0);
}

/* A long one, of which one part is searched after another, and pages of what was found. */
static void pages(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct id ids[COUNT];
    struct conversation *list, *all;
    size_t count, total;
    struct id longest = made(s, &ANNA, NULL, "{}", a);
    struct buf items;
    buf_init(&items, 1 << 20);
    for (int i = 0; i < 450; i++)
        buf_printf(&items, "%s{\"id\":\"m%d\",\"type\":\"human\",\"content\":\"number%d\"}",
                   i ? "," : "", i, i);
    CHECK_CODE(state_of(s, longest, 3, 0, 450, arena_take(a, &items).p, a, &err), 0);
    CHECK_INT(count_of(s, &ANNA, "number0", a), 1);
    CHECK_INT(count_of(s, &ANNA, "number201", a), 1);
    CHECK_INT(count_of(s, &ANNA, "number449", a), 1);
    for (int i = 0; i < COUNT; i++) {
        ids[i] = made(s, &ANNA, i % 3 ? "emus" : "emus and others", "{}", a);
        CHECK_CODE(state_of(s, ids[i], 4, 0, 1,
                            i % 2 ? HUMAN("a", "emus and cassowaries") : HUMAN("a", "nothing"), a,
                            &err),
                   0);
    }
    CHECK_INT(count_of(s, &ANNA, "emus cassowaries", a), COUNT);
    CHECK_CODE(conversation_search(s, &ANNA, STR("emus cassowaries"), &CONVERSATION_BEST, COUNT, a,
                                   &all, &total, &err),
               0);
    struct conversation_hit from = CONVERSATION_BEST;
    for (size_t at = 0; at < total; at += count) {
        CHECK(at == 0 || all[at].rank <= all[at - 1].rank);
        CHECK_CODE(conversation_search(s, &ANNA, STR("emus cassowaries"), &from, 2, a, &list,
                                       &count, &err),
                   0);
        CHECK(count > 0);
        for (size_t i = 0; i < count; i++)
            CHECK(id_eq(list[i].id, all[at + i].id) && list[i].rank == all[at + i].rank);
        struct conversation *last = &list[count - 1];
        from = (struct conversation_hit){last->rank, {last->updated_at, last->id}};
        str text = conversation_hit_write(a, &from);
        CHECK(conversation_hit_read(text, &from));
        for (size_t i = 0; i < text.len; i++)
            CHECK(!conversation_hit_read(str_slice(text, 0, i), &from));
    }
    CHECK(all[0].rank > all[total - 1].rank);
}

static void places(struct fixture *f, struct arena *a) {
    struct conversation_place p = {1767225600000000, id_v7()}, got = {0};
    str text = conversation_place_write(a, &p);
    CHECK(conversation_place_read(text, &got));
    CHECK(got.updated_at == p.updated_at && id_eq(got.id, p.id));
    for (size_t i = 0; i < text.len; i++) {
        char wrong[CONVERSATION_PLACE_LEN];
        memcpy(wrong, text.p, text.len);
        wrong[i] = '~';
        CHECK(!conversation_place_read(str_n(wrong, text.len), &got));
        CHECK(!conversation_place_read(str_slice(text, 0, i), &got));
    }
    static const char *const wrong[] = {
        "", ":", "1:", ":00000000000000000000000000000000", "-1:00000000000000000000000000000000",
        "253402300800000000:00000000000000000000000000000000",
        "9223372036854775808:00000000000000000000000000000000"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        CHECK(!conversation_place_read(str_of(wrong[i]), &got));
    CHECK(got.updated_at == p.updated_at);
}

static void history(struct fixture *f) {
    struct store s = {.db = f->db};
    places(f, &f->arena);
    lists(f, &s, &f->arena);
    titles(f, &s, &f->arena);
    windows(f, &s, &f->arena);
    messages(f, &s, &f->arena);
    pages(f, &s, &f->arena);
}

int main(void) { return fixture_main("conversations", history); }
