/* SPDX-License-Identifier: Apache-2.0 */
/* component.c - versions of libpq.
 *
 * Here, as this module's files are the only ones that may see those headers. What runs is asked of
 * the library; what it was built with is its header's word. */
#include "pg/component.h"

#include <libpq-fe.h>
#include <pg_config.h>
#include <stdio.h>

static void version_text(char out[24], int number) { /* 150018 is 15.18 */
    (void)snprintf(out, 24, "%d.%d", number / 10000, number % 10000);
}

void pg_components(component_fn *add, void *ctx) {
    char installed[24], wanted[24];
    version_text(installed, PQlibVersion());
    version_text(wanted, PG_VERSION_NUM);
    add(ctx, &(struct component){"libpq", installed, wanted, "libpq5"});
}
