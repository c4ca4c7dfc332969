/* SPDX-License-Identifier: Apache-2.0 */
/* ids.c - which ids are there: exactly for what is in a log, roughly for what is sealed.
 *
 * A log's table says where a record with such a hash may be; the record itself decides, so hashes
 * that collide cost a look, no more. The filter is of one size for any number of events: with 8 MB
 * and ten million ids in it one look in twenty-five goes to the segments in vain, which is a read
 * or two in each. It is filled from the segments before the first append. */
#include "history/file/file_int.h"

#define FILTER_WORDS ((size_t)1 << 20)
#define FILTER_BITS  4

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

static uint64_t filter_bit(uint64_t hash, int i) {
    uint64_t step = hash >> 32 | 1;
    return (hash + (uint64_t)i * step * 0x9e3779b97f4a7c15u) % (FILTER_WORDS * 64);
}

void hfile_filter_add(struct hfile_filter *f, uint64_t hash) {
    if (!f->words)
        f->words = mem_calloc(FILTER_WORDS, sizeof *f->words);
    for (int i = 0; i < FILTER_BITS; i++) {
        uint64_t bit = filter_bit(hash, i);
        f->words[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

bool hfile_filter_has(const struct hfile_filter *f, uint64_t hash) {
    bool has = f->words != NULL;
    for (int i = 0; has && i < FILTER_BITS; i++) {
        uint64_t bit = filter_bit(hash, i);
        has = f->words[bit / 64] >> bit % 64 & 1;
    }
    return has;
}
