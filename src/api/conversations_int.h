/* SPDX-License-Identifier: Apache-2.0 */
/* conversations_int.h - what the handlers of /conversations share.
 *
 * Memory: the request's arena. Suspends: what is marked so. Tests: run-conversations */
#ifndef HF_API_CONVERSATIONS_INT_H
#define HF_API_CONVERSATIONS_INT_H

#include "api/api_int.h"
#include "store/conversation_messages.h"
#include "store/conversations.h"

/* The thread of the conversation that the path names; 404 "Conversation with ID {id} not found". */
MUST_CHECK MAY_SUSPEND int api_conversation_thread(struct api_request *r, struct thread *out,
                                                   struct err *err);
int api_message_missing(struct err *err); /* 404 */
/* A message as it is shown; parent: id of the one before, absent: none. */
void api_write_message(struct json_writer *w, yyjson_val *message, str parent);

/* What a change came to; what is nil or absent is null. */
struct conversation_changed {
    struct id checkpoint_id;
    str message_id;
    const struct run *run;
};
int api_reply_changed(struct api_request *r, const struct conversation_changed *c);

#endif
