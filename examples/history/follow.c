/* SPDX-License-Identifier: Apache-2.0 */
/* follow.c - prints the payloads of a session as they come, and remembers how far it got.
 *
 * usage: follow STORE SESSION CONSUMER   (file:FOLDER, sqlite:FILE or postgres://…)
 *
 *   cc follow.c $(pkg-config --cflags --libs holdfast) -o follow
 *
 * What was printed is acknowledged under the consumer's name, so the next run goes on behind it. It
 * ends with an event of type "end". */
#include <holdfast.h>
#include <stdio.h>
#include <string.h>

/* 0 when the consumer is not there yet, or the session. */
static int64_t position(struct hf_history *h, const char *session, const char *name) {
    struct hf_consumers *consumers;
    int64_t acked_seq = 0;
    if (hf_consumer_list(h, NULL, session, &consumers, NULL) != HF_OK)
        return 0;
    for (size_t i = 0; i < consumers->count; i++) {
        if (strcmp(consumers->items[i]->name, name) == 0)
            acked_seq = consumers->items[i]->acked_seq;
    }
    hf_free(consumers);
    return acked_seq;
}

static int follow(struct hf_history *h, const char *session, const char *name,
                  struct hf_error *error) {
    int64_t at = position(h, session, name);
    int ended = 0, code = HF_OK;
    while (code == HF_OK && !ended) {
        struct hf_page *page;
        code = hf_follow(h, NULL, session, at, 100, -1, &page, error);
        if (code != HF_OK)
            break;
        for (size_t i = 0; i < page->count && !ended; i++) {
            const struct hf_event *event = page->events[i];
            ended = strcmp(event->type, "end") == 0;
            if (!ended)
                (void)printf("%lld %.*s\n", (long long)event->seq, (int)event->payload_size,
                             (const char *)event->payload);
            at = event->seq;
        }
        hf_free(page);
        (void)fflush(stdout);
        code = hf_consumer_ack(h, NULL, session, name, at, NULL, error);
    }
    return code;
}

int main(int argc, char **argv) {
    struct hf_history *h;
    struct hf_error error;
    if (argc != 4) {
        (void)fprintf(stderr, "usage: follow STORE SESSION CONSUMER\n");
        return 2;
    }
    int code = hf_open(argv[1], NULL, &h, &error);
    if (code == HF_OK) {
        code = follow(h, argv[2], argv[3], &error);
        (void)hf_close(h);
    }
    if (code != HF_OK)
        (void)fprintf(stderr, "follow: %s: %s\n", hf_code_name(code), error.message);
    return code == HF_OK ? 0 : 1;
}
