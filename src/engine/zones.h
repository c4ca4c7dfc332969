/* SPDX-License-Identifier: Apache-2.0 */
/* zones.h - time zones by name, read from the system's tz database when they are asked for.
 *
 * Nothing of the process's own time zone is read or changed. A zone is kept, and read again after
 * an hour, so that an update of the database is taken up.
 * Memory: a zone is valid until the next suspension. Errors: ERR_INVALID for a name that is none,
 * ERR_UNAVAILABLE when the database cannot be read. Suspends: zones_get.
 * Tests: tests/unit/engine/test_zones.c */
#ifndef HF_ENGINE_ZONES_H
#define HF_ENGINE_ZONES_H

#include "model/time_zone.h"
#include "rt/fiber.h"

struct zones;
struct zones *zones_new(struct rt *rt, const char *folder);
void zones_free(struct zones *z);
/* name absent or empty: UTC. */
MUST_CHECK MAY_SUSPEND int zones_get(struct zones *z, str name, const struct time_zone **out,
                                     struct err *err);

#endif
