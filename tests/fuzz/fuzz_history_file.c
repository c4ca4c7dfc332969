/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_history_file.c - a folder of any bytes opened as a file history.
 *
 * Input: a byte of choices, then three times a length (u32) and that many bytes: the manifest,
 * seg-1, log-1 or log-2. By choice the checksums are set right first, so that lengths and indexes
 * that are wrong are met behind them. Checks: verify never crashes, and says no more than there is;
 * repair loses no whole unit, and a second one has nothing to do. */
#include "../support/history_disk.h"
#include "history/file/crc32c.h"
#include "history/file/file.h"
#include "history/file/format.h"

#define FIX_RECORDS  1
#define FIX_FOOTER   2
#define FIX_MANIFEST 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static str take(str *rest) {
    uint32_t len = 0;
    if (rest->len >= sizeof len) {
        memcpy(&len, rest->p, sizeof len);
        *rest = str_slice(*rest, sizeof len, rest->len);
    }
    str out = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len, rest->len);
    return out;
}

/* Sets the CRCs of records from p on, as far as their lengths lead. */
static void fix_records(char *p, size_t bytes) {
    struct hfile_record r;
    for (size_t at = 0; at + sizeof r <= bytes; at += r.bytes) {
        memcpy(&r, p + at, sizeof r);
        if (r.bytes < sizeof r || r.bytes > bytes - at)
            return;
        r.crc = hfile_crc(str_n(p + at + 8, r.bytes - 8));
        memcpy(p + at, &r, sizeof r);
    }
}

/* Sets the CRCs of the frames, and of their table, as far as they lie in the file. */
static void fix_frames(char *p, size_t bytes, struct hfile_footer *f) {
    struct hfile_frame frame;
    uint64_t table = f->data_bytes / f->frame_bytes + (f->data_bytes % f->frame_bytes > 0);
    if (f->sections[0].at > bytes || table > f->sections[0].at / sizeof frame)
        return;
    char *first = p + f->sections[0].at - table * sizeof frame;
    for (uint64_t i = 0; i < table; i++) {
        memcpy(&frame, first + i * sizeof frame, sizeof frame);
        if (frame.at <= bytes && frame.bytes <= bytes - frame.at)
            frame.crc = hfile_crc(str_n(p + frame.at, frame.bytes));
        memcpy(first + i * sizeof frame, &frame, sizeof frame);
    }
    f->frames_crc = hfile_crc(str_n(first, table * sizeof frame));
}

static void fix_segment(char *p, size_t bytes, bool records) {
    struct hfile_footer f;
    if (bytes < sizeof f)
        return;
    memcpy(&f, p + bytes - sizeof f, sizeof f);
    if (f.frame_bytes > 0)
        fix_frames(p, bytes, &f);
    else if (records && f.data_bytes <= bytes)
        fix_records(p, f.data_bytes);
    for (int i = 0; i < HFILE_SECTIONS; i++) {
        if (f.sections[i].at > bytes || f.sections[i].bytes > bytes - f.sections[i].at)
            continue;
        if (records && i == HFILE_STATES)
            fix_records(p + f.sections[i].at, f.sections[i].bytes);
        f.sections[i].crc = hfile_crc(str_n(p + f.sections[i].at, f.sections[i].bytes));
    }
    f.crc = hfile_crc(str_n((const char *)&f, offsetof(struct hfile_footer, crc)));
    memcpy(p + bytes - sizeof f, &f, sizeof f);
}

static char *copy_of(str text) {
    char *p = mem_zalloc(text.len + 1);
    if (text.len > 0)
        memcpy(p, text.p, text.len);
    return p;
}

static void put_segment(struct disk *d, str text, uint8_t choice) {
    char *p = copy_of(text);
    if (choice & FIX_FOOTER)
        fix_segment(p, text.len, choice & FIX_RECORDS);
    disk_put(d, "seg-1", str_n(p, text.len));
    mem_free(p);
}

static void put_log(struct disk *d, str text, uint8_t choice) {
    size_t head = sizeof(struct hfile_log_head);
    char *p = copy_of(text);
    bool second = text.len > 8 && p[8] == 2; /* the number in its head */
    if (choice & FIX_RECORDS && text.len > head)
        fix_records(p + head, text.len - head);
    disk_put(d, second ? "log-2" : "log-1", str_n(p, text.len));
    mem_free(p);
}

static void put_manifest(struct disk *d, str text, uint8_t choice) {
    struct hfile_manifest m;
    char *p = copy_of(text);
    if (choice & FIX_MANIFEST && text.len >= sizeof m) {
        size_t from = offsetof(struct hfile_manifest, sealed_log);
        memcpy(&m, p, sizeof m);
        m.crc = hfile_crc(str_n(p + from, text.len - from));
        memcpy(p, &m, sizeof m);
    }
    disk_put(d, "manifest", str_n(p, text.len));
    mem_free(p);
}

static int look(struct disk *d, struct history_file_report *out) {
    struct err err = {0};
    int rc = history_file_verify("", &d->io, NULL, NULL, out, &err);
    ASSERT(rc == 0 || err.message[0]);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct history_file_report before = {0}, after = {0};
    struct err err = {0};
    int64_t cut = 0;
    if (size < 1)
        return 0;
    str rest = str_n((const char *)data + 1, size - 1);
    struct disk *d = disk_new(1);
    disk_put(d, "holdfast-history", STR(HFILE_MARKER));
    str manifest = take(&rest), segment = take(&rest), log = take(&rest);
    if (manifest.len > 0)
        put_manifest(d, manifest, data[0]);
    put_segment(d, segment, data[0]);
    put_log(d, log, data[0]);
    int rc = look(d, &before);
    ASSERT(rc < 0 || before.torn_bytes <= (int64_t)log.len);
    if (history_file_repair("", &d->io, &cut, &err) == 0) {
        int again = look(d, &after);
        ASSERT(rc == again);
        ASSERT(rc < 0 || before.findings > 0 ||
               (after.events == before.events && after.torn_bytes == 0 && after.findings == 0));
        ASSERT(history_file_repair("", &d->io, &cut, &err) == 0 && cut == 0);
    }
    disk_free(d);
    return 0;
}
