/* SPDX-License-Identifier: Apache-2.0 */
/* inbox_int.h - what the handlers of the inbox share: what is done with a delivery. */
#ifndef HF_API_INBOX_INT_H
#define HF_API_INBOX_INT_H

#include "api/api_int.h"
#include "store/inbox.h"

/* An action as a source keeps it: checked, and with what it does not say. */
MUST_CHECK MAY_SUSPEND int inbox_action_read(struct api_request *r, yyjson_val *action, str *out,
                                             struct err *err);

/* Does with the delivery what the source says, in one batch with its row; fills status, thread and
 * run. again: the row is there, and says that it failed. ERR_REPEATED: the key is in use, or it has
 * not failed. What can never succeed is stored as failed, which is a success here. */
MUST_CHECK MAY_SUSPEND int inbox_act(struct api_request *r, const struct inbox_source *s,
                                     struct inbox_delivery *d, bool again, struct err *err);

#endif
