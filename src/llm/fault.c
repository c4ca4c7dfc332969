/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - maps what model servers and the way to them can do wrong.
 *
 *   cannot resolve, connect, TLS, no answer  MODEL_REFUSED
 *   401, 403                                 MODEL_AUTH
 *   429, or a code that says rate limit      MODEL_RATE    (with the time the server asks for)
 *   408, 5xx, time-outs, a cut answer        MODEL_FAILED
 *   any other 3xx and 4xx                    MODEL_REQUEST
 *   an answer that is not HTTP               MODEL_PROTOCOL
 *
 * The server's words are looked for where the known servers put them: error.message, error (a
 * text), message, detail; else the start of the body. */
#include "llm/fault.h"

#include <stdio.h>

#define WORDS_BYTES 144

str llm_fault_host(str url) {
    ptrdiff_t at = str_find(url, STR("://"));
    str rest = at < 0 ? url : str_slice(url, (size_t)at + 3, url.len);
    size_t start = 0;
    size_t end = 0;
    for (; end < rest.len && !strchr("/?#", rest.p[end]); end++)
        if (rest.p[end] == '@')
            start = end + 1;
    return str_slice(rest, start, end < start + 96 ? end : start + 96);
}

/* One line, bounded, cut between characters, without the secret. */
static void words_copy(char out[WORDS_BYTES], str text, str secret) {
    size_t n = 0;
    for (size_t i = 0; i < text.len && n < WORDS_BYTES - 4; i++) {
        if (secret.len > 0 && str_starts(str_slice(text, i, text.len), secret)) {
            memcpy(out + n, "***", 3);
            n += 3;
            i += secret.len - 1;
            continue;
        }
        unsigned char c = (unsigned char)text.p[i];
        out[n++] = c < ' ' || c == 127 ? ' ' : (char)c;
    }
    while (n > 0 && !str_is_utf8(str_n(out, n)))
        n--;
    out[n] = '\0';
}

static str words_in_object(yyjson_val *root) {
    yyjson_val *error = json_get(root, "error");
    str words = json_str(json_get(error, "message"));
    if (!words.len)
        words = json_str(error);
    if (!words.len)
        words = json_str(json_get(root, "message"));
    if (!words.len)
        words = json_str(json_get(root, "detail"));
    return words;
}

/* Google says a wrong key with 400, and how long to wait inside of the body. */
static void hints_find(yyjson_val *error, int *status, int *retry_after_ms) {
    yyjson_val *details = json_get(error, "details"), *detail;
    size_t i, n;
    if (!yyjson_is_arr(details))
        return;
    yyjson_arr_foreach(details, i, n, detail) {
        str delay = json_str(json_get(detail, "retryDelay"));
        double seconds;
        if (str_eq(json_str(json_get(detail, "reason")), STR("API_KEY_INVALID")))
            *status = 401;
        if (*retry_after_ms == 0 && str_ends(delay, STR("s")) &&
            str_to_double(str_slice(delay, 0, delay.len - 1), &seconds) && seconds > 0)
            *retry_after_ms = seconds < 86400 ? (int)(seconds * 1000) : 86400000;
    }
}

static void body_read(char out[WORDS_BYTES], str body, str secret, int *status,
                      int *retry_after_ms) {
    struct arena scratch;
    arena_init(&scratch, 16 * body.len + 64 * 1024);
    yyjson_val *root;
    str words = str_trim(body);
    if (body.len > 0 && json_parse(&scratch, body, &root, NULL) == 0) {
        root = yyjson_is_arr(root) ? yyjson_arr_get_first(root) : root;
        str inner = words_in_object(root);
        hints_find(json_get(root, "error"), status, retry_after_ms);
        if (inner.len > 0)
            words = inner;
    }
    words_copy(out, words, secret);
    arena_deinit(&scratch);
}

static int status_code(int status) {
    if (status == 401 || status == 403)
        return ERR_MODEL_AUTH;
    if (status == 429)
        return ERR_MODEL_RATE;
    if (status == 408 || status >= 500)
        return ERR_MODEL_FAILED;
    return ERR_MODEL_REQUEST;
}

static int fault_set(struct err *err, int status, int retry_after_ms, str host, const char *words) {
    int code = status_code(status);
    const char *what = code == ERR_MODEL_AUTH     ? "refused the credentials"
                       : code == ERR_MODEL_RATE   ? "limits the rate of requests"
                       : code == ERR_MODEL_FAILED ? "failed"
                                                  : "refused the request";
    err_set_system(err, code, status, "the model server " STR_FMT " %s (status %d)%s%s",
                   STR_ARG(host), what, status, words[0] ? ": " : "", words);
    if (err)
        err->retry_after_ms = retry_after_ms;
    return code;
}

int llm_fault_status(int status, str body, int retry_after_ms, str host, str secret,
                     struct err *err) {
    char words[WORDS_BYTES];
    body_read(words, body, secret, &status, &retry_after_ms);
    return fault_set(err, status, retry_after_ms, host, words);
}

static int status_of_error(yyjson_val *error) {
    yyjson_val *code = json_get(error, "code");
    if (!code || yyjson_is_null(code))
        code = json_get(error, "status");
    int64_t number = 0;
    if (yyjson_is_int(code))
        number = yyjson_get_sint(code);
    else if (yyjson_is_str(code) && !str_to_i64(json_str(code), &number))
        number = 0;
    if (number >= 400 && number < 600)
        return (int)number;
    str type = json_str(json_get(error, "type"));
    if (str_find(type, STR("permission")) >= 0)
        return 403;
    str name = json_str(code);
    if (str_find(type, STR("rate_limit")) >= 0 || str_find(name, STR("rate_limit")) >= 0)
        return 429;
    if (str_find(type, STR("authentication")) >= 0 || str_eq(name, STR("invalid_api_key")))
        return 401;
    return str_find(type, STR("invalid_request")) >= 0 ? 400 : 500;
}

int llm_fault_in_stream(yyjson_val *error, str host, str secret, struct err *err) {
    char words[WORDS_BYTES];
    str text = json_str(json_get(error, "message"));
    if (!text.len)
        text = json_str(error);
    words_copy(words, text, secret);
    return fault_set(err, status_of_error(error), 0, host, words);
}

int llm_fault_transport(const struct err *cause, str host, struct err *err) {
    const char *why = cause->message;
    switch (cause->code) {
    case ERR_CANCELLED:
        return err_set(err, ERR_CANCELLED, "the call to the model server " STR_FMT " was cancelled",
                       STR_ARG(host));
    case ERR_UNAVAILABLE:
    case ERR_LIMIT:
        return err_set(err, ERR_MODEL_REFUSED, "the model server cannot be reached: %.200s", why);
    case ERR_INVALID:
        return err_set(err, ERR_MODEL_REQUEST,
                       "the call to the model server cannot be made: %.180s", why);
    case ERR_MALFORMED:
    case ERR_TOO_LARGE:
        return err_set(err, ERR_MODEL_PROTOCOL,
                       "the model server's answer cannot be understood: %.180s", why);
    case ERR_TIMEOUT:
        return err_set(err, ERR_MODEL_FAILED, "the model server is too slow: %.200s", why);
    default:
        return err_set(err, ERR_MODEL_FAILED, "the model server failed: %.200s", why);
    }
}

int llm_fault_retry_after_ms(const struct http_call *call) {
    double value;
    if (str_to_double(http_call_header(call, STR("retry-after-ms")), &value) && value > 0)
        return value < 86400e3 ? (int)value : 86400000;
    if (str_to_double(http_call_header(call, STR("retry-after")), &value) && value > 0)
        return value < 86400 ? (int)(value * 1000) : 86400000;
    return 0;
}
