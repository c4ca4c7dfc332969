/* SPDX-License-Identifier: Apache-2.0 */
/* artifacts.c - puts artifacts, and collects the blobs that nobody has.
 *
 *   putting:     claim the blob (a row) ─▶ its bytes ─▶ one batch: hold it, the artifact
 *   collecting:  loose for a while ─▶ doom it (a row) ─▶ remove its bytes ─▶ forget the row
 *
 * Wherever a process dies, a row tells of bytes that may be there: they are collected later. A blob
 * that is doomed can be neither claimed nor held, and dooming fails when somebody holds it; so an
 * artifact never lacks its bytes. Who wants to put what is just being removed waits a moment. A
 * collector that comes back from a long sleep does not remove any more: somebody else may have
 * ended its work, and the bytes may be there anew. Collecting is a background job (src/jobs). */
#include "plans/artifacts.h"

#include "base/failpoint.h"
#include "base/mem.h"
#include "base/metrics.h"

#define CLAIM_TRIES    10
#define CLAIM_WAIT_US  100000
#define LOOK_US_MAX    INT64_C(60000000)
#define REMOVAL_US_MAX INT64_C(60000000)  /* from the doom to the removal */
#define ADOPT_US       INT64_C(180000000) /* then somebody else goes on with it */
#define TIDY_US        (INT64_C(86400) * 1000000)
#define ROUND_MAX      100
#define COLLECTING     "blobs.loose" /* the job */

struct artifacts {
    struct rt *rt;
    struct store *store;
    struct blob_store *blobs;
    struct artifacts_options o;
    struct jobs *jobs; /* NULL: none were added */
    size_t tidy_at; /* the part that was looked at last */
    struct metric *put, *collected;
};

/* --- putting --- */

static int check(const struct artifacts *a, const struct artifact *it, str data, struct err *err) {
    bool bad = !it->name.len || it->name.len > ARTIFACT_NAME_BYTES_MAX || !str_is_utf8(it->name);
    for (size_t i = 0; i < it->name.len; i++)
        bad = bad || (unsigned char)it->name.p[i] < ' ' || it->name.p[i] == 0x7f;
    if (bad)
        return err_set(err, ERR_INVALID, "name: must have 1 to %d bytes, no control characters",
                       ARTIFACT_NAME_BYTES_MAX);
    bad = !it->type.len || it->type.len > ARTIFACT_TYPE_BYTES_MAX;
    for (size_t i = 0; i < it->type.len; i++)
        bad = bad || it->type.p[i] < ' ' || it->type.p[i] >= 0x7f;
    if (bad || str_find_char(it->type, '/') < 1)
        return err_set(err, ERR_INVALID, "type: must be a media type");
    if (data.len > a->o.bytes_max)
        return err_set(err, ERR_TOO_LARGE, "%zu bytes are more than the %zu of an artifact",
                       data.len, a->o.bytes_max);
    return 0;
}

/* Who could not remove bytes comes again ever later, and somebody waits for them now. */
static void collect_soon(struct artifacts *a, struct arena *arena) {
    struct job_view view;
    if (a->jobs) /* when it cannot be said, it comes at its time */
        (void)!jobs_want(a->jobs, STR(COLLECTING), arena, &view, NULL);
}

static int claim(struct artifacts *a, str sha256, struct err *err) {
    int rc = ERR_FENCED;
    for (int i = 0; rc == ERR_FENCED && i < CLAIM_TRIES; i++) {
        struct arena arena;
        struct db_batch b;
        err_reset(err);
        if (i > 0 && fiber_sleep_us(CLAIM_WAIT_US) < 0)
            return err_set(err, ERR_CANCELLED, "cancelled");
        arena_init(&arena, 1 << 16);
        db_batch_init(&b, &arena);
        blob_claim_add(&b, sha256, rt_now_us(a->rt));
        rc = db_commit(a->store->db, &b, err);
        if (rc == ERR_FENCED && i == 1)
            collect_soon(a, &arena);
        arena_deinit(&arena);
    }
    return rc == ERR_FENCED ? err_set(err, ERR_UNAVAILABLE, "the same bytes are just being removed")
                            : rc;
}

int artifact_add(struct artifacts *a, const struct principal *who, struct artifact *it, str data,
                 struct arena *arena, struct err *err) {
    struct db_batch b;
    struct blob_name name = blob_name_of(data);
    int rc = check(a, it, data, err);
    it->sha256 = blob_name_hex(&name, arena);
    it->id = id_v7();
    it->bytes = (int64_t)data.len;
    it->created_at = rt_now_us(a->rt);
    if (rc == 0)
        rc = claim(a, it->sha256, err);
    if (rc == 0)
        rc = FAILPOINT("plans.artifact.claimed");
    if (rc == 0)
        rc = blob_put(a->blobs, data, &name, err);
    if (rc == 0)
        rc = FAILPOINT("plans.artifact.put");
    if (rc < 0)
        return rc;
    db_batch_init(&b, arena);
    artifact_put_add(&b, who, it);
    rc = db_commit(a->store->db, &b, err);
    if (rc == ERR_FENCED)
        return err_set(err, ERR_UNAVAILABLE, "the bytes were removed meanwhile");
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, it->position < 0 ? "Plan run not found" : "Step not found");
    if (rc == 0)
        metric_add(a->put, 1);
    return rc;
}

int artifact_read(struct artifacts *a, const struct artifact *it, uint64_t from, uint64_t count,
                  struct arena *arena, str *out, struct err *err) {
    struct blob_name name;
    uint64_t size;
    if (!blob_name_parse(it->sha256, &name))
        return err_set(err, ERR_CORRUPT, "an artifact has no digest");
    int rc = blob_get(a->blobs, &name, from, count, arena, out, &size, err);
    if (rc == 0 && size != (uint64_t)it->bytes)
        rc = err_set(err, ERR_CORRUPT, "an artifact has another size than it had");
    if (rc == ERR_NOT_FOUND)
        rc = err_set(err, ERR_CORRUPT, "the bytes of an artifact are gone");
    return rc;
}

size_t artifacts_bytes_max(const struct artifacts *a) { return a->o.bytes_max; }

/* --- collecting --- */

static int remove_bytes(struct artifacts *a, str sha256, int64_t doomed_at, int64_t since_us,
                        struct arena *arena, struct err *err) {
    struct blob_name name;
    int rc = FAILPOINT("plans.blob.doomed");
    if (rc < 0 || !blob_name_parse(sha256, &name) || rt_mono_us(a->rt) - since_us > REMOVAL_US_MAX)
        return rc;
    rc = blob_delete(a->blobs, &name, err);
    if (rc == 0)
        rc = FAILPOINT("plans.blob.removed");
    if (rc == 0)
        rc = blob_forget(a->store, sha256, doomed_at, arena, err);
    if (rc == 0)
        metric_add(a->collected, 1);
    return rc;
}

static int collect_one(struct artifacts *a, const struct loose_blob *blob, bool again,
                       struct arena *arena, struct err *err) {
    int64_t now = rt_now_us(a->rt), since = rt_mono_us(a->rt);
    int rc = blob_doom(a->store, blob, again, now, arena, err);
    if (rc == 0)
        return remove_bytes(a, blob->sha256, now, since, arena, err);
    if (rc != ERR_CONFLICT)
        return rc;
    err_reset(err);
    return again ? 0 : blob_keep(a->store, blob, arena, err);
}

static int collect(void *ctx, struct job_slice *s, struct arena *arena, struct err *err) {
    struct artifacts *a = ctx;
    struct loose_blob *loose, *doomed;
    size_t loose_count = 0, doomed_count = 0;
    int64_t adopt = a->o.grace_us < ADOPT_US ? a->o.grace_us : ADOPT_US;
    int rc =
        blobs_doomed(a->store, s->now_us - adopt, s->rows_max, arena, &doomed, &doomed_count, err);
    for (size_t i = 0; rc == 0 && i < doomed_count; i++, s->rows += rc == 0)
        rc = collect_one(a, &doomed[i], true, arena, err);
    if (rc == 0)
        rc = blobs_loose(a->store, s->now_us - a->o.grace_us, s->rows_max, arena, &loose,
                         &loose_count, err);
    for (size_t i = 0; rc == 0 && i < loose_count; i++, s->rows += rc == 0)
        rc = collect_one(a, &loose[i], false, arena, err);
    s->more = rc == 0 && (int64_t)loose_count == s->rows_max;
    return rc;
}

/* A part at a time; what is there belongs to the folder of this process. */
static int tidy(void *ctx, struct job_slice *s, struct arena *arena, struct err *err) {
    struct artifacts *a = ctx;
    (void)arena;
    a->tidy_at = s->first ? 0 : a->tidy_at + 1;
    s->more = a->tidy_at + 1 < blob_parts(a->blobs);
    return blob_tidy(a->blobs, a->tidy_at, &s->rows, err);
}

void artifacts_add_jobs(struct artifacts *a, struct jobs *jobs) {
    a->jobs = jobs;
    if (blob_parts(a->blobs) > 0)
        jobs_add(jobs, &(struct job_spec){JOB_NAME("blobs.leftovers"),
                                          .what = "files of blobs that a crash left half-written",
                                          .every_us = TIDY_US, .rows_max = 1, .local = true,
                                          .elsewhere = true, .slice = tidy, .ctx = a});
    jobs_add(jobs, &(struct job_spec){
                       JOB_NAME(COLLECTING), .what = "bytes of artifacts that nobody has",
                       .every_us = a->o.grace_us < LOOK_US_MAX ? a->o.grace_us : LOOK_US_MAX,
                       .rows_max = ROUND_MAX, .elsewhere = true, .slice = collect, .ctx = a});
}

/* --- life --- */

struct artifacts *artifacts_new(struct rt *rt, struct store *store, struct blob_store *blobs,
                                const struct artifacts_options *o) {
    struct artifacts *a = NEW(struct artifacts);
    *a = (struct artifacts){.rt = rt, .store = store, .blobs = blobs, .o = *o};
    a->put = metric_counter("holdfast_artifacts_total", "Artifacts stored.", NULL);
    a->collected = metric_counter("holdfast_blobs_collected_total",
                                  "Blobs removed because nobody had them.", NULL);
    return a;
}

void artifacts_free(struct artifacts *a) { mem_free(a); }
