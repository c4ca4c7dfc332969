/* SPDX-License-Identifier: Apache-2.0 */
/* http_get.c - the tool that fetches a text from a host the server's operator allows.
 *
 * What is asked comes from a model, hence from whoever can put words before it: guarded_http.c says
 * what is refused. 10 seconds, 64 KB, UTF-8 text; redirects are told to the model, not followed. */
#include "graphs/guarded_http.h"
#include "graphs/tools.h"

#define TIMEOUT_US     10000000
#define BODY_BYTES_MAX (64 * 1024)

static void write_answer(const struct tool_call *call, const struct guarded_answer *a,
                         struct tool_answer *out) {
    str body = a->body, place = a->status >= 300 && a->status < 400 ? a->location : STR_NULL;
    if (a->cut)
        body.len = str_utf8_prefix(body);
    if (!str_is_utf8(body))
        body = STR("(the answer is not text)");
    out->failed = a->status < 200 || a->status > 299;
    out->text = arena_printf(
        call->arena, "%sstatus %d%s" STR_FMT "%s" STR_FMT "%s\n\n" STR_FMT "%s",
        out->failed ? "Error: " : "", a->status, a->type.len ? ", " : "", STR_ARG(a->type),
        place.len ? ", leads to " : "", STR_ARG(place), place.len ? " (not followed)" : "",
        STR_ARG(body), a->cut ? "\n(cut here: the answer is longer than 64 KB)" : "");
}

int tool_http_get(const struct tool_call *call, struct tool_answer *out) {
    struct http_header accept = {STR("Accept"), STR("text/*, application/json, */*;q=0.5")};
    struct guarded_request request = {.method = HTTP_GET,
                                      .url = json_str(json_get(call->arguments, "url")),
                                      .headers = &accept,
                                      .header_count = 1,
                                      .timeout_us = TIMEOUT_US,
                                      .body_bytes_max = BODY_BYTES_MAX,
                                      .trace = call->trace};
    struct guarded_answer answer;
    struct err err = {0};
    int rc = guarded_fetch(call->services, call->arena, &request, &answer, &err);
    if (rc == ERR_CANCELLED)
        return rc;
    if (rc == 0) {
        write_answer(call, &answer, out);
        return 0;
    }
    out->failed = true;
    out->text = arena_printf(call->arena, "Error: %s", err.message);
    return 0;
}
