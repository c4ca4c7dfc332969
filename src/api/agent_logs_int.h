/* SPDX-License-Identifier: Apache-2.0 */
/* agent_logs_int.h - how questions for logs of agents and for their insights are read alike. */
#ifndef HF_API_AGENT_LOGS_INT_H
#define HF_API_AGENT_LOGS_INT_H

#include "api/api_int.h"
#include "store/agent_logs.h"

/* session_id, category, since, until, cursor and limit of the query; ERR_INVALID. */
MUST_CHECK int api_log_query(struct api_request *r, int64_t page_max, struct agent_log_query *q,
                             struct err *err);
/* The member `next`: the place of the last row that was looked at, while there are more. */
void api_write_log_place(struct json_writer *w, struct arena *a, const struct agent_log_next *next);

#endif
