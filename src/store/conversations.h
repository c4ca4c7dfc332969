/* SPDX-License-Identifier: Apache-2.0 */
/* conversations.h - conversations: threads as those who talk see them, newest first.
 *
 * A conversation is a thread, and has nothing of its own but a title and a summary, in a row that
 * is made when there is one. It is archived when the thread's metadata say since when.
 * docs/internals/conversations.md.
 * Memory: results in the arena given. Suspends: every function with an err.
 * Tests: tests/conformance/test_conversations.c */
#ifndef HF_STORE_CONVERSATIONS_H
#define HF_STORE_CONVERSATIONS_H

#include "store/threads.h"

#define CONVERSATION_ARCHIVED        "archived_at" /* the member of the thread's metadata */
#define CONVERSATION_TITLE_BYTES_MAX 2000
#define CONVERSATION_PAGE_MAX        200

struct conversation {
    struct id id;
    enum thread_status status;
    str metadata; /* object text, with archived_at */
    str title;    /* absent: none */
    int64_t created_at, updated_at;
    /* Of one that was asked for by its id. */
    str owner, config;
    str summary, summary_upto; /* absent: none; the id of the last message that it is of */
    int64_t summary_at;        /* 0: none */
    int64_t rank;              /* of one that was searched for */
};

/* A place in the list: behind this conversation, at that time. */
struct conversation_place {
    int64_t updated_at;
    struct id id;
};
/* Before everything, newest first. */
#define CONVERSATION_NEWEST ((struct conversation_place){INT64_C(253402300799999999), ID_LAST})
#define CONVERSATION_PLACE_LEN 80
/* "1767225600000000:0198…", and back; false for what is none. */
str conversation_place_write(struct arena *a, const struct conversation_place *p);
bool conversation_place_read(str text, struct conversation_place *out);

struct conversation_page {
    struct conversation_place from;
    bool newer;    /* what was added to later than `from`; else earlier */
    bool archived; /* those only; else the others only */
    int64_t limit; /* at most CONVERSATION_PAGE_MAX, and one more */
};
/* Of the principal, next to `from` first: newest first, unless newer ones are asked for. */
MUST_CHECK int conversation_list(struct store *s, const struct principal *who,
                                 const struct conversation_page *page, struct arena *a,
                                 struct conversation **out, size_t *out_count, struct err *err);
/* A place among what a search found: behind a conversation of this rank, at that time. */
struct conversation_hit {
    int64_t rank;
    struct conversation_place at;
};
#define CONVERSATION_RANK_MAX 1000000
#define CONVERSATION_BEST                                                                          \
    ((struct conversation_hit){CONVERSATION_RANK_MAX + 1, CONVERSATION_NEWEST})
/* "512500:1767225600000000:0198…", and back; false for what is none. */
str conversation_hit_write(struct arena *a, const struct conversation_hit *h);
bool conversation_hit_read(str text, struct conversation_hit *out);
/* Whose title or messages have some of the words, best first, behind `from`; archived ones, too. Of
 * messages those are searched that conversation_texts_update() has seen. */
MUST_CHECK int conversation_search(struct store *s, const struct principal *who, str text,
                                   const struct conversation_hit *from, int64_t limit,
                                   struct arena *a, struct conversation **out, size_t *out_count,
                                   struct err *err);

/* Makes the thread, too; an absent title is none. ERR_EXISTS "Conversation already exists". */
MUST_CHECK int conversation_create(struct store *s, const struct principal *who,
                                   const struct thread_new *n, str title, struct arena *a,
                                   struct err *err);
MUST_CHECK int conversation_get(struct store *s, const struct principal *who, struct id id,
                                struct arena *a, struct conversation *out,
                                struct err *err); /* "Conversation with ID {id} not found" */

/* What is changed; when it was added to last stays. */
struct conversation_change {
    bool titled;
    str title;    /* absent or empty: none */
    str metadata; /* to merge; absent: none */
    bool opened;  /* not archived any more */
};
/* c: as it was read for the principal. */
MUST_CHECK int conversation_change(struct store *s, const struct principal *who,
                                   const struct conversation *c,
                                   const struct conversation_change *change, struct arena *a,
                                   struct err *err);
/* In place of the one that was read with the conversation; ERR_CONFLICT: that is not there. */
MUST_CHECK int conversation_summary_put(struct store *s, const struct conversation *c, str summary,
                                        str upto, struct arena *a, struct err *err);

#endif
