/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - a session as JSON, the same over HTTP and from the command.
 *
 * Members in this order: session, first_seq, last_seq, payload_bytes, created_at, updated_at. Times
 * are ISO-8601 in UTC, as everywhere. */
#include "base/clock.h"
#include "history/port.h"

static void write_time(struct json_writer *w, const char *key, int64_t wall_us) {
    char text[TIME_ISO_LEN];
    time_write_iso(wall_us, text);
    jw_key(w, key);
    jw_str(w, str_n(text, sizeof text));
}

void history_session_write(struct json_writer *w, const struct history_session *s) {
    jw_object(w);
    jw_key(w, "session");
    jw_str(w, s->name);
    jw_key(w, "first_seq");
    jw_i64(w, s->first_seq);
    jw_key(w, "last_seq");
    jw_i64(w, s->last_seq);
    jw_key(w, "payload_bytes");
    jw_i64(w, s->payload_bytes);
    write_time(w, "created_at", s->created_at);
    write_time(w, "updated_at", s->updated_at);
    jw_object_end(w);
}
