/* SPDX-License-Identifier: Apache-2.0 */
/* items_batch.c - many operations on the long-term store in one request.
 *
 * Design: as in a batch of LangGraph's own store, what reads sees the store as it was before what
 * writes. The reads are answered in order; then all puts and deletes are one batch of the database:
 * stored together or not at all, the last one of a key counting. Everything is parsed before
 * anything is done, so a wrong operation changes nothing. */
#include "api/items_int.h"
#include "store/preferences.h"

#define OPS_MAX 200

enum op_kind { OP_GET, OP_SEARCH, OP_NAMESPACES, OP_PUT, OP_DELETE };
static const struct word KIND_LIST[] = {{STR("get"), OP_GET},
                                        {STR("search"), OP_SEARCH},
                                        {STR("namespaces"), OP_NAMESPACES},
                                        {STR("put"), OP_PUT},
                                        {STR("delete"), OP_DELETE}};
static const struct word_set KINDS = {KIND_LIST, ARRAY_COUNT(KIND_LIST)};

struct op {
    enum op_kind kind;
    struct body body;
    struct item_change change; /* of a get and a delete: namespace and key */
    bool refresh;
};

static int op_read(struct api_request *r, yyjson_val *v, struct op *out, struct err *err) {
    struct op op = {.refresh = !r->store->items.keep_ttl};
    body_init(&op.body, r->arena, v);
    int kind = body_enum(&op.body, "op", &KINDS, -1), rc = 0;
    if (kind < 0)
        body_fault(&op.body, "op", "is required");
    op.kind = (enum op_kind)kind;
    if (kind == OP_PUT)
        rc = items_read_put(r->store, &op.body, &op.change, err);
    else if (kind == OP_SEARCH || kind == OP_NAMESPACES || kind < 0)
        rc = body_done(&op.body, err);
    else if (kind == OP_GET)
        op.refresh = body_bool(&op.body, "refresh_ttl", op.refresh);
    if (rc == 0 && (kind == OP_GET || kind == OP_DELETE))
        rc = items_read_key(&op.body, &op.change.name_space, &op.change.key, err);
    if (rc == 0)
        *out = op;
    return rc;
}

static int get(struct api_request *r, const struct op *op, struct json_writer *w, struct err *err) {
    struct item item;
    bool found;
    int rc = item_get(r->store, &r->who, op->change.name_space, op->change.key, op->refresh,
                      r->arena, &found, &item, err);
    if (rc < 0)
        return rc;
    if (found)
        api_write_item(w, &item);
    else
        jw_null(w);
    return 0;
}

static int answer(struct api_request *r, struct op *op, struct json_writer *w, struct err *err) {
    switch (op->kind) {
    case OP_GET:
        return get(r, op, w, err);
    case OP_SEARCH:
        return items_search(r, &op->body, w, err);
    case OP_NAMESPACES:
        return items_namespaces(r, &op->body, w, err);
    case OP_PUT:
    case OP_DELETE:
        jw_null(w);
        return 0;
    }
    UNREACHABLE();
}

static bool is_preference(const struct api_request *r, const struct op *op) {
    return preference_is_namespace(&r->who, op->change.name_space);
}

static int commit(struct api_request *r, const struct op *ops, size_t count, struct err *err) {
    struct db_batch b;
    struct item_change *puts = ARENA_ARRAY(r->arena, struct item_change, count), *put = puts;
    size_t put_count = 0;
    db_batch_init(&b, r->arena);
    for (size_t i = 0; i < count; i++)
        if (ops[i].kind == OP_PUT && !is_preference(r, &ops[i]))
            puts[put_count++] = ops[i].change;
    int rc = item_index(r->store, puts, put_count, r->arena, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct item_change *c = &ops[i].change;
        if (ops[i].kind == OP_PUT)
            rc = item_put_add(r->store, &r->who, is_preference(r, &ops[i]) ? c : put++, &b, err);
        else if (ops[i].kind == OP_DELETE)
            item_delete_add(&r->who, c->name_space, c->key, &b);
    }
    return rc < 0 || b.count == 0 ? rc : item_commit(r->store, &b, err);
}

static int ops_read(struct api_request *r, struct op **out, size_t *out_count, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    yyjson_val *list = body_array(&b, "ops"), *v;
    size_t i, count = yyjson_arr_size(list);
    if (count == 0 || count > OPS_MAX)
        body_fault(&b, "ops", "must be a list of 1 to %d operations", OPS_MAX);
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    struct op *ops = ARENA_ARRAY(r->arena, struct op, count);
    yyjson_arr_foreach(list, i, count, v) {
        rc = op_read(r, v, &ops[i], err);
        if (rc < 0) {
            (void)err_context(err, "ops[%zu]", i);
            return rc;
        }
    }
    *out = ops;
    *out_count = count;
    return 0;
}

int api_item_batch(struct api_request *r, struct err *err) {
    struct op *ops;
    size_t count;
    int rc = ops_read(r, &ops, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "results");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        rc = answer(r, &ops[i], &w, err);
        if (rc < 0) {
            (void)err_context(err, "ops[%zu]", i);
            return rc;
        }
    }
    jw_array_end(&w);
    jw_object_end(&w);
    rc = commit(r, ops, count, err);
    return rc < 0 ? rc : api_reply_json(r, 200);
}
