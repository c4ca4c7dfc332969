/* SPDX-License-Identifier: Apache-2.0 */
/* ids.c - which ids are there: exactly for what is in a log, roughly for what is sealed.
 *
 * A log's table says where a record with such a hash may be; the record itself decides, so hashes
 * that collide cost a look, no more. The filter is filled from the segments before the first
 * append. It has two layers, as hashes cannot be taken out of one to be put into a larger one: 1 MB
 * for the first million ids, since most folders hold no more and all of its pages are touched soon,
 * and 7 MB for all others. With ten million ids one look in twenty goes to the segments in vain,
 * which is a read or two in each. */
#include "history/file/file_int.h"

#define FILTER_BITS  4
#define FIRST_WORDS  ((size_t)1 << 17) /* of 64 bits */
#define FIRST_HASHES ((size_t)1 << 20)
#define REST_WORDS   ((size_t)7 << 17)

static void ids_grow(struct hfile_ids *ids) {
    struct hfile_ids bigger = {.cap = ids->cap ? 2 * ids->cap : 64};
    bigger.slots = mem_calloc(bigger.cap, sizeof *bigger.slots);
    for (size_t i = 0; i < ids->cap; i++) {
        if (ids->slots[i].at)
            hfile_ids_add(&bigger, ids->slots[i].hash, ids->slots[i].at);
    }
    mem_free(ids->slots);
    *ids = bigger;
}

void hfile_ids_add(struct hfile_ids *ids, uint64_t hash, uint64_t at) {
    if (ids->count * 4 >= ids->cap * 3)
        ids_grow(ids);
    size_t i = hash & (ids->cap - 1);
    while (ids->slots[i].at)
        i = (i + 1) & (ids->cap - 1);
    ids->slots[i] = (struct hfile_id_slot){hash, at};
    ids->count++;
}

void hfile_ids_drop(struct hfile_ids *ids, uint64_t hash, uint64_t at) {
    size_t mask = ids->cap - 1, i = hash & mask;
    while (ids->slots[i].hash != hash || ids->slots[i].at != at) {
        ASSERT(ids->slots[i].at);
        i = (i + 1) & mask;
    }
    ids->count--;
    for (size_t next = (i + 1) & mask; ids->slots[next].at; next = (next + 1) & mask) {
        size_t home = ids->slots[next].hash & mask;
        if (((next - home) & mask) < ((next - i) & mask))
            continue; /* it may not stand before its home */
        ids->slots[i] = ids->slots[next];
        i = next;
    }
    ids->slots[i] = (struct hfile_id_slot){0};
}

uint64_t hfile_ids_next(const struct hfile_ids *ids, uint64_t hash, size_t *step) {
    while (ids->cap) {
        const struct hfile_id_slot *slot = &ids->slots[(hash + (*step)++) & (ids->cap - 1)];
        if (!slot->at || slot->hash == hash)
            return slot->at;
    }
    return 0;
}

void hfile_ids_deinit(struct hfile_ids *ids) {
    mem_free(ids->slots);
    *ids = (struct hfile_ids){0};
}

static uint64_t filter_bit(uint64_t hash, int i, size_t words) {
    uint64_t step = hash >> 32 | 1;
    return (hash + (uint64_t)i * step * 0x9e3779b97f4a7c15u) % (words * 64);
}

static void layer_add(uint64_t **layer, size_t words, uint64_t hash) {
    if (!*layer)
        *layer = mem_calloc(words, sizeof **layer);
    for (int i = 0; i < FILTER_BITS; i++) {
        uint64_t bit = filter_bit(hash, i, words);
        (*layer)[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

static bool layer_has(const uint64_t *layer, size_t words, uint64_t hash) {
    bool has = layer != NULL;
    for (int i = 0; has && i < FILTER_BITS; i++) {
        uint64_t bit = filter_bit(hash, i, words);
        has = layer[bit / 64] >> bit % 64 & 1;
    }
    return has;
}

void hfile_filter_add(struct hfile_filter *f, uint64_t hash) {
    if (f->first_count < FIRST_HASHES) {
        f->first_count++;
        layer_add(&f->first, FIRST_WORDS, hash);
    } else {
        layer_add(&f->rest, REST_WORDS, hash);
    }
}

bool hfile_filter_has(const struct hfile_filter *f, uint64_t hash) {
    return layer_has(f->first, FIRST_WORDS, hash) || layer_has(f->rest, REST_WORDS, hash);
}

void hfile_filter_deinit(struct hfile_filter *f) {
    mem_free(f->first);
    mem_free(f->rest);
    *f = (struct hfile_filter){0};
}
