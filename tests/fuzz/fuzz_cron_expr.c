/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_cron_expr.c - cron_expr_parse() and cron_expr_next() on any text and start.
 *
 * Input: 4 bytes of start, then the expression. Checks: the next instant is after the start and
 * within the bound, nothing that starts later fires earlier, and what fires in UTC is what the sets
 * say; a refusal has a text. */
#include "model/cron_expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cron_expr e;
    struct err err = {0};
    int64_t next, again;
    if (size < 4)
        return 0;
    uint32_t start;
    memcpy(&start, data, 4);
    int rc = cron_expr_parse(str_n((const char *)data + 4, size - 4), &e, &err);
    if (rc < 0) {
        ASSERT(rc == ERR_INVALID && err.message[0]);
        return 0;
    }
    struct time_zone *utc = time_zone_utc();
    rc = cron_expr_next(&e, utc, start, &next, &err);
    if (rc == 0) {
        ASSERT(next > (int64_t)start && next - start <= (CRON_YEARS + INT64_C(1)) * 366 * 86400);
        ASSERT(e.minutes >> next / 60 % 60 & 1 && e.hours >> next / 3600 % 24 & 1 &&
               e.seconds >> next % 60 & 1);
        ASSERT(cron_expr_next(&e, utc, next - 1, &again, &err) == 0 && again == next);
        rc = cron_expr_next(&e, utc, next, &again, &err);
        ASSERT(rc == ERR_NOT_FOUND || again > next);
    } else {
        ASSERT(rc == ERR_NOT_FOUND && err.message[0]);
    }
    time_zone_free(utc);
    return 0;
}
