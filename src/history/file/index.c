/* SPDX-License-Identifier: Apache-2.0 */
/* index.c - the sessions of a file history in memory: by name, in order, and by number.
 *
 * In order they stand in chunks of pointers, as in the leaves of a tree, so that a million of them
 * can be made one by one; the chunks stand in one array. Numbers are found by hashing. */
#include "history/file/file_int.h"

/* --- in order --- */

static int key_cmp(const struct hfile_session *s, str owner, str name, bool names) {
    int c = str_cmp(hfile_owner(s), owner);
    if (c == 0)
        c = names ? str_cmp(hfile_name(s), name) : -1;
    return c;
}

struct hfile_cursor hfile_index_seek(const struct hfile_index *x, str owner, str name, bool names) {
    size_t lo = 0, hi = x->chunks.count;
    while (lo < hi) { /* the first chunk whose last one is not before the key */
        size_t mid = lo + (hi - lo) / 2;
        const struct hfile_chunk *c = x->chunks.p[mid];
        if (key_cmp(c->p[c->count - 1], owner, name, names) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    struct hfile_cursor at = {lo, 0};
    if (lo == x->chunks.count)
        return at;
    const struct hfile_chunk *c = x->chunks.p[lo];
    for (size_t end = c->count; at.at < end;) {
        size_t mid = at.at + (end - at.at) / 2;
        if (key_cmp(c->p[mid], owner, name, names) < 0)
            at.at = mid + 1;
        else
            end = mid;
    }
    return at;
}

struct hfile_session *hfile_index_next(const struct hfile_index *x, struct hfile_cursor *c) {
    if (c->chunk >= x->chunks.count)
        return NULL;
    const struct hfile_chunk *chunk = x->chunks.p[c->chunk];
    struct hfile_session *s = chunk->p[c->at++];
    if (c->at == chunk->count)
        *c = (struct hfile_cursor){c->chunk + 1, 0};
    return s;
}

struct hfile_session *hfile_index_find(const struct hfile_index *x, str owner, str name) {
    struct hfile_cursor c = hfile_index_seek(x, owner, name, true);
    struct hfile_session *s = hfile_index_next(x, &c);
    return s && key_cmp(s, owner, name, true) == 0 ? s : NULL;
}

static void chunk_insert(struct hfile_index *x, size_t slot) {
    vec_push(&x->chunks, NULL);
    memmove(&x->chunks.p[slot + 1], &x->chunks.p[slot],
            (x->chunks.count - 1 - slot) * sizeof x->chunks.p[0]);
    x->chunks.p[slot] = NEW(struct hfile_chunk);
}

/* A full chunk gives its upper half to a new one behind it; at its end it stays full, so that
 * sessions that come in order fill their chunks. */
static void chunk_split(struct hfile_index *x, struct hfile_cursor *c) {
    struct hfile_chunk *from = x->chunks.p[c->chunk];
    size_t keep = c->at == HFILE_CHUNK ? HFILE_CHUNK : HFILE_CHUNK / 2;
    chunk_insert(x, c->chunk + 1);
    struct hfile_chunk *to = x->chunks.p[c->chunk + 1];
    to->count = HFILE_CHUNK - keep;
    memcpy(to->p, from->p + keep, to->count * sizeof to->p[0]);
    from->count = keep;
    if (c->at >= keep)
        *c = (struct hfile_cursor){c->chunk + 1, c->at - keep};
}

static void order_add(struct hfile_index *x, struct hfile_session *s) {
    struct hfile_cursor c = hfile_index_seek(x, hfile_owner(s), hfile_name(s), true);
    if (x->chunks.count == 0)
        chunk_insert(x, 0);
    if (c.chunk == x->chunks.count) {
        c.chunk--;
        c.at = x->chunks.p[c.chunk]->count;
    }
    if (x->chunks.p[c.chunk]->count == HFILE_CHUNK)
        chunk_split(x, &c);
    struct hfile_chunk *to = x->chunks.p[c.chunk];
    memmove(&to->p[c.at + 1], &to->p[c.at], (to->count - c.at) * sizeof to->p[0]);
    to->p[c.at] = s;
    to->count++;
}

static void order_remove(struct hfile_index *x, const struct hfile_session *s) {
    struct hfile_cursor c = hfile_index_seek(x, hfile_owner(s), hfile_name(s), true);
    struct hfile_chunk *from = x->chunks.p[c.chunk];
    ASSERT(from->p[c.at] == s);
    from->count--;
    memmove(&from->p[c.at], &from->p[c.at + 1], (from->count - c.at) * sizeof from->p[0]);
    if (from->count > 0)
        return;
    mem_free(from);
    x->chunks.count--;
    memmove(&x->chunks.p[c.chunk], &x->chunks.p[c.chunk + 1],
            (x->chunks.count - c.chunk) * sizeof x->chunks.p[0]);
}

/* --- by number --- */

static size_t number_home(const struct hfile_index *x, uint32_t number) {
    return (number * 0x9e3779b1u) & (x->numbers_cap - 1);
}

static size_t number_slot(const struct hfile_index *x, uint32_t number) {
    size_t i = number_home(x, number);
    while (x->numbers[i] && x->numbers[i]->number != number)
        i = (i + 1) & (x->numbers_cap - 1);
    return i;
}

struct hfile_session *hfile_index_number(const struct hfile_index *x, uint32_t number) {
    return x->numbers_cap ? x->numbers[number_slot(x, number)] : NULL;
}

static void numbers_grow(struct hfile_index *x) {
    struct hfile_session **old = x->numbers;
    size_t old_cap = x->numbers_cap;
    x->numbers_cap = old_cap ? 2 * old_cap : 64;
    x->numbers = mem_calloc(x->numbers_cap, sizeof *x->numbers);
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i])
            x->numbers[number_slot(x, old[i]->number)] = old[i];
    }
    mem_free(old);
}

static void number_remove(struct hfile_index *x, uint32_t number) {
    size_t mask = x->numbers_cap - 1, i = number_slot(x, number);
    for (size_t next = (i + 1) & mask; x->numbers[next]; next = (next + 1) & mask) {
        size_t home = number_home(x, x->numbers[next]->number);
        if (((next - home) & mask) < ((next - i) & mask))
            continue;
        x->numbers[i] = x->numbers[next];
        i = next;
    }
    x->numbers[i] = NULL;
}

/* --- sessions --- */

struct hfile_session *hfile_index_add(struct hfile_index *x, uint32_t number, str owner, str name) {
    if (number == 0 || hfile_index_number(x, number) || hfile_index_find(x, owner, name))
        return NULL;
    struct hfile_session *s = mem_zalloc(sizeof *s + owner.len + name.len);
    s->number = number;
    s->state.first_seq = 1;
    s->owner_bytes = (uint16_t)owner.len;
    s->name_bytes = (uint16_t)name.len;
    if (owner.len)
        memcpy(s->text, owner.p, owner.len);
    if (name.len)
        memcpy(s->text + owner.len, name.p, name.len);
    if ((x->count + 1) * 4 > x->numbers_cap * 3)
        numbers_grow(x);
    x->numbers[number_slot(x, number)] = s;
    order_add(x, s);
    x->count++;
    if (number >= x->number_next)
        x->number_next = number + 1;
    return s;
}

static void session_free(struct hfile_session *s) {
    hfile_part_free(s, 0);
    hfile_part_free(s, 1);
    hfile_extra_free(s->extra);
    mem_free(s->runs);
    mem_free(s);
}

void hfile_index_remove(struct hfile_index *x, struct hfile_session *s) {
    order_remove(x, s);
    number_remove(x, s->number);
    x->count--;
    session_free(s);
}

void hfile_index_deinit(struct hfile_index *x) {
    size_t at = 0;
    str owner;
    void *policy;
    for (size_t i = 0; i < x->chunks.count; i++) {
        for (size_t k = 0; k < x->chunks.p[i]->count; k++)
            session_free(x->chunks.p[i]->p[k]);
        mem_free(x->chunks.p[i]);
    }
    vec_deinit(&x->chunks);
    mem_free(x->numbers);
    while (map_next(&x->policies, &at, &owner, &policy))
        mem_free(policy);
    map_deinit(&x->policies);
}

/* --- policies --- */

struct hfile_policy *hfile_policy_set(struct hfile_index *x, str owner,
                                      const struct history_retention *r) {
    struct hfile_policy *p = map_get(&x->policies, owner);
    if (!p) {
        p = mem_zalloc(sizeof *p + owner.len);
        char *text = (char *)(p + 1);
        if (owner.len)
            memcpy(text, owner.p, owner.len);
        p->owner = str_n(text, owner.len);
        map_put(&x->policies, p->owner, p);
    }
    p->retention = *r;
    return p;
}

struct history_retention hfile_policy_of(const struct hfile_index *x, str owner) {
    const struct hfile_policy *p = map_get(&x->policies, owner);
    return p ? p->retention : (struct history_retention){0};
}

/* --- events --- */

void hfile_part_push(struct hfile_session *s, uint32_t log, const struct hfile_entry *e) {
    struct hfile_part **at = &s->parts[log & 1];
    if (!*at) {
        *at = NEW(struct hfile_part);
        (*at)->by_time = true;
    }
    struct hfile_part *part = *at;
    if (part->count == part->cap) {
        part->cap = part->cap ? 2 * part->cap : 4;
        part->p = mem_realloc(part->p, part->cap * sizeof *part->p);
    }
    if (part->count > 0 && part->p[part->count - 1].occurred_at > e->occurred_at)
        part->by_time = false;
    part->p[part->count++] = *e;
}

void hfile_part_free(struct hfile_session *s, uint32_t log) {
    struct hfile_part *part = s->parts[log & 1];
    s->parts[log & 1] = NULL;
    if (part)
        mem_free(part->p);
    mem_free(part);
}

void hfile_run_push(struct hfile_session *s, const struct hfile_run *run) {
    s->runs = mem_realloc(s->runs, (s->run_count + 1) * sizeof *s->runs);
    s->runs[s->run_count++] = *run;
}

int64_t hfile_first_seq(const struct hfile_session *s) {
    int64_t first = INT64_MAX;
    if (s->run_count > 0)
        first = s->runs[0].seq_min;
    for (int i = 0; i < 2; i++) {
        if (s->parts[i] && s->parts[i]->count > 0 && s->parts[i]->p[0].seq < first)
            first = s->parts[i]->p[0].seq;
    }
    if (first > s->state.last_seq)
        first = s->state.last_seq + 1;
    return first > s->state.first_seq ? first : s->state.first_seq;
}

/* --- checkpoints and consumers --- */

struct hfile_extra *hfile_extra_copy(const struct hfile_extra *e) {
    struct hfile_extra *to = NEW(struct hfile_extra);
    if (!e)
        return to;
    to->latest = e->latest;
    for (size_t i = 0; i < e->checkpoints.count; i++)
        vec_push(&to->checkpoints, e->checkpoints.p[i]);
    for (size_t i = 0; i < e->consumers.count; i++) {
        struct hfile_consumer c = e->consumers.p[i];
        c.name.p = mem_dup(c.name.p, c.name.len);
        vec_push(&to->consumers, c);
    }
    return to;
}

static void name_free(str name) { mem_free((char *)(uintptr_t)name.p); }

void hfile_extra_free(struct hfile_extra *e) {
    for (size_t i = 0; e && i < e->consumers.count; i++)
        name_free(e->consumers.p[i].name);
    if (e) {
        vec_deinit(&e->consumers);
        vec_deinit(&e->checkpoints);
    }
    mem_free(e);
}

size_t hfile_consumer_slot(const struct hfile_extra *e, str name, bool *out_found) {
    size_t lo = 0, hi = e ? e->consumers.count : 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (str_cmp(e->consumers.p[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *out_found = e && lo < e->consumers.count && str_eq(e->consumers.p[lo].name, name);
    return lo;
}

void hfile_consumer_set(struct hfile_extra *e, str name, int64_t seq, int64_t now_us) {
    bool found;
    size_t at = hfile_consumer_slot(e, name, &found);
    if (!found) {
        vec_push(&e->consumers, (struct hfile_consumer){0});
        memmove(&e->consumers.p[at + 1], &e->consumers.p[at],
                (e->consumers.count - 1 - at) * sizeof e->consumers.p[0]);
        e->consumers.p[at].name = str_n(mem_dup(name.p, name.len), name.len);
    }
    e->consumers.p[at].acked_seq = seq;
    e->consumers.p[at].updated_at = now_us;
}

bool hfile_consumer_remove(struct hfile_extra *e, str name) {
    bool found;
    size_t at = hfile_consumer_slot(e, name, &found);
    if (!found)
        return false;
    name_free(e->consumers.p[at].name);
    e->consumers.count--;
    memmove(&e->consumers.p[at], &e->consumers.p[at + 1],
            (e->consumers.count - at) * sizeof e->consumers.p[0]);
    return true;
}

const struct hfile_checkpoint *hfile_checkpoint_find(const struct hfile_extra *e, struct id id) {
    for (size_t i = e ? e->checkpoints.count : 0; i-- > 0;) {
        if (id_eq(e->checkpoints.p[i].id, id))
            return &e->checkpoints.p[i];
    }
    return NULL;
}

void hfile_checkpoint_push(struct hfile_extra *e, const struct hfile_checkpoint *c) {
    vec_push(&e->checkpoints, *c);
    e->latest = c->id;
    if (e->checkpoints.count <= HISTORY_CHECKPOINTS_KEPT)
        return;
    e->checkpoints.count--;
    memmove(&e->checkpoints.p[0], &e->checkpoints.p[1],
            e->checkpoints.count * sizeof e->checkpoints.p[0]);
}
