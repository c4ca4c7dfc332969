/* SPDX-License-Identifier: Apache-2.0 */
/* legacy_int.h - where it is written down what was taken; shared by take.c and wrap.c.
 *
 * Of a session, the latest checkpoint of the session of the same name that belongs to the owner
 * "\1legacy:" and the real owner: {"from", "rows", "checkpoint"}: which store, up to which mark,
 * and the id that its checkpoint got. Memory: the caller's. Suspends: never. */
#ifndef HF_HISTORY_LEGACY_LEGACY_INT_H
#define HF_HISTORY_LEGACY_LEGACY_INT_H

#include "history/legacy/legacy.h"

#define LEGACY_BOOKS "\1legacy:"

struct legacy_books {
    char text[sizeof LEGACY_BOOKS + HISTORY_LEGACY_OWNER_BYTES_MAX];
    str owner;
};
/* ERR_INVALID: the name is too long. */
MUST_CHECK int legacy_books_of(str owner, struct legacy_books *out, struct err *err);
/* Whether a session of the history may have this name. */
bool legacy_name_fits(str session);

#endif
