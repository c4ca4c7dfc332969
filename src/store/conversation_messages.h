/* SPDX-License-Identifier: Apache-2.0 */
/* conversation_messages.h - a window of the messages that a state of a thread holds.
 *
 * Nothing is kept beside the states: what a run adds is there with its checkpoint. In the native
 * layout a window reads the segments that it needs, from the end of the list or from the place that
 * a client names; elsewhere a state has its messages in one value, which is read whole.
 * Memory: results in the arena given. Suspends: every function with an err. Errors: ERR_NOT_FOUND
 * for a place that is none any more, ERR_CORRUPT, those of checkpoints.h.
 * Tests: tests/conformance/test_conversations.c, tests/integration/run-conversations */
#ifndef HF_STORE_CONVERSATION_MESSAGES_H
#define HF_STORE_CONVERSATION_MESSAGES_H

#include "base/json.h"
#include "store/checkpoints.h"

#define CONVERSATION_MESSAGES_MAX 500

/* Where a message is: its number in the list, and its id's hash, since numbers may move. */
struct message_place {
    int64_t number;
    struct id hash;
};
struct message_place message_place_of(int64_t number, str message_id);

enum message_side { MESSAGES_NEWEST, MESSAGES_BEFORE, MESSAGES_AFTER };
struct message_window {
    enum message_side side;
    struct message_place from; /* but for the newest */
    int64_t limit;             /* at most CONVERSATION_MESSAGES_MAX */
};
struct message_list {
    int64_t first, count; /* number of the first of them; how many they are */
    int64_t total;        /* in the whole list */
    yyjson_val **items;
    str parent; /* id of the message before the first; absent: there is none */
};

/* Those of a state, which was read without its values. */
MUST_CHECK int conversation_messages(struct store *s, struct checkpoint *c,
                                     const struct message_window *window, struct arena *a,
                                     struct message_list *out, struct err *err);
/* All of them. */
MUST_CHECK int conversation_messages_all(struct store *s, struct checkpoint *c, struct arena *a,
                                         struct message_list *out, struct err *err);
/* Is the list of a state one of segments? Then states of a thread with the same list_id have the
 * same messages, as many as both have. */
bool conversation_messages_listed(const struct checkpoint *c, struct arena *a, int64_t *list_id,
                                  int64_t *total);
/* Of such a list from a number on, and maybe some before it: the messages of so many segments. */
MUST_CHECK int conversation_messages_part(struct store *s, const struct checkpoint *c, int64_t from,
                                          int64_t segments, struct arena *a,
                                          struct message_list *out, struct err *err);
/* Two states of a thread with the same version have the same messages; absent: unknown. */
str conversation_messages_version(struct arena *a, const struct checkpoint *c);
/* The number of the message of that id; -1: none has it. */
int64_t message_find(const struct message_list *list, str id);
static inline str message_id_at(const struct message_list *list, int64_t number) {
    return json_str(json_get(list->items[number - list->first], "id"));
}

#endif
