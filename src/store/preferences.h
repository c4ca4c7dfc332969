/* SPDX-License-Identifier: Apache-2.0 */
/* preferences.h - preferences of owners, and what stands in for them in one thread for a while.
 *
 * A row that is not mutable is changed and deleted by the service only, and only the first write of
 * a row says whether it is. A write that is stored is one statement; one that is refused asks in a
 * read why. docs/internals/preferences.md.
 * Memory: results in the arena given. Suspends: every function with an err, except *_add.
 * Tests: tests/conformance/test_preferences.c */
#ifndef HF_STORE_PREFERENCES_H
#define HF_STORE_PREFERENCES_H

#include "store/items.h"
#include "store/runs.h"

struct preference {
    str key;
    str value; /* JSON */
    bool mutable;
    int64_t updated_at;
};

/* Whose preferences they are, and who acts on them. */
struct preference_actor {
    str owner;
    bool service; /* also changes what is not mutable */
    bool fixes;   /* rows that it makes are not mutable */
};

/* The upsert that the others are made of, for a batch: ERR_CONFLICT when nothing was stored. */
void preference_put_add(struct db_batch *b, const struct preference_actor *by, str key, str value);
/* *out: what is stored. ERR_CONFLICT: it is not mutable; ERR_LIMIT: the owner has
 * PREFERENCE_COUNT_MAX others. */
MUST_CHECK int preference_put(struct store *s, const struct preference_actor *by, str key,
                              str value, struct arena *a, struct preference *out, struct err *err);
/* The same for all members of an object that was checked, or none of them. */
MUST_CHECK int preference_put_all(struct store *s, const struct preference_actor *by,
                                  yyjson_val *object, struct arena *a, struct preference **out,
                                  size_t *out_count, struct err *err);
MUST_CHECK int preference_get(struct store *s, str owner, str key, struct arena *a,
                              struct preference *out, struct err *err); /* "Preference not found" */
/* By key. keys: JSON list; absent: all of them. */
MUST_CHECK int preference_list(struct store *s, str owner, str keys, struct arena *a,
                               struct preference **out, size_t *out_count, struct err *err);
MUST_CHECK int preference_delete(struct store *s, const struct preference_actor *by, str key,
                                 struct arena *a, struct err *err);

/* --- of one thread --- */
struct preference_override {
    str key, value;
    int64_t expires_at;
};
MUST_CHECK int preference_override_put(struct store *s, const struct principal *who,
                                       struct id thread_id, str key, str value, struct arena *a,
                                       struct preference_override *out, struct err *err);
MUST_CHECK int preference_override_delete(struct store *s, const struct principal *who,
                                          struct id thread_id, str key, struct arena *a,
                                          struct err *err);
/* They are being used: a good part of their time over, it begins anew. Adds nothing when it is not
 * so, which is always the case without any. now_us: of the context's reading. */
bool preference_override_renew_add(const struct store *s, const struct principal *who,
                                   struct id thread_id, const struct run_context *ctx,
                                   int64_t now_us, struct db_batch *b);
MUST_CHECK int preference_override_sweep(struct store *s, int64_t now_us, int64_t limit,
                                         struct arena *a, int64_t *out_deleted, struct err *err);

/* --- what holds --- */
/* Has the platform, the owner or the thread any? Only then the other layers count. */
bool preference_any(const struct store *s, const struct run_context *ctx);
/* The layers of a context. of_assistant, of_request: objects, or absent. Gives the object of all;
 * absent without any. */
str preference_of_context(const struct store *s, const struct run_context *ctx, str of_assistant,
                          str of_request, struct arena *a);
/* The member `preferences` of a configuration; absent unless it is an object. */
str preference_of_configurable(struct arena *a, str configurable);
/* What an assistant's configuration says. */
str preference_of_assistant(struct arena *a, const struct assistant *assistant);

/* --- as items of the long-term store: preference_items.c --- */
/* Is it [owner, "preferences"], joined? Nobody's owner is "anonymous" there. */
bool preference_is_namespace(const struct principal *who, str name_space);
MUST_CHECK int preference_item_put_add(const struct store *s, const struct principal *who,
                                       const struct item_change *c, struct db_batch *b,
                                       struct err *err);
MUST_CHECK int preference_item_get(struct store *s, const struct principal *who, str key,
                                   struct arena *a, bool *found, struct item *out, struct err *err);
void preference_item_delete_add(const struct principal *who, str key, struct db_batch *b);
MUST_CHECK int preference_item_search(struct store *s, const struct principal *who, str filter,
                                      const struct page *page, struct arena *a, struct item **out,
                                      size_t *out_count, struct err *err);
/* The text of a batch's error, when a preference in it was refused. */
int preference_item_refused(const struct db_batch *b, int rc, struct err *err);

#endif
