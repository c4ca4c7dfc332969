/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c - the older layout of files: <session>.jsonl and <session>.checkpoint.json.
 *
 * Lines are appended to a file and nothing else happens to it, so a mark is how many bytes of it
 * were read, up to the end of a line. When the file is shorter now, or there is no end of a line at
 * the mark, somebody has rewritten it, and it is read from the start. A last line without its end
 * may be one that is being written: it is given, and stays behind the mark, so that it comes again.
 *
 * A name with a slash in it is no session here, whatever file it would lead to. Files are read by
 * the offload pool, a piece at a time; no more than a line or a page is held. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "history/legacy/legacy.h"
#include "rt/worker.h"

#define LINES_SUFFIX ".jsonl"
#define STATE_SUFFIX ".checkpoint.json"
#define PIECE_BYTES  (256u << 10)
#define NAMES_BYTES  ((size_t)256 << 20) /* of all names of a folder */
#define PARSE_BYTES  (8 * DB_LEGACY_ROW_BYTES_MAX)

struct folder {
    struct db_legacy base;
    struct rt *rt;
    char path[PATH_MAX];
};
static struct folder *folder_of(struct db_legacy *l) {
    return CONTAINER_OF(l, struct folder, base);
}

/* False: no file of this folder can have the name. */
static bool file_of(const struct folder *f, str session, const char *suffix, char out[PATH_MAX]) {
    if (session.len == 0 || session.len > NAME_MAX || str_find_char(session, '/') >= 0 ||
        memchr(session.p, 0, session.len))
        return false;
    int len = snprintf(out, PATH_MAX, "%s/" STR_FMT "%s", f->path, STR_ARG(session), suffix);
    return len > 0 && len < PATH_MAX;
}

static int failed(struct err *err, int code, const char *what) {
    int kind = code == EACCES || code == EPERM || code == EMFILE ? ERR_UNAVAILABLE : ERR_IO;
    return err_set_system(err, kind, code, "the older store: cannot read %s: %s", what,
                          strerror(code));
}

/* --- names --- */

struct listing {
    struct folder *f;
    str after;
    size_t limit, count;
    struct arena *a; /* of what is given back */
    struct db_legacy_session *out;
    str *names; /* all that are greater than `after`, in `scratch` */
    size_t name_count, name_cap;
    struct arena scratch;
    int rc;
    struct err err;
};

static int by_name(const void *a, const void *b) {
    return str_cmp(*(const str *)a, *(const str *)b);
}

static int add_name(struct listing *l, str name) {
    if (l->name_count == l->name_cap) {
        size_t cap = l->name_cap ? 2 * l->name_cap : 256;
        l->names = mem_realloc(l->names, cap * sizeof *l->names);
        l->name_cap = cap;
    }
    char *p = arena_try_alloc(&l->scratch, name.len + 1);
    if (!p)
        return err_set(&l->err, ERR_TOO_LARGE, "the older folder has too many files");
    memcpy(p, name.p, name.len);
    l->names[l->name_count++] = str_n(p, name.len);
    return 0;
}

static int read_names(struct listing *l) {
    static const char *const suffixes[] = {LINES_SUFFIX, STATE_SUFFIX};
    DIR *dir = opendir(l->f->path);
    const struct dirent *e;
    int rc = 0;
    if (!dir)
        return failed(&l->err, errno, l->f->path);
    while (rc == 0 && (e = readdir(dir)) != NULL) {
        str name = str_of(e->d_name);
        for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
            str suffix = str_of(suffixes[i]);
            str session = str_slice(name, 0, name.len - suffix.len);
            if (name.len > suffix.len && str_ends(name, suffix) && str_cmp(session, l->after) > 0)
                rc = add_name(l, session);
        }
    }
    (void)closedir(dir); /* it was only read */
    return rc;
}

static int64_t changed_at(const struct folder *f, str session, const char *suffix) {
    char path[PATH_MAX];
    struct stat st;
    if (!file_of(f, session, suffix, path) || stat(path, &st) != 0)
        return 0;
    return (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
}

static void run_listing(void *arg) {
    struct listing *l = arg;
    l->rc = read_names(l);
    if (l->name_count > 0)
        qsort(l->names, l->name_count, sizeof *l->names, by_name);
    for (size_t i = 0; l->rc == 0 && i < l->name_count && l->count < l->limit; i++) {
        if (i > 0 && str_eq(l->names[i], l->names[i - 1]))
            continue; /* lines and a checkpoint */
        int64_t lines = changed_at(l->f, l->names[i], LINES_SUFFIX);
        int64_t state = changed_at(l->f, l->names[i], STATE_SUFFIX);
        l->out[l->count++] = (struct db_legacy_session){
            .name = arena_dup(l->a, l->names[i]), .updated_at = lines > state ? lines : state};
    }
}

static int folder_session_list(struct db_legacy *legacy, str after, size_t limit, struct arena *a,
                               struct db_legacy_session **out, size_t *out_count, struct err *err) {
    struct listing l = {.f = folder_of(legacy), .after = after, .limit = limit, .a = a};
    l.out = ARENA_ARRAY(a, struct db_legacy_session, limit);
    arena_init(&l.scratch, NAMES_BYTES);
    int rc = rt_offload(l.f->rt, run_listing, &l);
    if (rc == 0 && l.rc < 0 && err)
        *err = l.err;
    arena_deinit(&l.scratch);
    mem_free(l.names);
    *out = l.out;
    *out_count = l.count;
    return rc < 0 ? err_set(err, rc, "the older store has too many calls waiting") : l.rc;
}

/* --- lines --- */

struct reading {
    char path[PATH_MAX];
    int fd;
    int64_t from; /* in: where to go on; out: where it does */
    int64_t at;   /* of the next byte that is read */
    bool missing, ended;
    bool skipping; /* the rest of a line that is too long */
    struct buf b;  /* from->at: what was read and not given */
    int rc;
    struct err err;
};

static bool line_ends_at(int fd, int64_t at) {
    char c;
    return pread(fd, &c, 1, at - 1) == 1 && c == '\n';
}

/* Until there is a page of bytes with a whole line among them, or the file ends. */
static void run_read(void *arg) {
    struct reading *r = arg;
    size_t seen = 0;
    bool line = false;
    while (!r->ended && !(line && r->b.len >= DB_LEGACY_PAGE_BYTES)) {
        char *to = buf_reserve(&r->b, PIECE_BYTES);
        if (!to)
            return; /* a line that is too long */
        ssize_t got = pread(r->fd, to, PIECE_BYTES, r->at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            r->rc = failed(&r->err, errno, r->path);
            return;
        }
        r->ended = got == 0;
        r->b.len += (size_t)got;
        r->at += got;
        line = line || memchr(r->b.p + seen, '\n', r->b.len - seen);
        seen = r->b.len;
    }
}

/* And reads the first piece. */
static void run_open(void *arg) {
    struct reading *r = arg;
    struct stat st;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (r->fd < 0) {
        r->missing = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
        r->rc = r->missing ? 0 : failed(&r->err, errno, r->path);
        return;
    }
    if (fstat(r->fd, &st) != 0)
        r->rc = failed(&r->err, errno, r->path);
    else if (!S_ISREG(st.st_mode))
        r->missing = true;
    else if (r->from > st.st_size || (r->from > 0 && !line_ends_at(r->fd, r->from)))
        r->from = 0;
    r->at = r->from;
    if (r->rc == 0 && !r->missing)
        run_read(r);
}

static int offload(struct folder *f, void (*fn)(void *arg), struct reading *r, struct err *err) {
    int rc = rt_offload(f->rt, fn, r);
    if (rc < 0)
        return err_set(err, rc, "the older store has too many calls waiting");
    if (r->rc < 0 && err)
        *err = r->err;
    return r->rc;
}

/* Lines of what was read, as rows of a page; *out_bytes of them. */
static size_t cut_lines(struct reading *r, struct arena *a, struct db_legacy_row *rows,
                        size_t *out_bytes, int64_t *out_mark) {
    size_t count = 0, done = 0;
    int64_t start = r->at - (int64_t)r->b.len;
    while (count < DB_LEGACY_PAGE_ROWS && done < r->b.len) {
        const char *line = r->b.p + done, *end = memchr(line, '\n', r->b.len - done);
        if (!end && !r->ended)
            break;
        size_t len = end ? (size_t)(end - line) : r->b.len - done;
        str text = str_trim(str_n(line, len));
        str place = arena_printf(a, "byte %lld", (long long)(start + (int64_t)done));
        if (r->skipping)
            rows[count++] = (struct db_legacy_row){.place = place};
        else if (text.len > 0)
            rows[count++] = (struct db_legacy_row){.place = place, .envelope = text};
        r->skipping = false;
        done += len + (end != NULL);
        if (end)
            *out_mark = start + (int64_t)done;
    }
    *out_bytes = done;
    return count;
}

/* A line that fills the buffer: what there is of it is forgotten. */
static void skip_long_line(struct reading *r) {
    r->skipping = true;
    buf_reset(&r->b);
}

static int give_lines(struct folder *f, struct reading *r, db_legacy_rows_fn fn, void *ctx,
                      int64_t *out_mark, struct err *err) {
    struct db_legacy_row *rows = mem_calloc(DB_LEGACY_PAGE_ROWS, sizeof *rows);
    int rc = 0;
    do {
        struct arena a;
        size_t bytes;
        arena_init(&a, 1u << 20);
        if (!r->ended && !memchr(r->b.p ? r->b.p : "", '\n', r->b.len))
            rc = offload(f, run_read, r, err);
        if (!buf_ok(&r->b))
            skip_long_line(r);
        size_t count = cut_lines(r, &a, rows, &bytes, out_mark);
        if (rc == 0 && count > 0)
            rc = fn(ctx, rows, count, err);
        buf_consume(&r->b, bytes);
        arena_deinit(&a);
    } while (rc == 0 && (!r->ended || r->b.len > 0));
    mem_free(rows);
    return rc;
}

static int folder_rows(struct db_legacy *l, str session, const struct db_legacy_mark *mark,
                       db_legacy_rows_fn fn, void *ctx, struct db_legacy_mark *out_mark,
                       struct err *err) {
    struct folder *f = folder_of(l);
    struct db_legacy_mark before = *mark;
    *out_mark = before;
    struct reading *r = NEW(struct reading);
    r->fd = -1;
    buf_init(&r->b, DB_LEGACY_ROW_BYTES_MAX + PIECE_BYTES);
    int rc = 0;
    r->missing = !file_of(f, session, LINES_SUFFIX, r->path);
    if (!str_to_i64(str_of(before.text), &r->from) || r->from < 0)
        r->from = 0;
    if (!r->missing)
        rc = offload(f, run_open, r, err);
    if (rc == 0 && !r->missing) {
        int64_t to = r->from;
        rc = give_lines(f, r, fn, ctx, &to, err);
        (void)snprintf(out_mark->text, sizeof out_mark->text, "%lld", (long long)to);
    }
    if (r->fd >= 0)
        (void)close(r->fd); /* it was only read */
    buf_deinit(&r->b);
    mem_free(r);
    return rc;
}

/* --- checkpoints --- */

static int folder_checkpoint(struct db_legacy *l, str session, struct arena *a,
                             struct db_legacy_checkpoint *out, struct err *err) {
    struct folder *f = folder_of(l);
    struct reading *r = NEW(struct reading);
    struct arena parsed;
    yyjson_val *root;
    r->fd = -1;
    buf_init(&r->b, DB_LEGACY_ROW_BYTES_MAX + PIECE_BYTES);
    arena_init(&parsed, PARSE_BYTES);
    r->missing = !file_of(f, session, STATE_SUFFIX, r->path);
    int rc = r->missing ? 0 : offload(f, run_open, r, err);
    while (rc == 0 && !r->missing && !r->ended && buf_ok(&r->b))
        rc = offload(f, run_read, r, err);
    if (rc == 0 && r->missing)
        rc = err_set(err, ERR_NOT_FOUND, "no checkpoint");
    *out = (struct db_legacy_checkpoint){.payload = STR_NULL};
    if (rc == 0 && buf_ok(&r->b) && json_parse(&parsed, buf_view(&r->b), &root, NULL) < 0) {
        out->payload = arena_dup(a, buf_view(&r->b)); /* who takes it says what is wrong */
    } else if (rc == 0 && buf_ok(&r->b)) {
        yyjson_val *payload = json_get(root, "payload");
        out->payload = json_text(a, payload ? payload : root);
        out->created_at = arena_dup(a, json_str(json_get(root, "createdAt")));
    }
    if (r->fd >= 0)
        (void)close(r->fd); /* it was only read */
    arena_deinit(&parsed);
    buf_deinit(&r->b);
    mem_free(r);
    return rc;
}

/* --- opening, closing --- */

static int folder_check(struct db_legacy *l, struct err *err) {
    struct folder *f = folder_of(l);
    struct stat st;
    if (stat(f->path, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_UNAVAILABLE, "%.200s is no folder", f->path);
    return 0;
}

static void folder_close(struct db_legacy *l) { mem_free(folder_of(l)); }

int history_legacy_folder(struct rt *rt, str path, struct db_legacy **out, struct err *err) {
    static const struct db_legacy_vtable vtable = {
        .name = "folder",
        .check = folder_check,
        .session_list = folder_session_list,
        .rows = folder_rows,
        .checkpoint = folder_checkpoint,
        .close = folder_close,
    };
    struct folder *f = NEW(struct folder);
    if (!realpath(path.p, f->path)) {
        mem_free(f);
        return err_set(err, ERR_UNAVAILABLE, "there is no folder %.200s", path.p);
    }
    f->base.vtable = &vtable;
    f->rt = rt;
    db_legacy_identify(&f->base, str_of(f->path));
    *out = &f->base;
    return 0;
}
