/* SPDX-License-Identifier: Apache-2.0 */
/* thread_settings.c - what the options say about the life of threads.
 *
 * LANGGRAPH_CHECKPOINTER holds the section `checkpointer` of a langgraph.json, as images of other
 * servers are given it; its `ttl` goes over the single options. Other members mean nothing here; a
 * ttl that cannot be read stops the start. */
#include "app/thread_settings.h"

#include "model/validate.h"
#include "store/thread_ttl.h"

#define MINUTE_US      (INT64_C(60) * 1000000)
#define DAY_US         (INT64_C(86400) * 1000000)
#define DOCUMENT_BYTES (1 << 20)

static int read_ttl(struct arena *a, str text, struct engine_options *out, struct thread_ttl *ttl,
                    struct err *err) {
    yyjson_val *root, *section;
    struct body b;
    if (json_parse(a, text, &root, err) < 0)
        return err_set(err, ERR_INVALID, "checkpointer: must be JSON");
    section = json_get(root, "ttl");
    if (!section || yyjson_is_null(section))
        return 0;
    body_init(&b, a, section);
    double most = (double)(THREAD_TTL_US_MAX / MINUTE_US);
    double minutes = body_double(&b, "default_ttl", 0, most, (double)ttl->us / MINUTE_US);
    double interval = body_double(&b, "sweep_interval_minutes", 1.0 / 60, 1440,
                                  (double)out->thread_sweep_us / MINUTE_US);
    ttl->strategy =
        (enum prune_strategy)body_enum(&b, "strategy", &PRUNE_STRATEGY_WORDS, (int)ttl->strategy);
    ttl->us = (int64_t)(minutes * MINUTE_US);
    out->thread_sweep_us = (int64_t)(interval * MINUTE_US);
    out->thread_sweep_max =
        body_int(&b, "sweep_limit", (struct body_range){1, 1000000, out->thread_sweep_max});
    int rc = body_done(&b, err);
    if (rc < 0)
        (void)err_context(err, "checkpointer: ttl");
    return rc;
}

int thread_settings(const struct config *c, struct engine_options *out, struct thread_ttl *out_ttl,
                    struct err *err) {
    *out_ttl = (struct thread_ttl){
        .strategy =
            c->thread_ttl_strategy == CONFIG_TTL_KEEP_LATEST ? PRUNE_KEEP_LATEST : PRUNE_DELETE,
        .us = c->thread_ttl_minutes * MINUTE_US,
    };
    out->thread_sweep_us = c->thread_sweep_interval_us;
    out->thread_sweep_max = c->thread_sweep_count_max;
    out->keep_states = c->thread_keep_states;
    out->keep_us = c->thread_keep_days * DAY_US;
    if (c->checkpointer.len == 0)
        return 0;
    struct arena a;
    arena_init(&a, DOCUMENT_BYTES);
    int rc = read_ttl(&a, c->checkpointer, out, out_ttl, err);
    arena_deinit(&a);
    return rc;
}
