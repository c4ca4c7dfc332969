/* SPDX-License-Identifier: Apache-2.0 */
/* texts.c - the owners whose conversations a search could not look through to the end.
 *
 * They wait in memory, in the order in which they came, and each is walked to its end before the
 * next. A walk that fails is begun again by the next slice, which the jobs put off. What is noted
 * is lost with the process: the next search of the owner notes it again. */
#include "engine/texts.h"

#include "base/mem.h"
#include "engine/engine_int.h"

void texts_owed_note(struct texts_owed *o, str owner) {
    for (size_t i = 0; i < o->count; i++)
        if (str_eq(o->walks[i].owner, owner))
            return;
    if (o->count < TEXTS_OWED_MAX)
        o->walks[o->count++].owner = str_n(mem_dup(owner.p, owner.len), owner.len);
}

static void drop_first(struct texts_owed *o) {
    mem_free((char *)(uintptr_t)o->walks[0].owner.p);
    memmove(o->walks, o->walks + 1, --o->count * sizeof(o->walks[0]));
    o->begun = false;
}

int texts_owed_slice(struct texts_owed *o, struct store *s, struct job_slice *slice,
                     struct err *err) {
    bool more;
    if (o->count == 0)
        return 0;
    struct conversation_walk *w = &o->walks[0];
    int rc = o->begun ? 0 : conversation_walk_begin(s, w->owner, w, err);
    o->begun = rc == 0;
    if (rc == 0)
        rc = conversation_walk_step(s, w, slice->rows_max, &slice->rows, &more, err);
    if (rc < 0) {
        o->begun = false;
        return rc;
    }
    if (!more)
        drop_first(o);
    slice->more = o->count > 0;
    return 0;
}

void texts_owed_deinit(struct texts_owed *o) {
    while (o->count > 0)
        drop_first(o);
}

void engine_texts_wanted(struct engine *e, str owner, struct arena *a) {
    struct job_view unused;
    texts_owed_note(&e->texts, owner);
    if (e->jobs && jobs_want(e->jobs, STR("conversations.texts"), a, &unused, NULL) < 0)
        return; /* it comes with the next pass */
}
