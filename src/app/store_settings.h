/* SPDX-License-Identifier: Apache-2.0 */
/* store_settings.h - how the long-term store works, from its options and LANGGRAPH_STORE.
 *
 * Owner: the caller. Memory: of the result, the configuration's. Errors: ERR_INVALID, ERR_MALFORMED
 * with a text that names the member. Suspends: never.
 * Tests: tests/unit/app/test_store_settings.c */
#ifndef HF_APP_STORE_SETTINGS_H
#define HF_APP_STORE_SETTINGS_H

#include "app/config.h"
#include "llm/embeddings.h"
#include "store/store.h"

struct store_settings {
    struct item_options items;
    struct preference_options preferences;
    struct agent_log_options agent_logs;
    int64_t sweep_us;                /* 0: the engine's own */
    struct embeddings_options embed; /* without a model: none */
    const str *paths;                /* that become vectors */
    size_t path_count;
};
MUST_CHECK int store_settings(struct config *c, struct store_settings *out, struct err *err);

#endif
