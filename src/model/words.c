/* SPDX-License-Identifier: Apache-2.0 */
/* words.c - look-ups in word sets.
 *
 * Design: a set has a handful of words, so a linear search over a cache line or two is fastest.
 * Invariant: each word and each value stands in a set once; the tests walk every set both ways. */
#include "model/words.h"

bool word_parse(const struct word_set *set, str text, int *out) {
    for (size_t i = 0; i < set->count; i++) {
        if (!str_eq(set->words[i].text, text))
            continue;
        *out = set->words[i].value;
        return true;
    }
    return false;
}

str word_text(const struct word_set *set, int value) {
    for (size_t i = 0; i < set->count; i++)
        if (set->words[i].value == value)
            return set->words[i].text;
    UNREACHABLE();
}

int word_refuse(const struct word_set *set, struct err *err) {
    char text[ERR_MESSAGE_BYTES / 2];
    size_t used = 0;
    for (size_t i = 0; i < set->count; i++) {
        str word = set->words[i].text;
        if (used + word.len + 2 > sizeof(text))
            break;
        if (i > 0) {
            memcpy(text + used, ", ", 2);
            used += 2;
        }
        memcpy(text + used, word.p, word.len);
        used += word.len;
    }
    return err_set(err, ERR_INVALID, "must be one of " STR_FMT, STR_ARG(str_n(text, used)));
}
