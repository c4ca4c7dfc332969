/* SPDX-License-Identifier: Apache-2.0 */
/* cron_next.c - answers lines "FILE<tab>AFTER<tab>COUNT<tab>EXPRESSION" of the standard input with
 * a line of the next instants, or with "error: …". FILE is a compiled time zone, or "-" for UTC. */
#include <stdio.h>

#include "model/cron_expr.h"

static char data[TIME_ZONE_BYTES_MAX];

static int load(const char *path, struct time_zone **out, struct err *err) {
    FILE *f = fopen(path, "rb");
    if (!f)
        return err_set(err, ERR_IO, "%s cannot be read", path);
    size_t len = fread(data, 1, sizeof(data), f);
    fclose(f);
    return time_zone_parse(str_n(data, len), out, err);
}

static int answer(str line, struct err *err) {
    str file, after_text, count_text;
    int64_t at, count;
    struct cron_expr e;
    struct time_zone *zone = NULL;
    char path[512];
    if (!str_split_next(&line, '\t', &file) || !str_split_next(&line, '\t', &after_text) ||
        !str_split_next(&line, '\t', &count_text) || !str_to_i64(after_text, &at) ||
        !str_to_i64(count_text, &count) || file.len >= sizeof(path))
        return err_set(err, ERR_INVALID, "the line is not understood");
    memcpy(path, file.p, file.len);
    path[file.len] = '\0';
    int rc = cron_expr_parse(line, &e, err);
    if (rc == 0 && !str_eq(file, STR("-")))
        rc = load(path, &zone, err);
    else if (rc == 0)
        zone = time_zone_utc();
    for (int64_t i = 0; rc == 0 && i < count; i++) {
        rc = cron_expr_next(&e, zone, at, &at, err);
        if (rc == 0)
            printf("%lld ", (long long)at);
    }
    time_zone_free(zone);
    return rc;
}

int main(void) {
    char line[2048];
    while (fgets(line, sizeof(line), stdin)) {
        struct err err = {0};
        if (answer(str_n(line, strcspn(line, "\n")), &err) < 0)
            printf("error: %s", err.message);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
