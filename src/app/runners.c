/* SPDX-License-Identifier: Apache-2.0 */
/* runners.c - the list of runners: one line each, NAME=COMMAND.
 *
 * They start one after the other, so that a graph of the later may have one of the earlier as its
 * subgraph, and so that what is wrong is told of the first one. */
#include "app/runners.h"

#include "base/mem.h"
#include "runner/runner.h"

#define RUNNERS_MAX    32
#define NAME_BYTES_MAX 40
#define ENV_BYTES_MAX  ((size_t)8 << 20) /* of the list of pointers */

struct runners {
    struct runner *list[RUNNERS_MAX];
    str names[RUNNERS_MAX];
    size_t count;
    char **env;
    struct arena memory;
};

static bool name_is_valid(str name) {
    bool valid = name.len > 0 && name.len <= NAME_BYTES_MAX;
    for (size_t i = 0; i < name.len && valid; i++) {
        char c = name.p[i];
        valid = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '_' || c == '-';
    }
    return valid;
}

static int add(struct runners *rs, struct rt *rt, const struct config *c,
               struct registry *registry, str line, struct err *err) {
    ptrdiff_t at = str_find_char(line, '=');
    str name = at < 0 ? STR_NULL : str_trim(str_slice(line, 0, (size_t)at));
    str command = at < 0 ? STR_NULL : str_trim(str_slice(line, (size_t)at + 1, line.len));
    if (!name_is_valid(name) || !command.len)
        return err_set(err, ERR_INVALID,
                       "--runner: must be NAME=COMMAND, with a name of letters, digits, _ and -");
    for (size_t i = 0; i < rs->count; i++)
        if (str_eq(rs->names[i], name))
            return err_set(err, ERR_INVALID, "--runner: there are two named " STR_FMT,
                           STR_ARG(name));
    if (rs->count == RUNNERS_MAX)
        return err_set(err, ERR_INVALID, "--runner: more than %d", RUNNERS_MAX);
    struct runner_options o = {.name = name,
                               .command = command,
                               .env = rs->env,
                               .message_bytes_max = (size_t)c->runner_message_bytes_max,
                               .start_timeout_us = c->runner_start_timeout_us,
                               .cancel_timeout_us = c->runner_cancel_timeout_us};
    rs->names[rs->count] = name;
    rs->list[rs->count++] = runner_new(rt, registry, &o);
    return 0;
}

int runners_new(struct rt *rt, const struct config *c, struct registry *registry,
                struct runners **out, struct err *err) {
    struct runners *rs = NEW(struct runners);
    str rest = c->runner, line;
    int rc = 0;
    arena_init(&rs->memory, ENV_BYTES_MAX);
    rs->env = config_env_for_others(&rs->memory);
    while (rc == 0 && str_split_next(&rest, '\n', &line))
        if (str_trim(line).len)
            rc = add(rs, rt, c, registry, str_trim(line), err);
    if (rc < 0)
        runners_free(rs);
    else
        *out = rs;
    return rc;
}

int runners_start(struct runners *rs, struct err *err) {
    int rc = 0;
    for (size_t i = 0; i < rs->count && rc == 0; i++)
        rc = runner_start(rs->list[i], err);
    return rc;
}

void runners_stop(struct runners *rs) {
    for (size_t i = 0; rs && i < rs->count; i++)
        runner_stop(rs->list[i]);
}

void runners_free(struct runners *rs) {
    for (size_t i = 0; rs && i < rs->count; i++)
        runner_free(rs->list[i]);
    if (rs)
        arena_deinit(&rs->memory);
    mem_free(rs);
}
