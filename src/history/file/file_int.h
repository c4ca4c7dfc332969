/* SPDX-License-Identifier: Apache-2.0 */
/* file_int.h - the inside of a file history: who owns what, on which thread.
 *
 *   loop     struct hfile: the index, the queue of operations; changes the index between groups
 *   writer   runs one group of operations at a time. Meanwhile nobody changes the index, so that
 *            it and the loop's readers may both look at it. Owns the logs' ids, the filter, failed
 *   sealer   makes segments from a plan that the writer drew up; looks at files only. Closes logs
 *   pool     reads pages from a view and with frames that the loop took for it
 *
 * What a message hands over is its receiver's. Views, logs and segments are counted on the loop.
 *
 * Memory: as marked. Suspends: as marked. Tests: those of file.h */
#ifndef HF_HISTORY_FILE_FILE_INT_H
#define HF_HISTORY_FILE_FILE_INT_H

#include "base/holdoff.h"
#include "base/map.h"
#include "base/vec.h"
#include "history/file/file.h"
#include "history/file/format.h"
#include "history/file/io.h"
#include "rt/files.h"
#include "rt/worker.h"

#define HFILE_NAME_BYTES 32

/* --- files --- */

struct hfile_ids { /* (hash of an id) → where its record may be; open addressing */
    struct hfile_id_slot {
        uint64_t hash, at; /* at 0: free */
    } * slots;
    size_t count, cap;
};
void hfile_ids_add(struct hfile_ids *ids, uint64_t hash, uint64_t at);
void hfile_ids_drop(struct hfile_ids *ids, uint64_t hash, uint64_t at);
/* The next place of that hash; *step begins with 0. 0 when there is none. */
uint64_t hfile_ids_next(const struct hfile_ids *ids, uint64_t hash, size_t *step);
void hfile_ids_deinit(struct hfile_ids *ids);

struct hfile_filter { /* which hashes cannot be in any segment; never forgets */
    uint64_t *first, *rest;
    size_t first_count;
    bool ready;
};
void hfile_filter_add(struct hfile_filter *f, uint64_t hash);
bool hfile_filter_has(const struct hfile_filter *f, uint64_t hash);
void hfile_filter_deinit(struct hfile_filter *f);

struct hfile_log {
    struct rt_msg msg; /* to the sealer, at its end */
    uint32_t number;
    int fd;
    size_t refs;
    uint64_t tail;                   /* writer: behind the last whole unit */
    struct hfile_ids ids;            /* writer */
    VEC(uint32_t) touched;           /* loop: sessions with something in here */
    VEC(uint32_t) dead;              /* loop: sessions that were deleted in here */
    bool clean;                      /* reading: all before its last record had been synced */
    int64_t event_count, dead_count; /* loop; dead: of deleted sessions, and sessions */
    int64_t expires_min, stored_min; /* loop */
};
struct hfile_segment_file { /* open when there is room for it */
    struct rt_file file;
    uint32_t number;
};
struct hfile_segment {
    uint32_t number;
    size_t refs;
    struct rt_files *files;
    struct hfile_segment_file *file;
    uint64_t bytes, frames_at;
    int64_t dead_count; /* loop: events that are gone, but for their bytes */
    struct hfile_footer footer;
};
static inline size_t hfile_section_count(const struct hfile_segment *s, enum hfile_section what,
                                         size_t item_bytes) {
    return s->footer.sections[what].bytes / item_bytes;
}
/* What is there at a time: segments oldest first, logs by the lowest bit of their number. */
struct hfile_view {
    size_t refs, count;
    struct hfile_log *logs[2]; /* may be NULL */
    struct hfile_segment *segments[];
};

/* --- sessions --- */

struct hfile_run { /* a row of a segment */
    int64_t seq_min;
    struct hfile_segment *segment;
    uint32_t row;
};
struct hfile_part { /* events that are in a log */
    struct hfile_entry *p;
    uint32_t count, cap;
    bool by_time;
};
struct hfile_checkpoint {
    struct id id;
    uint64_t at;
    uint32_t bytes;
    uint32_t file; /* number */
    bool in_log;
};
struct hfile_consumer {
    str name; /* own memory */
    int64_t acked_seq, updated_at;
};
struct hfile_extra {                          /* changed by copying */
    VEC(struct hfile_checkpoint) checkpoints; /* by their putting */
    VEC(struct hfile_consumer) consumers;     /* by name */
    struct id latest;
};
struct hfile_state { /* of a session; the part that a group works on a copy of */
    int64_t last_seq, first_seq, created_at, updated_at, payload_bytes, event_count;
};
struct hfile_session {
    uint32_t number, touched; /* touched: the log with its newest records */
    uint32_t state_segment;   /* the newest segment with its HFILE_STATE; 0: none */
    uint32_t run_count;
    struct hfile_state state;
    struct hfile_run *runs; /* by seq */
    struct hfile_part *parts[2];
    struct hfile_extra *extra; /* may be NULL */
    uint16_t owner_bytes, name_bytes;
    char text[];
};
static inline str hfile_owner(const struct hfile_session *s) {
    return str_n(s->text, s->owner_bytes);
}
static inline str hfile_name(const struct hfile_session *s) {
    return str_n(s->text + s->owner_bytes, s->name_bytes);
}
struct hfile_policy {
    str owner; /* own memory */
    uint32_t touched, segment;
    struct history_retention retention;
};

#define HFILE_CHUNK 256
struct hfile_chunk {
    size_t count;
    struct hfile_session *p[HFILE_CHUNK];
};
struct hfile_index {
    VEC(struct hfile_chunk *) chunks; /* by (owner, name); none is empty */
    struct hfile_session **numbers;   /* open addressing by number */
    size_t numbers_cap, count;
    struct map policies;
    uint32_t number_next;
    int64_t event_count, payload_bytes;
};
struct hfile_cursor {
    size_t chunk, at;
};
/* The first one behind (owner, name), or at it; names == false: behind all of the owner. */
struct hfile_cursor hfile_index_seek(const struct hfile_index *x, str owner, str name, bool names);
struct hfile_session *hfile_index_next(const struct hfile_index *x, struct hfile_cursor *c);
struct hfile_session *hfile_index_find(const struct hfile_index *x, str owner, str name);
struct hfile_session *hfile_index_number(const struct hfile_index *x, uint32_t number);
/* NULL when the name or the number is there already. */
struct hfile_session *hfile_index_add(struct hfile_index *x, uint32_t number, str owner, str name);
void hfile_index_remove(struct hfile_index *x, struct hfile_session *s); /* frees it */
void hfile_index_deinit(struct hfile_index *x);
struct hfile_policy *hfile_policy_set(struct hfile_index *x, str owner,
                                      const struct history_retention *r);
struct history_retention hfile_policy_of(const struct hfile_index *x, str owner);

void hfile_part_push(struct hfile_session *s, uint32_t log, const struct hfile_entry *e);
void hfile_part_free(struct hfile_session *s, uint32_t log);
void hfile_run_push(struct hfile_session *s, const struct hfile_run *run);
int64_t hfile_first_seq(const struct hfile_session *s);
struct hfile_extra *hfile_extra_copy(const struct hfile_extra *e); /* of NULL: an empty one */
void hfile_extra_free(struct hfile_extra *e);
size_t hfile_consumer_slot(const struct hfile_extra *e, str name, bool *out_found);
void hfile_consumer_set(struct hfile_extra *e, str name, int64_t seq, int64_t now_us);
bool hfile_consumer_remove(struct hfile_extra *e, str name);
const struct hfile_checkpoint *hfile_checkpoint_find(const struct hfile_extra *e, struct id id);
/* The newest; the oldest beyond HISTORY_CHECKPOINTS_KEPT go. */
void hfile_checkpoint_push(struct hfile_extra *e, const struct hfile_checkpoint *c);

/* Whether sweeps remove it. */
static inline bool hfile_is_past(const struct history_retention *r, int64_t last_seq,
                                 const struct hfile_entry *e, int64_t now_us) {
    return e->expires_at <= now_us ||
           (r->age_ms_max > 0 && e->stored_at + r->age_ms_max * 1000 <= now_us) ||
           (r->count_max > 0 && e->seq <= last_seq - r->count_max);
}

/* --- logs --- */

/* Makes log-N, durable and empty. */
MUST_CHECK int hfile_log_make(struct hfile_io *io, uint32_t number, uint64_t allocate,
                              struct hfile_log **out, struct err *err);
/* Opens it; replay() gets each record of whole units. *out_torn: bytes behind them that are not
 * zeros. ERR_CORRUPT when something synced is not whole. */
struct hfile_replay {
    int (*fn)(void *ctx, struct hfile_log *log, const char *record, uint64_t at, struct err *err);
    void *ctx;
};
MUST_CHECK int hfile_log_open(struct hfile_io *io, uint32_t number, const struct hfile_replay *r,
                              struct hfile_log **out, uint64_t *out_torn, struct err *err);
/* The log anew with what is whole, and nothing else; as new bytes, so that the disk has them. */
MUST_CHECK int hfile_log_rewrite(struct hfile_io *io, struct hfile_log *log, struct err *err);
void hfile_log_unref(struct hfile_io *io, struct hfile_log *log);
void hfile_log_close(struct hfile_io *io, struct hfile_log *log); /* what is large of it */
void hfile_log_name(uint32_t number, char out[HFILE_NAME_BYTES]);

/* --- segments --- */

/* The descriptors of all segments of the folder; options.files_max. */
struct rt_files *hfile_files_new(struct hfile_io *io, size_t files_max);
MUST_CHECK int hfile_segment_open(struct hfile_io *io, struct rt_files *files, uint32_t number,
                                  struct hfile_segment **out, struct err *err);
void hfile_segment_unref(struct hfile_segment *s);
void hfile_segment_name(uint32_t number, char out[HFILE_NAME_BYTES]);
/* Its file stays open until the last reference goes: it is about to lose its name. */
void hfile_segment_keep(const struct hfile_segment *s);
/* Whether a record of so many bytes can be at that place among the records. */
bool hfile_record_lies_in(const struct hfile_segment *s, uint64_t at, uint64_t bytes);
MUST_CHECK int hfile_segment_read(struct hfile_io *io, const struct hfile_segment *s, void *to,
                                  size_t bytes, uint64_t at, struct err *err);
/* How many frames; 0: the records stand as they are. */
static inline uint64_t hfile_frame_count(const struct hfile_footer *f) {
    return f->frame_bytes ? (f->data_bytes + f->frame_bytes - 1) / f->frame_bytes : 0;
}
/* `count` items of a section from `first` on; ERR_CORRUPT beyond its end. */
MUST_CHECK int hfile_section_read(struct hfile_io *io, const struct hfile_segment *s,
                                  enum hfile_section what, size_t item_bytes, size_t first,
                                  size_t count, void *to, struct err *err);
MUST_CHECK int hfile_row_read(struct hfile_io *io, const struct hfile_segment *s, size_t row,
                              struct hfile_row *out, struct err *err);
/* A whole section in memory of the caller, its CRC checked. */
MUST_CHECK int hfile_section_load(struct hfile_io *io, const struct hfile_segment *s,
                                  enum hfile_section what, struct buf *out, struct err *err);
/* The first entry of the row whose key is not below: its index within the row. With `by_time` in
 * the order of time, by (occurred_at, seq). */
struct hfile_key {
    int64_t occurred_at, seq;
};
MUST_CHECK int hfile_row_search(struct hfile_io *io, const struct hfile_segment *s,
                                const struct hfile_row *row, bool by_time,
                                const struct hfile_key *key, size_t *out, struct err *err);
/* Entries [first, first + count) of the row, in the order of seq or of time. */
MUST_CHECK int hfile_row_entries(struct hfile_io *io, const struct hfile_segment *s,
                                 const struct hfile_row *row, bool by_time, size_t first,
                                 size_t count, struct hfile_entry *out, struct err *err);
/* The entries of the row with that hash, one at a time: *step begins with 0; *out_found false at
 * the end. */
MUST_CHECK int hfile_row_hash(struct hfile_io *io, const struct hfile_segment *s,
                              const struct hfile_row *row, uint64_t hash, size_t *step,
                              struct hfile_entry *out, bool *out_found, struct err *err);

/* --- the records of segments: frames.c --- */

/* The last frames that were read; one thread at a time. 8 of them and what zstd needs: 300 kB once
 * a compressed segment was read, nothing before. */
struct hfile_frames;
struct hfile_frames *hfile_frames_new(void);
void hfile_frames_free(struct hfile_frames *f);
/* `at` counts bytes of records, whether they are compressed or not. */
MUST_CHECK int hfile_records_read(struct hfile_io *io, struct hfile_frames *f,
                                  const struct hfile_segment *s, void *to, size_t bytes,
                                  uint64_t at, struct err *err);
struct hfile_packer;
struct hfile_packer *hfile_packer_new(void);
void hfile_packer_free(struct hfile_packer *p);
void hfile_packer_add(struct hfile_packer *p, str data);
/* The next bytes of the file, until hfile_packer_add(); with `end` also of a frame that is not
 * full. */
bool hfile_packer_next(struct hfile_packer *p, bool end, str *out);
str hfile_packer_table(const struct hfile_packer *p);

/* --- sealing: what a segment is made of --- */

struct hfile_job_row {
    uint32_t session;
    bool keep_state;
    size_t entry_first, entry_count;           /* into entries */
    size_t state_at, state_bytes;              /* into states */
    size_t checkpoint_first, checkpoint_count; /* into checkpoints */
    int64_t gone_count, gone_bytes; /* of a living session: left out, not trimmed before */
    int64_t payload_bytes;          /* out */
};
struct hfile_job_part { /* of a row: what comes from one file */
    size_t row;
    const struct hfile_segment *from; /* NULL: the log */
    size_t entry_first, entry_count;
    size_t checkpoint_first, checkpoint_count;
};
struct hfile_job {
    struct rt_msg msg;
    struct hfile *h;
    struct hfile_log *log;                /* to seal; or */
    VEC(struct hfile_segment *) segments; /* to write anew as one: neighbours, oldest first */
    VEC(struct hfile_job_row) rows;
    VEC(struct hfile_job_part) parts;          /* by row */
    VEC(struct hfile_entry) entries;           /* in: where they are; out: where they went */
    VEC(struct hfile_place) checkpoints;       /* the same */
    struct buf states;                         /* records */
    int64_t dead_count;                        /* events and rows of deleted sessions that go */
    uint32_t sealed_log;                       /* of the manifest afterwards */
    VEC(uint32_t) dropped;                     /* living sessions whose row goes */
    VEC(uint32_t) others_before, others_after; /* the segments around it */
    uint32_t number;                           /* of the segment to be made */
    struct hfile_segment *made;                /* out; NULL: nothing was left */
    int rc;
    struct err err;
};
static inline bool hfile_job_number(const struct hfile_job *job, uint32_t segment) {
    bool has = false;
    for (size_t i = 0; i < job->segments.count; i++)
        has = has || job->segments.p[i]->number == segment;
    return has;
}
static inline bool hfile_job_has(const struct hfile_job *job, const struct hfile_segment *s) {
    return hfile_job_number(job, s->number);
}
/* Sealer: makes the segment and switches the manifest. Sets rc. */
void hfile_job_run(struct hfile_io *io, struct hfile_job *job);
void hfile_job_free(struct hfile_job *job);
MUST_CHECK int hfile_manifest_write(struct hfile_io *io, uint32_t sealed_log, uint32_t next,
                                    const uint32_t *numbers, size_t count, struct err *err);
/* An absent one is an empty one. Numbers: own memory of the caller. */
MUST_CHECK int hfile_manifest_read(struct hfile_io *io, struct hfile_manifest *out,
                                   uint32_t **out_numbers, struct err *err);

/* --- groups of operations --- */

enum hfile_op_kind {
    HFILE_OP_APPEND,
    HFILE_OP_CHECKPOINT,
    HFILE_OP_ROLLBACK,
    HFILE_OP_DELETE,
    HFILE_OP_RETENTION,
    HFILE_OP_ACK,
    HFILE_OP_CONSUMER_DELETE,
    HFILE_OP_TRIM,   /* sweeps: first_seq of sessions moves */
    HFILE_OP_SEAL,   /* closes the log, plans its sealing */
    HFILE_OP_REWRITE /* plans writing segments anew */
};
struct hfile_due {
    uint32_t segment; /* 0: a log */
    bool anew;        /* to be made without what is past, or of sessions that are gone */
    int64_t trimmed;
};
struct hfile_op {
    struct list node;
    enum hfile_op_kind kind;
    struct fiber *fiber;
    bool finished;
    int rc;
    struct err err;
    struct history_key key;
    /* by kind */
    struct history_append *const *appends;
    size_t append_count;
    struct history_checkpoint *checkpoint;
    struct id id;
    str name;
    int64_t seq, now_us; /* now_us: sweeps; INT64_MIN: nothing is past */
    struct history_retention retention;
    uint32_t segment;     /* to be made anew, */
    size_t segment_count; /* together with those behind it: so many in all */
    size_t budget;
    bool deleted;              /* sweeps look for rows of sessions that are gone, too */
    int64_t removed;           /* out */
    VEC(struct hfile_due) due; /* out: what a sweep found */
};

struct hfile_staged {           /* a session as the group sees it */
    struct hfile_session *base; /* NULL: it is new */
    struct history_key key;     /* the stage's arena */
    uint32_t number;
    struct hfile_state state;
    struct hfile_extra *extra; /* own copy when it was changed */
    bool extra_changed, deleted;
    VEC(struct hfile_entry) entries;
};
struct hfile_stage {
    struct arena arena;
    struct map sessions; /* "owner\0name" → struct hfile_staged */
    VEC(struct hfile_staged *) list;
    VEC(struct hfile_policy) policies; /* owner: the arena's */
    VEC(struct hfile_id_slot) ids;     /* added to the log's */
    struct buf out;
    struct hfile_frames *frames; /* NULL: nothing was looked up yet */
    uint32_t number_next;
    bool synced;
    int64_t now_us;
    struct hfile_log *log;  /* written to */
    struct hfile_log *made; /* it was made in this group: the one before is closed */
    struct hfile_job *job;  /* planned */
};

/* --- reading without waiting: nowait.c --- */

struct hfile_nowait {
    struct hfile_io io; /* pread alone */
    struct hfile_io *disk;
    size_t budget_bytes;
    bool unsupported;
    struct holdoff tries; /* that are left out, after one in vain */
};
void hfile_nowait_init(struct hfile_nowait *n, struct hfile_io *disk);
/* What to read with until hfile_nowait_end; NULL: let it be. */
struct hfile_io *hfile_nowait_begin(struct hfile_nowait *n, size_t budget_bytes);
void hfile_nowait_end(struct hfile_nowait *n, bool in_vain);

struct hfile {
    struct history base;
    struct rt *rt;
    struct hfile_io *io;
    struct rt_files *files; /* of the segments */
    struct history_file_options options;
    struct rt_worker *writer, *sealer;
    /* loop */
    struct hfile_index index;
    struct hfile_view *view;
    VEC(struct hfile_frames *) frames; /* of reads that are not under way */
    struct hfile_nowait nowait;
    size_t reads_away; /* on the pool */
    struct fiber_event appended, idle;
    struct list waiting, group; /* struct hfile_op */
    struct rt_defer start;
    struct rt_msg group_msg;
    bool group_runs, sweeping;
    bool deleted_again;    /* since the sweep under way began */
    bool deleted;          /* segments may hold something of sessions that are gone */
    int64_t gone;          /* events and sessions that segments were made without */
    struct hfile_job *job; /* of the sealer; one at a time */
    bool job_done;         /* to be installed between groups */
    int64_t job_again_at;  /* monotonic: a seal that failed is tried again; 0: none */
    uint32_t sealed_log, segment_next;
    uint64_t appends, appended_events, flushes, syncs;
    uint64_t failed_seals;
    /* writer */
    struct hfile_stage stage;
    struct hfile_filter filter;
    bool failed; /* a sync failed: nothing is taken any more */
};
static inline struct hfile *hfile_of(struct history *h) {
    return CONTAINER_OF(h, struct hfile, base);
}
static inline struct hfile_log *hfile_active(const struct hfile *h) {
    struct hfile_log *a = h->view->logs[0], *b = h->view->logs[1];
    return !a ? b : !b ? a : a->number > b->number ? a : b;
}

/* Posts the operation, waits until it is durable or has failed; its rc. */
MAY_SUSPEND int hfile_op_run(struct hfile *h, struct hfile_op *op, struct err *err);
void hfile_group_start(struct hfile *h);
/* Writer. */
void hfile_group_handle(struct rt_worker *w, struct list *batch, void *ctx);
void hfile_stage_run(struct hfile *h, struct hfile_op *op);
int hfile_stage_trim(struct hfile *h, struct hfile_op *op, struct err *err);
struct hfile_staged *hfile_stage_session(struct hfile *h, const struct history_key *key);
/* Plans: the log that was closed, or op->segment and those behind it anew. */
MUST_CHECK int hfile_plan_log(struct hfile *h, struct hfile_log *log, struct hfile_op *op,
                              struct hfile_job **out, struct err *err);
MUST_CHECK int hfile_plan_segments(struct hfile *h, const struct hfile_op *op,
                                   struct hfile_job **out, struct err *err);
/* Loop, between groups. */
void hfile_publish(struct hfile *h);
void hfile_install(struct hfile *h, struct hfile_job *job);
void hfile_job_post(struct hfile *h, struct hfile_job *job);
/* Whether the message is a log that is to be closed; else it is a job. */
bool hfile_is_log(const struct rt_msg *m);
struct hfile_view *hfile_view_new(size_t count);
void hfile_view_ref(struct hfile_view *v);
struct hfile_segment *hfile_view_find(const struct hfile_view *v, uint32_t number); /* or NULL */
void hfile_view_unref(struct hfile *h, struct hfile_view *v);

/* --- calls of the port --- */

int hfile_call_read(struct history *h, const struct history_range *range, struct arena *a,
                    struct history_page *out, struct err *err);
int hfile_call_checkpoint_get(struct history *h, const struct history_key *key, struct id id,
                              struct arena *a, struct history_checkpoint *out, struct err *err);
int hfile_call_checkpoint_list(struct history *h, const struct history_key *key, struct id after,
                               size_t limit, struct arena *a, struct history_checkpoint **out,
                               size_t *out_count, struct err *err);
int hfile_call_sweep(struct history *h, int64_t now_us, size_t budget, size_t *out_removed,
                     struct err *err);
/* --- opening --- */

/* Fills the index and the view from the folder; without read_only it also puts the logs in order.
 * *out_torn: bytes that were cut off, or would be. */
MUST_CHECK int hfile_load(struct hfile *h, uint64_t *out_torn, struct err *err);
struct hfile *hfile_new(struct rt *rt, const struct history_file_options *o);
MUST_CHECK int hfile_marker(struct hfile *h, struct err *err); /* is there, or is made */
MUST_CHECK int hfile_lock(struct hfile_io *io, struct err *err);
/* What was loaded goes; the folder is not touched. */
void hfile_unload(struct hfile *h);

#endif
