/* SPDX-License-Identifier: Apache-2.0 */
/* take.c - takes sessions of an older store over: rows, checkpoint, and a note of what was taken.
 *
 *   rows behind the mark → events → append (told apart by id) → read again and compared
 *   checkpoint → put, under an id that follows from its content
 *   the new mark and that id → the books
 *
 * The note is written last. Who is stopped before it takes the same rows again, which are
 * duplicates then; so each step may be repeated at any time, also by several processes at once.
 *
 * A row that is no event by our rules is told of and passed by. A time must have an offset: without
 * one it could be any of a day. What is past its ttlMs is counted, and not taken. */
#include "base/clock.h"
#include "base/mem.h"
#include "history/legacy/legacy_int.h"

#define ARENA_BYTES_MAX ((size_t)512 << 20)
#define LIST_MAX        1000

/* What the books say of a session. */
struct note {
    struct db_legacy_mark rows;
    struct id checkpoint; /* nil: none was taken */
};
struct taking {
    struct history_taking *t;
    struct history_key key;
    struct arena arena; /* of the page under way */
    struct history_event events[DB_LEGACY_PAGE_ROWS];
    struct history_result results[DB_LEGACY_PAGE_ROWS];
    size_t count;
};

int legacy_books_of(str owner, struct legacy_books *out, struct err *err) {
    if (owner.len > HISTORY_LEGACY_OWNER_BYTES_MAX)
        return err_set(err, ERR_INVALID, "the owner of old sessions: at most %d bytes",
                       HISTORY_LEGACY_OWNER_BYTES_MAX);
    size_t len = strlen(LEGACY_BOOKS);
    memcpy(out->text, LEGACY_BOOKS, len);
    if (owner.len)
        memcpy(out->text + len, owner.p, owner.len);
    out->owner = str_n(out->text, len + owner.len);
    return 0;
}

bool legacy_name_fits(str session) {
    return session.len > 0 && session.len <= HISTORY_NAME_BYTES_MAX && str_is_utf8(session) &&
           !memchr(session.p, 0, session.len);
}

/* --- the books --- */

static int note_read(struct history_taking *t, const struct history_key *books, struct arena *a,
                     struct note *out, struct err *err) {
    struct history_checkpoint c;
    yyjson_val *root;
    *out = (struct note){.checkpoint = ID_NIL};
    t->known = false;
    int rc = history_checkpoint_get(t->h, books, ID_NIL, a, &c, err);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = json_parse(a, c.payload, &root, err);
    if (rc < 0)
        return rc;
    t->known = true;
    str rows = json_str(json_get(root, "rows"));
    if (t->again || !str_eq(json_str(json_get(root, "from")), str_of(t->from->identity)) ||
        rows.len >= sizeof out->rows.text)
        return 0; /* of another store: all of this one is new */
    if (rows.len)
        memcpy(out->rows.text, rows.p, rows.len);
    (void)id_parse(json_str(json_get(root, "checkpoint")), &out->checkpoint); /* else none */
    return 0;
}

static int note_write(struct history_taking *t, const struct history_key *books, struct arena *a,
                      const struct note *n, struct err *err) {
    struct buf b;
    buf_init(&b, 4096);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "from");
    jw_z(&w, t->from->identity);
    jw_key(&w, "rows");
    jw_z(&w, n->rows.text);
    jw_key(&w, "checkpoint");
    jw_str(&w, id_is_nil(n->checkpoint) ? STR_NULL : id_dashed(a, n->checkpoint));
    jw_object_end(&w);
    struct history_checkpoint c = {.payload_kind = HISTORY_JSON, .payload = buf_view(&b)};
    int rc = history_checkpoint_put(t->h, books, &c, a, err);
    buf_deinit(&b);
    return rc;
}

/* --- rows that are no events --- */

static int bad(struct history_taking *t, str session, str row, const struct err *why,
               struct err *err) {
    t->bad_rows++;
    if (t->bad)
        t->bad(t->ctx, session, row, why->message);
    return t->strict ? err_set(err, ERR_INVALID, "session '" STR_FMT "', row '" STR_FMT "': %s",
                               STR_ARG(str_slice(session, 0, 40)), STR_ARG(str_slice(row, 0, 60)),
                               why->message)
                     : 0;
}

/* Z, or ±hh:mm behind a time of day. */
static bool has_offset(str time) {
    size_t n = time.len;
    if (n == 0)
        return false;
    char last = time.p[n - 1];
    return last == 'Z' || last == 'z' ||
           (n > 16 && (time.p[n - 6] == '+' || time.p[n - 6] == '-') && time.p[n - 3] == ':');
}

/* When it occurred: what the envelope says, or what stands beside it. */
static int read_time(yyjson_val *root, yyjson_val *envelope, const struct db_legacy_row *row,
                     int64_t *out, struct err *err) {
    str time = json_str(json_get(envelope, "occurredAt"));
    if (!time.p)
        time = json_str(json_get(root, "createdAt"));
    if (!time.p)
        time = row->time;
    if (!time.p)
        return err_set(err, ERR_INVALID, "occurredAt: is required");
    return has_offset(time) && time_parse_iso(time, out)
               ? 0
               : err_set(err, ERR_INVALID, "occurredAt: must be ISO-8601 with an offset");
}

/* An id that is the same each time: the row's, or one that follows from what it is. */
static str id_of(struct taking *s, yyjson_val *root, const struct db_legacy_row *row) {
    str id = json_str(json_get(root, "id"));
    if (id.p || row->id.p)
        return row->id.p ? row->id : id;
    str text = arena_concat(
        &s->arena, (str[]){s->key.session, STR("\n"), row->place, STR("\n"), row->envelope}, 5);
    return id_dashed(&s->arena, id_v5(ID_NAMESPACE_GRAPH, text));
}

/* *out_id is for people, whatever comes of the row. */
static int read_row(struct taking *s, const struct db_legacy_row *row, struct history_event *out,
                    str *out_id, struct err *err) {
    yyjson_val *root;
    str session;
    int64_t time = 0;
    *out_id = row->id.p ? row->id : row->place;
    if (!row->envelope.p)
        return err_set(err, ERR_TOO_LARGE, "is larger than %zu bytes", DB_LEGACY_ROW_BYTES_MAX);
    int rc = json_parse(&s->arena, row->envelope, &root, err);
    if (rc < 0)
        return rc;
    yyjson_val *envelope = json_get(root, "envelope");
    if (!yyjson_is_obj(envelope))
        envelope = root;
    str id = json_str(json_get(envelope, "id"));
    if (id.p && !row->id.p)
        *out_id = id;
    rc = read_time(root, envelope, row, &time, err);
    if (rc == 0)
        rc = history_event_read(envelope, time, &s->arena, out, &session, err);
    if (rc < 0)
        return rc;
    out->occurred_at_is_ours = false; /* it is the row's, wherever it stood */
    if (!id.p)
        out->id = id_of(s, root, row);
    return history_event_check(out, err);
}

/* --- appending --- */

static int append(struct taking *s, size_t from, size_t count, struct err *err) {
    struct history_append a = {
        .key = s->key, .events = s->events + from, .count = count, .results = s->results + from};
    return history_append(s->t->h, &a, err);
}

static bool own_fault(int rc) {
    return rc == ERR_INVALID || rc == ERR_CONFLICT || rc == ERR_TOO_LARGE;
}

/* One after the other, so that those that cannot be stored are found; they are left out. */
static int append_each(struct taking *s, struct err *err) {
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        struct err why = {0};
        s->events[kept] = s->events[i];
        rc = append(s, kept, 1, &why);
        if (rc == 0)
            kept++;
        else if (own_fault(rc))
            rc = bad(s->t, s->key.session, s->events[i].id, &why, err);
        else if (err)
            *err = why;
    }
    s->count = kept;
    return rc;
}

/* --- comparing --- */

/* Events of a page by their numbers. */
struct place {
    int64_t seq;
    size_t index;
};
static int by_seq(const void *a, const void *b) {
    int64_t x = ((const struct place *)a)->seq, y = ((const struct place *)b)->seq;
    return (x > y) - (x < y);
}

static bool same(const struct history_event *a, const struct history_event *b) {
    unsigned char left[HASH_XXH3_BYTES], right[HASH_XXH3_BYTES];
    history_event_digest(a, left);
    history_event_digest(b, right);
    return str_eq(a->id, b->id) && memcmp(left, right, sizeof left) == 0;
}

static int differs(struct taking *s, const struct history_event *e, struct err *err) {
    return err_set(err, ERR_CORRUPT, "session '" STR_FMT "': event '" STR_FMT "' is not as it was",
                   STR_ARG(str_slice(s->key.session, 0, 80)), STR_ARG(str_slice(e->id, 0, 80)));
}

/* Checks off what a page of the history has; *at moves on. One that is missing may have reached its
 * time meanwhile. */
static int check_off(struct taking *s, const struct place *places, size_t *at,
                     const struct history_page *page, struct err *err) {
    for (size_t i = 0; i < page->count; i++) {
        const struct history_event *e = &page->events[i];
        for (; *at < s->count && places[*at].seq <= e->seq; ++*at) {
            const struct history_event *mine = &s->events[places[*at].index];
            if (places[*at].seq == e->seq && same(mine, e))
                s->t->compared++;
            else if (places[*at].seq == e->seq || history_event_expires_at(mine) > clock_wall_us())
                return differs(s, mine, err);
        }
    }
    return 0;
}

/* What was just stored, or was there already, read from where it is. */
static int compare(struct taking *s, struct err *err) {
    struct place places[DB_LEGACY_PAGE_ROWS];
    struct history_range r = HISTORY_RANGE_ALL(s->key);
    struct history_page page = {0};
    size_t at = 0;
    int rc = 0;
    for (size_t i = 0; i < s->count; i++)
        places[i] = (struct place){s->results[i].seq, i};
    if (s->count > 0)
        qsort(places, s->count, sizeof *places, by_seq);
    r.now_us = INT64_MIN;
    while (rc == 0 && at < s->count) {
        struct arena a;
        arena_init(&a, ARENA_BYTES_MAX);
        r.seq_min = places[at].seq;
        r.seq_max = places[s->count - 1].seq;
        r.limit = HISTORY_PAGE_MAX;
        rc = history_read(s->t->h, &r, &a, &page, err);
        if (rc == 0)
            rc = check_off(s, places, &at, &page, err);
        if (rc == 0 && !page.more && at < s->count)
            rc = history_event_expires_at(&s->events[places[at++].index]) > clock_wall_us()
                     ? differs(s, &s->events[places[at - 1].index], err)
                     : 0;
        arena_deinit(&a);
    }
    return rc;
}

/* --- a page of rows --- */

static int read_page(struct taking *s, const struct db_legacy_row *rows, size_t count,
                     struct err *err) {
    int64_t now = clock_wall_us();
    s->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct err why = {0};
        struct history_event *e = &s->events[s->count];
        str id;
        int rc = read_row(s, &rows[i], e, &id, &why);
        if (rc < 0)
            rc = bad(s->t, s->key.session, id, &why, err);
        else if (history_event_expires_at(e) <= now)
            s->t->expired++;
        else
            s->count++;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int take_page(void *ctx, const struct db_legacy_row *rows, size_t count, struct err *err) {
    struct taking *s = ctx;
    arena_reset(&s->arena);
    int rc = read_page(s, rows, count, err);
    if (rc == 0 && s->count > 0) {
        struct err why = {0};
        rc = append(s, 0, s->count, &why);
        if (own_fault(rc))
            rc = append_each(s, err);
        else if (rc < 0 && err)
            *err = why;
    }
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        *(s->results[i].duplicate ? &s->t->duplicates : &s->t->stored) += 1;
        if (!s->results[i].duplicate && s->results[i].seq > s->t->last_seq)
            s->t->last_seq = s->results[i].seq;
    }
    if (rc == 0 && s->t->compare)
        rc = compare(s, err);
    if (rc == 0 && s->t->progress)
        s->t->progress(s->t->ctx, (int64_t)count);
    return rc;
}

/* --- the checkpoint --- */

/* It is the latest, unless the history got a newer one of its own. */
static int put_checkpoint(struct taking *s, struct history_checkpoint *c, struct err *err) {
    struct history *h = s->t->h;
    struct history_checkpoint latest, stored;
    struct arena *a = &s->arena;
    int rc = history_checkpoint_get(h, &s->key, c->id, a, &stored, err);
    if (rc != ERR_NOT_FOUND)
        return rc; /* it is there */
    rc = history_checkpoint_get(h, &s->key, ID_NIL, a, &latest, err);
    bool newer = rc == 0 && latest.created_at > c->created_at;
    if (rc == 0 || rc == ERR_NOT_FOUND)
        rc = history_checkpoint_put(h, &s->key, c, a, err);
    s->t->checkpoints += rc == 0;
    return rc == 0 && newer ? history_checkpoint_rollback(h, &s->key, latest.id, err) : rc;
}

static int take_checkpoint(struct taking *s, struct note *n, struct err *err) {
    struct history_taking *t = s->t;
    struct db_legacy_checkpoint old;
    yyjson_val *root;
    struct err why = {0};
    arena_reset(&s->arena);
    int rc = t->from->vtable->checkpoint(t->from, s->key.session, &s->arena, &old, err);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc < 0)
        return rc;
    struct history_checkpoint c = {.payload_kind = HISTORY_JSON};
    rc = old.payload.p ? json_parse(&s->arena, old.payload, &root, &why)
                       : err_set(&why, ERR_TOO_LARGE, "is too large");
    if (rc == 0)
        c.payload = json_text(&s->arena, root);
    if (rc == 0 && c.payload.len > HISTORY_PAYLOAD_BYTES_MAX)
        rc = err_set(&why, ERR_TOO_LARGE, "is larger than %u bytes", HISTORY_PAYLOAD_BYTES_MAX);
    if (rc < 0)
        return bad(t, s->key.session, STR("checkpoint"), &why, err);
    if (!old.created_at.p || !time_parse_iso(old.created_at, &c.created_at) || c.created_at == 0)
        c.created_at = clock_wall_us();
    str text = arena_concat(
        &s->arena, (str[]){s->key.session, STR("\n"), old.created_at, STR("\n"), c.payload}, 5);
    c.id = id_v5(ID_NAMESPACE_GRAPH, text);
    if (id_eq(c.id, n->checkpoint))
        return 0;
    n->checkpoint = c.id;
    return put_checkpoint(s, &c, err);
}

/* --- a session, all sessions --- */

static int take(struct taking *s, const struct history_key *books, struct err *err) {
    struct history_taking *t = s->t;
    struct note before, after;
    int rc = note_read(t, books, &s->arena, &before, err);
    after = before;
    if (rc == 0)
        rc = t->from->vtable->rows(t->from, s->key.session, &before.rows, take_page, s, &after.rows,
                                   err);
    if (rc == 0)
        rc = take_checkpoint(s, &after, err);
    bool news = strcmp(before.rows.text, after.rows.text) != 0 ||
                !id_eq(before.checkpoint, after.checkpoint);
    if (rc == 0 && news) {
        arena_reset(&s->arena);
        rc = note_write(t, books, &s->arena, &after, err);
    }
    return rc;
}

int history_legacy_take(struct history_taking *t, str session, struct err *err) {
    struct legacy_books books;
    t->last_seq = 0;
    int rc = legacy_books_of(t->owner, &books, err);
    if (rc < 0)
        return rc;
    t->sessions++;
    if (!legacy_name_fits(session)) {
        struct err why = {0};
        (void)err_set(&why, ERR_INVALID, "the name of the session is not UTF-8 of 1 to %d bytes",
                      HISTORY_NAME_BYTES_MAX);
        return bad(t, session, STR(""), &why, err);
    }
    struct history_key key = {books.owner, session};
    struct taking *s = NEW(struct taking);
    s->t = t;
    s->key = (struct history_key){t->owner, session};
    arena_init(&s->arena, ARENA_BYTES_MAX);
    rc = take(s, &key, err);
    arena_deinit(&s->arena);
    mem_free(s);
    return rc;
}

/* fn for each session of the old store. */
typedef int (*session_fn)(void *ctx, str session, struct err *err);

static int each_session(struct db_legacy *from, session_fn fn, void *ctx, struct err *err) {
    struct arena pages[2]; /* this page, and the one before, which has its last name */
    str after = STR("");
    size_t count;
    int rc, page = 0;
    arena_init(&pages[0], ARENA_BYTES_MAX);
    arena_init(&pages[1], ARENA_BYTES_MAX);
    do {
        struct db_legacy_session *list;
        struct arena *a = &pages[page];
        arena_reset(a);
        rc = from->vtable->session_list(from, after, LIST_MAX, a, &list, &count, err);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = fn(ctx, list[i].name, err);
        if (rc == 0 && count > 0)
            after = list[count - 1].name;
        page = !page;
    } while (rc == 0 && count == LIST_MAX);
    arena_deinit(&pages[0]);
    arena_deinit(&pages[1]);
    return rc;
}

static int take_one(void *ctx, str session, struct err *err) {
    return history_legacy_take(ctx, session, err);
}

int history_legacy_take_all(struct history_taking *t, struct err *err) {
    return each_session(t->from, take_one, t, err);
}

/* Names of the old store in turn, and those of the books beside them. */
struct counting {
    struct history *h;
    struct legacy_books books;
    struct arena a;
    struct history_session *list;
    size_t at, count;
    bool ended;
    char last[HISTORY_NAME_BYTES_MAX];
    size_t last_len;
    struct history_legacy_left *out;
};

static int next_books(struct counting *c, struct err *err) {
    arena_reset(&c->a);
    c->at = c->count = 0;
    int rc = history_session_list(c->h, c->books.owner, str_n(c->last, c->last_len), LIST_MAX,
                                  &c->a, &c->list, &c->count, err);
    if (rc < 0)
        return rc;
    c->ended = c->count < LIST_MAX;
    if (c->count > 0) {
        str last = c->list[c->count - 1].name;
        memcpy(c->last, last.p, last.len);
        c->last_len = last.len;
    }
    return 0;
}

static int count_one(void *ctx, str session, struct err *err) {
    struct counting *c = ctx;
    int rc = 0;
    do {
        while (c->at < c->count && str_cmp(c->list[c->at].name, session) < 0)
            c->at++;
        if (c->at < c->count || c->ended)
            break;
        rc = next_books(c, err);
    } while (rc == 0);
    c->out->sessions++;
    c->out->left += c->at == c->count || !str_eq(c->list[c->at].name, session);
    return rc;
}

int history_legacy_count(struct history *h, struct db_legacy *from, str owner,
                         struct history_legacy_left *out, struct err *err) {
    struct counting c = {.h = h, .out = out};
    *out = (struct history_legacy_left){0};
    int rc = legacy_books_of(owner, &c.books, err);
    if (rc < 0)
        return rc;
    arena_init(&c.a, ARENA_BYTES_MAX);
    rc = each_session(from, count_one, &c, err);
    arena_deinit(&c.a);
    return rc;
}
