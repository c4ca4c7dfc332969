/* SPDX-License-Identifier: Apache-2.0 */
/* limits.c - the limits of single tools, as an option writes them: "http=20,llm=4,worker:gpu=2".
 *
 * A name is that of a tool of this server, whose steps in this process are counted, or of a queue
 * of workers, whose leases in the database are. Tools that go by a prefix are one: "mcp". */
#include "plans/plans_int.h"

static bool read_number(str text, size_t *out) {
    uint64_t n;
    if (!str_to_u64(str_trim(text), &n) || n == 0 || n > PLANS_LIMIT_MAX)
        return false;
    *out = (size_t)n;
    return true;
}

static const struct tool *tool_of(struct arena *a, str name) {
    const struct tool *tool = plan_tool_find(name);
    if (!tool) /* "mcp" */
        tool = plan_tool_find(arena_printf(a, STR_FMT ":x", STR_ARG(name)));
    return tool;
}

static int read_one(struct arena *a, str item, struct plans_options *o,
                    struct plans_queue_limit *queues, struct err *err) {
    str shown = str_slice(item, 0, 60);
    size_t at = item.len, max;
    while (at > 0 && item.p[at - 1] != '=')
        at--;
    if (at == 0 || !read_number(str_slice(item, at, item.len), &max))
        return err_set(err, ERR_INVALID,
                       "--plan-steps-per-tool: " STR_FMT ": must be NAME=NUMBER, from 1 to %d",
                       STR_ARG(shown), PLANS_LIMIT_MAX);
    str name = str_trim(str_slice(item, 0, at - 1)), queue = plan_tool_queue(name);
    const struct tool *tool = tool_of(a, name);
    if (queue.p ? !plan_queue_is_fine(queue) : !tool || tool->elsewhere)
        return err_set(err, ERR_INVALID,
                       "--plan-steps-per-tool: " STR_FMT ": is no tool of this server, nor a "
                       "queue (worker:QUEUE)",
                       STR_ARG(shown));
    if (queue.p)
        queues[o->queue_limit_count++] = (struct plans_queue_limit){queue, max};
    else
        o->tool_max[plan_tool_index(tool)] = max;
    return 0;
}

int plans_limits_read(struct arena *a, str text, struct plans_options *o, struct err *err) {
    struct plans_queue_limit *queues = ARENA_ARRAY(a, struct plans_queue_limit, text.len / 2 + 1);
    str item;
    int rc = 0;
    o->queue_limits = queues;
    o->queue_limit_count = 0;
    while (rc == 0 && str_split_next(&text, ',', &item)) {
        item = str_trim(item);
        if (item.len)
            rc = read_one(a, item, o, queues, err);
    }
    return rc;
}

size_t plans_queue_max(const struct plans *p, str queue) {
    for (size_t i = 0; i < p->o.queue_limit_count; i++)
        if (str_eq(p->o.queue_limits[i].queue, queue))
            return p->o.queue_limits[i].max;
    return 0;
}
