/* SPDX-License-Identifier: Apache-2.0 */
/* plan_settings.c - options of the tools of plans.
 *
 * --plan-shell-env names variables of the server's own environment that steps may ask for. One that
 * is not set is left out: then a step that asks for it is told so. A name that is none, and secrets
 * that cannot be read, stop the start. */
#include "app/plan_settings.h"

#include "db/postgres/foreign.h"
#include "db/sqlite/foreign.h"

#define ENV_MAX          200
#define WRITES_BYTES_MAX ((size_t)1 << 20)

static bool is_variable(str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.len > 0 && s.len <= 100;
}

static int read_env(str names, struct arena *a, const char *const **out, struct err *err) {
    const char **list = ARENA_ARRAY(a, const char *, ENV_MAX + 1);
    size_t count = 0;
    str name, value;
    while (str_split_next(&names, ',', &name)) {
        name = str_trim(name);
        if (!name.len)
            continue;
        if (!is_variable(name) || count == ENV_MAX)
            return err_set(err, ERR_INVALID, "--plan-shell-env: " STR_FMT " is no variable's name",
                           STR_ARG(str_slice(name, 0, 60)));
        if (config_env(a, name, &value))
            list[count++] = arena_printf(a, STR_FMT "=" STR_FMT, STR_ARG(name), STR_ARG(value)).p;
    }
    *out = list;
    return 0;
}

static int read_writes(const struct config *c, struct rt *rt, struct arena *a,
                       struct plan_tools_options *out, struct err *err) {
    str text;
    if (!c->db_write.len)
        return 0;
    int rc = config_file(a, c->db_write, WRITES_BYTES_MAX, &text, err);
    out->writes = ARENA_NEW(a, struct db_writes);
    if (rc == 0)
        rc = db_writes_parse(a, text, config_env, out->writes, err);
    if (rc < 0)
        return err_context(err, "--db-write");
    for (size_t i = 0; i < out->writes->target_count; i++) {
        struct db_write_target *t = &out->writes->targets[i];
        t->db = t->file ? db_foreign_sqlite(rt, t->file) : db_foreign_postgres(rt, t->url);
    }
    return 0;
}

int plan_settings(const struct config *c, struct rt *rt, struct arena *a,
                  struct plan_tools_options *out, struct err *err) {
    *out = (struct plan_tools_options){
        .http_allow = c->plan_http_allow,
        .mcp_allow = c->mcp_hosts,
        .answer_bytes_max = (size_t)c->plan_answer_bytes_max,
        .shell_allow = c->plan_shell_allow,
        .shell_folder = c->plan_shell_folder.p,
        .shell_memory_bytes_max = (size_t)c->plan_shell_memory_bytes_max,
        .secrets = secret_reveal(c->plan_secrets),
    };
    struct err why = {0};
    if (plan_secrets_check(out->secrets, &why) < 0)
        return err_set(err, ERR_INVALID, "HOLDFAST_PLAN_SECRETS: %s", why.message);
    int rc = read_writes(c, rt, a, out, err);
    return rc < 0 ? rc : read_env(c->plan_shell_env, a, &out->shell_env, err);
}
