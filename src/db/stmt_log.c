/* SPDX-License-Identifier: Apache-2.0 */
/* stmt_log.c - the statement log.
 *
 * The text logged is the statement as it stands in the catalogue: its parameters are marks, so a
 * preview cannot show what a user stored. The preview is cut between characters, never inside one,
 * so that the log stays valid UTF-8. */
#include "db/stmt_log.h"

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void stmt_log_preview(const char *sql, char out[STMT_LOG_PREVIEW_BYTES]) {
    size_t len = 0, chars = 0;
    while (is_space(*sql))
        sql++;
    while (*sql) {
        bool starts_char = ((unsigned char)*sql & 0xC0) != 0x80;
        if (starts_char && chars == STMT_LOG_PREVIEW_CHARS)
            break;
        /* Malformed text may have more trailing bytes than four to a character. */
        if (len == STMT_LOG_PREVIEW_BYTES - 1)
            break;
        if (is_space(*sql)) {
            while (is_space(sql[1]))
                sql++;
            out[len++] = ' ';
        } else {
            out[len++] = *sql;
        }
        chars += starts_char;
        sql++;
    }
    if (len > 0 && out[len - 1] == ' ')
        len--;
    out[len] = '\0';
}

void stmt_log_write(const char *name, const char *sql, int64_t latency_us, int64_t rows) {
    enum log_level level = LOG_INFO;
    const char *event = "db.query", *message = "statement";
    if (latency_us > STMT_LOG_ERROR_US) {
        level = LOG_ERROR;
        event = "db.query.critical-slow";
        message = "critically slow statement";
    } else if (latency_us > STMT_LOG_WARN_US) {
        level = LOG_WARN;
        event = "db.query.slow";
        message = "slow statement";
    }
    if (!log_enabled(level))
        return;
    char preview[STMT_LOG_PREVIEW_BYTES];
    stmt_log_preview(sql, preview);
    log_event(level, event, message, LOG_Z("statement", name),
              LOG_DOUBLE("latency_ms", (double)latency_us / 1000.0), LOG_INT("rows", rows),
              LOG_Z("preview", preview));
}
