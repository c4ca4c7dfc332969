/* SPDX-License-Identifier: Apache-2.0 */
/* format.c - writing and reading single records; see format.h for their bytes.
 *
 * Reading takes nothing for granted: a record whose CRC fits may still come from elsewhere, so each
 * length is held against the record's end. */
#include "history/file/format.h"

#include "history/file/crc32c.h"

#define BODY sizeof(struct hfile_record)

size_t hfile_record_begin(struct buf *b, enum hfile_kind kind, uint32_t session, int64_t seq,
                          int64_t stored_at) {
    size_t begin = b->len;
    struct hfile_record r = {
        .kind = (uint8_t)kind, .session = session, .seq = seq, .stored_at = stored_at};
    buf_append(b, &r, sizeof r);
    return begin;
}

void hfile_record_end(struct buf *b, size_t begin) {
    static const char zeros[8];
    buf_append(b, zeros, -b->len & 7);
    if (!buf_ok(b))
        return;
    uint32_t bytes = (uint32_t)(b->len - begin);
    memcpy(b->p + begin, &bytes, sizeof bytes);
}

void hfile_unit_end(struct buf *b, size_t from) {
    while (buf_ok(b) && from < b->len) {
        struct hfile_record *r = (struct hfile_record *)(void *)(b->p + from);
        if (from + r->bytes == b->len)
            r->flags |= HFILE_LAST;
        r->crc = hfile_crc(str_n(b->p + from + 8, r->bytes - 8));
        from += r->bytes;
    }
}

void hfile_write_event(struct buf *b, uint32_t session, const struct history_event *e, int64_t seq,
                       int64_t stored_at, const unsigned char digest[HASH_XXH3_BYTES]) {
    size_t begin = hfile_record_begin(b, HFILE_EVENT, session, seq, stored_at);
    struct hfile_event_head h = {.occurred_at = e->occurred_at,
                                 .ttl_ms = e->ttl_ms,
                                 .payload_bytes = (uint32_t)e->payload.len,
                                 .headers_bytes = (uint32_t)e->headers.len,
                                 .id_bytes = (uint8_t)e->id.len,
                                 .type_bytes = (uint8_t)e->type.len,
                                 .source_bytes = (uint8_t)e->source.len,
                                 .trace_bytes = (uint8_t)e->trace_id.len,
                                 .payload_kind = (uint8_t)e->payload_kind};
    memcpy(h.digest, digest, sizeof h.digest);
    buf_append(b, &h, sizeof h);
    buf_str(b, e->id);
    buf_str(b, e->type);
    buf_str(b, e->source);
    buf_str(b, e->trace_id);
    buf_str(b, e->headers);
    buf_str(b, e->payload);
    hfile_record_end(b, begin);
    if (buf_ok(b) && e->headers.p && e->headers.len == 0)
        ((struct hfile_record *)(void *)(b->p + begin))->flags |= HFILE_EMPTY_HEADERS;
}

void hfile_write_session(struct buf *b, uint32_t session, const struct history_key *key,
                         int64_t created_at) {
    size_t begin = hfile_record_begin(b, HFILE_SESSION, session, 0, created_at);
    struct hfile_session_head h = {.created_at = created_at,
                                   .owner_bytes = (uint16_t)key->owner.len,
                                   .name_bytes = (uint16_t)key->session.len};
    buf_append(b, &h, sizeof h);
    buf_str(b, key->owner);
    buf_str(b, key->session);
    hfile_record_end(b, begin);
}

void hfile_write_checkpoint(struct buf *b, uint32_t session, const struct history_checkpoint *c,
                            int64_t updated_at) {
    size_t begin = hfile_record_begin(b, HFILE_CHECKPOINT, session, c->seq, updated_at);
    struct hfile_checkpoint_head h = {.id = c->id,
                                      .parent = c->parent,
                                      .created_at = c->created_at,
                                      .payload_bytes = (uint32_t)c->payload.len,
                                      .label_bytes = (uint16_t)c->label.len,
                                      .payload_kind = (uint8_t)c->payload_kind};
    memcpy(h.digest, c->digest, sizeof h.digest);
    buf_append(b, &h, sizeof h);
    buf_str(b, c->label);
    buf_str(b, c->payload);
    hfile_record_end(b, begin);
}

void hfile_write_name(struct buf *b, enum hfile_kind kind, uint32_t session, int64_t seq,
                      int64_t now_us, str name) {
    size_t begin = hfile_record_begin(b, kind, session, seq, now_us);
    struct hfile_name_head h = {.bytes = (uint16_t)name.len};
    buf_append(b, &h, sizeof h);
    buf_str(b, name);
    hfile_record_end(b, begin);
}

void hfile_write_retention(struct buf *b, str owner, const struct history_retention *r) {
    size_t begin = hfile_record_begin(b, HFILE_RETENTION, 0, 0, 0);
    struct hfile_retention_head h = {
        .age_ms_max = r->age_ms_max, .count_max = r->count_max, .owner_bytes = (uint16_t)owner.len};
    buf_append(b, &h, sizeof h);
    buf_str(b, owner);
    hfile_record_end(b, begin);
}

/* --- reading --- */

size_t hfile_record_check(const char *p, size_t bytes) {
    if (bytes < BODY)
        return 0;
    struct hfile_record r = hfile_head(p);
    if (r.bytes < BODY || r.bytes > bytes || r.bytes % 8 || r.bytes > HFILE_RECORD_BYTES_MAX ||
        r.kind == 0 || r.kind >= HFILE_KIND_END)
        return 0;
    return hfile_crc(str_n(p + 8, r.bytes - 8)) == r.crc ? r.bytes : 0;
}

int hfile_corrupt(struct err *err, const char *what) {
    return err_set(err, ERR_CORRUPT, "history: damaged: %s", what);
}

/* The part of the record at *at; absent when it lies beyond what is there. */
static str cut(const char *p, size_t bytes, size_t *at, size_t len) {
    size_t from = *at;
    *at += len;
    return *at <= bytes ? str_n(p + from, len) : STR_NULL;
}

static str cut_text(const char *p, size_t bytes, size_t *at, size_t len) {
    return len ? cut(p, bytes, at, len) : STR_NULL;
}

/* Whether `head` and `texts` fill the record. */
static bool fills(const char *p, size_t head, size_t texts) {
    size_t bytes = hfile_head(p).bytes, need = BODY + head + texts;
    return bytes >= need && bytes - need < 8;
}

size_t hfile_event_front_bytes(const struct hfile_event_head *h) {
    return HFILE_HEADS_BYTES + h->id_bytes + h->type_bytes + h->source_bytes + h->trace_bytes +
           h->headers_bytes;
}

int hfile_read_event(const char *p, size_t bytes, struct history_event *out,
                     unsigned char out_digest[HASH_XXH3_BYTES], struct err *err) {
    struct hfile_event_head h;
    struct hfile_record r = hfile_head(p);
    if (bytes < HFILE_HEADS_BYTES || r.kind != HFILE_EVENT)
        return hfile_corrupt(err, "no event where one should be");
    memcpy(&h, p + BODY, sizeof h);
    size_t front = hfile_event_front_bytes(&h), at = HFILE_HEADS_BYTES;
    if (!fills(p, sizeof h, front - HFILE_HEADS_BYTES + h.payload_bytes) || r.seq < 1 ||
        (h.payload_kind != HISTORY_JSON && h.payload_kind != HISTORY_BYTES) || h.ttl_ms < 0 ||
        h.ttl_ms > HISTORY_TTL_MS_MAX)
        return hfile_corrupt(err, "the lengths of an event");
    struct history_event e = {.occurred_at = h.occurred_at,
                              .ttl_ms = h.ttl_ms,
                              .payload_kind = (enum history_payload)h.payload_kind,
                              .payload_bytes = h.payload_bytes,
                              .seq = r.seq,
                              .stored_at = r.stored_at};
    e.id = cut_text(p, bytes, &at, h.id_bytes);
    e.type = cut_text(p, bytes, &at, h.type_bytes);
    e.source = cut_text(p, bytes, &at, h.source_bytes);
    e.trace_id = cut_text(p, bytes, &at, h.trace_bytes);
    e.headers = r.flags & HFILE_EMPTY_HEADERS ? STR("") : cut_text(p, bytes, &at, h.headers_bytes);
    e.payload = cut(p, bytes, &at, h.payload_bytes);
    *out = e;
    if (out_digest)
        memcpy(out_digest, h.digest, sizeof h.digest);
    return 0;
}

int hfile_read_session(const char *p, struct history_key *out, int64_t *out_created_at,
                       struct err *err) {
    struct hfile_session_head h;
    struct hfile_record r = hfile_head(p);
    size_t at = BODY + sizeof h;
    if (r.bytes < at)
        return hfile_corrupt(err, "a session");
    memcpy(&h, p + BODY, sizeof h);
    if (!fills(p, sizeof h, (size_t)h.owner_bytes + h.name_bytes))
        return hfile_corrupt(err, "a session");
    out->owner = cut(p, r.bytes, &at, h.owner_bytes);
    out->session = cut(p, r.bytes, &at, h.name_bytes);
    *out_created_at = h.created_at;
    return 0;
}

int hfile_read_checkpoint(const char *p, size_t bytes, struct history_checkpoint *out,
                          struct err *err) {
    struct hfile_checkpoint_head h;
    struct hfile_record r = hfile_head(p);
    size_t at = BODY + sizeof h;
    if (bytes < at || r.kind != HFILE_CHECKPOINT)
        return hfile_corrupt(err, "no checkpoint where one should be");
    memcpy(&h, p + BODY, sizeof h);
    if (!fills(p, sizeof h, (size_t)h.label_bytes + h.payload_bytes) ||
        (h.payload_kind != HISTORY_JSON && h.payload_kind != HISTORY_BYTES))
        return hfile_corrupt(err, "the lengths of a checkpoint");
    struct history_checkpoint c = {.id = h.id,
                                   .parent = h.parent,
                                   .seq = r.seq,
                                   .payload_kind = (enum history_payload)h.payload_kind,
                                   .created_at = h.created_at};
    memcpy(c.digest, h.digest, sizeof c.digest);
    c.label = cut_text(p, bytes, &at, h.label_bytes);
    c.payload = cut(p, bytes, &at, h.payload_bytes);
    *out = c;
    return 0;
}

int hfile_read_name(const char *p, str *out, struct err *err) {
    struct hfile_name_head h;
    struct hfile_record r = hfile_head(p);
    size_t at = BODY + sizeof h;
    if (r.bytes < at)
        return hfile_corrupt(err, "a consumer");
    memcpy(&h, p + BODY, sizeof h);
    if (h.bytes == 0 || !fills(p, sizeof h, h.bytes))
        return hfile_corrupt(err, "a consumer");
    *out = cut(p, r.bytes, &at, h.bytes);
    return 0;
}

int hfile_read_retention(const char *p, str *out_owner, struct history_retention *out,
                         struct err *err) {
    struct hfile_retention_head h;
    struct hfile_record r = hfile_head(p);
    size_t at = BODY + sizeof h;
    if (r.bytes < at)
        return hfile_corrupt(err, "a retention");
    memcpy(&h, p + BODY, sizeof h);
    if (!fills(p, sizeof h, h.owner_bytes))
        return hfile_corrupt(err, "a retention");
    *out_owner = cut(p, r.bytes, &at, h.owner_bytes);
    *out = (struct history_retention){.age_ms_max = h.age_ms_max, .count_max = h.count_max};
    return 0;
}

uint64_t hfile_id_hash(uint32_t session, str id) {
    char both[sizeof session + HISTORY_ID_BYTES_MAX];
    unsigned char digest[HASH_XXH3_BYTES];
    uint64_t hash;
    ASSERT(id.len <= HISTORY_ID_BYTES_MAX);
    memcpy(both, &session, sizeof session);
    memcpy(both + sizeof session, id.p, id.len);
    hash_xxh3(str_n(both, sizeof session + id.len), digest);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}
