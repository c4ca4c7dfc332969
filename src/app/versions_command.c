/* SPDX-License-Identifier: Apache-2.0 */
/* versions_command.c - `holdfast doctor --versions`: what is installed, what is wanted, and one
 * command that brings the first to the second.
 *
 * What is wanted: of a library the version whose headers this program was built with, of the schema
 * all migrations that this program has; a manifest (--manifest FILE), such as one that comes with a
 * newer release, may want more. */
#include "app/doctor_command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/database.h"
#include "app/pool_command.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "db/postgres/doctor.h"
#include "db/sqlite/component.h"
#include "http/component.h"
#include "pg/component.h"
#include "rt/component.h"

#define EXIT_OLDER         3
#define COMPONENTS_MAX     32
#define MANIFEST_BYTES_MAX 65536
#define BYTES_MAX          ((size_t)1 << 20)
#define UPDATE_PROGRAM     "git pull && ./dev build"

struct row {
    const char *name, *installed, *wanted, *package, *command;
    bool older;
};

struct command {
    struct config config;
    struct arena arena;
    bool json;
    const char *manifest_path;
    yyjson_val *manifest; /* NULL: none */
    struct row rows[COMPONENTS_MAX];
    size_t row_count, older;
    struct err err;
};

/* Of digits at *at, which moves behind them; 0 when there is none. */
static uint64_t take_number(const char **at) {
    uint64_t n = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++)
        n = n < UINT64_MAX / 16 ? n * 10 + (uint64_t)(**at - '0') : n;
    return n;
}

/* By numbers between dots; what follows them is not looked at. */
static int version_order(const char *a, const char *b) {
    for (;;) {
        uint64_t x = take_number(&a), y = take_number(&b);
        if (x != y)
            return x < y ? -1 : 1;
        if (*a != '.' && *b != '.')
            return 0;
        a += *a == '.';
        b += *b == '.';
    }
}

static const char *kept(struct command *c, const char *z) {
    return z ? arena_z(&c->arena, str_of(z)) : NULL;
}

static void add(void *ctx, const struct component *component) {
    struct command *c = ctx;
    str asked = json_str(json_get(c->manifest, component->name));
    if (c->row_count == COMPONENTS_MAX)
        return;
    struct row *r = &c->rows[c->row_count++];
    *r = (struct row){.name = kept(c, component->name),
                      .installed = kept(c, component->installed),
                      .wanted = asked.p ? arena_z(&c->arena, asked) : kept(c, component->wanted),
                      .package = kept(c, component->package),
                      .command = kept(c, component->command)};
    r->older = version_order(r->installed, r->wanted) < 0;
    c->older += r->older;
}

static void add_all(struct command *c) {
    add(c, &(struct component){"holdfast", HF_VERSION, HF_VERSION, NULL, NULL});
    base_components(add, c);
    rt_components(add, c);
    http_components(add, c);
    pg_components(add, c);
    db_sqlite_components(add, c);
}

/* --- the database ---------------------------------------------------------------------------- */

static int take_database(void *ctx, struct pg_pool *pool, struct err *err) {
    return db_postgres_components(pool, add, ctx, err);
}

static int ask_database(struct command *c) {
    return pool_command_run(
        &c->config,
        &(struct pool_command){
            .name = "holdfast doctor", .connections_max = 1, .fn = take_database, .ctx = c},
        &c->err);
}

/* --- options --------------------------------------------------------------------------------- */

/* Takes this command's own words out; the rest are options of serve. */
static int take_words(struct command *c, int argc, char **argv) {
    int left = 0;
    for (int i = 0; i < argc; i++) {
        if (i == 0 || strncmp(argv[i], "--", 2) != 0)
            argv[left++] = argv[i];
        else if (strcmp(argv[i], "--json") == 0)
            c->json = true;
        else if (strncmp(argv[i], "--manifest=", 11) == 0)
            c->manifest_path = argv[i] + 11;
        else if (strcmp(argv[i], "--manifest") == 0 && i + 1 < argc)
            c->manifest_path = argv[++i];
        else if (strcmp(argv[i], "--versions") != 0)
            argv[left++] = argv[i];
    }
    argv[left] = NULL;
    return left;
}

static int read_manifest(struct command *c) {
    char *text = arena_alloc(&c->arena, MANIFEST_BYTES_MAX);
    FILE *f = fopen(c->manifest_path, "rb");
    size_t len = f ? fread(text, 1, MANIFEST_BYTES_MAX, f) : 0;
    bool whole = f && !ferror(f) && len < MANIFEST_BYTES_MAX;
    if (f)
        (void)fclose(f); /* it was only read */
    if (!whole)
        return err_set(&c->err, ERR_INVALID, "%s cannot be read, or is too large",
                       c->manifest_path);
    int rc = json_parse(&c->arena, str_n(text, len), &c->manifest, &c->err);
    if (rc == 0 && !yyjson_is_obj(c->manifest))
        rc = err_set(&c->err, ERR_INVALID, "a manifest is an object of names and versions");
    return rc < 0 ? (err_context(&c->err, "%s", c->manifest_path), ERR_INVALID) : 0;
}

/* --- printing -------------------------------------------------------------------------------- */

static void and_then(struct buf *b, const char *command) {
    if (b->len > 0)
        buf_z(b, " && ");
    buf_z(b, command);
}

/* What is built in comes with a newer program; packages come in one call; then the rest. */
static void update_command(const struct command *c, struct buf *b) {
    bool program = false, packages = false;
    for (size_t i = 0; i < c->row_count; i++)
        program |= c->rows[i].older && !c->rows[i].package && !c->rows[i].command &&
                   strcmp(c->rows[i].name, "PostgreSQL") != 0;
    if (program)
        and_then(b, UPDATE_PROGRAM);
    for (size_t i = 0; i < c->row_count; i++) {
        const struct row *r = &c->rows[i];
        if (!r->older || !r->package)
            continue;
        if (!packages)
            and_then(b, "apt-get install --only-upgrade");
        packages = true;
        buf_char(b, ' ');
        buf_z(b, r->package);
    }
    for (size_t i = 0; i < c->row_count; i++)
        if (c->rows[i].older && c->rows[i].command)
            and_then(b, c->rows[i].command);
}

static void print_table(const struct command *c, str update) {
    printf("%-12s %-14s %-14s\n", "component", "installed", "wanted");
    for (size_t i = 0; i < c->row_count; i++) {
        const struct row *r = &c->rows[i];
        printf("%-12s %-14s %-14s %s\n", r->name, r->installed, r->wanted,
               r->older ? "older" : "ok");
    }
    if (update.len > 0)
        printf("\nto update: %.*s\n", STR_ARG(update));
}

static void print_json(const struct command *c, str update) {
    struct buf b;
    buf_init(&b, BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "components");
    jw_array(&w);
    for (size_t i = 0; i < c->row_count; i++) {
        const struct row *r = &c->rows[i];
        jw_object(&w);
        jw_key(&w, "name");
        jw_z(&w, r->name);
        jw_key(&w, "installed");
        jw_z(&w, r->installed);
        jw_key(&w, "wanted");
        jw_z(&w, r->wanted);
        jw_key(&w, "older");
        jw_raw(&w, r->older ? STR("true") : STR("false"));
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_key(&w, "update");
    jw_str(&w, update.len ? update : STR_NULL);
    jw_object_end(&w);
    printf("%.*s\n", STR_ARG(buf_view(&b)));
    buf_deinit(&b);
}

static void print(const struct command *c) {
    struct buf update;
    buf_init(&update, BYTES_MAX);
    update_command(c, &update);
    if (c->json)
        print_json(c, buf_view(&update));
    else
        print_table(c, buf_view(&update));
    buf_deinit(&update);
}

int doctor_versions(int argc, char **argv) {
    struct command *c = NEW(struct command);
    arena_init(&c->arena, BYTES_MAX);
    argc = take_words(c, argc, argv);
    int rc = config_load(argc, argv, &c->config, &c->err);
    log_init(LOG_WARN, STDERR_FILENO, isatty(STDERR_FILENO));
    if (rc == 0 && c->manifest_path)
        rc = read_manifest(c);
    if (rc == 0) {
        add_all(c);
        if (database_is_remote(&c->config))
            rc = ask_database(c);
        print(c); /* what is known, also when the database cannot be asked */
    }
    if (rc < 0)
        fprintf(stderr, "holdfast doctor: %s\n", c->err.message);
    int status = rc == ERR_INVALID ? 2 : rc < 0 ? 1 : c->older > 0 ? EXIT_OLDER : 0;
    config_deinit(&c->config);
    arena_deinit(&c->arena);
    mem_free(c);
    return status;
}
