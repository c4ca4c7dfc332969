/* SPDX-License-Identifier: Apache-2.0 */
/* id.h - UUIDs by value: v7 for our objects, v5 for derived ones, v6 for checkpoints (RFC 9562).
 *
 * Inside, an id is 16 bytes. Stored it is 32 lower-case hex digits; on the wire the dashed form.
 * Both spellings, in either case, are accepted from outside. Memory: none. Suspends: never.
 * Tests: tests/unit/base/test_id.c */
#ifndef HF_BASE_ID_H
#define HF_BASE_ID_H

#include "base/arena.h"
#include "base/str.h"

struct id {
    uint8_t b[16];
};
#define ID_NIL ((struct id){{0}})
extern const struct id ID_LAST; /* none is greater */
#define ID_DASHED_LEN 36
#define ID_HEX_LEN 32

struct id id_v7(void); /* monotonic within this process, also within one millisecond */
struct id id_v5(struct id name_space, str name);
/* LangGraph checkpoint ids: UUIDv6, strictly increasing within this process;
 * clock_seq = step & 0x3fff. */
struct id id_v6(int step);
/* The same, greater than another one that may come from a clock that is ahead. */
struct id id_v6_after(int step, struct id before);
struct id id_v4(void);
extern const struct id ID_NAMESPACE_GRAPH; /* 6ba7b821-9dad-11d1-80b4-00c04fd430c8 */

bool id_parse(str s, struct id *out);      /* dashed or 32 hex; false otherwise */
void id_write_dashed(struct id v, char out[ID_DASHED_LEN]); /* no NUL */
void id_write_hex(struct id v, char out[ID_HEX_LEN]);       /* no NUL */
str id_dashed(struct arena *a, struct id v);
str id_hex(struct arena *a, struct id v);
static inline bool id_eq(struct id a, struct id b) { return memcmp(a.b, b.b, 16) == 0; }
static inline bool id_is_nil(struct id a) { return id_eq(a, ID_NIL); }

#endif
