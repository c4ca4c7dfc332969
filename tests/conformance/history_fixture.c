/* SPDX-License-Identifier: Apache-2.0 */
/* history_fixture.c - every adapter of the history port, and each behind the pipeline. */
#include "history_fixture.h"

#include <sys/stat.h>

#include "history/file/file.h"
#include "history/legacy/legacy.h"
#include "history/memory.h"
#include "history/pipeline.h"
#include "history/sql/sql.h"

static struct history *open_memory(struct fixture *f) {
    (void)f;
    return history_memory_open();
}

static struct history *behind_pipeline(struct fixture *f, struct history *inner) {
    struct history_pipeline_options o;
    history_pipeline_options_default(&o);
    return inner ? history_pipeline_wrap(f->rt, inner, &o) : NULL;
}

static struct history *open_memory_piped(struct fixture *f) {
    return behind_pipeline(f, open_memory(f));
}

static struct history *open_sql(struct fixture *f) {
    struct history_sql_options o = {.shared = f->postgres};
    return history_sql_open(f->db, &o);
}

static struct history *open_sql_piped(struct fixture *f) { return behind_pipeline(f, open_sql(f)); }
static struct history *open_file_with(struct fixture *f, struct history_file_options o) {
    struct history *h = NULL;
    struct err err = {0};
    char dir[sizeof f->dir + 16];
    (void)snprintf(dir, sizeof dir, "%s/history", f->dir);
    o.dir = dir;
    if (history_file_open(f->rt, &o, &h, &err) < 0)
        fixture_fail(f, "cannot open: %s", err.message);
    return h;
}

static struct history *open_file(struct fixture *f) {
    return open_file_with(f,
                          (struct history_file_options){.segment_bytes = 1 << 20, .no_sync = true});
}

/* Sealing happens all the time. */
static struct history *open_file_small(struct fixture *f) {
    return open_file_with(f, (struct history_file_options){
                                 .segment_bytes = 16384, .segment_events = 25, .no_sync = true});
}

static struct history *open_file_packed(struct fixture *f) {
    return open_file_with(f, (struct history_file_options){.segment_bytes = 1 << 20,
                                                           .segment_events = 400,
                                                           .compress = true,
                                                           .files_max = 4,
                                                           .no_sync = true});
}

static struct history *open_file_piped(struct fixture *f) {
    return behind_pipeline(f, open_file(f));
}

/* Over an older store that has nothing: every call looks there. */
static struct history *beside_legacy(struct fixture *f, struct history *inner) {
    struct scene *s = f->extra;
    struct history *h = NULL;
    struct err err = {0};
    char dir[sizeof f->dir + 16];
    (void)snprintf(dir, sizeof dir, "%s/older", f->dir);
    (void)mkdir(dir, 0700); /* the second time it is there */
    int rc = s->old ? 0 : history_legacy_folder(f->rt, str_of(dir), &s->old, &err);
    struct history_legacy_options o = {.from = s->old, .owner = STR("ann")};
    if (rc == 0 && inner)
        rc = history_legacy_wrap(inner, &o, &h, &err);
    if (rc < 0)
        fixture_fail(f, "cannot open: %s", err.message);
    return h;
}

static struct history *open_memory_legacy(struct fixture *f) {
    return beside_legacy(f, open_memory(f));
}

static struct history *open_sql_legacy(struct fixture *f) {
    return beside_legacy(f, open_sql_piped(f));
}

const struct history_kind history_kinds[] = {
    {.name = "memory", .open = open_memory},
    {.name = "memory behind the pipeline", .open = open_memory_piped},
    {.name = "SQLite in memory", .with_db = true, .db = {.in_memory = true}, .open = open_sql},
    {.name = "SQLite", .with_db = true, .keeps = true, .open = open_sql},
    {.name = "SQLite behind fault",
     .with_db = true,
     .db = {.behind_fault = true},
     .keeps = true,
     .open = open_sql},
    {.name = "SQLite behind the pipeline", .with_db = true, .keeps = true, .open = open_sql_piped},
    {.name = "PostgreSQL",
     .with_db = true,
     .db = {.postgres = true},
     .keeps = true,
     .open = open_sql},
    {.name = "PostgreSQL behind fault",
     .with_db = true,
     .db = {.postgres = true, .behind_fault = true},
     .keeps = true,
     .open = open_sql},
    {.name = "file", .keeps = true, .open = open_file},
    {.name = "file of small segments", .keeps = true, .open = open_file_small},
    {.name = "file, compressed", .keeps = true, .open = open_file_packed},
    {.name = "file behind the pipeline", .keeps = true, .open = open_file_piped},
    {.name = "memory beside an older store", .open = open_memory_legacy},
    {.name = "SQLite beside an older store",
     .with_db = true,
     .keeps = true,
     .open = open_sql_legacy},
    {.name = "PostgreSQL beside an older store",
     .with_db = true,
     .db = {.postgres = true},
     .keeps = true,
     .open = open_sql_legacy},
};
const size_t history_kind_count = ARRAY_COUNT(history_kinds);

/* --- scenes --- */

static void scene_main(struct fixture *f) {
    struct scene *s = f->extra;
    s->h = s->kind->open(f);
    if (s->h)
        s->fn(s);
    history_close(s->h);
    s->h = NULL;
    if (s->old)
        s->old->vtable->close(s->old);
}

void scene_run(const struct history_kind *kind, scene_fn fn) {
    struct fixture f;
    struct scene s = {.f = &f, .kind = kind, .fn = fn};
    fixture_init(&f, kind->db);
    if (kind->with_db)
        fixture_open(&f);
    f.extra = &s;
    if (!f.failure[0])
        fixture_on_fiber(&f, scene_main);
    fixture_deinit(&f);
}

bool scene_reopen(struct scene *s) {
    history_close(s->h);
    s->h = s->kind->open(s->f);
    return s->h != NULL;
}
