/* SPDX-License-Identifier: Apache-2.0 */
/* statement.c - the texts that a pool has seen, found by text and declared types.
 *
 * Each is prepared on a connection when it is first used there. Its name on the server is a hash of
 * the text and the types: behind a pooler, where another process may own the server's connection
 * next, a name must never mean another text. The number of entries is bounded; the longest unused
 * one goes first, and is closed on every connection that has it. Those of calls under way stay. */
#include <strings.h>
#include <xxhash.h>

#include "pg/pg_int.h"

static const unsigned char zero_oid[4];

void pg_statements_init(struct pg_statements *s) {
    *s = (struct pg_statements){.count = 0};
    list_init(&s->lru);
}

static void stmt_free(struct pg_stmt *t) {
    mem_free(t->sql);
    mem_free(t->oids);
    mem_free(t);
}

void pg_statements_deinit(struct pg_statements *s) {
    struct list *n;
    while ((n = list_pop_front(&s->lru)))
        stmt_free(LIST_ENTRY(n, struct pg_stmt, node));
}

void pg_prepared_reset(struct pg_prepared *e) {
    mem_free(e->column_oids);
    mem_free(e->failed);
    *e = (struct pg_prepared){.state = PG_PREPARED_NONE};
}

/* --- what a text does ------------------------------------------------------------------------ */

static str skip_space(str s) {
    for (;;) {
        str t = s;
        while (s.len && strchr(" \t\r\n(", s.p[0]))
            s = str_slice(s, 1, s.len);
        if (str_starts(s, STR("--"))) {
            ptrdiff_t end = str_find_char(s, '\n');
            s = end < 0 ? STR("") : str_slice(s, (size_t)end + 1, s.len);
        } else if (str_starts(s, STR("/*"))) {
            ptrdiff_t end = str_find(s, STR("*/"));
            s = end < 0 ? STR("") : str_slice(s, (size_t)end + 2, s.len);
        }
        if (s.len == t.len)
            return s;
    }
}

static size_t word_len(str s) {
    size_t n = 0;
    while (n < s.len && (((s.p[n] | 32) >= 'a' && (s.p[n] | 32) <= 'z') || s.p[n] == '_'))
        n++;
    return n;
}

static bool one_of(str word, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (str_ieq(word, str_of(words[i])))
            return true;
    return false;
}

enum pg_class pg_class_of(str sql) {
    static const char *const reads[] = {"select", "values", "table", "show", "explain", "fetch"};
    static const char *const writes[] = {"insert", "update", "delete", "merge", "copy", "call"};
    str s = skip_space(sql);
    str word = str_slice(s, 0, word_len(s));
    if (one_of(word, reads, ARRAY_COUNT(reads)))
        return PG_CLASS_READ;
    if (one_of(word, writes, ARRAY_COUNT(writes)))
        return PG_CLASS_WRITE;
    if (!str_ieq(word, STR("with")))
        return PG_CLASS_DDL;
    for (size_t i = 0; i < s.len;) {
        size_t n = word_len(str_slice(s, i, s.len));
        if (one_of(str_slice(s, i, i + n), writes, 4))
            return PG_CLASS_WRITE;
        i += n ? n : 1;
    }
    return PG_CLASS_READ;
}

/* --- the table ------------------------------------------------------------------------------- */

static void hash_call(const struct pg_call *call, size_t sql_len, uint64_t out[2]) {
    uint32_t oids[32];
    size_t n = call->param_count;
    if (n <= ARRAY_COUNT(oids)) {
        for (size_t i = 0; i < n; i++)
            oids[i] = call->params[i].oid;
        XXH64_hash_t seed = XXH3_64bits(n ? (const void *)oids : zero_oid, n * 4);
        XXH128_hash_t h = XXH3_128bits_withSeed(call->sql, sql_len, seed);
        out[0] = h.low64;
        out[1] = h.high64;
        return;
    }
    uint64_t seed = n;
    for (size_t i = 0; i < n; i++)
        seed = XXH3_64bits_withSeed(&call->params[i].oid, 4, seed);
    XXH128_hash_t h = XXH3_128bits_withSeed(call->sql, sql_len, seed);
    out[0] = h.low64;
    out[1] = h.high64;
}

static bool same(const struct pg_stmt *t, const struct pg_call *call, size_t sql_len) {
    if (t->sql_len != sql_len || t->param_count != call->param_count ||
        memcmp(t->sql, call->sql, sql_len) != 0)
        return false;
    for (size_t i = 0; i < t->param_count; i++)
        if (t->oids[i] != call->params[i].oid)
            return false;
    return true;
}

static void unlink_stmt(struct pg_statements *s, struct pg_stmt *t) {
    struct pg_stmt **at = &s->buckets[t->hash[0] % PG_BUCKETS];
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    list_remove(&t->node);
    s->by_id[t->id] = NULL;
    s->count--;
}

/* On a pinned connection a copy may be under way, in which nothing else may be sent. */
static bool pinned_has(const struct pg_pool *p, const struct pg_stmt *t) {
    LIST_EACH (&p->conns, n) {
        const struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        if (c->state == PG_CONN_PINNED && c->prepared &&
            c->prepared[t->id].state != PG_PREPARED_NONE)
            return true;
    }
    return false;
}

/* Forgets the longest unused statement; its id is free then. */
static bool evict(struct pg_pool *p, unsigned *out_id) {
    LIST_EACH (&p->statements.lru, n) {
        struct pg_stmt *t = LIST_ENTRY(n, struct pg_stmt, node);
        if (t->refs || pinned_has(p, t))
            continue;
        LIST_EACH (&p->conns, m) {
            struct pg_conn *c = LIST_ENTRY(m, struct pg_conn, node);
            if (!c->prepared || c->prepared[t->id].state == PG_PREPARED_NONE)
                continue;
            if (c->prepared[t->id].state == PG_PREPARED_READY)
                pg_send_close(c, t);
            pg_prepared_reset(&c->prepared[t->id]);
        }
        *out_id = t->id;
        unlink_stmt(&p->statements, t);
        stmt_free(t);
        return true;
    }
    return false;
}

static struct pg_stmt *add(struct pg_pool *p, const struct pg_call *call, size_t sql_len,
                           const uint64_t hash[2]) {
    struct pg_statements *s = &p->statements;
    unsigned id = (unsigned)s->count;
    if (s->count == PG_STATEMENTS_MAX && !evict(p, &id))
        return NULL;
    struct pg_stmt *t = NEW(struct pg_stmt);
    *t = (struct pg_stmt){.hash = {hash[0], hash[1]},
                          .sql_len = sql_len,
                          .id = id,
                          .param_count = call->param_count,
                          .class = pg_class_of(str_n(call->sql, sql_len))};
    t->sql = mem_dup(call->sql, sql_len + 1);
    t->oids = mem_calloc(call->param_count ? call->param_count : 1, sizeof(*t->oids));
    for (size_t i = 0; i < call->param_count; i++)
        t->oids[i] = call->params[i].oid;
    snprintf(t->name, sizeof(t->name), "hf_%016llx%016llx", (unsigned long long)hash[1],
             (unsigned long long)hash[0]);
    t->next = s->buckets[hash[0] % PG_BUCKETS];
    s->buckets[hash[0] % PG_BUCKETS] = t;
    s->by_id[id] = t;
    list_push_back(&s->lru, &t->node);
    s->count++;
    return t;
}

struct pg_stmt *pg_statement_of(struct pg_pool *p, const struct pg_call *call) {
    size_t sql_len = strlen(call->sql);
    uint64_t hash[2];
    hash_call(call, sql_len, hash);
    struct pg_stmt *t = p->statements.buckets[hash[0] % PG_BUCKETS];
    for (; t; t = t->next)
        if (t->hash[0] == hash[0] && t->hash[1] == hash[1] && same(t, call, sql_len))
            break;
    if (!t)
        return add(p, call, sql_len, hash);
    if (p->statements.count == PG_STATEMENTS_MAX) { /* the order matters only when it is full */
        list_remove(&t->node);
        list_push_back(&p->statements.lru, &t->node);
    }
    return t;
}
