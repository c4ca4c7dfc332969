/* SPDX-License-Identifier: Apache-2.0 */
/* validate.h - typed reading of a request body, with texts that tell the client what to change.
 *
 * Use: body_init(), read the members straight down, body_done() once; in between no checks. A
 * reader that finds a wrong value notes it and returns its fallback. All faults go into one
 * ERR_INVALID: "limit: must be an integer between 1 and 1000; name: must be a string". A member
 * that is missing or null takes the fallback. Unknown members are ignored.
 * Owner: the caller's stack. Memory: texts point into the body's document or the arena.
 * Suspends: never. Tests: tests/unit/model/test_validate.c */
#ifndef HF_MODEL_VALIDATE_H
#define HF_MODEL_VALIDATE_H

#include "base/id.h"
#include "base/json.h"
#include "model/words.h"

struct body {
    struct arena *a;
    yyjson_val *root;  /* object, or NULL: empty body */
    struct err faults; /* code 0 while all is well */
};

/* root NULL counts as {}; anything but an object is a fault. */
void body_init(struct body *b, struct arena *a, yyjson_val *root);
/* 0, or ERR_INVALID with everything found copied to err. */
MUST_CHECK int body_done(const struct body *b, struct err *err);
/* Notes a fault of the caller's own checks: "key: text". */
void body_fault(struct body *b, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

bool body_has(const struct body *b, const char *key);        /* present, maybe null */
yyjson_val *body_get(const struct body *b, const char *key); /* NULL when missing or null */

str body_str(struct body *b, const char *key, str fallback);
str body_str_required(struct body *b, const char *key); /* present and not empty */
/* Length in bytes between min and max. */
str body_str_sized(struct body *b, const char *key, size_t bytes_min, size_t bytes_max,
                   str fallback);
/* true and *out when present and valid. */
bool body_id(struct body *b, const char *key, struct id *out);
struct id body_id_required(struct body *b, const char *key); /* ID_NIL after a fault */

struct body_range {
    int64_t min, max, fallback;
};
int64_t body_int(struct body *b, const char *key, struct body_range range);
double body_double(struct body *b, const char *key, double min, double max, double fallback);
bool body_bool(struct body *b, const char *key, bool fallback);

str body_object(struct body *b, const char *key);             /* compact text; fallback "{}" */
yyjson_val *body_object_val(struct body *b, const char *key); /* NULL when missing */
yyjson_val *body_array(struct body *b, const char *key);      /* NULL when missing */
yyjson_val *body_str_array(struct body *b, const char *key);  /* of strings only */
str body_json(struct body *b, const char *key, str fallback); /* any value; null is "null" */
int body_enum(struct body *b, const char *key, const struct word_set *words, int fallback);

#endif
