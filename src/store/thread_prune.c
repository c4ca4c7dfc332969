/* SPDX-License-Identifier: Apache-2.0 */
/* thread_prune.c - older states of a thread go, by reachability.
 *
 * A policy says which states stay: the newest of each namespace always, further ones by number
 * and age. That gives each namespace a floor, before which all may go but for:
 *   - ancestors from which a state that stays is made (delta channels: the way to the nearest
 *     stored value, with its writes), found by the database, prune_needed;
 *   - the namespaces of subgraph calls ("node:task") whose root state stays. A call whose root
 *     state goes does so as a whole; a subgraph that keeps state over calls ("node") has a floor.
 *
 * What the states that are left refer to stays: blobs by version, values by hash, segments of lists
 * by length. A state whose parent is gone has none. The log of a run that loses a state goes.
 *
 * The work is cut into batches of BATCH_STATES, so that no large thread holds up the others. Each
 * first makes sure that no run is live and none has used the thread since it was looked at
 * (ERR_CONFLICT); a batch leaves the thread whole, so to stop in between loses nothing. Rows that
 * other processes write meanwhile are younger than every floor. */
#include "store/thread_prune.h"

#include "base/json.h"
#include "store/thread_ttl.h"

#define BATCH_STATES   500
#define NAMESPACES_MAX 10000

struct space {
    str name;
    struct id floor, root;  /* root: of a subgraph's call; nil: unknown */
    int64_t before, states; /* how many there are before the floor, and in all */
    str kept;               /* JSON array of ids before the floor that stay */
};

struct prune {
    struct store *s;
    struct id thread_id;
    int64_t used_us;
    struct arena *a;
    struct space *spaces;
    size_t count;
    struct db_batch b;
    int64_t in_batch, removed;
};

static int read_spaces(struct prune *p, const struct prune_policy *policy, struct err *err) {
    struct db_rows rows;
    int rc = db_read(p->s->db, SQL_PRUNE_FLOORS,
                     DB_PARAMS(DB_UUID(p->thread_id), DB_I(policy->count), DB_I(policy->since_us),
                               DB_I(NAMESPACES_MAX)),
                     p->a, &rows, err);
    if (rc < 0)
        return rc;
    p->spaces = ARENA_ARRAY(p->a, struct space, rows.row_count + 1);
    p->count = rows.row_count;
    for (size_t i = 0; i < rows.row_count; i++)
        p->spaces[i] = (struct space){.name = db_str(&rows, i, 0),
                                      .floor = db_id(&rows, i, 1),
                                      .root = db_id(&rows, i, 2),
                                      .before = db_int(&rows, i, 3),
                                      .states = db_int(&rows, i, 4),
                                      .kept = STR("[]")};
    return 0;
}

static int read_needed(struct prune *p, struct space *n, struct err *err) {
    struct db_rows rows;
    int rc = db_read(p->s->db, SQL_PRUNE_NEEDED,
                     DB_PARAMS(DB_UUID(p->thread_id), DB_T(n->name), DB_UUID(n->floor)), p->a,
                     &rows, err);
    if (rc < 0)
        return rc;
    struct id *ids = ARENA_ARRAY(p->a, struct id, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        ids[i] = db_id(&rows, i, 0);
    n->kept = thread_ids_json(p->a, ids, rows.row_count);
    return 0;
}

/* A call of a subgraph that began at a root state which goes. */
static bool is_over(const struct prune *p, const struct space *n) {
    const struct space *root = p->count > 0 && p->spaces[0].name.len == 0 ? &p->spaces[0] : NULL;
    if (!root || n == root || id_is_nil(n->root) || str_find_char(n->name, ':') < 0)
        return false;
    return memcmp(n->root.b, root->floor.b, sizeof(n->root.b)) < 0 &&
           str_find(root->kept, id_hex(p->a, n->root)) < 0;
}

static int plan(struct prune *p, struct err *err) {
    for (size_t i = 0; i < p->count; i++) {
        struct space *n = &p->spaces[i];
        int rc = 0;
        if (is_over(p, n)) {
            n->floor = ID_LAST;
            n->before = n->states;
        } else if (n->before > 0) {
            rc = read_needed(p, n, err);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void batch_begin(struct prune *p) {
    db_batch_init(&p->b, p->a);
    thread_hold_idle_add(&p->b, p->thread_id, p->used_us);
    p->in_batch = 0;
}

static int batch_commit(struct prune *p, struct err *err) {
    int rc = db_commit(p->s->db, &p->b, err);
    for (size_t i = 0; rc == 0 && i < p->b.count; i++)
        if (p->b.ops[i].stmt == SQL_PRUNE_CHECKPOINTS)
            p->removed += p->b.ops[i].changed;
    return rc;
}

static void remove_add(struct prune *p, const struct space *n, int64_t limit) {
    static const enum db_stmt stmts[] = {SQL_PRUNE_EVENTS, SQL_PRUNE_CHECKPOINTS};
    for (size_t i = 0; i < ARRAY_COUNT(stmts); i++)
        db_batch_add(&p->b, stmts[i],
                     DB_PARAMS(DB_UUID(p->thread_id), DB_T(n->name), DB_UUID(n->floor),
                               DB_T(n->kept), DB_I(limit)),
                     DB_EXPECT_COUNT);
    p->in_batch += limit;
}

static int remove_states(struct prune *p, struct err *err) {
    batch_begin(p);
    for (size_t i = 0; i < p->count; i++) {
        int64_t left = p->spaces[i].before;
        while (left > 0) {
            int64_t room = BATCH_STATES - p->in_batch, limit = left < room ? left : room;
            remove_add(p, &p->spaces[i], limit);
            left -= limit;
            if (p->in_batch < BATCH_STATES)
                continue;
            int rc = batch_commit(p, err);
            if (rc < 0)
                return rc;
            batch_begin(p);
        }
    }
    return p->in_batch > 0 ? batch_commit(p, err) : 0;
}

/* What only the states that are gone referred to. */
static int sweep(struct prune *p, struct err *err) {
    batch_begin(p);
    for (size_t i = 0; i < p->count; i++) {
        const struct space *n = &p->spaces[i];
        if (n->before > 0)
            db_batch_add(
                &p->b, SQL_PRUNE_PARENTS,
                DB_PARAMS(DB_UUID(p->thread_id), DB_T(n->name), DB_UUID(n->floor), DB_T(n->kept)),
                DB_EXPECT_NONE);
    }
    db_batch_add(&p->b, SQL_PRUNE_VALUES, DB_PARAMS(DB_UUID(p->thread_id)), DB_EXPECT_NONE);
    db_batch_add(&p->b, SQL_PRUNE_LISTS, DB_PARAMS(DB_UUID(p->thread_id)), DB_EXPECT_NONE);
    return batch_commit(p, err);
}

int thread_prune(struct store *s, const struct thread *t, const struct prune_policy *policy,
                 struct arena *a, int64_t *out_removed, struct err *err) {
    ASSERT(policy->count > 0);
    struct prune p = {.s = s, .thread_id = t->id, .used_us = t->updated_at, .a = a};
    int64_t before = 0;
    *out_removed = 0;
    int rc = read_spaces(&p, policy, err);
    if (rc == 0)
        rc = plan(&p, err);
    for (size_t i = 0; rc == 0 && i < p.count; i++)
        before += p.spaces[i].before;
    if (rc == 0 && before > 0)
        rc = remove_states(&p, err);
    if (rc == 0 && (before > 0 || policy->thorough))
        rc = sweep(&p, err);
    *out_removed = p.removed;
    return rc;
}

int thread_delete_idle(struct store *s, const struct thread *t, struct arena *a, struct err *err) {
    static const struct principal server = {.all = true};
    struct db_batch b;
    db_batch_init(&b, a);
    thread_hold_idle_add(&b, t->id, t->updated_at);
    thread_delete_add(s, &b, &server, t->id);
    return db_commit(s->db, &b, err);
}
