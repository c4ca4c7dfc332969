/* SPDX-License-Identifier: Apache-2.0 */
/* append.c - lines of standard input become events of a session, without waiting for each.
 *
 * usage: append STORE SESSION   (file:FOLDER, sqlite:FILE or postgres://…)
 *
 *   cc append.c $(pkg-config --cflags --libs holdfast) -o append
 *
 * Every line is appended with the form that calls back, so many are under way at a time and share
 * a sync. hf_close() returns when the last of them has been answered. */
#include <holdfast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counts {
    long stored, failed;
    char text[256];
};

/* On the handle's thread: it notes what came of a line, and returns. */
static void appended(void *ctx, int code, void *result, const struct hf_error *error) {
    struct counts *counts = ctx;
    if (code == HF_OK) {
        counts->stored++;
    } else {
        counts->failed++;
        (void)snprintf(counts->text, sizeof counts->text, "%s", error->message);
    }
    hf_free(result);
}

/* Waits until nothing is under way any more: a plain call is answered behind those before it. */
static int append_lines(struct hf_history *h, const char *session, struct counts *counts,
                        struct hf_error *error) {
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    int code = HF_OK;
    while (code == HF_OK && (length = getline(&line, &room, stdin)) > 0) {
        if (line[length - 1] == '\n')
            length--;
        struct hf_event event = {.struct_size = sizeof event,
                                 .type = "line",
                                 .payload_kind = HF_BYTES,
                                 .payload = line,
                                 .payload_size = (size_t)length};
        code = hf_append_async(h, NULL, session, &event, 1, appended, counts, error);
        if (code == HF_LIMIT) /* enough is under way: this one is waited for */
            code = hf_append(h, NULL, session, &event, 1, NULL, error);
    }
    free(line);
    return code;
}

int main(int argc, char **argv) {
    struct hf_history *h;
    struct hf_error error;
    struct hf_session *session;
    struct counts counts = {0};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: append STORE SESSION\n");
        return 2;
    }
    int code = hf_open(argv[1], NULL, &h, &error);
    if (code == HF_OK) {
        code = append_lines(h, argv[2], &counts, &error);
        if (code == HF_OK) /* one more, of which the answer comes last */
            code = hf_append_json(h, NULL, argv[2], "{\"type\":\"end\",\"payload\":null}", 29, NULL,
                                  &error);
        if (code == HF_OK)
            code = hf_session_get(h, NULL, argv[2], &session, &error);
        if (code == HF_OK) {
            (void)printf("%s: %lld events\n", session->name, (long long)session->last_seq);
            hf_free(session);
        }
        (void)hf_close(h);
    }
    if (code != HF_OK)
        (void)fprintf(stderr, "append: %s: %s\n", hf_code_name(code), error.message);
    if (counts.failed > 0)
        (void)fprintf(stderr, "append: %ld lines failed: %s\n", counts.failed, counts.text);
    return code == HF_OK && counts.failed == 0 ? 0 : 1;
}
