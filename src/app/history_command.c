/* SPDX-License-Identifier: Apache-2.0 */
/* history_command.c - `holdfast history`: append, read, verify and copy histories by hand.
 *
 * A verb is a row of `verbs`. It runs on a fiber over the store that --store names; a second store
 * (--to) is open for the one verb that wants it. What is read goes to standard output, what is told
 * of it to standard error; on a terminal with a line that is written over. */
#include "app/history_command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/history_command_int.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "history/file/file.h"
#include "history/legacy/legacy.h"

#define SHOW_US         100000
#define LOOK_US         1000000 /* an older store, for what is new of a session */
#define TAIL_USUAL      10
#define ARENA_BYTES_MAX ((size_t)64 << 20)

static const char HELP[] =
    "usage: holdfast history VERB --store STORE [options] [FILE]\n\n"
    "STORE: file:FOLDER, sqlite:FILE or postgres://…\n"
    "OLD:   jsonl:FOLDER (of SESSION.jsonl and SESSION.checkpoint.json), or sqlite:FILE and\n"
    "       postgres://…?schema=NAME with the tables history_events and history_checkpoints\n\n"
    "append      events from FILE or standard input, a line of JSON each, to --session or the one\n"
    "            that they name\n"
    "cat         prints the events of --session, a line each\n"
    "tail        the last ones (--limit, 10); with --follow also what is still to come\n"
    "sessions    prints the sessions, a line of JSON each\n"
    "checkpoint  prints the latest checkpoint of --session; with FILE, puts one: the JSON in it\n"
    "stats       what the store holds\n"
    "verify      reads everything and compares the digests that it has; exit status 3: damaged\n"
    "repair      cuts off what is torn behind the last whole append of a folder\n"
    "import      FILE: lines of JSON; or what is new in an older store OLD: all sessions, or\n"
    "            --session; what cannot be taken is named, the rest is read again and compared\n"
    "export      prints the events of all sessions, or of --session\n"
    "copy        all sessions, or --session, to the store --to; then compares\n\n"
    "--owner NAME    whose sessions (nobody's)\n"
    "--from N        events from this number on\n"
    "--limit N       so many events\n"
    "--headers       without payloads\n"
    "--compress      what is written to a folder is compressed, as its segments are closed\n"
    "--legacy OLD    sessions are taken over from an older store before they are read; stats: how\n"
    "                many only that one has\n"
    "--strict        import from an older store: ends at the first row that cannot be taken\n"
    "--again         the same: all rows, also those that were taken before\n";

struct command {
    struct history_args args;
    const struct verb *verb;
    struct rt *rt;
    struct library_source from, to;
    struct db_legacy *legacy; /* NULL: there is none */
    struct err err;
    int rc, status;
};
struct verb {
    const char *name;
    bool needs_session, needs_path, needs_to, reads;
    bool may_be_dual; /* takes --legacy */
    int (*fn)(struct command *c);
};

/* --- progress --- */

void history_progress_begin(struct history_progress *p, const char *what) {
    *p = (struct history_progress){
        .what = what, .begun_us = clock_mono_us(), .terminal = isatty(STDERR_FILENO) == 1};
}

static void show(const struct history_progress *p, const char *end) {
    double seconds = (double)(clock_mono_us() - p->begun_us) / 1e6;
    fprintf(stderr, "%s%lld events %s in %.1f s, %.0f/s%s", p->terminal ? "\r" : "",
            (long long)p->events, p->what, seconds, seconds > 0 ? (double)p->events / seconds : 0.0,
            end);
}

void history_progress_add(struct history_progress *p, int64_t events) {
    int64_t now = clock_mono_us();
    p->events += events;
    if (!p->terminal || now - p->shown_us < SHOW_US)
        return;
    p->shown_us = now;
    show(p, "");
}

void history_progress_end(struct history_progress *p) { show(p, "\n"); }

/* --- verbs --- */

static struct history_key key_of(const struct command *c) {
    return (struct history_key){c->args.owner, c->args.session};
}

static int do_append(struct command *c) {
    struct history_progress p;
    history_progress_begin(&p, "appended");
    int rc = history_lines_append(c->from.h, &c->args, c->args.path.p ? c->args.path : STR("-"),
                                  c->args.session, &p, &c->err);
    history_progress_end(&p);
    return rc;
}

static struct history_range range_of(const struct command *c) {
    struct history_range r = HISTORY_RANGE_ALL(key_of(c));
    r.payloads = !c->args.headers;
    if (c->args.from_seq > 0)
        r.seq_min = c->args.from_seq;
    return r;
}

static int do_cat(struct command *c) {
    struct history_range r = range_of(c);
    int64_t last = 0;
    return history_lines_print(c->from.h, &r, c->args.limit ? c->args.limit : -1, &last, &c->err);
}

static int do_tail(struct command *c) {
    struct history_range r = range_of(c);
    struct history_session s;
    struct arena a;
    int64_t last = 0, newest;
    arena_init(&a, ARENA_BYTES_MAX);
    int rc = history_session_get(c->from.h, &r.key, &a, &s, &c->err);
    arena_deinit(&a);
    if (rc < 0)
        return rc;
    int64_t count = c->args.limit ? c->args.limit : TAIL_USUAL;
    last = s.last_seq;
    r.seq_min = s.last_seq >= count ? s.last_seq - count + 1 : 1;
    rc = history_lines_print(c->from.h, &r, -1, &last, &c->err);
    while (rc == 0 && c->args.follow) {
        rc = history_wait(c->from.h, &r.key, last, FIBER_NO_DEADLINE, &newest, &c->err);
        r.seq_min = last + 1;
        if (rc == 0)
            rc = history_lines_print(c->from.h, &r, -1, &last, &c->err);
    }
    return rc;
}

static int print_session(void *ctx, const struct history_session *s, struct err *err) {
    struct buf b;
    (void)ctx;
    (void)err;
    buf_init(&b, 1u << 16);
    struct json_writer w = json_writer(&b);
    history_session_write(&w, s);
    printf(STR_FMT "\n", STR_ARG(buf_view(&b)));
    buf_deinit(&b);
    return 0;
}

static int do_sessions(struct command *c) {
    return history_each_session(c->from.h, &c->args, print_session, NULL, &c->err);
}

static int put_checkpoint(struct command *c, struct arena *a) {
    struct history_key key = key_of(c);
    yyjson_val *root;
    int rc = history_read_json(c->args.path, HISTORY_PAYLOAD_BYTES_MAX + 65536, a, &root, &c->err);
    if (rc < 0)
        return rc;
    struct history_checkpoint cp = {.payload_kind = HISTORY_JSON, .payload = json_text(a, root)};
    rc = history_checkpoint_put(c->from.h, &key, &cp, a, &c->err);
    if (rc == 0)
        printf(STR_FMT "\n", STR_ARG(id_dashed(a, cp.id)));
    return rc;
}

static int do_checkpoint(struct command *c) {
    struct history_key key = key_of(c);
    struct history_checkpoint cp;
    struct arena a;
    arena_init(&a, ARENA_BYTES_MAX);
    int rc = c->args.path.p ? put_checkpoint(c, &a)
                            : history_checkpoint_get(c->from.h, &key, ID_NIL, &a, &cp, &c->err);
    if (rc == 0 && !c->args.path.p) {
        str text = cp.payload_kind == HISTORY_JSON ? cp.payload : base64_encode(&a, cp.payload);
        printf(STR_FMT "\n", STR_ARG(text));
    }
    arena_deinit(&a);
    return rc;
}

struct totals {
    int64_t sessions, events, bytes;
};

static int add_totals(void *ctx, const struct history_session *s, struct err *err) {
    struct totals *t = ctx;
    (void)err;
    t->sessions++;
    t->events += s->last_seq - s->first_seq + 1;
    t->bytes += s->payload_bytes;
    return 0;
}

static int do_stats(struct command *c) {
    struct totals t = {0};
    struct history_legacy_left old = {0};
    int rc = history_each_session(c->from.h, &c->args, add_totals, &t, &c->err);
    if (rc == 0 && c->legacy)
        rc = history_legacy_count(c->from.h, c->legacy, c->args.owner, &old, &c->err);
    if (rc < 0)
        return rc;
    printf("{\"store\":\"%s\",\"sessions\":%lld,\"events\":%lld,\"payload_bytes\":%lld",
           history_name(c->from.h), (long long)t.sessions, (long long)t.events, (long long)t.bytes);
    if (c->legacy)
        printf(",\"legacy_sessions\":%lld,\"legacy_left\":%lld", (long long)old.sessions,
               (long long)old.left);
    puts("}");
    return 0;
}

static int export_session(void *ctx, const struct history_session *s, struct err *err) {
    const struct command *c = ctx;
    struct history_range r = HISTORY_RANGE_ALL(((struct history_key){c->args.owner, s->name}));
    int64_t last = 0;
    return history_lines_print(c->from.h, &r, -1, &last, err);
}

static int do_export(struct command *c) {
    return history_each_session(c->from.h, &c->args, export_session, c, &c->err);
}

static int do_import(struct command *c) {
    if (older_store_is(c->args.path))
        return history_legacy_import(c->rt, c->from.h, &c->args, &c->legacy, &c->err);
    struct history_progress p;
    history_progress_begin(&p, "imported");
    int rc = history_lines_append(c->from.h, &c->args, c->args.path, c->args.session, &p, &c->err);
    history_progress_end(&p);
    return rc;
}

static int do_copy(struct command *c) {
    return history_copy(c->from.h, c->to.h, &c->args, &c->err);
}

/* Of a database: every event and checkpoint is read, and counted against its session. */
static int verify_session(void *ctx, const struct history_session *s, struct err *err) {
    struct command *c = ctx;
    struct history_range r = HISTORY_RANGE_ALL(((struct history_key){c->args.owner, s->name}));
    struct history_page page;
    int64_t bytes = 0;
    int rc;
    r.now_us = INT64_MIN;
    do {
        struct arena a;
        arena_init(&a, 2 * ARENA_BYTES_MAX);
        rc = history_read(c->from.h, &r, &a, &page, err);
        for (size_t i = 0; rc == 0 && i < page.count; i++) {
            bytes += (int64_t)page.events[i].payload_bytes;
            r.seq_min = page.events[i].seq + 1;
            if (page.events[i].payload.len != page.events[i].payload_bytes)
                rc = err_set(err, ERR_CORRUPT, "event %lld has another length than is written",
                             (long long)page.events[i].seq);
        }
        arena_deinit(&a);
    } while (rc == 0 && page.more);
    if (rc == 0 && bytes != s->payload_bytes)
        rc = err_set(err, ERR_CORRUPT, "%lld bytes of payloads, of which the session knows %lld",
                     (long long)bytes, (long long)s->payload_bytes);
    return rc < 0 ? err_context(err, "session '" STR_FMT "'", STR_ARG(str_slice(s->name, 0, 80)))
                  : 0;
}

static int do_verify(struct command *c) {
    char digest[HISTORY_DIGEST_LEN + 1];
    int rc = history_each_session(c->from.h, &c->args, verify_session, c, &c->err);
    if (rc == 0)
        rc = history_digest(c->from.h, digest, &c->err);
    if (rc == 0)
        printf("ok %s\n", digest);
    if (rc == ERR_CORRUPT)
        c->status = 3;
    return rc;
}

static const struct verb verbs[] = {
    {"append", false, false, false, false, true, do_append},
    {"cat", true, false, false, true, true, do_cat},
    {"tail", true, false, false, true, true, do_tail},
    {"sessions", false, false, false, true, true, do_sessions},
    {"checkpoint", true, false, false, false, true, do_checkpoint},
    {"stats", false, false, false, true, true, do_stats},
    {"verify", false, false, false, true, false, do_verify},
    {"repair", false, false, false, true, false, NULL},
    {"import", false, true, false, false, false, do_import},
    {"export", false, false, false, true, true, do_export},
    {"copy", false, false, true, true, true, do_copy},
};

/* --- folders, without a loop --- */

static void print_finding(void *ctx, const char *text) {
    (void)ctx;
    printf("damaged: %s\n", text);
}

static int verify_folder(struct command *c, str folder) {
    struct history_file_report r;
    int rc = history_file_verify(folder.p, NULL, print_finding, NULL, &r, &c->err);
    if (rc < 0)
        return rc;
    printf("%s %lld files, %lld sessions, %lld events, %lld checkpoints, %lld bytes; %lld torn\n",
           r.findings ? "DAMAGED" : "ok", (long long)r.files, (long long)r.sessions,
           (long long)r.events, (long long)r.checkpoints, (long long)r.bytes,
           (long long)r.torn_bytes);
    c->status = r.findings ? 3 : 0;
    return 0;
}

static int repair_folder(struct command *c, str folder) {
    int64_t cut = 0;
    if (!folder.p)
        return err_set(&c->err, ERR_UNSUPPORTED,
                       "repair: is for file:FOLDER; databases repair themselves when they open");
    int rc = history_file_repair(folder.p, NULL, &cut, &c->err);
    if (rc == 0)
        printf("%lld bytes cut off\n", (long long)cut);
    return rc;
}

/* --- running --- */

static int open_legacy(struct command *c) {
    int rc = older_store_open(c->rt, c->args.legacy, &c->legacy, &c->err);
    struct history_legacy_options o = {c->legacy, c->args.owner, LOOK_US};
    /* To count what was never taken takes nothing. */
    return rc < 0 || c->verb->fn == do_stats
               ? rc
               : history_legacy_wrap(c->from.h, &o, &c->from.h, &c->err);
}

static enum library_use use_of(bool reads) { return reads ? LIBRARY_READS : LIBRARY_ONE; }

static void main_fiber(void *arg) {
    struct command *c = arg;
    bool takes = c->args.legacy.p && c->verb->fn != do_stats;
    /* A folder that another process writes to can be read; of others nothing is kept open. */
    c->from.compress = c->to.compress = c->args.compress;
    c->rc = library_source_start(c->rt, use_of(c->verb->reads && !takes), &c->from, &c->err);
    if (c->rc == 0 && c->args.legacy.p)
        c->rc = open_legacy(c);
    if (c->rc == 0 && c->args.to.p)
        c->rc = library_source_start(c->rt, LIBRARY_ONE, &c->to, &c->err);
    if (c->rc == 0)
        c->rc = c->verb->fn(c);
    rt_stop(c->rt);
}

static int run(struct command *c) {
    str folder = library_source_folder(c->args.store);
    if (!c->verb->fn)
        return repair_folder(c, folder);
    if (c->verb->fn == do_verify && folder.p)
        return verify_folder(c, folder);
    int rc = rt_open(&c->rt, &c->err);
    if (rc < 0)
        return rc;
    rc = library_source_open(c->rt, c->args.store, use_of(c->verb->reads), &c->from, &c->err);
    if (rc == 0 && c->args.to.p)
        rc = library_source_open(c->rt, c->args.to, LIBRARY_ONE, &c->to, &c->err);
    if (rc == 0 && !fiber_spawn(c->rt, "history", main_fiber, c, &c->err))
        rc = ERR_LIMIT;
    if (rc == 0) {
        rt_run(c->rt);
        rc = c->rc;
    }
    library_source_close(&c->to);
    library_source_close(&c->from);
    older_store_close(c->legacy);
    rt_close(c->rt);
    return rc;
}

static bool number(const char *text, int64_t *out) {
    return str_to_i64(str_of(text), out) && *out > 0;
}

static int parse_options(struct command *c, int argc, char **argv) {
    static const struct option options[] = {
        {"store", required_argument, NULL, 's'},  {"to", required_argument, NULL, 't'},
        {"owner", required_argument, NULL, 'o'},  {"session", required_argument, NULL, 'n'},
        {"from", required_argument, NULL, 'f'},   {"limit", required_argument, NULL, 'l'},
        {"follow", no_argument, NULL, 'F'},       {"headers", no_argument, NULL, 'H'},
        {"strict", no_argument, NULL, 'S'},       {"again", no_argument, NULL, 'A'},
        {"legacy", required_argument, NULL, 'L'}, {"compress", no_argument, NULL, 'z'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    struct history_args *a = &c->args;
    int option;
    bool fine = true;
    a->owner = STR("");
    while (fine && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            a->store = str_of(optarg);
            break;
        case 't':
            a->to = str_of(optarg);
            break;
        case 'o':
            a->owner = str_of(optarg);
            break;
        case 'n':
            a->session = str_of(optarg);
            break;
        case 'f':
            fine = number(optarg, &a->from_seq);
            break;
        case 'l':
            fine = number(optarg, &a->limit);
            break;
        case 'F':
            a->follow = true;
            break;
        case 'H':
            a->headers = true;
            break;
        case 'S':
            a->strict = true;
            break;
        case 'A':
            a->again = true;
            break;
        case 'L':
            a->legacy = str_of(optarg);
            break;
        case 'z':
            a->compress = true;
            break;
        case 'h':
            a->help = true;
            break;
        default:
            fine = false;
        }
    }
    if (optind < argc)
        a->path = str_of(argv[optind++]);
    return fine && optind == argc ? 0 : err_set(&c->err, ERR_INVALID, "history: wrong options");
}

static int parse(struct command *c, int argc, char **argv) {
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0)
            c->verb = &verbs[i];
    }
    int rc = parse_options(c, argc - 1, argv + 1);
    if (rc < 0 || c->args.help)
        return rc;
    if (!c->verb)
        return err_set(&c->err, ERR_INVALID, "history: there is no verb %s", argv[1]);
    if (!c->args.store.p)
        return err_set(&c->err, ERR_INVALID, "history: needs --store");
    if (c->verb->needs_session && !c->args.session.p)
        return err_set(&c->err, ERR_INVALID, "history %s: needs --session", c->verb->name);
    if (c->verb->needs_path && !c->args.path.p)
        return err_set(&c->err, ERR_INVALID, "history %s: needs a file", c->verb->name);
    if (c->verb->needs_to != (c->args.to.p != NULL))
        return err_set(&c->err, ERR_INVALID, "history %s: %s --to", c->verb->name,
                       c->verb->needs_to ? "needs" : "takes no");
    if (c->args.legacy.p && !c->verb->may_be_dual)
        return err_set(&c->err, ERR_INVALID, "history %s: takes no --legacy", c->verb->name);
    return 0;
}

int history_run(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(HELP, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    mem_stay_small();
    struct command *c = NEW(struct command);
    log_init(LOG_WARN, STDERR_FILENO, isatty(STDERR_FILENO));
    int rc = parse(c, argc, argv);
    bool called_wrong = rc < 0;
    if (rc == 0 && c->args.help)
        fputs(HELP, stdout);
    else if (rc == 0)
        rc = run(c);
    if (rc < 0)
        fprintf(stderr, "holdfast: %s\n", c->err.message);
    int status = called_wrong ? 2 : c->status ? c->status : rc < 0 ? 1 : 0;
    mem_free(c);
    return status;
}
