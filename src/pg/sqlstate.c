/* SPDX-License-Identifier: Apache-2.0 */
/* sqlstate.c - the server's error codes as ours.
 *
 * The longest prefix in the table wins: single codes before their class. What is not listed is
 * ERR_IO. A row may be added for a code that callers must tell apart; the five characters reach
 * them anyway. */
#include "pg/pg_int.h"

static const struct {
    const char *prefix;
    int code;
} table[] = {
    {"23505", ERR_EXISTS},    {"40001", ERR_CONFLICT}, {"40P01", ERR_CONFLICT},
    {"55P03", ERR_CONFLICT},  {"57014", ERR_TIMEOUT},  {"25P03", ERR_TIMEOUT},
    {"54000", ERR_TOO_LARGE}, {"26000", ERR_INTERNAL}, {"25006", ERR_UNAVAILABLE},
    {"22", ERR_INVALID},      {"23", ERR_INVALID},     {"42", ERR_INTERNAL},
    {"08", ERR_UNAVAILABLE},  {"53", ERR_UNAVAILABLE}, {"57P", ERR_UNAVAILABLE},
    {"28", ERR_UNAVAILABLE},  {"3D", ERR_UNAVAILABLE}, {"0A", ERR_INTERNAL},
    {"25", ERR_INTERNAL},     {"54", ERR_INVALID},     {"P0", ERR_CONFLICT},
};

int pg_sqlstate_code(const char sqlstate[6]) {
    size_t best = 0;
    int code = ERR_IO;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        size_t len = strlen(table[i].prefix);
        if (len > best && strncmp(sqlstate, table[i].prefix, len) == 0) {
            best = len;
            code = table[i].code;
        }
    }
    return code;
}
