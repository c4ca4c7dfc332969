/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - what went wrong at a model server, as ERR_MODEL_* with a text for people.
 *
 * Memory: none. Errors: this makes them; texts name host and status and the server's own words,
 * cut to one bounded line, with the caller's key masked. Suspends: never.
 * Tests: tests/unit/llm/test_openai.c */
#ifndef HF_LLM_FAULT_H
#define HF_LLM_FAULT_H

#include "base/json.h"
#include "http/client.h"

/* "name:port" of a base URL, without user name and password; points into url. */
str llm_fault_host(str url);
/* An answer with an error status. body is what was read of it, maybe nothing. */
int llm_fault_status(int status, str body, int retry_after_ms, str host, str secret,
                     struct err *err);
/* An error object inside an answer with status 200. */
int llm_fault_in_stream(yyjson_val *error, str host, str secret, struct err *err);
/* A failure of the HTTP client. */
int llm_fault_transport(const struct err *cause, str host, struct err *err);
/* From the headers Retry-After (seconds) and retry-after-ms; 0 when there is none. */
int llm_fault_retry_after_ms(const struct http_call *call);

#endif
