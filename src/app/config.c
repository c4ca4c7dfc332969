/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - reads the options table against flags and environment.
 *
 * The table is spec/options.def, included here for its rows and in config.h for the fields, so an
 * option exists in both or in none. Loading takes three passes: find each option's text (default,
 * then environment, then flag), convert the texts, then check what several options say together.
 * Only the text that won is converted: a bad variable that a flag overrides is no error.
 *
 * Invariants: a message names the flag or the variable it complains about; it never shows the text
 * of a SECRET. A new kind needs a field macro (config.h), a row macro and a case of convert(), and
 * its line in tools/gen-docs. */
#include "app/config.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#define MEMORY_BYTES_MAX  (4u << 20)
#define LIST_BYTES_MAX    (1u << 20)
#define US_PER_S          1000000
#define MILLISECONDS_FROM 1000 /* of a PATIENCE */

enum kind {
    KIND_GROUP,
    KIND_STR,
    KIND_LIST,
    KIND_SECRET,
    KIND_BOOL,
    KIND_INT,
    KIND_BYTES,
    KIND_SECONDS,
    KIND_PATIENCE,
    KIND_CHOICE
};
static const char *const kind_words[] = {
    [KIND_STR] = "TEXT",        [KIND_LIST] = "TEXT",
    [KIND_SECRET] = "SECRET",   [KIND_BOOL] = "true|false",
    [KIND_INT] = "N",           [KIND_BYTES] = "BYTES",
    [KIND_SECONDS] = "SECONDS", [KIND_PATIENCE] = "SECONDS",
};

/* Where an option's text came from; a later one wins. */
enum source { SOURCE_DEFAULT, SOURCE_ENV, SOURCE_FLAG };

struct row {
    enum kind kind;
    const char *key;     /* NULL for a group */
    const char *choices; /* "a|b" of a CHOICE */
    const char *env, *fallback;
    int64_t min, max;
    const char *help; /* the title of a group */
    size_t offset;    /* in struct config */
};

#define KIND_OF_STR          KIND_STR, NULL
#define KIND_OF_LIST         KIND_LIST, NULL
#define KIND_OF_SECRET       KIND_SECRET, NULL
#define KIND_OF_BOOL         KIND_BOOL, NULL
#define KIND_OF_INT          KIND_INT, NULL
#define KIND_OF_BYTES        KIND_BYTES, NULL
#define KIND_OF_SECONDS      KIND_SECONDS, NULL
#define KIND_OF_PATIENCE     KIND_PATIENCE, NULL
#define KIND_OF_CHOICE(list) KIND_CHOICE, list
#define OFFSET_STR(key)      offsetof(struct config, key)
#define OFFSET_LIST          OFFSET_STR
#define OFFSET_SECRET        OFFSET_STR
#define OFFSET_BOOL          OFFSET_STR
#define OFFSET_INT           OFFSET_STR
#define OFFSET_BYTES         OFFSET_STR
#define OFFSET_SECONDS(key)  offsetof(struct config, key##_us)
#define OFFSET_PATIENCE      OFFSET_SECONDS
#define OFFSET_CHOICE(list)  OFFSET_STR

#define ROW(kind, choices, key, env, fallback, min, max, help, offset)                             \
    {kind, #key, choices, env, fallback, min, max, help, offset},
#define ROW_EXPANDED(...) ROW(__VA_ARGS__)
static const struct row rows[] = {
#define GROUP(title) {.kind = KIND_GROUP, .help = title},
#define OPT(key, kind, env, fallback, min, max, help)                                              \
    ROW_EXPANDED(KIND_OF_##kind, key, env, fallback, min, max, help, OFFSET_##kind(key))
#include "options.def"
#undef OPT
#undef GROUP
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

enum row_index {
#define GROUP_NAME(line)                              ROW_GROUP_##line
#define GROUP_NAME_EXPANDED(line)                     GROUP_NAME(line)
#define GROUP(title)                                  GROUP_NAME_EXPANDED(__LINE__),
#define OPT(key, kind, env, fallback, min, max, help) ROW_##key,
#include "options.def"
#undef OPT
#undef GROUP
};

struct given {
    const char *text;
    enum source source;
    str env; /* the variable that gave it */
};

/* "drain-timeout" of drain_timeout. */
static void write_flag(struct buf *out, const char *key) {
    for (; *key; key++) {
        buf_char(out, *key == '_' ? '-' : *key);
    }
}

static char *flag_of(struct arena *a, const char *key) {
    struct buf b;
    buf_init(&b, 256);
    write_flag(&b, key);
    char *flag = arena_z(a, buf_view(&b));
    buf_deinit(&b);
    return flag;
}

/* The name to complain about: "--drain-timeout" or "HOLDFAST_DRAIN_TIMEOUT". */
static const char *name_of(struct arena *a, const struct row *row, const struct given *given) {
    if (given->source == SOURCE_ENV) {
        return arena_z(a, given->env);
    }
    return arena_printf(a, "--%s", flag_of(a, row->key)).p;
}

/* --- conversion --- */
static bool parse_bool(str s, bool *out) {
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (str_ieq(s, str_of(yes[i])) || str_ieq(s, str_of(no[i]))) {
            *out = str_ieq(s, str_of(yes[i]));
            return true;
        }
    }
    return false;
}

static bool parse_bytes(str s, int64_t *out) {
    static const char units[] = "KMG";
    int shift = 0;
    for (int i = 0; s.len > 1 && i < 3; i++) {
        char last = s.p[s.len - 1];
        if (last == units[i] || last == units[i] + ('a' - 'A')) {
            shift = 10 * (i + 1);
            s.len--;
            break;
        }
    }
    int64_t number;
    if (!str_to_i64(s, &number) || number > INT64_MAX >> shift || number < 0) {
        return false;
    }
    *out = number << shift;
    return true;
}

static bool parse_choice(str s, str choices, int *out) {
    str one;
    for (int i = 0; str_split_next(&choices, '|', &one); i++) {
        if (str_ieq(s, one)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static int convert_text(const struct row *row, const char *name, str text, struct config *c,
                        struct err *err) {
    if ((int64_t)text.len < row->min || (int64_t)text.len > row->max) {
        return err_set(err, ERR_INVALID, "%s: must have %lld to %lld bytes", name,
                       (long long)row->min, (long long)row->max);
    }
    void *field = (char *)c + row->offset;
    if (row->kind != KIND_SECRET) {
        *(str *)field = arena_dup(&c->memory, text);
    } else {
        ((struct secret *)field)->s = text.len ? arena_dup(&c->memory, text) : STR_NULL;
    }
    return 0;
}

static int convert_number(const struct row *row, const char *name, str text, int64_t *field,
                          struct err *err) {
    int64_t value = 0;
    double seconds = 0;
    bool valid = row->kind == KIND_INT     ? str_to_i64(text, &value)
                 : row->kind == KIND_BYTES ? parse_bytes(text, &value)
                                           : str_to_double(text, &seconds);
    if (!valid) {
        return err_set(err, ERR_INVALID, "%s: \"" STR_FMT "\" is not %s", name,
                       (int)(text.len < 80 ? text.len : 80), text.p,
                       row->kind == KIND_INT     ? "a whole number"
                       : row->kind == KIND_BYTES ? "a number of bytes such as 4096, 64K, 16M or 1G"
                                                 : "a number of seconds");
    }
    bool fraction = row->kind == KIND_SECONDS || row->kind == KIND_PATIENCE;
    if (row->kind == KIND_PATIENCE && seconds >= MILLISECONDS_FROM) {
        seconds /= 1000;
    }
    bool inside = fraction ? seconds >= (double)row->min && seconds <= (double)row->max
                           : value >= row->min && value <= row->max;
    if (!inside) {
        return err_set(err, ERR_INVALID, "%s: " STR_FMT " is outside of %lld to %lld", name,
                       (int)(text.len < 80 ? text.len : 80), text.p, (long long)row->min,
                       (long long)row->max);
    }
    *field = fraction ? (int64_t)(seconds * US_PER_S + 0.5) : value;
    return 0;
}

static int convert(const struct row *row, const struct given *given, struct config *c,
                   struct err *err) {
    const char *name = name_of(&c->memory, row, given);
    str text = str_of(given->text);
    void *field = (char *)c + row->offset;
    switch (row->kind) {
    case KIND_STR:
    case KIND_LIST:
    case KIND_SECRET:
        return convert_text(row, name, text, c, err);
    case KIND_INT:
    case KIND_BYTES:
    case KIND_SECONDS:
    case KIND_PATIENCE:
        return convert_number(row, name, text, field, err);
    case KIND_BOOL:
        if (!parse_bool(text, field)) {
            return err_set(err, ERR_INVALID, "%s: must be true or false", name);
        }
        return 0;
    case KIND_CHOICE:
        if (!parse_choice(text, str_of(row->choices), field)) {
            return err_set(err, ERR_INVALID, "%s: must be one of %s", name, row->choices);
        }
        return 0;
    case KIND_GROUP:
        break;
    }
    UNREACHABLE();
}

/* --- what several options say together --- */
static int resolve_listen(const struct given *given, struct config *c, struct err *err) {
    const char *name = name_of(&c->memory, &rows[ROW_listen], &given[ROW_listen]);
    str rest = c->listen, host;
    if (str_starts(rest, STR("["))) {
        ptrdiff_t end = str_find(rest, STR("]:"));
        if (end < 0) {
            return err_set(err, ERR_INVALID, "%s: must be HOST:PORT, for IPv6 [::1]:2024", name);
        }
        host = str_slice(rest, 1, (size_t)end);
        rest = str_slice(rest, (size_t)end + 2, rest.len);
    } else {
        ptrdiff_t colon = str_find_char(rest, ':');
        if (colon < 0) {
            return err_set(err, ERR_INVALID, "%s: must be HOST:PORT, such as 127.0.0.1:2024", name);
        }
        host = str_slice(rest, 0, (size_t)colon);
        rest = str_slice(rest, (size_t)colon + 1, rest.len);
    }
    int64_t port;
    if (!str_to_i64(rest, &port) || port < 0 || port > 65535) {
        return err_set(err, ERR_INVALID, "%s: the port must be a number from 0 to 65535", name);
    }
    /* --listen is meant whole even where the platform sets PORT. */
    if (c->port != 0 && given[ROW_port].source >= given[ROW_listen].source) {
        port = c->port;
    }
    if (c->workers > 1 && port == 0) {
        return err_set(err, ERR_INVALID, "%s: several processes need a port to share, not 0", name);
    }
    c->listen_host = arena_z(&c->memory, host);
    c->listen_port = (int)port;
    return 0;
}

/* "1.2.3.4:5", "[::1]:5"; an address of IPv6 alone has colons, too. */
static bool names_port(str address) {
    ptrdiff_t colon = str_find_char(address, ':');
    return str_find(address, STR("]:")) >= 0 ||
           (colon >= 0 &&
            str_find_char(str_slice(address, (size_t)colon + 1, address.len), ':') < 0);
}

static int check_database(const struct given *given, const struct config *c, struct arena *a,
                          struct err *err) {
    str url = secret_reveal(c->database_url);
    const char *name = name_of(a, &rows[ROW_database_url], &given[ROW_database_url]);
    bool postgres = str_starts(url, STR("postgres://")) || str_starts(url, STR("postgresql://")) ||
                    (str_find(url, STR("://")) < 0 && str_find_char(url, '=') > 0);
    if (!str_empty(url) && !postgres) {
        return err_set(err, ERR_INVALID, "%s: unknown kind of database; unset it to use SQLite",
                       name);
    }
    if (postgres && c->ephemeral) {
        return err_set(err, ERR_INVALID,
                       "%s and ephemeral exclude each other: nothing would be kept there", name);
    }
    if (postgres && c->database_pool_max > 0 && c->database_pool_min > c->database_pool_max) {
        return err_set(err, ERR_INVALID, "%s: is more than the pool may have, %lld",
                       name_of(a, &rows[ROW_database_pool_min], &given[ROW_database_pool_min]),
                       (long long)c->database_pool_max);
    }
    if (!postgres && c->workers > 1) {
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: more than one process needs PostgreSQL: set DATABASE_URL",
                       name_of(a, &rows[ROW_workers], &given[ROW_workers]));
    }
    if (c->workers > 1 && names_port(c->peer_address)) {
        return err_set(err, ERR_INVALID,
                       "%s: several processes take ports of their own: leave it out",
                       name_of(a, &rows[ROW_peer_address], &given[ROW_peer_address]));
    }
    return 0;
}

/* Addresses are joined with paths, so the slash at the end goes. */
static int trim_url(const struct given *given, enum row_index at, struct config *c, str *url,
                    struct err *err) {
    if (!str_empty(*url) && !str_starts(*url, STR("http://")) &&
        !str_starts(*url, STR("https://"))) {
        return err_set(err, ERR_INVALID, "%s: must start with http:// or https://",
                       name_of(&c->memory, &rows[at], &given[at]));
    }
    str trimmed = *url;
    while (str_ends(trimmed, STR("/"))) {
        trimmed.len--;
    }
    *url = arena_dup(&c->memory, trimmed);
    return 0;
}

static int resolve(const struct given *given, struct config *c, struct err *err) {
    int rc = resolve_listen(given, c, err);
    if (rc == 0) {
        rc = check_database(given, c, &c->memory, err);
    }
    if (rc == 0) {
        rc = trim_url(given, ROW_openai_base_url, c, &c->openai_base_url, err);
    }
    if (rc == 0) {
        rc = trim_url(given, ROW_anthropic_base_url, c, &c->anthropic_base_url, err);
    }
    if (rc == 0) {
        rc = trim_url(given, ROW_google_base_url, c, &c->google_base_url, err);
    }
    if (rc == 0) {
        rc = trim_url(given, ROW_vertexai_base_url, c, &c->vertexai_base_url, err);
    }
    if (rc == 0) {
        rc = trim_url(given, ROW_store_embed_url, c, &c->store_embed_url, err);
    }
    if (rc == 0) {
        rc = trim_url(given, ROW_public_url, c, &c->public_url, err);
    }
    if (rc == 0) {
        rc = trim_url(given, ROW_supabase_url, c, &c->supabase_url, err);
    }
    if (rc == 0) {
        rc = trim_url(given, ROW_introspection_url, c, &c->introspection_url, err);
    }
    if (rc == 0 && str_find_char(c->model_name, ':') < 0) {
        c->model_name = arena_printf(&c->memory, "openai:" STR_FMT, STR_ARG(c->model_name));
    }
    return rc;
}

/* --- finding the texts --- */
#define FLAG_HELP  'h'
#define FLAG_FIRST 256

/* The first of the row's variables that is set. */
static bool find_env(const struct row *row, struct given *out) {
    str names = str_of(row->env), name;
    char z[128];
    while (!str_empty(names) && str_split_next(&names, ' ', &name)) {
        ASSERT(name.len < sizeof(z));
        memcpy(z, name.p, name.len);
        z[name.len] = '\0';
        const char *text = getenv(z);
        if (text && text[0]) {
            *out = (struct given){text, SOURCE_ENV, name};
            return true;
        }
    }
    return false;
}

bool config_env(struct arena *a, str name, str *out) {
    const char *text = getenv(arena_z(a, name));
    *out = str_of(text);
    return text != NULL;
}

int config_file(struct arena *a, str path, size_t bytes_max, str *out, struct err *err) {
    const char *name = arena_z(a, path);
    FILE *in = fopen(name, "rb");
    if (!in)
        return err_set_system(err, ERR_IO, errno, "%.150s cannot be read: %s", name,
                              strerror(errno));
    char *text = arena_alloc(a, bytes_max + 1);
    size_t len = fread(text, 1, bytes_max + 1, in);
    bool failed = ferror(in) != 0;
    (void)fclose(in); /* only read */
    if (failed || len > bytes_max)
        return err_set(err, ERR_INVALID, "%.150s cannot be read, or is too large", name);
    *out = str_n(text, len);
    return 0;
}

static bool is_own_secret(str name) {
    if (str_eq(name, STR("PGPASSWORD")))
        return true;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        str names = str_of(rows[i].env ? rows[i].env : ""), one;
        if (rows[i].kind != KIND_SECRET || str_ends(str_of(rows[i].key), STR("_api_key")))
            continue;
        while (!str_empty(names) && str_split_next(&names, ' ', &one))
            if (str_eq(one, name))
                return true;
    }
    return false;
}

char **config_env_for_others(struct arena *a) {
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **out = ARENA_ARRAY(a, char *, count + 1);
    for (size_t i = 0; i < count; i++) {
        str whole = str_of(environ[i]);
        ptrdiff_t at = str_find_char(whole, '=');
        if (at < 0 || !is_own_secret(str_slice(whole, 0, (size_t)at)))
            out[kept++] = environ[i];
    }
    out[kept] = NULL;
    return out;
}

static void find_defaults_and_env(struct given *given) {
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!rows[i].env || !find_env(&rows[i], &given[i])) {
            given[i] = (struct given){rows[i].fallback, SOURCE_DEFAULT, STR_NULL};
        }
    }
}

/* Platforms that start many short-lived processes, by a variable that each sets. */
static const char *find_platform(void) {
    static const char *const names[] = {
        "AWS_LAMBDA_FUNCTION_NAME",   "VERCEL", "NETLIFY", "K_SERVICE", "FUNCTION_TARGET",
        "AZURE_FUNCTIONS_ENVIRONMENT"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const char *text = getenv(names[i]);
        if (text && text[0]) {
            return names[i];
        }
    }
    return NULL;
}

static int find_flags(int argc, char **argv, struct given *given, struct config *c,
                      struct err *err) {
    struct option options[ROW_COUNT + 2] = {{0}};
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].kind != KIND_GROUP) {
            options[count++] =
                (struct option){flag_of(&c->memory, rows[i].key),
                                rows[i].kind == KIND_BOOL ? optional_argument : required_argument,
                                NULL, FLAG_FIRST + (int)i};
        }
    }
    options[count] = (struct option){"help", no_argument, NULL, FLAG_HELP};
    optind = 0; /* glibc: forget an earlier parse */
    opterr = 0;
    for (int flag; (flag = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        if (flag == FLAG_HELP) {
            c->help_wanted = true;
        } else if (flag == ':') {
            return err_set(err, ERR_INVALID, "%.100s needs a value", argv[optind - 1]);
        } else if (flag < FLAG_FIRST) {
            return err_set(err, ERR_INVALID, "unknown option %.100s; --help lists them",
                           argv[optind - 1]);
        } else {
            struct given *g = &given[flag - FLAG_FIRST];
            bool more = rows[flag - FLAG_FIRST].kind == KIND_LIST && g->source == SOURCE_FLAG;
            const char *text = optarg ? optarg : "true";
            if (more && strlen(g->text) + strlen(text) < LIST_BYTES_MAX) {
                text = arena_printf(&c->memory, "%s\n%s", g->text, text).p;
            }
            *g = (struct given){text, SOURCE_FLAG, STR_NULL};
        }
    }
    if (optind < argc) {
        return err_set(err, ERR_INVALID, "unexpected argument %.100s; --help lists the options",
                       argv[optind]);
    }
    return 0;
}

int config_load(int argc, char **argv, struct config *out, struct err *err) {
    struct config c = {0};
    struct given given[ROW_COUNT];
    arena_init(&c.memory, MEMORY_BYTES_MAX);
    find_defaults_and_env(given);
    c.platform = find_platform();
    int rc = find_flags(argc, argv, given, &c, err);
    for (size_t i = 0; rc == 0 && i < ROW_COUNT; i++) {
        if (rows[i].kind != KIND_GROUP) {
            rc = convert(&rows[i], &given[i], &c, err);
        }
    }
    if (rc == 0) {
        rc = resolve(given, &c, err);
    }
    if (rc != 0) {
        arena_deinit(&c.memory);
        return rc;
    }
    *out = c;
    return 0;
}

void config_deinit(struct config *c) {
    arena_deinit(&c->memory);
    *c = (struct config){0};
}

void config_help(struct buf *out) {
    buf_z(out, "usage: holdfast serve [options]\n\n"
               "An option comes from its flag, else its variable, else the default in brackets.\n"
               "--help  prints this\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        if (row->kind == KIND_GROUP) {
            buf_printf(out, "\n%s\n", row->help);
            continue;
        }
        buf_z(out, "  --");
        write_flag(out, row->key);
        buf_printf(out, row->kind == KIND_BOOL ? "[=%s]" : " %s",
                   row->kind == KIND_CHOICE ? row->choices : kind_words[row->kind]);
        if (row->fallback[0]) {
            buf_printf(out, "  [%s]", row->fallback);
        }
        if (row->env[0]) {
            buf_printf(out, "  $%s", row->env);
        }
        buf_printf(out, "\n      %s\n", row->help);
    }
}
