/* SPDX-License-Identifier: Apache-2.0 */
/* hints.c - the engine's hints over LISTEN and NOTIFY, and as datagrams (peers.h) if wanted.
 *
 * A listener has a connection of its own. Behind a transaction pooler it never listens, and the
 * engine is told so; sending works there all the same. Who hears each of the others directly hears
 * enough, too. What comes both ways is looked at twice.
 *
 * One text is on its way to the server at a time: those that come meanwhile are dropped but for
 * the last, since the engine sends at most every 10 ms and a server that is slower than that is not
 * helped by more. */
#include "app/hints.h"

#include "base/log.h"
#include "base/mem.h"
#include "db/catalogue.h"

struct hints {
    struct pg_pool *pool;
    struct engine *engine;
    struct pg_listener *listener;
    struct peers *peers; /* NULL: none are wanted */
    bool listening, hearing, up;
    struct pg_work work;
    struct pg_call call;
    struct pg_param param;
    char text[ENGINE_HINT_MAX], next[ENGINE_HINT_MAX];
    size_t next_len;
    bool sending, closed;
};

static void submit(struct hints *h, str text);

static void on_sent(struct pg_work *w) {
    struct hints *h = w->ctx;
    h->sending = false;
    if (h->closed) {
        mem_free(h);
        return;
    }
    if (w->code < 0)
        log_event(LOG_DEBUG, "hint.failed", w->err.message, LOG_Z("code", err_name(w->code)));
    size_t len = h->next_len;
    h->next_len = 0;
    if (len)
        submit(h, str_n(h->next, len));
}

static void submit(struct hints *h, str text) {
    struct err err = {0};
    memcpy(h->text, text.p, text.len);
    h->param = pg_text(str_n(h->text, text.len));
    h->call = (struct pg_call){.name = db_catalogue[SQL_HINT_SEND].name,
                               .sql = db_catalogue[SQL_HINT_SEND].postgres,
                               .params = &h->param,
                               .param_count = 1};
    h->work = (struct pg_work){
        .lane = PG_LANE_READ, .calls = &h->call, .call_count = 1, .done = on_sent, .ctx = h};
    h->sending = pg_pool_submit(h->pool, &h->work, &err) == 0;
}

static void on_send(void *ctx, str text) {
    struct hints *h = ctx;
    ASSERT(text.len <= ENGINE_HINT_MAX);
    if (h->peers)
        peers_send(h->peers, text);
    if (!h->sending) {
        submit(h, text);
        return;
    }
    memcpy(h->next, text.p, text.len);
    h->next_len = text.len;
}

static void on_notified(void *ctx, str payload) {
    struct hints *h = ctx;
    engine_hinted(h->engine, payload);
}

static void judge(struct hints *h) {
    bool up = h->listening || h->hearing;
    if (up == h->up)
        return;
    h->up = up;
    engine_hints_up(h->engine, up);
    log_plain(LOG_INFO, up ? "hints.on" : "hints.off",
              up ? "other processes are heard at once" : "other processes are polled");
}

static void on_state(void *ctx, bool listening) {
    struct hints *h = ctx;
    h->listening = listening;
    judge(h);
}

static void on_complete(void *ctx, bool all) {
    struct hints *h = ctx;
    h->hearing = all;
    judge(h);
}

static void on_peers(void *ctx, const str *addresses, size_t count, size_t others, str hello,
                     int64_t heard_us) {
    struct hints *h = ctx;
    peers_set(h->peers, addresses, count, others, heard_us, hello);
}

int hints_open(struct pg_pool *pool, struct engine *engine, struct peers *peers, struct hints **out,
               struct err *err) {
    struct hints *h = NEW(struct hints);
    h->peers = peers;
    h->pool = pool;
    h->engine = engine;
    struct pg_listener_options o = {
        .channel = "holdfast", .notified = on_notified, .state = on_state, .ctx = h};
    int rc = pg_listen(pool, &o, &h->listener, err);
    if (rc < 0) {
        mem_free(h);
        return rc;
    }
    engine_hints_set(engine, &(struct engine_hints){
                                 .send = on_send, .peers = peers ? on_peers : NULL, .ctx = h});
    if (peers)
        peers_start(
            peers, &(struct peers_handlers){.got = on_notified, .complete = on_complete, .ctx = h});
    *out = h;
    return 0;
}

void hints_close(struct hints *h) {
    if (!h)
        return;
    engine_hints_set(h->engine, &(struct engine_hints){.send = NULL});
    if (h->peers)
        peers_start(h->peers, &(struct peers_handlers){.got = NULL});
    pg_listener_close(h->listener);
    h->closed = true;
    if (!h->sending)
        mem_free(h);
}
