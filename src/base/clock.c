/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - the only reader of real clocks, and calendar text without libc's time functions.
 *
 * Times are 64-bit UTC microseconds since 1970. A simulation may put its own clocks in
 * place of the real ones. */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

#include "base/civil.h"

#define US_PER_S   INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_S)

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

typedef int64_t (*clock_fn)(void);

/* Process-wide: what time it is has one answer. */
static _Atomic(clock_fn) source_wall;
static _Atomic(clock_fn) source_mono;

static int64_t clock_read(clockid_t id) {
    struct timespec ts;
    ASSERT(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

int64_t clock_wall_us(void) {
    clock_fn fn = atomic_load_explicit(&source_wall, memory_order_relaxed);
    return fn ? fn() : clock_read(CLOCK_REALTIME);
}

int64_t clock_mono_us(void) {
    clock_fn fn = atomic_load_explicit(&source_mono, memory_order_relaxed);
    return fn ? fn() : clock_read(CLOCK_MONOTONIC);
}

void clock_set_source(int64_t (*wall_us)(void), int64_t (*mono_us)(void)) {
    atomic_store_explicit(&source_wall, wall_us, memory_order_relaxed);
    atomic_store_explicit(&source_mono, mono_us, memory_order_relaxed);
}

struct civil {
    int64_t days; /* since 1970-01-01 */
    int year, month, day, hour, minute, second, micros;
};

static struct civil civil_from_us(int64_t us) {
    static const int64_t first = INT64_C(-62167219200) * US_PER_S;    /* 0000-01-01 */
    static const int64_t last = INT64_C(253402300800) * US_PER_S - 1; /* end of 9999 */
    us = us < first ? first : us > last ? last : us;
    int64_t days = us / US_PER_DAY, rest = us % US_PER_DAY;
    if (rest < 0) {
        rest += US_PER_DAY;
        days--;
    }
    struct civil_date date = civil_of_days(days);
    return (struct civil){
        .days = days,
        .year = (int)date.year,
        .month = date.month,
        .day = date.day,
        .hour = (int)(rest / (3600 * US_PER_S)),
        .minute = (int)(rest / (60 * US_PER_S) % 60),
        .second = (int)(rest / US_PER_S % 60),
        .micros = (int)(rest % US_PER_S),
    };
}

/* Right-aligned decimal with leading zeros. */
static void digits_put(char *to, int width, int v) {
    for (int i = width - 1; i >= 0; i--) {
        to[i] = (char)('0' + v % 10);
        v /= 10;
    }
}

void time_write_iso(int64_t wall_us, char out[TIME_ISO_LEN]) {
    struct civil c = civil_from_us(wall_us);
    memcpy(out, "0000-00-00T00:00:00.000000Z", TIME_ISO_LEN);
    digits_put(out, 4, c.year);
    digits_put(out + 5, 2, c.month);
    digits_put(out + 8, 2, c.day);
    digits_put(out + 11, 2, c.hour);
    digits_put(out + 14, 2, c.minute);
    digits_put(out + 17, 2, c.second);
    digits_put(out + 20, 6, c.micros);
}

str time_iso(struct arena *a, int64_t wall_us) {
    char *p = arena_alloc(a, TIME_ISO_LEN + 1);
    time_write_iso(wall_us, p);
    p[TIME_ISO_LEN] = '\0';
    return str_n(p, TIME_ISO_LEN);
}

void time_write_http(int64_t wall_us, char out[TIME_HTTP_LEN]) {
    static const char day_names[] = "SunMonTueWedThuFriSat";
    struct civil c = civil_from_us(wall_us);
    memcpy(out, "Thu, 00 Jan 0000 00:00:00 GMT", TIME_HTTP_LEN);
    memcpy(out, day_names + 3 * civil_weekday(c.days), 3);
    digits_put(out + 5, 2, c.day);
    memcpy(out + 8, month_names + 3 * (c.month - 1), 3);
    digits_put(out + 12, 4, c.year);
    digits_put(out + 17, 2, c.hour);
    digits_put(out + 20, 2, c.minute);
    digits_put(out + 23, 2, c.second);
}

/* Takes exactly `width` digits off *s. */
static bool digits_take(str *s, int width, int *out) {
    if (s->len < (size_t)width)
        return false;
    int v = 0;
    for (int i = 0; i < width; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    *s = str_n(s->p + width, s->len - (size_t)width);
    *out = v;
    return true;
}

static bool char_take(str *s, char c) {
    if (s->len == 0 || s->p[0] != c)
        return false;
    *s = str_n(s->p + 1, s->len - 1);
    return true;
}

/* hh:mm[:ss[.fraction]]; fraction digits beyond microseconds are cut. */
static bool time_of_day_take(str *s, int64_t *out_us) {
    int hour, minute, second = 0;
    int64_t micros = 0;
    if (!digits_take(s, 2, &hour) || !char_take(s, ':') || !digits_take(s, 2, &minute))
        return false;
    if (char_take(s, ':')) {
        if (!digits_take(s, 2, &second))
            return false;
        if (char_take(s, '.') || char_take(s, ',')) {
            int digit, count = 0;
            int64_t scale = US_PER_S / 10;
            for (; digits_take(s, 1, &digit); count++, scale /= 10)
                micros += digit * scale;
            if (count == 0)
                return false;
        }
    }
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *out_us = (hour * 3600 + minute * 60 + second) * US_PER_S + micros;
    return true;
}

/* Z, ±hh, ±hhmm or ±hh:mm up to the end of the text; nothing means UTC. */
static bool zone_take(str *s, int64_t *out_us) {
    int64_t sign = 0;
    *out_us = 0;
    if (s->len == 0 || char_take(s, 'Z') || char_take(s, 'z'))
        return s->len == 0;
    if (char_take(s, '+'))
        sign = 1;
    else if (char_take(s, '-'))
        sign = -1;
    int hour, minute = 0;
    if (sign == 0 || !digits_take(s, 2, &hour))
        return false;
    bool colon = char_take(s, ':');
    if ((colon || s->len) && !digits_take(s, 2, &minute))
        return false;
    if (hour > 23 || minute > 59 || s->len)
        return false;
    *out_us = sign * (hour * 3600 + minute * 60) * US_PER_S;
    return true;
}

bool time_parse_iso(str s, int64_t *out_wall_us) {
    int year, month, day;
    int64_t of_day = 0, zone = 0;
    if (!digits_take(&s, 4, &year) || !char_take(&s, '-') || !digits_take(&s, 2, &month) ||
        !char_take(&s, '-') || !digits_take(&s, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > civil_month_days(year, month))
        return false;
    if (s.len) {
        if (!char_take(&s, 'T') && !char_take(&s, 't') && !char_take(&s, ' '))
            return false;
        if (!time_of_day_take(&s, &of_day) || !zone_take(&s, &zone))
            return false;
    }
    *out_wall_us = civil_days(year, month, day) * US_PER_DAY + of_day - zone;
    return true;
}

/* Reads the numbers where they stand; what is written of them again must be the text. */
bool time_parse_http(str s, int64_t *out_wall_us) {
    char again[TIME_HTTP_LEN];
    int day, year, hour, minute, second, month = 0;
    str at[] = {str_slice(s, 5, 7), str_slice(s, 12, 16), str_slice(s, 17, 19),
                str_slice(s, 20, 22), str_slice(s, 23, 25)};
    if (s.len != TIME_HTTP_LEN || !digits_take(&at[0], 2, &day) || !digits_take(&at[1], 4, &year) ||
        !digits_take(&at[2], 2, &hour) || !digits_take(&at[3], 2, &minute) ||
        !digits_take(&at[4], 2, &second))
        return false;
    while (month < 12 && memcmp(s.p + 8, month_names + 3 * month, 3) != 0)
        month++;
    if (month == 12)
        return false;
    int64_t seconds = (hour * INT64_C(60) + minute) * 60 + second;
    int64_t us = civil_days(year, month + 1, day) * US_PER_DAY + seconds * 1000000;
    time_write_http(us, again);
    if (memcmp(again, s.p, TIME_HTTP_LEN) != 0)
        return false;
    *out_wall_us = us;
    return true;
}
