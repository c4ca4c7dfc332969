/* SPDX-License-Identifier: Apache-2.0 */
/* words.h - the closed vocabularies of the API: words on the wire, enums inside.
 *
 * A word set lists every word of one enum once; parsing, writing and error texts read it.
 * Memory: none. Errors: ERR_INVALID naming the words allowed. Suspends: never.
 * Tests: tests/unit/model/test_state.c */
#ifndef HF_MODEL_WORDS_H
#define HF_MODEL_WORDS_H

#include "base/json.h"

struct word {
    str text;
    int value;
};

struct word_set {
    const struct word *words; /* the order of the error text */
    size_t count;
};

bool word_parse(const struct word_set *set, str text, int *out);
str word_text(const struct word_set *set, int value); /* a value without a word is a bug */
/* "must be one of a, b, c" */
int word_refuse(const struct word_set *set, struct err *err);

#endif
