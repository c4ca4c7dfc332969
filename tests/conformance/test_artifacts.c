/* SPDX-License-Identifier: Apache-2.0 */
/* test_artifacts.c - artifacts and states of blobs over every database.
 *
 * Goal: an artifact is made only of a blob that is claimed and not doomed, of a plan of its owner;
 * a name is one artifact; lists page; a blob that lost its last artifact is loose, one that has
 * another is kept; each move of a blob fails when somebody was there before.
 * Method: one history with fixed ids and times on each driver, checked as it goes. */
#include "fixture.h"

#include "base/json.h"
#include "store/artifacts.h"
#include "store/plans.h"
#include "store/threads.h"

#define NOW   INT64_C(1764000000000000)
#define LATER (INT64_C(1) << 52) /* behind the clock of triggers */

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};

static struct id id_at(int n) {
    struct id id = {{0x01, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x70, 0, 0x80}};
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static str sha_at(struct arena *a, int n) { return arena_printf(a, "%064d", n); }

static int make_plan(struct store *s, int n, struct arena *a, struct err *err) {
    struct db_batch b;
    struct plan_rows rows;
    struct plan_spec plan = {0};
    yyjson_val *v;
    struct thread_new t = {.id = id_at(1000 + n), .metadata = STR("{}"), .config = STR("{}")};
    struct plan_place place = {id_at(n), id_at(1000 + n), id_at(2000 + n), ANNA.owner};
    ASSERT(json_parse(a,
                      STR("{\"goal\":\"g\",\"steps\":[{\"name\":\"a\",\"tool\":\"t\"},"
                          "{\"name\":\"b\",\"tool\":\"t\"}]}"),
                      &v, NULL) == 0);
    ASSERT(plan_parse(a, v, NULL, &plan, NULL) == 0);
    db_batch_init(&b, a);
    thread_insert_add(&b, &ANNA, &t, NOW);
    plan_rows_make(a, &place, &plan, NOW, &rows);
    plan_rows_add(s, &b, &rows, 0, 0);
    return db_commit(s->db, &b, err);
}

static int claim(struct store *s, int sha, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    blob_claim_add(&b, sha_at(a, sha), NOW);
    return db_commit(s->db, &b, err);
}

struct put {
    int id, plan, position, sha;
    const char *name;
};

static int put(struct store *s, const struct principal *who, struct put p, struct arena *a,
               struct err *err) {
    struct db_batch b;
    struct artifact it = {.id = id_at(p.id), .plan_id = id_at(p.plan), .position = p.position,
                          .name = str_of(p.name), .type = STR("text/plain"),
                          .sha256 = sha_at(a, p.sha), .bytes = p.sha, .created_at = NOW + p.id};
    db_batch_init(&b, a);
    artifact_put_add(&b, who, &it);
    return db_commit(s->db, &b, err);
}

static size_t loose(struct store *s, struct arena *a, struct loose_blob **out) {
    struct err err = {0};
    size_t count = 99;
    return blobs_loose(s, LATER, 10, a, out, &count, &err) < 0 ? 99 : count;
}

static void puts_and_reads(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct artifact it, *list;
    struct loose_blob *blobs;
    size_t count;
    CHECK_CODE(put(s, &ANNA, (struct put){50, 1, -1, 7, "x"}, a, &err), ERR_FENCED);
    CHECK_CODE(claim(s, 7, a, &err), 0);
    CHECK_CODE(claim(s, 7, a, &err), 0);
    CHECK_INT(loose(s, a, &blobs), 1);
    CHECK_CODE(put(s, &BERT, (struct put){50, 1, -1, 7, "x"}, a, &err), ERR_NOT_FOUND);
    CHECK_CODE(put(s, &ANNA, (struct put){50, 1, 2, 7, "x"}, a, &err), ERR_NOT_FOUND);
    CHECK_INT(loose(s, a, &blobs), 1);
    CHECK_CODE(put(s, &ANNA, (struct put){50, 1, 1, 7, "b"}, a, &err), 0);
    CHECK_CODE(put(s, &ANNA, (struct put){51, 1, 1, 7, "a"}, a, &err), 0);
    CHECK_CODE(put(s, &ANNA, (struct put){52, 1, -1, 7, "z"}, a, &err), 0);
    CHECK_INT(loose(s, a, &blobs), 0);
    CHECK_CODE(claim(s, 7, a, &err), 0); /* it stays held */
    CHECK_INT(loose(s, a, &blobs), 0);
    CHECK_CODE(artifact_get(s, &ANNA, id_at(50), a, &it, &err), 0);
    CHECK(str_eq(it.name, STR("b")) && it.position == 1 && it.bytes == 7);
    CHECK_INT(it.created_at, NOW + 50);
    CHECK_CODE(artifact_get(s, &BERT, id_at(50), a, &it, &err), ERR_NOT_FOUND);
    struct artifact_page page = {.after_position = -2, .last_position = 10, .limit = 2};
    CHECK_CODE(artifact_list(s, id_at(1), &page, a, &list, &count, &err), 0);
    CHECK(count == 2 && str_eq(list[0].name, STR("z")) && str_eq(list[1].name, STR("a")));
    page = (struct artifact_page){.after_position = 1, .after_name = STR("a"), .last_position = 1,
                                  .limit = 2};
    CHECK_CODE(artifact_list(s, id_at(1), &page, a, &list, &count, &err), 0);
    CHECK(count == 1 && str_eq(list[0].name, STR("b")));
}

static void blobs_move(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct loose_blob *blobs, *doomed;
    size_t count;
    CHECK_CODE(claim(s, 8, a, &err), 0);
    CHECK_CODE(put(s, &ANNA, (struct put){60, 1, 1, 8, "b"}, a, &err), 0); /* in place of 7 */
    CHECK_INT(loose(s, a, &blobs), 1);
    CHECK_CODE(blob_doom(s, &blobs[0], false, NOW + 1, a, &err), ERR_CONFLICT); /* others have it */
    CHECK_CODE(blob_keep(s, &blobs[0], a, &err), 0);
    CHECK_INT(loose(s, a, &blobs), 0);
    CHECK_CODE(thread_delete(s, &ANNA, id_at(1001), a, &err), 0);
    CHECK_INT(loose(s, a, &blobs), 2);
    struct loose_blob seen = {blobs[0].sha256, blobs[0].at - 1};
    CHECK_CODE(blob_doom(s, &seen, false, NOW + 1, a, &err), ERR_CONFLICT);
    CHECK_CODE(blob_doom(s, &blobs[0], false, NOW + 1, a, &err), 0);
    CHECK_CODE(blob_doom(s, &blobs[0], false, NOW + 1, a, &err), ERR_CONFLICT);
    int sha = str_ends(blobs[0].sha256, STR("7")) ? 7 : 8;
    CHECK_CODE(claim(s, sha, a, &err), ERR_FENCED);
    CHECK_CODE(put(s, &ANNA, (struct put){70, 2, 0, sha, "b"}, a, &err), ERR_FENCED);
    CHECK_CODE(blobs_doomed(s, NOW + 1, 10, a, &doomed, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(blobs_doomed(s, NOW + 2, 10, a, &doomed, &count, &err), 0);
    CHECK(count == 1 && doomed[0].at == NOW + 1);
    CHECK_CODE(blob_doom(s, &doomed[0], true, NOW + 5, a, &err), 0);
    CHECK_CODE(blob_doom(s, &doomed[0], true, NOW + 6, a, &err), ERR_CONFLICT);
    CHECK_CODE(blob_forget(s, doomed[0].sha256, NOW + 1, a, &err), 0); /* that was before */
    CHECK_CODE(claim(s, sha, a, &err), ERR_FENCED);
    CHECK_CODE(blob_forget(s, doomed[0].sha256, NOW + 5, a, &err), 0);
    CHECK_CODE(claim(s, sha, a, &err), 0);
    CHECK_CODE(put(s, &ANNA, (struct put){70, 2, 0, sha, "b"}, a, &err), 0);
    CHECK_INT(loose(s, a, &blobs), 1);
}

static void history(struct fixture *f) {
    struct store s = {.db = f->db};
    struct err err = {0};
    CHECK_CODE(make_plan(&s, 1, &f->arena, &err), 0);
    CHECK_CODE(make_plan(&s, 2, &f->arena, &err), 0);
    if (!f->failure[0])
        puts_and_reads(f, &s);
    if (!f->failure[0])
        blobs_move(f, &s);
}

int main(void) { return fixture_main("artifacts", history); }
