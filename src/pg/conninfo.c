/* SPDX-License-Identifier: Apache-2.0 */
/* conninfo.c - connection strings.
 *
 * PQconninfoParse reads URLs and keyword/value strings, PQconndefaults the environment; neither
 * connects. On top come our defaults (keepalives, no GSS encryption: its wrapping is not
 * reachable from outside of libpq) where the user said nothing. Hosts that are names get one entry
 * an address, so that libpq tries them in order as it would itself. A name that cannot be resolved
 * is left out while another host remains.
 *
 * Texts of libpq about a string that it cannot read may quote any part of it, the password, too:
 * what stands in quotes is not passed on. */
#include "pg/conninfo_int.h"

#include <libpq-fe.h>
#include <uv.h>

#include "base/mem.h"

#define OPTIONS_MAX      64
#define TARGET_BYTES_MAX (1u << 20)

struct pg_conninfo {
    size_t count;
    char *keywords[OPTIONS_MAX], *values[OPTIONS_MAX];
};

/* Used only where the string, the environment and the service file say nothing. */
static const struct {
    const char *keyword, *value;
} defaults[] = {
    {"client_encoding", "UTF8"},   {"gssencmode", "disable"}, {"keepalives_idle", "30"},
    {"keepalives_interval", "10"}, {"keepalives_count", "3"}, {"tcp_user_timeout", "30000"},
};

static size_t find(const struct pg_conninfo *i, const char *keyword) {
    for (size_t k = 0; k < i->count; k++)
        if (strcmp(i->keywords[k], keyword) == 0)
            return k;
    return SIZE_MAX;
}

const char *pg_conninfo_get(const struct pg_conninfo *i, const char *keyword) {
    size_t k = find(i, keyword);
    return k == SIZE_MAX ? NULL : i->values[k];
}

static void add(struct pg_conninfo *i, const char *keyword, const char *value) {
    if (!value || !*value || i->count == OPTIONS_MAX || find(i, keyword) != SIZE_MAX)
        return;
    i->keywords[i->count] = mem_strdup(keyword);
    i->values[i->count++] = mem_strdup(value);
}

void pg_conninfo_free(struct pg_conninfo *i) {
    for (size_t k = 0; i && k < i->count; k++) {
        mem_free(i->keywords[k]);
        explicit_bzero(i->values[k], strlen(i->values[k]));
        mem_free(i->values[k]);
    }
    mem_free(i);
}

/* --- texts ----------------------------------------------------------------------------------- */

/* libpq's complaint about a string, without what it quotes. */
static int refuse(const char *text, struct err *err) {
    char clean[ERR_MESSAGE_BYTES];
    size_t n = 0;
    bool quoted = false;
    for (const char *p = text; *p && *p != '\n' && n < sizeof(clean) - 4; p++) {
        if (*p == '"') {
            quoted = !quoted;
            if (quoted) {
                memcpy(clean + n, "…", 3);
                n += 3;
            }
        } else if (!quoted) {
            clean[n++] = *p;
        }
    }
    clean[n] = '\0';
    return err_set(err, ERR_INVALID, "the database's URL cannot be read: %s", clean);
}

void pg_conninfo_redact(const struct pg_conninfo *i, const char *text, struct err *err) {
    struct buf b;
    const char *password = i ? pg_conninfo_get(i, "password") : NULL;
    size_t len = password ? strlen(password) : 0;
    buf_init(&b, 4096);
    for (const char *p = text; *p && b.len < ERR_MESSAGE_BYTES; p++) {
        if (len && strncmp(p, password, len) == 0) {
            buf_z(&b, "***");
            p += len - 1;
        } else if (*p == '\n' || *p == '\t') {
            if (b.len && p[1] && *p == '\n')
                buf_z(&b, "; ");
        } else {
            buf_char(&b, *p);
        }
    }
    err_set(err, ERR_UNAVAILABLE, STR_FMT, STR_ARG(buf_view(&b)));
    buf_deinit(&b);
}

/* --- reading --------------------------------------------------------------------------------- */

static bool is_list_of(const char *list, size_t *out_count) {
    size_t count = 1;
    for (const char *p = list; *p; p++)
        count += *p == ',';
    *out_count = count;
    return count <= PG_HOSTS_MAX;
}

static int check(const struct pg_conninfo *i, struct err *err) {
    size_t hosts = 0, ports = 0;
    const char *host = pg_conninfo_get(i, "host"), *port = pg_conninfo_get(i, "port");
    const char *addr = pg_conninfo_get(i, "hostaddr");
    if ((host && !is_list_of(host, &hosts)) || (addr && !is_list_of(addr, &hosts)))
        return err_set(err, ERR_INVALID, "the database's URL names more than %d hosts",
                       PG_HOSTS_MAX);
    if (port && !is_list_of(port, &ports))
        return err_set(err, ERR_INVALID, "the database's URL names too many ports");
    if (ports > 1 && ports != (hosts ? hosts : 1))
        return err_set(err, ERR_INVALID, "the database's URL names %zu ports for %zu hosts", ports,
                       hosts ? hosts : 1);
    const char *gss = pg_conninfo_get(i, "gssencmode");
    if (gss && strcmp(gss, "require") == 0)
        return err_set(err, ERR_INVALID, "gssencmode=require is not supported; use TLS");
    return 0;
}

/* The words that libpq checks only while it connects. */
static int check_words(const struct pg_conninfo *i, struct err *err) {
    static const char *const sslmodes[] = {"disable", "allow",     "prefer",
                                           "require", "verify-ca", "verify-full"};
    static const char *const targets[] = {"any",     "read-write", "read-only",
                                          "primary", "standby",    "prefer-standby"};
    const char *const *words[] = {sslmodes, targets};
    const char *const keywords[] = {"sslmode", "target_session_attrs"};
    for (size_t k = 0; k < ARRAY_COUNT(keywords); k++) {
        const char *value = pg_conninfo_get(i, keywords[k]);
        size_t at = 0;
        while (value && at < 6 && strcmp(words[k][at], value) != 0)
            at++;
        if (value && at == 6)
            return err_set(err, ERR_INVALID, "the database's URL has an unknown %s", keywords[k]);
    }
    return 0;
}

static void add_all(struct pg_conninfo *i, const PQconninfoOption *options) {
    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        add(i, o->keyword, o->val);
}

int pg_conninfo_parse(const char *url, const char *application_name, struct pg_conninfo **out,
                      struct err *err) {
    char *text = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &text);
    if (!parsed) {
        int rc = refuse(text ? text : "out of memory", err);
        PQfreemem(text);
        return rc;
    }
    struct pg_conninfo *i = NEW(struct pg_conninfo);
    add_all(i, parsed);
    PQconninfoFree(parsed);
    if (!pg_conninfo_get(i, "service")) { /* libpq fills in from the service file what is not set */
        PQconninfoOption *environment = PQconndefaults();
        add_all(i, environment);
        PQconninfoFree(environment);
    }
    /* Compiled-in defaults of libpq count as said by nobody. */
    for (size_t k = 0; k < ARRAY_COUNT(defaults); k++) {
        size_t at = find(i, defaults[k].keyword);
        if (at == SIZE_MAX)
            add(i, defaults[k].keyword, defaults[k].value);
        else if (strcmp(defaults[k].keyword, "gssencmode") == 0 &&
                 strcmp(i->values[at], "prefer") == 0) {
            mem_free(i->values[at]);
            i->values[at] = mem_strdup(defaults[k].value);
        }
    }
    add(i, "application_name", application_name);
    int rc = check(i, err);
    if (rc == 0)
        rc = check_words(i, err);
    if (rc != 0) {
        pg_conninfo_free(i);
        return rc;
    }
    *out = i;
    return 0;
}

/* --- addresses ------------------------------------------------------------------------------- */

static bool is_name(str host) {
    unsigned char bytes[16];
    char text[64];
    if (host.len == 0 || host.p[0] == '/' || host.p[0] == '@')
        return false;
    if (host.len >= sizeof(text))
        return true;
    memcpy(text, host.p, host.len);
    text[host.len] = '\0';
    char *zone = strchr(text, '%');
    if (zone)
        *zone = '\0';
    return uv_inet_pton(AF_INET, text, bytes) != 0 && uv_inet_pton(AF_INET6, text, bytes) != 0;
}

bool pg_conninfo_names(const struct pg_conninfo *i) {
    const char *host = pg_conninfo_get(i, "host");
    if (!host || pg_conninfo_get(i, "hostaddr"))
        return false;
    str rest = str_of(host), one;
    while (str_split_next(&rest, ',', &one))
        if (is_name(one))
            return true;
    return false;
}

struct entries {
    struct buf hosts, addrs, ports;
    size_t count;
};

static void entry(struct entries *e, str host, str addr, str port) {
    if (e->count == PG_HOSTS_MAX)
        return;
    if (e->count++) {
        buf_char(&e->hosts, ',');
        buf_char(&e->addrs, ',');
        buf_char(&e->ports, ',');
    }
    buf_str(&e->hosts, host);
    buf_str(&e->addrs, addr);
    buf_str(&e->ports, port);
}

/* One entry an address. Leaves out what cannot be resolved; fails when nothing is left. */
static int expand(const struct pg_conninfo *i, struct rt *rt, pg_resolve_fn resolve,
                  struct entries *e, struct err *err) {
    const char *ports = pg_conninfo_get(i, "port");
    str rest = str_of(pg_conninfo_get(i, "host")), port_rest = str_of(ports ? ports : "");
    str host, port = STR("");
    bool many_ports = ports && strchr(ports, ',');
    struct err failed = {0};
    if (ports && !many_ports)
        port = port_rest;
    while (str_split_next(&rest, ',', &host)) {
        if (many_ports && !str_split_next(&port_rest, ',', &port))
            port = STR("");
        if (!is_name(host)) {
            bool path = host.len == 0 || host.p[0] == '/' || host.p[0] == '@';
            entry(e, host, path ? STR("") : host, port);
            continue;
        }
        struct rt_address found[8];
        size_t count = 0;
        struct err why = {0};
        if (resolve(rt, host, found, ARRAY_COUNT(found), &count, &why) != 0 || count == 0)
            err_set(&failed, ERR_UNAVAILABLE, "the host " STR_FMT " cannot be found: %s",
                    STR_ARG(host), why.message);
        for (size_t k = 0; k < count; k++)
            entry(e, host, str_of(found[k].text), port);
    }
    if (e->count == 0)
        return err_set(err, ERR_UNAVAILABLE, "%s",
                       failed.message[0] ? failed.message : "no host to connect to");
    return 0;
}

int pg_conninfo_target(const struct pg_conninfo *i, struct rt *rt, pg_resolve_fn resolve,
                       struct pg_target **out, struct err *err) {
    struct entries e = {.count = 0};
    bool names = pg_conninfo_names(i);
    int rc = 0;
    buf_init(&e.hosts, TARGET_BYTES_MAX / 4);
    buf_init(&e.addrs, TARGET_BYTES_MAX / 4);
    buf_init(&e.ports, TARGET_BYTES_MAX / 4);
    if (names)
        rc = expand(i, rt, resolve, &e, err);
    if (rc == 0) {
        struct pg_target *t = NEW(struct pg_target);
        arena_init(&t->arena, TARGET_BYTES_MAX * 4);
        const char **keywords = ARENA_ARRAY(&t->arena, const char *, i->count + 4);
        const char **values = ARENA_ARRAY(&t->arena, const char *, i->count + 4);
        size_t n = 0;
        for (size_t k = 0; k < i->count; k++) {
            bool replaced = names && (strcmp(i->keywords[k], "host") == 0 ||
                                      strcmp(i->keywords[k], "port") == 0);
            if (replaced)
                continue;
            keywords[n] = arena_z(&t->arena, str_of(i->keywords[k]));
            values[n++] = arena_z(&t->arena, str_of(i->values[k]));
        }
        static const char *const three[] = {"host", "hostaddr", "port"};
        struct buf *lists[] = {&e.hosts, &e.addrs, &e.ports};
        for (size_t k = 0; names && k < 3; k++) {
            keywords[n] = three[k];
            values[n++] = arena_z(&t->arena, buf_view(lists[k]));
        }
        t->keywords = keywords;
        t->values = values;
        *out = t;
    }
    buf_deinit(&e.hosts);
    buf_deinit(&e.addrs);
    buf_deinit(&e.ports);
    return rc;
}

void pg_target_free(struct pg_target *t) {
    if (!t)
        return;
    arena_deinit(&t->arena); /* copies of the password go with it */
    mem_free(t);
}
