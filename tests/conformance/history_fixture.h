/* SPDX-License-Identifier: Apache-2.0 */
/* history_fixture.h - the adapters of the history port, each opened on a fixture's loop.
 *
 * A new adapter is an entry in the table of history_fixture.c. */
#ifndef HF_TESTS_CONFORMANCE_HISTORY_FIXTURE_H
#define HF_TESTS_CONFORMANCE_HISTORY_FIXTURE_H

#include "fixture.h"
#include "history/port.h"

struct history_kind {
    const char *name;
    bool with_db; /* f->db is open before open() is called */
    struct fixture_kind db;
    bool keeps; /* what was stored is there after closing and opening again */
    struct history *(*open)(struct fixture *f); /* on a fiber; NULL after fixture_fail() */
};
extern const struct history_kind history_kinds[];
extern const size_t history_kind_count;

struct scene;
typedef void (*scene_fn)(struct scene *s);
struct scene {
    struct fixture *f;
    const struct history_kind *kind;
    scene_fn fn;
    struct history *h;
    struct db_legacy *old; /* an older store beside it; NULL: there is none */
};
/* Opens everything, runs fn on a fiber, closes everything; fails the test with what CHECK noted.
 * Checks in fn need `struct fixture *f = s->f`. */
void scene_run(const struct history_kind *kind, scene_fn fn);
/* Closes and opens the history again; false when it could not be opened. */
bool scene_reopen(struct scene *s);

#endif
