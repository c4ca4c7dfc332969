/* SPDX-License-Identifier: Apache-2.0 */
/* terms.h - texts as words that can be looked for: in lower case, without punctuation.
 *
 * The databases get words, not texts: each would cut a text in its own way. A word is a run of
 * letters and digits of any script; a Han, kana or Hangul character is a word by itself, since
 * those scripts put no space between words. Letters of ASCII, Latin, Greek and Cyrillic are folded
 * to lower case. A longer word than TERM_BYTES_MAX counts by its beginning.
 *
 * Memory: the arena's, or the buffer's. Errors: none; text that is no UTF-8 ends at the fault.
 * Suspends: never. Tests: tests/unit/model/test_terms.c; fuzzed */
#ifndef HF_MODEL_TERMS_H
#define HF_MODEL_TERMS_H

#include "base/json.h"

#define TERM_BYTES_MAX  64
#define TERMS_COUNT_MAX 4096 /* of a text; what follows is not found */
#define TERMS_QUERY_MAX 32

/* Appends the words of text, each followed by a blank; returns count plus their number. */
size_t terms_write(struct buf *out, str text, size_t count);
/* The same of all strings and numbers in a JSON value, but not of the names of members. */
size_t terms_write_json(struct buf *out, yyjson_val *v, size_t count);
/* The distinct words of a question as a JSON array, the first TERMS_QUERY_MAX; maybe none. */
str terms_query(struct arena *a, str text, size_t *out_count);
/* A word that stands for an owner and means nothing to a query language: beside the words of a text
 * it makes a search meet one owner's texts only. */
str terms_owner(struct arena *a, str owner);

#endif
