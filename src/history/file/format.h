/* SPDX-License-Identifier: Apache-2.0 */
/* format.h - the bytes of a file history: records, logs, sealed segments, the manifest.
 *
 * All numbers are little-endian, all records begin at a multiple of 8. Files of the folder:
 *   holdfast-history   "holdfast-history 1\n": what this is, and the version of the format
 *   lock               empty; flock() of the process that writes
 *   manifest           struct hfile_manifest and the numbers of the segments, oldest first
 *   log-N              struct hfile_log_head, then records; zeros behind the last one
 *   seg-N              records by session and seq, then the sections, then struct hfile_footer;
 *                      with frame_bytes the records are compressed: see frames.c
 *   *.new              a replacement under way; removed by the next open
 *
 * A record: the head (32 bytes), what its kind adds, texts, zeros up to a multiple of 8. In a log
 * the records of one call are a unit: HFILE_LAST is set in the last one, and a unit counts only
 * when all its records are whole. The same bytes of an event go from the log to the segment. What
 * is not whole is torn, and is cut off, unless a HFILE_MARK behind it says that it had been synced:
 * then the log is damaged, and is left as it is.
 *
 * A segment replaces the logs that it was made of: log-N counts only when N > manifest.sealed_log.
 * What it says of a session (HFILE_STATE) replaces what older segments say; logs are replayed on
 * top. Numbers of sessions and of files are never used again while a byte refers to them.
 *
 * Memory: as marked. Errors: ERR_CORRUPT; nothing that is read is believed before its CRC and its
 * lengths fit. Suspends: never. Tests: tests/unit/history/test_file_format.c */
#ifndef HF_HISTORY_FILE_FORMAT_H
#define HF_HISTORY_FILE_FORMAT_H

#include "base/buf.h"
#include "history/port.h"

STATIC_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structs are written as they are");

#define HFILE_RECORD_BYTES_MAX (64u << 20)
#define HFILE_MARKER           "holdfast-history 1\n"

enum hfile_kind {
    HFILE_EVENT = 1,  /* seq; struct hfile_event_head, id, type, source, trace, headers, payload */
    HFILE_SESSION,    /* it begins: struct hfile_session_head, owner, name */
    HFILE_DELETE,     /* it is gone, with all that has its number */
    HFILE_TRIM,       /* events before seq are gone */
    HFILE_CHECKPOINT, /* seq: its position; struct hfile_checkpoint_head, label, payload */
    HFILE_ROLLBACK,   /* struct id: that one is the latest */
    HFILE_CONSUMER,   /* seq: acknowledged; struct hfile_name_head, name */
    HFILE_CONSUMER_GONE, /* struct hfile_name_head, name */
    HFILE_RETENTION,     /* no session; struct hfile_retention_head, owner */
    HFILE_MARK,          /* first of a write; seq: where it stands. All before it was synced */
    HFILE_STATE,         /* seq: last; in segments: struct hfile_state_head, owner, name, ids of the
                          * checkpoints, then per consumer: acked i64, updated i64, u16, name */
    HFILE_KIND_END
};
#define HFILE_LAST          1 /* flags: the unit ends here */
#define HFILE_EMPTY_HEADERS 2 /* headers are there, and empty */

struct hfile_record {
    uint32_t bytes; /* of the whole, a multiple of 8; 0: nothing was written here */
    uint32_t crc;   /* CRC-32C of all behind this field */
    uint8_t kind, flags;
    uint16_t spare;
    uint32_t session; /* number; 0: none */
    int64_t seq;
    int64_t stored_at; /* us; of other kinds than events: updated_at of the session */
};
struct hfile_event_head {
    int64_t occurred_at, ttl_ms;
    uint32_t payload_bytes, headers_bytes;
    uint8_t id_bytes, type_bytes, source_bytes, trace_bytes; /* 0: absent */
    uint8_t payload_kind, spare[3];
    unsigned char digest[HASH_XXH3_BYTES]; /* history_event_digest() */
};
struct hfile_session_head {
    int64_t created_at;
    uint16_t owner_bytes, name_bytes;
    uint32_t spare;
};
struct hfile_checkpoint_head {
    struct id id, parent;
    unsigned char digest[HASH_SHA256_BYTES];
    int64_t created_at;
    uint32_t payload_bytes;
    uint16_t label_bytes;
    uint8_t payload_kind, spare;
};
struct hfile_name_head {
    uint16_t bytes, spare[3];
};
struct hfile_retention_head {
    int64_t age_ms_max, count_max;
    uint16_t owner_bytes, spare[3];
};
struct hfile_state_head {
    int64_t created_at, first_seq;
    struct id latest;
    uint16_t owner_bytes, name_bytes;
    uint32_t checkpoint_count, consumer_count, spare;
};
#define HFILE_HEADS_BYTES (sizeof(struct hfile_record) + sizeof(struct hfile_event_head))

struct hfile_log_head {
    char magic[8];        /* HFLOG001 */
    uint32_t number, crc; /* crc: of what is before it */
};
#define HFILE_LOG_MAGIC "HFLOG001"

struct hfile_manifest {
    char magic[8]; /* HFMAN001 */
    uint32_t crc;  /* of all behind this field, with the numbers */
    uint32_t sealed_log, segment_next, segment_count;
};
#define HFILE_MANIFEST_MAGIC "HFMAN001"

/* --- the sections of a segment: arrays --- */

enum hfile_section {
    HFILE_STATES,      /* records: one HFILE_STATE a row, HFILE_RETENTION, HFILE_DELETE */
    HFILE_ROWS,        /* struct hfile_row, by number of session */
    HFILE_ENTRIES,     /* struct hfile_entry, by session and seq */
    HFILE_ORDER,       /* u32 a entry: of each row, its entries by (occurred_at, seq) */
    HFILE_HASHES,      /* u64 a entry: of each row, hashes of the ids, ascending */
    HFILE_PLACES,      /* u32 a entry: which entry has that hash */
    HFILE_CHECKPOINTS, /* struct hfile_place, by row */
    HFILE_SECTIONS
};
struct hfile_entry {
    int64_t seq, occurred_at, expires_at, stored_at;
    uint64_t at; /* of the record in its file */
    uint32_t bytes, payload_bytes;
};
struct hfile_row {
    uint32_t session, by_time; /* by_time: seq and occurred_at have one order */
    uint32_t entry_first, entry_count;
    int64_t seq_min, seq_max, payload_bytes;
    uint64_t state_at;
    uint32_t state_bytes, checkpoint_first, checkpoint_count, spare;
};
struct hfile_place {
    struct id id;
    uint64_t at;
    uint32_t bytes, spare;
};
struct hfile_frame { /* of compressed records; their table stands before the sections */
    uint64_t at;     /* in the file */
    uint32_t bytes;  /* there; as many as the frame holds: it stands as it is */
    uint32_t crc;    /* of the bytes there */
};
#define HFILE_FRAME_BYTES     (16u << 10) /* of records, but for the last frame */
#define HFILE_FRAME_BYTES_MAX (4u << 20)
struct hfile_footer {
    char magic[8]; /* HFSEG001 */
    uint32_t number;
    uint32_t frame_bytes; /* 0: the records stand as they are */
    uint64_t data_bytes;  /* of the records in front, before they were compressed */
    int64_t expires_min, stored_min;
    struct {
        uint64_t at, bytes;
        uint32_t crc, spare;
    } sections[HFILE_SECTIONS];
    uint32_t frames_crc, crc; /* frames_crc: of the table of frames; crc: of what is before it */
};
#define HFILE_SEGMENT_MAGIC "HFSEG001"

STATIC_ASSERT(sizeof(struct hfile_record) == 32 && sizeof(struct hfile_event_head) == 48 &&
                  sizeof(struct hfile_checkpoint_head) == 80 &&
                  sizeof(struct hfile_state_head) == 48 && sizeof(struct hfile_entry) == 48 &&
                  sizeof(struct hfile_row) == 64 && sizeof(struct hfile_place) == 32 &&
                  sizeof(struct hfile_frame) == 16 && sizeof(struct hfile_footer) == 216,
              "the layout is the format");

/* --- writing --- */

/* Begins a record at the end of b, which gets its head; returns where. */
size_t hfile_record_begin(struct buf *b, enum hfile_kind kind, uint32_t session, int64_t seq,
                          int64_t stored_at);
void hfile_record_end(struct buf *b, size_t begin);
/* Ends the unit that begins at `from`: marks its last record, sets the CRCs. */
void hfile_unit_end(struct buf *b, size_t from);

void hfile_write_event(struct buf *b, uint32_t session, const struct history_event *e, int64_t seq,
                       int64_t stored_at, const unsigned char digest[HASH_XXH3_BYTES]);
void hfile_write_session(struct buf *b, uint32_t session, const struct history_key *key,
                         int64_t created_at);
void hfile_write_checkpoint(struct buf *b, uint32_t session, const struct history_checkpoint *c,
                            int64_t updated_at);
void hfile_write_name(struct buf *b, enum hfile_kind kind, uint32_t session, int64_t seq,
                      int64_t now_us, str name);
void hfile_write_retention(struct buf *b, str owner, const struct history_retention *r);

/* --- reading: texts point into the record --- */

/* Whether bytes at p begin with a whole record of a kind that is known; its size, or 0. */
size_t hfile_record_check(const char *p, size_t bytes);
int hfile_corrupt(struct err *err, const char *what);

/* Of a record that was checked, or of its beginning: `bytes` of it are there. What lies beyond is
 * absent, but lengths are set. ERR_CORRUPT when the lengths do not fit. */
MUST_CHECK int hfile_read_event(const char *p, size_t bytes, struct history_event *out,
                                unsigned char out_digest[HASH_XXH3_BYTES], struct err *err);
/* Bytes of a record up to its payload. */
size_t hfile_event_front_bytes(const struct hfile_event_head *h);
MUST_CHECK int hfile_read_session(const char *p, struct history_key *out, int64_t *out_created_at,
                                  struct err *err);
MUST_CHECK int hfile_read_checkpoint(const char *p, size_t bytes, struct history_checkpoint *out,
                                     struct err *err);
MUST_CHECK int hfile_read_name(const char *p, str *out, struct err *err);
MUST_CHECK int hfile_read_retention(const char *p, str *out_owner, struct history_retention *out,
                                    struct err *err);
static inline struct hfile_record hfile_head(const char *p) {
    struct hfile_record r;
    memcpy(&r, p, sizeof r);
    return r;
}
/* What ids are looked up by. */
uint64_t hfile_id_hash(uint32_t session, str id);

#endif
