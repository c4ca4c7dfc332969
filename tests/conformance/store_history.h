/* SPDX-License-Identifier: Apache-2.0 */
/* store_history.h - one history of calls of the store, and its transcript; see test_store.c. */
#ifndef HF_TESTS_STORE_HISTORY_H
#define HF_TESTS_STORE_HISTORY_H

#include "fixture.h"
#include "store/store.h"

struct history {
    struct fixture *f;
    struct store store;
    struct arena *a;
    struct buf text;
    struct err err;
    int64_t ticks; /* of its clock: one a call */
};

/* A line of the transcript. */
void line(struct history *h, const char *format, ...) PRINTF_LIKE(2, 3);
/* JSON in its canonical form, other texts as they are. */
str plain(struct history *h, str s);
#define P(s)   STR_ARG(plain(h, (s)))
#define ID(id) STR_ARG(id_hex(h->a, (id)))

#define CALL(name, call)                                                                           \
    do {                                                                                           \
        h->ticks++;                                                                                \
        err_reset(&h->err);                                                                        \
        int call_code = (call);                                                                    \
        line(h, "%s: %s", name, err_name(call_code));                                              \
        if (call_code == ERR_INTERNAL || call_code == ERR_IO || call_code == ERR_UNAVAILABLE)      \
            fixture_fail(h->f, "%s: %s", name, h->err.message);                                    \
    } while (0)

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}},
                              NOBODY = {.owner = {"", 0}}, ALL = {.owner = {"", 0}, .all = true};

void store_items(struct history *h); /* store_items.c: what concerns items */

#endif
