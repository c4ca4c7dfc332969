/* SPDX-License-Identifier: Apache-2.0 */
/* tool_shell.c - the tool "shell": a program that the server's operator allows.
 *
 *   {"command": "NAME", "args": ["text"], "stdin": "text"}  →  {"status", "stdout", "stderr"}
 *
 *   open ──▶ reads its output ── it ends, or writes too much, or the step is ended ──▶ its whole
 *   group is killed ──▶ waited for
 *
 * The program must equal an entry of the list; nothing is looked at by a shell: the small one that
 * begins sets the limits and becomes the program. It has a session and a process group of its own;
 * what it leaves in there is killed when it ends, one way or the other. (What leaves the group by
 * itself, with setsid, is out of reach.) Its environment is a search path, the step's key
 * (HOLDFAST_STEP_KEY), what env_allowed names of what the operator gives, and the secrets of the
 * step under their names. Memory is limited for each process, output for both streams together. */
#include <signal.h>

#include "plans/tools.h"
#include "rt/process.h"

#define ARGS_MAX        256
#define ARG_BYTES_MAX   ((size_t)128 * 1024) /* all together */
#define STDIN_BYTES_MAX ((size_t)1 << 20)
#define ENV_MAX         256
#define LEAVINGS_US     1000000 /* until what somebody else holds open is not waited for */
#define LIMITS          "ulimit -c 0 && ulimit -v \"$1\" && shift && exec \"$@\""
#define PATH            "PATH=/usr/local/bin:/usr/bin:/bin"

struct shell {
    struct tool_call *call;
    struct rt_process *process;
    struct fiber *fiber;
    struct fiber_event wake;
    struct buf streams[2];
    size_t bytes_max;
    bool over[2], ended, too_much, closed;
    int status, signum;
    char *argv[ARGS_MAX + 8];
    char *env[ENV_MAX + 1];
    size_t env_count;
};

/* --- what it is given --- */

static char *zero(struct arena *a, str s) {
    char *p = arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return p;
}

static bool is_plain(str s) { return !s.len || !memchr(s.p, '\0', s.len); }

static bool is_allowed(str list, str command) {
    str entry;
    while (str_split_next(&list, ',', &entry))
        if (command.len && str_eq(str_trim(entry), command))
            return true;
    return false;
}

static int read_args(struct shell *s, str command, yyjson_val *args, struct err *err) {
    struct tool_call *call = s->call;
    struct arena *a = call->arena;
    yyjson_val *item;
    size_t i, n, count = 0, bytes = 0;
    if (!is_allowed(call->tools->o.shell_allow, command) || !is_plain(command))
        return err_set(err, ERR_INVALID, "command: " STR_FMT " is not one that this server runs",
                       STR_ARG(str_slice(command, 0, 60)));
    const char *const head[] = {"/bin/sh", "-c", LIMITS, "holdfast-step"};
    for (i = 0; i < ARRAY_COUNT(head); i++)
        s->argv[count++] = zero(a, str_of(head[i]));
    s->argv[count++] = zero(a, arena_printf(a, "%zu", call->tools->o.shell_memory_bytes_max >> 10));
    s->argv[count++] = zero(a, command);
    if (yyjson_arr_size(args) > ARGS_MAX)
        return err_set(err, ERR_INVALID, "args: there are more than %d", ARGS_MAX);
    yyjson_arr_foreach(args, i, n, item) {
        str text = json_str(item);
        bytes += text.len;
        if (bytes > ARG_BYTES_MAX || !is_plain(text))
            return err_set(err, ERR_INVALID, "args: are too long, or hold a zero byte");
        s->argv[count++] = zero(a, text);
    }
    return 0;
}

static void add_env(struct shell *s, str text) {
    if (s->env_count < ENV_MAX)
        s->env[s->env_count++] = zero(s->call->arena, text);
}

static int read_env(struct shell *s, struct err *err) {
    struct tool_call *call = s->call;
    yyjson_val *item;
    size_t i, n;
    add_env(s, STR(PATH));
    add_env(s, STR("LANG=C.UTF-8"));
    add_env(s, arena_printf(call->arena, "HOLDFAST_STEP_KEY=" STR_FMT, STR_ARG(call->key)));
    yyjson_arr_foreach(json_get(call->rules, "env_allowed"), i, n, item) {
        const char *const *e = call->tools->o.shell_env;
        str start = arena_printf(call->arena, STR_FMT "=", STR_ARG(json_str(item)));
        while (e && *e && !str_starts(str_of(*e), start))
            e++;
        if (!e || !*e)
            return err_set(err, ERR_INVALID, "env_allowed: " STR_FMT " is not given by this server",
                           STR_ARG(str_slice(json_str(item), 0, 60)));
        add_env(s, str_of(*e));
    }
    for (i = 0; i < call->secrets.count; i++)
        add_env(s, arena_printf(call->arena, STR_FMT "=" STR_FMT,
                                STR_ARG(call->secrets.items[i].name),
                                STR_ARG(call->secrets.items[i].value)));
    return 0;
}

/* --- while it runs --- */

static void on_output(void *ctx, enum rt_process_stream stream, str bytes) {
    struct shell *s = ctx;
    int at = stream == RT_PROCESS_STDOUT ? 0 : 1;
    size_t used = s->streams[0].len + s->streams[1].len;
    if (!bytes.p) {
        s->over[at] = true;
    } else if (bytes.len > s->bytes_max - used) {
        s->too_much = true;
        rt_process_kill(s->process, SIGKILL);
    } else {
        buf_str(&s->streams[at], bytes);
        return;
    }
    fiber_event_wake_all(&s->wake);
}

static void on_ended(void *ctx, int status, int signum) {
    struct shell *s = ctx;
    s->ended = true;
    s->status = status;
    s->signum = signum;
    rt_process_kill(s->process, SIGKILL); /* what it has left behind */
    fiber_event_wake_all(&s->wake);
}

static void on_closed(void *ctx) {
    struct shell *s = ctx;
    s->closed = true;
    fiber_unpark(s->fiber);
}

static int await_end(struct shell *s) {
    int rc = 0;
    while (rc == 0 && !s->too_much && !s->ended)
        rc = fiber_event_wait(&s->wake, FIBER_NO_DEADLINE);
    int64_t until_us = rt_mono_us(s->call->tools->rt) + LEAVINGS_US;
    while (rc == 0 && !s->too_much && !(s->over[0] && s->over[1]))
        rc = fiber_event_wait(&s->wake, until_us);
    return rc == ERR_TIMEOUT ? 0 : rc;
}

static void close_process(struct shell *s) {
    rt_process_close(s->process, on_closed, s);
    while (!s->closed)
        fiber_park_shielded();
}

/* --- what comes of it --- */

static void write_output(struct shell *s) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "status");
    jw_i64(&w, s->status);
    jw_key(&w, "stdout");
    jw_str(&w, tool_text(s->call, buf_view(&s->streams[0]), false));
    jw_key(&w, "stderr");
    jw_str(&w, tool_text(s->call, buf_view(&s->streams[1]), false));
    jw_object_end(&w);
    s->call->output = arena_take(s->call->arena, &b);
}

static int judge(struct shell *s, struct err *err) {
    str said = str_trim(tool_text(s->call, buf_view(&s->streams[1]), false));
    if (s->too_much)
        return err_set(err, ERR_INVALID, "the program wrote more than %zu bytes", s->bytes_max);
    if (said.len > 150)
        said = str_slice(said, said.len - 150, said.len);
    while (said.len && ((unsigned char)said.p[0] & 0xc0) == 0x80)
        said = str_slice(said, 1, said.len);
    const char *colon = said.len ? ": " : "";
    if (s->signum)
        return err_set(err, ERR_INTERNAL, "the program was ended by signal %d%s" STR_FMT, s->signum,
                       colon, STR_ARG(said));
    if (s->status)
        return err_set(err, ERR_INTERNAL, "the program ended with status %d%s" STR_FMT, s->status,
                       colon, STR_ARG(said));
    write_output(s);
    return 0;
}

static int run(struct shell *s, str input, struct err *err) {
    const struct plan_tools_options *o = &s->call->tools->o;
    struct rt_process_options options = {.argv = s->argv,
                                         .env = s->env,
                                         .folder = o->shell_folder,
                                         .input_bytes_max = STDIN_BYTES_MAX,
                                         .output = on_output,
                                         .ended = on_ended,
                                         .ctx = s};
    int rc = rt_process_open(s->call->tools->rt, &options, &s->process, err);
    if (rc < 0)
        return rc;
    if (input.len)
        rc = rt_process_write(s->process, input, err);
    rt_process_end_input(s->process);
    if (rc == 0)
        rc = await_end(s);
    close_process(s);
    return rc < 0 ? rc : judge(s, err);
}

int tool_shell(struct tool_call *call, struct err *err) {
    struct shell *s = ARENA_NEW(call->arena, struct shell);
    struct body b;
    if (!call->tools->o.shell_allow.len)
        return err_set(err, ERR_INVALID, "tool: shell is not enabled on this server");
    s->call = call;
    s->fiber = fiber_self();
    s->bytes_max = call->tools->o.answer_bytes_max;
    fiber_event_init(&s->wake);
    body_init(&b, call->arena, call->input);
    str command = body_str_required(&b, "command");
    yyjson_val *args = body_str_array(&b, "args");
    str input = body_str_sized(&b, "stdin", 0, STDIN_BYTES_MAX, STR_NULL);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = read_args(s, command, args, err);
    if (rc == 0)
        rc = read_env(s, err);
    if (rc < 0)
        return rc;
    buf_init(&s->streams[0], SIZE_MAX / 2);
    buf_init(&s->streams[1], SIZE_MAX / 2);
    rc = run(s, input, err);
    buf_deinit(&s->streams[0]);
    buf_deinit(&s->streams[1]);
    return rc;
}
