/* SPDX-License-Identifier: Apache-2.0 */
/* conversation_branches.c - the handlers that show the branches of a conversation, and change over.
 *
 * A branch is a state that none came from: a leaf of the tree that the checkpoints' parents make.
 * Nothing else is kept of branches, so those that LangGraph's own forks make are branches, too.
 * What stands in a message's place is what follows the same message, or begins, in other leaves.
 *
 * The newest state is what a thread goes on from. Changing over copies a leaf as LangGraph does
 * (__copy__), which makes it the newest; two leaves with messages of one version are one branch. */
#include "api/conversations_int.h"
#include "base/map.h"
#include "engine/inspect.h"

#define PAGE_STATES  500
#define STATES_MAX   5000
#define BRANCHES_MAX 200

struct leaf {
    struct id id, oldest; /* the newest with these messages, and the oldest */
    str version;          /* of its messages; absent: unknown */
};
struct leaves {
    struct leaf list[BRANCHES_MAX];
    size_t count;
    bool complete; /* there are no others */
};

/* --- leaves --- */

static struct leaf *known(struct leaves *l, str version) {
    for (size_t i = 0; version.p && i < l->count; i++)
        if (l->list[i].version.p && str_eq(l->list[i].version, version))
            return &l->list[i];
    return NULL;
}

static void add_leaf(struct leaves *l, const struct checkpoint *c, struct arena *a) {
    str version = conversation_messages_version(a, c);
    struct leaf *same = known(l, version);
    if (same)
        same->oldest = c->id;
    else if (l->count == BRANCHES_MAX)
        l->complete = false;
    else
        l->list[l->count++] =
            (struct leaf){c->id, c->id, version.p ? arena_dup(a, version) : STR_NULL};
}

/* Newest first: a child comes before its parent. */
static int read_leaves(struct api_request *r, const struct thread *t, struct leaves *l,
                       struct err *err) {
    struct map parents;
    struct id before = ID_NIL;
    int rc = 0;
    size_t seen = 0, count = PAGE_STATES;
    l->count = 0;
    l->complete = true;
    map_init(&parents);
    while (rc == 0 && count == PAGE_STATES && seen < STATES_MAX) {
        struct checkpoint *list;
        rc = checkpoint_list(r->store, t->id, STR(""), before, STR_NULL, PAGE_STATES, r->arena,
                             &list, &count, err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            str own = str_n((const char *)list[i].id.b, sizeof(list[i].id.b));
            str parent = str_n((const char *)list[i].parent_id.b, sizeof(list[i].parent_id.b));
            if (!map_get(&parents, own))
                add_leaf(l, &list[i], r->arena);
            if (!id_is_nil(list[i].parent_id))
                (void)map_put(&parents, parent, l);
            before = list[i].id;
        }
        seen += rc == 0 ? count : 0;
    }
    if (seen >= STATES_MAX)
        l->complete = false;
    map_deinit(&parents);
    return rc;
}

static int load(struct api_request *r, const struct thread *t, struct id id, struct arena *a,
                struct message_list *out, struct err *err) {
    struct checkpoint c;
    arena_reset(a);
    int rc = checkpoint_get(r->store, t->id, STR(""), id, a, &c, err);
    return rc < 0 ? rc : conversation_messages_all(r->store, &c, a, out, err);
}

/* The newest leaf that has the message; ERR_NOT_FOUND. *parent: what it follows. */
static int find_message(struct api_request *r, const struct thread *t, const struct leaves *l,
                        str id, struct arena *a, const struct leaf **out, str *parent,
                        struct err *err) {
    for (size_t i = 0; i < l->count; i++) {
        struct message_list list;
        int rc = load(r, t, l->list[i].id, a, &list, err);
        if (rc < 0)
            return rc;
        int64_t number = message_find(&list, id);
        if (number < 0)
            continue;
        *out = &l->list[i];
        *parent = number > 0 ? arena_dup(r->arena, message_id_at(&list, number - 1)) : STR_NULL;
        return 0;
    }
    return api_message_missing(err);
}

/* --- branches of a message --- */

struct branch {
    str id, message; /* JSON, as it is shown */
    struct id checkpoint_id, oldest;
    bool current;
};

static int by_age(const void *a, const void *b) {
    const struct branch *one = a, *other = b;
    return memcmp(one->oldest.b, other->oldest.b, sizeof(one->oldest.b));
}

/* The number of what follows the parent in a leaf; -1: it does not have that. */
static int64_t place_after(const struct message_list *list, str parent) {
    int64_t number = parent.p ? message_find(list, parent) : -1;
    if (parent.p && number < 0)
        return -1;
    return number + 1 < list->count ? number + 1 : -1;
}

static void add_branch(struct api_request *r, const struct message_list *list, int64_t number,
                       str parent, const struct leaf *leaf, bool current, struct branch *branches,
                       size_t *count) {
    str id = message_id_at(list, number);
    for (size_t i = 0; i < *count; i++) {
        if (!str_eq(branches[i].id, id))
            continue;
        branches[i].oldest = leaf->oldest;
        return;
    }
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    api_write_message(&w, list->items[number - list->first], parent);
    branches[(*count)++] = (struct branch){.id = id.p ? arena_dup(r->arena, id) : STR(""),
                                           .message = arena_take(r->arena, &b),
                                           .checkpoint_id = leaf->id,
                                           .oldest = leaf->oldest,
                                           .current = current};
}

static int read_branches(struct api_request *r, const struct thread *t, const struct leaves *l,
                         str id, struct branch *out, size_t *out_count, struct err *err) {
    const struct leaf *leaf;
    struct arena a;
    str parent = STR_NULL;
    *out_count = 0;
    arena_init(&a, API_STATE_BYTES_MAX);
    int rc = find_message(r, t, l, id, &a, &leaf, &parent, err);
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        struct message_list list;
        rc = load(r, t, l->list[i].id, &a, &list, err);
        int64_t number = rc == 0 ? place_after(&list, parent) : -1;
        if (number >= 0)
            add_branch(r, &list, number, parent, &l->list[i], i == 0, out, out_count);
    }
    arena_deinit(&a);
    return rc;
}

int api_conversation_branch_list(struct api_request *r, struct err *err) {
    struct thread t;
    struct leaves *leaves = ARENA_NEW(r->arena, struct leaves);
    struct branch *list = ARENA_ARRAY(r->arena, struct branch, BRANCHES_MAX);
    size_t count;
    int rc = api_conversation_thread(r, &t, err);
    if (rc == 0)
        rc = read_leaves(r, &t, leaves, err);
    if (rc == 0)
        rc = read_branches(r, &t, leaves, r->match.params[1], list, &count, err);
    if (rc < 0)
        return rc;
    qsort(list, count, sizeof(*list), by_age);
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "branches");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        jw_key(&w, "message");
        jw_raw(&w, list[i].message);
        jw_key(&w, "checkpoint_id");
        api_write_id(&w, list[i].checkpoint_id);
        jw_key(&w, "current");
        jw_bool(&w, list[i].current);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_key(&w, "complete");
    jw_bool(&w, leaves->complete);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- changing over --- */

static int copy_leaf(struct api_request *r, const struct thread *t, struct id id, struct id *made,
                     struct err *err) {
    yyjson_val *metadata;
    struct state_update update = {.as_node = STR("__copy__")};
    struct state_superstep step = {&update, 1};
    struct state_change change = {.thread = t,
                                  .checkpoint_id = id,
                                  .name_space = STR(""),
                                  .steps = &step,
                                  .count = 1};
    if (json_parse(r->arena, t->metadata, &metadata, NULL) == 0)
        change.graph_id = json_str(json_get(metadata, "graph_id"));
    if (!change.graph_id.p)
        return err_set(err, ERR_CONFLICT, "nobody has answered in this conversation");
    return engine_state_update(r->engine, &change, made, err);
}

int api_conversation_branch_switch(struct api_request *r, struct err *err) {
    struct thread t;
    struct arena a;
    struct leaves *leaves = ARENA_NEW(r->arena, struct leaves);
    const struct leaf *leaf;
    str parent, id = r->match.params[1];
    int rc = api_conversation_thread(r, &t, err);
    if (rc == 0)
        rc = read_leaves(r, &t, leaves, err);
    if (rc < 0)
        return rc;
    arena_init(&a, API_STATE_BYTES_MAX);
    rc = find_message(r, &t, leaves, id, &a, &leaf, &parent, err);
    arena_deinit(&a);
    struct conversation_changed changed = {.message_id = id};
    if (rc == 0 && leaf == &leaves->list[0])
        changed.checkpoint_id = leaf->id;
    else if (rc == 0)
        rc = copy_leaf(r, &t, leaf->id, &changed.checkpoint_id, err);
    return rc < 0 ? rc : api_reply_changed(r, &changed);
}
