/* SPDX-License-Identifier: Apache-2.0 */
/* remembered.c - rows that were read a moment ago, for who reads the same again.
 *
 * An entry is one block: its cells, then their texts, then its key. Who gets it gets a copy, for it
 * may go while he waits for something. Entries stand in the order in which they came, so those that
 * are over stand in front and go when another one comes. */
#include "store/remembered.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct entry {
    struct list node;
    str key; /* in the block */
    int64_t read_us;
    uint64_t version;
    struct db_rows rows;
    struct db_value cells[];
};

struct remembered {
    struct remembered_options o;
    struct map by_key;
    struct list entries; /* the one put first in front */
};

struct remembered *remembered_new(const struct remembered_options *o) {
    struct remembered *r = NEW(struct remembered);
    ASSERT(o->count_max > 0);
    r->o = *o;
    map_init(&r->by_key);
    list_init(&r->entries);
    return r;
}

static void drop(struct remembered *r, struct entry *e) {
    (void)map_remove(&r->by_key, e->key); /* it is e */
    list_remove(&e->node);
    mem_free(e);
}

void remembered_free(struct remembered *r) {
    if (!r)
        return;
    LIST_EACH (&r->entries, n)
        drop(r, LIST_ENTRY(n, struct entry, node));
    map_deinit(&r->by_key);
    mem_free(r);
}

static bool is_text(const struct db_value *v) { return v->type == DB_TEXT || v->type == DB_BLOB; }

static size_t text_bytes(const struct db_rows *rows) {
    size_t bytes = 0, count = rows->row_count * rows->col_count;
    for (size_t i = 0; i < count; i++)
        if (is_text(&rows->cells[i]))
            bytes += rows->cells[i].s.len + 1;
    return bytes;
}

/* Texts are NUL-terminated, as those of a driver's rows are. */
static void copy_cells(struct db_value *cells, char *texts, const struct db_rows *rows) {
    size_t count = rows->row_count * rows->col_count;
    for (size_t i = 0; i < count; i++) {
        cells[i] = rows->cells[i];
        if (!is_text(&cells[i]))
            continue;
        str s = cells[i].s;
        if (s.len)
            memcpy(texts, s.p, s.len);
        texts[s.len] = '\0';
        cells[i].s.p = texts;
        texts += s.len + 1;
    }
}

static bool holds(const struct remembered *r, const struct entry *e, int64_t now_us,
                  uint64_t version) {
    return e->version == version && now_us - e->read_us < r->o.hold_us;
}

bool remembered_get(struct remembered *r, str key, int64_t now_us, uint64_t version,
                    struct arena *a, struct db_rows *out) {
    struct entry *e = map_get(&r->by_key, key);
    if (!e)
        return false;
    if (!holds(r, e, now_us, version)) {
        drop(r, e);
        return false;
    }
    struct db_value *cells =
        ARENA_ARRAY(a, struct db_value, e->rows.row_count * e->rows.col_count + 1);
    copy_cells(cells, arena_alloc(a, text_bytes(&e->rows) + 1), &e->rows);
    *out = (struct db_rows){cells, e->rows.row_count, e->rows.col_count};
    return true;
}

/* Room for one more. */
static void make_room(struct remembered *r, int64_t now_us, uint64_t version) {
    LIST_EACH (&r->entries, n) {
        struct entry *e = LIST_ENTRY(n, struct entry, node);
        if (r->by_key.count < r->o.count_max && holds(r, e, now_us, version))
            break;
        drop(r, e);
    }
}

void remembered_put(struct remembered *r, str key, int64_t read_us, uint64_t version,
                    const struct db_rows *rows) {
    size_t cells = rows->row_count * rows->col_count, texts = text_bytes(rows);
    size_t bytes = sizeof(struct entry) + cells * sizeof(struct db_value) + texts + key.len;
    struct entry *old = map_get(&r->by_key, key);
    if (old)
        drop(r, old);
    if (bytes > r->o.bytes_max)
        return;
    make_room(r, read_us, version);
    struct entry *e = mem_alloc(bytes);
    char *at = (char *)&e->cells[cells];
    *e = (struct entry){.key = str_n(at + texts, key.len),
                        .read_us = read_us,
                        .version = version,
                        .rows = {e->cells, rows->row_count, rows->col_count}};
    copy_cells(e->cells, at, rows);
    if (key.len)
        memcpy(at + texts, key.p, key.len);
    (void)map_put(&r->by_key, e->key, e); /* it was not there */
    list_push_back(&r->entries, &e->node);
}
