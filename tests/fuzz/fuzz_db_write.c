/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_db_write.c - configurations of writes, and writes, from any JSON.
 *
 * Checks: a configuration is taken or refused; of what a step asks for that is taken, the statement
 * holds as many places as values, and nothing but keywords, names of the configuration and places:
 * no quote of a text, no comment, no second statement. */
#include "plans/db_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char CONFIG[] =
    "{\"targets\":{\"t\":{\"file\":\"/t.db\",\"tables\":{\"x\":{\"operations\":[\"insert\","
    "\"update\",\"delete\",\"upsert\"],\"key\":[\"id\"],\"without_where\":true,\"rows_max\":100,"
    "\"columns\":{\"id\":\"integer\",\"name\":\"text\",\"n\":\"number\",\"b\":\"boolean\","
    "\"j\":\"json\",\"at\":\"timestamp\",\"u\":\"uuid\"}}}}}}";

static bool no_env(struct arena *a, str name, str *out) {
    (void)a;
    (void)name;
    (void)out;
    return false;
}

static void check(const struct db_foreign_stmt *s) {
    size_t places = 0;
    for (const char *p = s->sql; *p; p++) {
        bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_' ||
                    (*p >= '0' && *p <= '9');
        ASSERT(word || strchr(" \"(),.=<>?*", *p));
        places += *p == '?';
    }
    ASSERT(places == s->param_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct db_writes rules, other;
    struct db_write w;
    yyjson_val *v;
    str text = str_n((const char *)data, size);
    if (size > 65536)
        return 0;
    arena_init(&a, 256u << 20);
    ASSERT(db_writes_parse(&a, str_of(CONFIG), no_env, &rules, NULL) == 0);
    if (db_writes_parse(&a, text, no_env, &other, NULL) == 0)
        ASSERT(other.target_count <= 32);
    if (json_parse(&a, text, &v, NULL) == 0 &&
        db_write_read(&rules, &a, STR("anna"), v, &w, NULL) == 0) {
        ASSERT(w.job.stmt_count > 0);
        for (size_t i = 0; i < w.job.stmt_count; i++)
            check(&w.job.stmts[i]);
        if (w.job.count.sql)
            check(&w.job.count);
    }
    arena_deinit(&a);
    return 0;
}
