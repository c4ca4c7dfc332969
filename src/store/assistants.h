/* SPDX-License-Identifier: Apache-2.0 */
/* assistants.h - assistants and their versions.
 * JSON members (config, context, metadata) are object texts. Tests: tests/unit/store/ */
#ifndef HF_STORE_ASSISTANTS_H
#define HF_STORE_ASSISTANTS_H

#include "store/store.h"

struct assistant {
    struct id id;
    str owner, graph_id, name, description; /* description absent: null */
    str config, context, metadata;
    int64_t version, created_at, updated_at;
};
#define ASSISTANT_COLUMN_COUNT 11
void assistant_from_row(const struct db_rows *r, size_t row, size_t col, struct assistant *out);

enum assistant_sort {
    ASSISTANT_BY_CREATED,
    ASSISTANT_BY_UPDATED,
    ASSISTANT_BY_ID,
    ASSISTANT_BY_NAME,
    ASSISTANT_BY_GRAPH
};
struct assistant_filter {
    str metadata; /* containment; absent: any */
    str graph_id; /* absent: any */
    str name;     /* case-insensitive substring; absent: any */
    enum assistant_sort sort;
};
struct assistant_patch { /* absent members stay */
    str graph_id, name, description, config, context,
        metadata; /* metadata merges, the others replace */
};

/* Creates version 1. When the id exists: ERR_EXISTS ("Assistant already exists"), or with
 * do_nothing the existing one in *out (when it is the principal's, else ERR_EXISTS). */
MUST_CHECK int assistant_create(struct store *s, const struct principal *who,
                                const struct assistant *in, bool do_nothing, struct arena *a,
                                struct assistant *out, struct err *err);
/* ERR_NOT_FOUND "Assistant not found". Assistants of the server itself (metadata.created_by system,
 * owner "") can be read by everybody. */
MUST_CHECK int assistant_get(struct store *s, const struct principal *who, struct id id,
                             struct arena *a, struct assistant *out, struct err *err);
MUST_CHECK int assistant_update(struct store *s, const struct principal *who, struct id id,
                                const struct assistant_patch *patch, struct arena *a,
                                struct assistant *out, struct err *err);
/* What the assistant ever was, newest first; created_at and updated_at are the version's. metadata
 * absent: any. */
MUST_CHECK int assistant_versions(struct store *s, const struct principal *who, struct id id,
                                  str metadata, const struct page *page, struct arena *a,
                                  struct assistant **out, size_t *out_count, struct err *err);
/* Makes an older version's content the present one. ERR_NOT_FOUND, also of a version. */
MUST_CHECK int assistant_set_latest(struct store *s, const struct principal *who, struct id id,
                                    int64_t version, struct arena *a, struct assistant *out,
                                    struct err *err);
/* delete_threads: also the threads whose metadata.assistant_id is the id. */
MUST_CHECK int assistant_delete(struct store *s, const struct principal *who, struct id id,
                                bool delete_threads, struct arena *a, struct err *err);
MUST_CHECK int assistant_search(struct store *s, const struct principal *who,
                                const struct assistant_filter *f, const struct page *page,
                                struct arena *a, struct assistant **out, size_t *out_count,
                                struct err *err);
MUST_CHECK int assistant_count(struct store *s, const struct principal *who,
                               const struct assistant_filter *f, struct arena *a, int64_t *out,
                               struct err *err);
/* One assistant per graph, made at start: uuid5 of the graph's id, its name, metadata
 * {"created_by":"system"}. Those that were changed since stay as they are; the others get this
 * configuration. */
struct assistant_default {
    str graph_id, config, context; /* object texts; absent: {} */
};
MUST_CHECK int assistant_seed_configured(struct store *s, const struct assistant_default *defaults,
                                         size_t count, struct arena *a, struct err *err);
MUST_CHECK int assistant_seed(struct store *s, const char *const *graph_ids, size_t count,
                              struct arena *a, struct err *err);
/* The id of a graph's own assistant. */
struct id assistant_id_of_graph(str graph_id);

#endif
