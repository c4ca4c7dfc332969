/* SPDX-License-Identifier: Apache-2.0 */
/* time_zone.c - TZif files and the rule in their footer.
 *
 * A file is, all numbers big-endian:
 *
 *   "TZif" version 15×0 | counts isutc isstd leap time type char (4 bytes each)   header
 *   the version 1 block with 4-byte times: skipped
 *   header again, then the version 2 block:
 *     time × 8 bytes   when the offset changes, ascending
 *     time × 1 byte    to which type
 *     type × 6 bytes   offset (4), is daylight saving (1), abbreviation (1)
 *     char, leap × 12, isstd, isutc    skipped; leap seconds are refused
 *   "\n" rule "\n"     as the variable TZ of POSIX: CET-1CEST,M3.5.0,M10.5.0/3
 *
 * Only offsets matter here, so changes that keep the offset (a new abbreviation) are dropped while
 * reading, and a span is what lies between two changes that are left. Before the first change the
 * first type holds. After the last one the rule's changes are made year by year when asked for.
 *
 * Invariant: `at` ascends strictly, each change changes the offset, every time and offset is within
 * bounds that leave sums far from overflow. */
#include "model/time_zone.h"

#include "base/civil.h"
#include "base/mem.h"
#include "base/vec.h"

#define HEADER_BYTES   44
#define TIMES_MAX      20000
#define TYPES_MAX      256
#define INSTANT_MAX    (INT64_C(1) << 50) /* far beyond every calendar; "the big bang" is below */
#define DAY_S          INT64_C(86400)
#define RULE_HOURS_MAX 167
#define YEARS_AROUND   4 /* whose changes are looked at: one before an instant, two after it */

enum rule_form { RULE_JULIAN, RULE_DAY, RULE_WEEKDAY };
struct rule_date {
    enum rule_form form;
    int day;         /* Jn: 1-365 without leap day; n: 0-365; Mm.w.d: weekday */
    int month, week; /* week 5: the last */
    int64_t time_s;  /* of the local clock before the change */
};

struct change {
    int64_t at, offset; /* from then on */
};

struct time_zone {
    int64_t first_offset;
    VEC(struct change) changes;
    bool has_dst;      /* the rule changes the offset */
    int64_t rule_from; /* the last change listed, also one that keeps the offset */
    int64_t std_offset, dst_offset;
    struct rule_date dst_start, dst_end;
};

static int bad(struct err *err, const char *what) {
    return err_set(err, ERR_INVALID, "time zone data: %s", what);
}

/* --- the rule --- */

static bool take_char(str *s, char c) {
    if (s->len == 0 || s->p[0] != c)
        return false;
    *s = str_slice(*s, 1, s->len);
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool take_number(str *s, int max, int *out) {
    size_t n = 0;
    int v = 0;
    for (; n < s->len && n < 4 && is_digit(s->p[n]); n++)
        v = v * 10 + (s->p[n] - '0');
    if (n == 0 || v > max)
        return false;
    *s = str_slice(*s, n, s->len);
    *out = v;
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(str *s, int64_t *out) {
    int hours, minutes = 0, seconds = 0;
    int64_t sign = 1;
    if (take_char(s, '-'))
        sign = -1;
    else
        (void)take_char(s, '+');
    if (!take_number(s, RULE_HOURS_MAX, &hours))
        return false;
    if (take_char(s, ':')) {
        if (!take_number(s, 59, &minutes))
            return false;
        if (take_char(s, ':') && !take_number(s, 59, &seconds))
            return false;
    }
    *out = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

/* The zone's abbreviation: letters, or anything within <>. */
static bool take_name(str *s) {
    size_t n = 0;
    if (take_char(s, '<')) {
        ptrdiff_t end = str_find_char(*s, '>');
        if (end < 1)
            return false;
        *s = str_slice(*s, (size_t)end + 1, s->len);
        return true;
    }
    while (n < s->len && ((s->p[n] | 32) >= 'a' && (s->p[n] | 32) <= 'z'))
        n++;
    *s = str_slice(*s, n, s->len);
    return n >= 3;
}

/* West is positive in the rule, east in offsets. */
static bool take_offset(str *s, int64_t *out) {
    int64_t west;
    if (!take_time(s, &west) || west < -TIME_ZONE_OFFSET_MAX || west > TIME_ZONE_OFFSET_MAX)
        return false;
    *out = -west;
    return true;
}

static bool take_date(str *s, struct rule_date *out) {
    *out = (struct rule_date){.form = RULE_DAY, .time_s = 7200};
    bool ok;
    if (take_char(s, 'M')) {
        out->form = RULE_WEEKDAY;
        ok = take_number(s, 12, &out->month) && out->month >= 1 && take_char(s, '.') &&
             take_number(s, 5, &out->week) && out->week >= 1 && take_char(s, '.') &&
             take_number(s, 6, &out->day);
    } else if (take_char(s, 'J')) {
        out->form = RULE_JULIAN;
        ok = take_number(s, 365, &out->day) && out->day >= 1;
    } else {
        ok = take_number(s, 365, &out->day);
    }
    if (ok && take_char(s, '/'))
        ok = take_time(s, &out->time_s);
    return ok;
}

/* Without daylight saving the rule repeats the last change; when it is empty nothing is known. */
static bool rule_parse(str s, struct time_zone *z) {
    if (s.len == 0)
        return true;
    if (!take_name(&s) || !take_offset(&s, &z->std_offset))
        return false;
    if (s.len == 0)
        return true;
    if (!take_name(&s))
        return false;
    z->dst_offset = z->std_offset + 3600;
    if (s.len && s.p[0] != ',' && !take_offset(&s, &z->dst_offset))
        return false;
    z->has_dst = z->dst_offset != z->std_offset;
    return take_char(&s, ',') && take_date(&s, &z->dst_start) && take_char(&s, ',') &&
           take_date(&s, &z->dst_end) && s.len == 0;
}

/* Seconds of local time at which the date's change comes in that year. */
static int64_t rule_local(const struct rule_date *d, int64_t year) {
    int64_t days;
    if (d->form == RULE_WEEKDAY) {
        days = civil_days(year, d->month, 1);
        int first = (d->day - civil_weekday(days) + 7) % 7; /* before the month's first such day */
        int day = first + (d->week - 1) * 7;
        if (day >= civil_month_days(year, d->month))
            day -= 7;
        days += day;
    } else {
        days = civil_days(year, 1, 1) + d->day;
        bool leap = civil_month_days(year, 2) == 29;
        if (d->form == RULE_JULIAN && !(leap && d->day >= 60))
            days--;
    }
    return days * DAY_S + d->time_s;
}

/* The rule's changes of the years around an instant, ascending; of two at one time the later one of
 * the calendar counts. */
static size_t rule_changes(const struct time_zone *z, int64_t instant,
                           struct change out[2 * YEARS_AROUND]) {
    int64_t local = instant + z->std_offset;
    int64_t days = local / DAY_S - (local % DAY_S < 0);
    int64_t year = civil_of_days(days).year;
    size_t count = 0;
    for (int64_t y = year - 1; y < year - 1 + YEARS_AROUND; y++) {
        struct change both[2] = {
            {rule_local(&z->dst_start, y) - z->std_offset, z->dst_offset},
            {rule_local(&z->dst_end, y) - z->dst_offset, z->std_offset},
        };
        for (size_t i = 0; i < 2; i++) {
            struct change c = both[both[0].at <= both[1].at ? i : 1 - i];
            size_t at = count++;
            for (; at > 0 && out[at - 1].at > c.at; at--)
                out[at] = out[at - 1];
            out[at] = c;
        }
    }
    return count - 1; /* the next year may take the last one back */
}

/* Where the last change before an instant and the first one after it have been seen so far. */
static void narrow(struct time_zone_span *span, struct change c, int64_t instant) {
    if (c.at <= instant) {
        if (c.offset != span->offset)
            span->start = c.at;
        span->offset = c.offset;
    } else if (span->end == INT64_MAX && c.offset != span->offset) {
        span->end = c.at;
    }
}

/* After the last change that the file lists, and in the span that this one began. */
static struct time_zone_span span_by_rule(const struct time_zone *z, struct change last,
                                          int64_t instant) {
    struct time_zone_span span = {last.at, INT64_MAX, last.offset};
    struct change all[2 * YEARS_AROUND];
    size_t count = rule_changes(z, instant > z->rule_from ? instant : z->rule_from, all);
    for (size_t i = 0; i < count; i++) {
        bool doubled = i + 1 < count && all[i + 1].at == all[i].at;
        if (!doubled && all[i].at > z->rule_from)
            narrow(&span, all[i], instant);
    }
    return span;
}

struct time_zone_span time_zone_span_at(const struct time_zone *z, int64_t instant) {
    instant = instant < -INSTANT_MAX ? -INSTANT_MAX : instant > INSTANT_MAX ? INSTANT_MAX : instant;
    const struct change *c = z->changes.p;
    size_t low = 0, high = z->changes.count; /* how many changes are not after the instant */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c[middle].at <= instant)
            low = middle + 1;
        else
            high = middle;
    }
    struct change last = {INT64_MIN, z->first_offset};
    if (low > 0)
        last = c[low - 1];
    if (low == z->changes.count && z->has_dst)
        return span_by_rule(z, last, instant);
    struct time_zone_span span = {last.at, INT64_MAX, last.offset};
    if (low < z->changes.count)
        span.end = c[low].at;
    return span;
}

/* --- the file --- */

struct header {
    uint8_t version;
    size_t isutc, isstd, leap, time, type, chars;
};

static uint64_t big_endian(const char *p, size_t bytes) {
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

static int take_header(str *s, struct header *out, struct err *err) {
    if (s->len < HEADER_BYTES || memcmp(s->p, "TZif", 4) != 0)
        return bad(err, "it is no TZif file");
    size_t n[6];
    for (size_t i = 0; i < ARRAY_COUNT(n); i++)
        n[i] = (size_t)big_endian(s->p + 20 + 4 * i, 4);
    *out = (struct header){(uint8_t)s->p[4], n[0], n[1], n[2], n[3], n[4], n[5]};
    for (size_t i = 0; i < ARRAY_COUNT(n); i++)
        if (n[i] > TIMES_MAX)
            return bad(err, "a count is too large");
    *s = str_slice(*s, HEADER_BYTES, s->len);
    return 0;
}

static size_t block_bytes(const struct header *h, size_t time_bytes) {
    return h->time * (time_bytes + 1) + h->type * 6 + h->chars + h->leap * (time_bytes + 4) +
           h->isstd + h->isutc;
}

/* Adds a change unless the offset stays as it is. */
static void change_add(struct time_zone *z, struct change c) {
    int64_t before = z->changes.count ? z->changes.p[z->changes.count - 1].offset : z->first_offset;
    if (c.offset != before)
        vec_push(&z->changes, c);
}

static int read_block(struct time_zone *z, const struct header *h, const char *p, struct err *err) {
    int64_t offsets[TYPES_MAX], before = INT64_MIN;
    const char *indexes = p + h->time * 8, *types = indexes + h->time;
    for (size_t i = 0; i < h->type; i++) {
        offsets[i] = (int32_t)(uint32_t)big_endian(types + 6 * i, 4);
        if (offsets[i] < -TIME_ZONE_OFFSET_MAX || offsets[i] > TIME_ZONE_OFFSET_MAX)
            return bad(err, "an offset is out of range");
    }
    z->first_offset = offsets[0];
    z->rule_from = -INSTANT_MAX;
    for (size_t i = 0; i < h->time; i++) {
        int64_t at = (int64_t)big_endian(p + 8 * i, 8);
        uint8_t type = (uint8_t)indexes[i];
        if (at <= before && i > 0)
            return bad(err, "the changes are not in order");
        if (type >= h->type)
            return bad(err, "a change names no type");
        before = at;
        if (at > INSTANT_MAX)
            return bad(err, "a change is out of range");
        if (at < -INSTANT_MAX) /* from the beginning of time */
            z->first_offset = offsets[type];
        else
            change_add(z, (struct change){at, offsets[type]});
        if (at > z->rule_from)
            z->rule_from = at;
    }
    return 0;
}

static int parse(struct time_zone *z, str s, struct err *err) {
    struct header h;
    int rc = take_header(&s, &h, err);
    if (rc < 0)
        return rc;
    if (h.version < '2')
        return bad(err, "version 1 is too old");
    size_t skip = block_bytes(&h, 4);
    if (skip > s.len)
        return bad(err, "it is cut short");
    s = str_slice(s, skip, s.len);
    rc = take_header(&s, &h, err);
    if (rc < 0)
        return rc;
    size_t bytes = block_bytes(&h, 8);
    if (h.type < 1 || h.type > TYPES_MAX)
        return bad(err, "the number of types is out of range");
    if (h.leap)
        return bad(err, "it counts leap seconds");
    if (bytes > s.len)
        return bad(err, "it is cut short");
    rc = read_block(z, &h, s.p, err);
    if (rc < 0)
        return rc;
    s = str_slice(s, bytes, s.len);
    if (!take_char(&s, '\n'))
        return bad(err, "the rule is missing");
    ptrdiff_t end = str_find_char(s, '\n');
    if (end < 0 || !rule_parse(str_slice(s, 0, (size_t)end), z))
        return bad(err, "the rule cannot be read");
    return 0;
}

int time_zone_parse(str bytes, struct time_zone **out, struct err *err) {
    if (bytes.len > TIME_ZONE_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "time zone data: it is too large");
    struct time_zone *z = NEW(struct time_zone);
    int rc = parse(z, bytes, err);
    if (rc < 0) {
        time_zone_free(z);
        return rc;
    }
    *out = z;
    return 0;
}

struct time_zone *time_zone_utc(void) {
    return NEW(struct time_zone);
}

void time_zone_free(struct time_zone *z) {
    if (!z)
        return;
    vec_deinit(&z->changes);
    mem_free(z);
}

/* Parts begin with a letter, the first with a capital one: "right/…", "posixrules" and "localtime"
 * lie in the same folder and are no names of zones. */
bool time_zone_name_ok(str name) {
    if (name.len == 0 || name.len > TIME_ZONE_NAME_MAX || name.p[0] < 'A' || name.p[0] > 'Z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool inner = is_digit(c) || c == '_' || c == '-' || c == '+';
        bool first = i == 0 || name.p[i - 1] == '/';
        if (!(letter || (!first && (inner || c == '/'))))
            return false;
    }
    return name.p[name.len - 1] != '/';
}
