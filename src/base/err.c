/* SPDX-License-Identifier: Apache-2.0 */
/* err.c - the error table and the filling of struct err.
 *
 * One table, spec/errors.def, indexed by the positive number of a code, gives name, HTTP status,
 * retryability and default text. Messages are formatted into a scratch buffer first, so that a
 * caller may pass the old message as an argument, and a cut never splits a UTF-8 sequence: messages
 * end up in JSON answers. A new code needs a line in errors.def and nothing here. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
    const char *name;
    const char *text;
    int status;
    bool retryable;
};

static const struct err_row err_table[] = {
#define ERR(name, number, status, retryable, text) [number] = {#name, text, status, retryable},
#include "errors.def"
#undef ERR
};

static const struct err_row *err_row(int code) {
    if (code >= 0 || code < -(int)(ARRAY_COUNT(err_table) - 1))
        return NULL;
    const struct err_row *row = &err_table[-code];
    return row->name ? row : NULL;
}

/* Length of z[0..len) without an incomplete UTF-8 sequence at its end. */
static size_t utf8_whole(const char *z, size_t len) {
    size_t back = 0;
    while (back < 3 && back < len && ((unsigned char)z[len - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back == len)
        return len;
    unsigned char lead = (unsigned char)z[len - 1 - back];
    size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    return need > back ? len - 1 - back : len;
}

static void message_set(struct err *e, const char *text, size_t len) {
    if (len >= ERR_MESSAGE_BYTES)
        len = utf8_whole(text, ERR_MESSAGE_BYTES - 1);
    memcpy(e->message, text, len);
    e->message[len] = '\0';
}

static void PRINTF_LIKE(4, 0)
err_fill(struct err *e, int code, int system, const char *format, va_list args) {
    char scratch[ERR_MESSAGE_BYTES + 1];
    int n = vsnprintf(scratch, sizeof scratch, format, args);
    e->code = code;
    e->system = system;
    e->retry_after_ms = 0;
    message_set(e, scratch, n < 0 ? 0 : strlen(scratch));
}

int err_set(struct err *e, int code, const char *format, ...) {
    if (e) {
        va_list args;
        va_start(args, format);
        err_fill(e, code, 0, format, args);
        va_end(args);
    }
    return code;
}

int err_set_system(struct err *e, int code, int system, const char *format, ...) {
    if (e) {
        va_list args;
        va_start(args, format);
        err_fill(e, code, system, format, args);
        va_end(args);
    }
    return code;
}

int err_context(struct err *e, const char *format, ...) {
    if (!e)
        return ERR_INTERNAL;
    char scratch[2 * ERR_MESSAGE_BYTES + 4];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(scratch, ERR_MESSAGE_BYTES, format, args);
    va_end(args);
    size_t len = n < 0 ? 0 : strlen(scratch);
    const char *old = e->message[0] ? e->message : err_text(e->code);
    memcpy(scratch + len, ": ", 2);
    size_t old_len = strlen(old);
    memcpy(scratch + len + 2, old, old_len);
    message_set(e, scratch, len + 2 + old_len);
    return e->code;
}

void err_reset(struct err *e) {
    if (!e)
        return;
    e->code = ERR_OK;
    e->system = 0;
    e->retry_after_ms = 0;
    e->message[0] = '\0';
}

const char *err_name(int code) {
    if (code == ERR_OK)
        return "OK";
    const struct err_row *row = err_row(code);
    return row ? row->name : "UNKNOWN";
}

const char *err_text(int code) {
    if (code == ERR_OK)
        return "OK";
    const struct err_row *row = err_row(code);
    return row ? row->text : "Unknown error.";
}

int err_http_status(int code) {
    if (code == ERR_OK)
        return 200;
    const struct err_row *row = err_row(code);
    return row ? row->status : 500;
}

bool err_retryable(int code) {
    const struct err_row *row = err_row(code);
    return row && row->retryable;
}

_Noreturn void assert_failed(const char *expression, const char *file, int line) {
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    fflush(stderr);
    abort();
}
