/* SPDX-License-Identifier: Apache-2.0 */
/* cron_expr.c - parsing into bit sets, and the search for the next match.
 *
 * The search goes through the zone's spans of constant offset. Within a span local time is the
 * instant plus the offset, so a match is looked for on the local clock alone: month by month (the
 * days of a month as one set), then the time of day. What happens between two spans is the whole
 * treatment of clock changes:
 *
 *   local clock   ──────────┐ horizon = the latest local time shown so far
 *                            ├─ gap: (horizon, start+offset): fixed times in it fire at the start
 *                           ┘
 *                 ─────┐ repetition: [start+offset, horizon) has been shown already, so fixed
 *                  ────┘ times in it do not fire again */
#include "model/cron_expr.h"

#include "base/civil.h"

#define DAY_S        INT64_C(86400)
#define YEAR_S       (INT64_C(31622400))
#define HORIZON_S    (3 * DAY_S)           /* clocks are set back by less */
#define INSTANT_LAST INT64_C(253402300799) /* of the year 9999 */

/* --- parsing --- */

enum field_id { MINUTE, HOUR, DAY, MONTH, WEEKDAY, SECOND };
struct field {
    const char *name;
    int min, max;
    const char *names; /* three letters each, from min on */
};
static const struct field FIELDS[] = {
    [MINUTE] = {"minute", 0, 59, ""},
    [HOUR] = {"hour", 0, 23, ""},
    [DAY] = {"day of month", 1, 31, ""},
    [MONTH] = {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    [WEEKDAY] = {"day of week", 0, 7, "sunmontuewedthufrisat"},
    [SECOND] = {"second", 0, 59, ""},
};

struct reader {
    struct cron_expr *e;
    enum field_id id;
    str part; /* of the list, for texts */
    uint64_t bits;
    struct err *err;
};

static int wrong(const struct reader *r, const char *what) {
    return err_set(r->err, ERR_INVALID, "%s: \"%.*s\" %s", FIELDS[r->id].name,
                   (int)(r->part.len < 40 ? r->part.len : 40), r->part.p, what);
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static bool take(str *s, char c) { /* c: lower case */
    if (s->len == 0 || lower(s->p[0]) != c)
        return false;
    *s = str_slice(*s, 1, s->len);
    return true;
}

static bool take_number(str *s, int *out) {
    size_t n = 0;
    int v = 0;
    for (; n < s->len && n < 4 && s->p[n] >= '0' && s->p[n] <= '9'; n++)
        v = v * 10 + (s->p[n] - '0');
    *s = str_slice(*s, n, s->len);
    *out = v;
    return n > 0;
}

/* A number or a name of the field, within its range. */
static bool take_value(const struct field *f, str *s, int *out) {
    for (int i = 0; s->len >= 3 && f->names[3 * i]; i++) {
        const char *name = f->names + 3 * i;
        if (lower(s->p[0]) == name[0] && lower(s->p[1]) == name[1] && lower(s->p[2]) == name[2]) {
            *s = str_slice(*s, 3, s->len);
            *out = f->min + i;
            return true;
        }
    }
    return take_number(s, out) && *out >= f->min && *out <= f->max;
}

static bool is_star(str s) { return s.len == 1 && (s.p[0] == '*' || s.p[0] == '?'); }

/* What only days can be. *out_known: it was such a form. */
static int read_day(struct reader *r, str s, bool *out_known) {
    int day;
    *out_known = true;
    if (take(&s, 'l')) {
        bool workday = take(&s, 'w');
        if (s.len)
            return wrong(r, "is not understood");
        if (workday)
            r->e->last_workday = true;
        else
            r->e->last_day = true;
        return 0;
    }
    if (take_value(&FIELDS[DAY], &s, &day) && take(&s, 'w') && s.len == 0) {
        r->e->near_days |= UINT32_C(1) << day;
        return 0;
    }
    *out_known = false;
    return 0;
}

static int read_weekday(struct reader *r, str s, bool *out_known) {
    int day, n;
    bool last = take(&s, 'l');
    *out_known = true;
    if (!take_value(&FIELDS[WEEKDAY], &s, &day)) {
        *out_known = last;
        return last ? wrong(r, "is not understood") : 0;
    }
    if (take(&s, '#')) {
        if (last || !take_number(&s, &n) || n < 1 || n > 5 || s.len)
            return wrong(r, "must be a day, # and a number from 1 to 5");
        r->e->nth_weekdays[n] |= (uint8_t)(1 << day % 7);
        return 0;
    }
    if (!last && take(&s, 'l'))
        last = true;
    *out_known = last;
    if (last && s.len)
        return wrong(r, "is not understood");
    if (last)
        r->e->last_weekdays |= (uint8_t)(1 << day % 7);
    return 0;
}

static int read_range(struct reader *r, str s) {
    const struct field *f = &FIELDS[r->id];
    int last = r->id == WEEKDAY ? 6 : f->max, from = f->min, to = last, step = 1;
    bool star = take(&s, '*'), range = false;
    if (!star) {
        if (!take_value(f, &s, &from))
            return wrong(r, "is no value of this field");
        to = from;
        range = take(&s, '-');
        if (range && !take_value(f, &s, &to))
            return wrong(r, "has no end that this field can have");
    }
    if (take(&s, '/')) {
        if (!take_number(&s, &step) || step < 1 || step > f->max)
            return wrong(r, "has a step that is out of range");
        if (!star && !range)
            to = last;
    }
    if (s.len)
        return wrong(r, "is not understood");
    int size = last - f->min + 1;
    if (from > last) { /* Sunday is 7 and 0; at the end of a range it is after Saturday */
        from -= size;
        to -= to > last ? size : 0;
    }
    if (to < from)
        to += size;
    for (int v = from; v <= to; v += step)
        r->bits |= UINT64_C(1) << (f->min + (v - f->min) % size);
    return 0;
}

static int read_field(struct reader *r, str text) {
    str rest = text, part;
    r->bits = 0;
    while (str_split_next(&rest, ',', &part)) {
        bool known = false;
        int rc = 0;
        r->part = part;
        if (part.len == 0)
            return wrong(r, "is empty");
        if (r->id == DAY)
            rc = read_day(r, part, &known);
        else if (r->id == WEEKDAY)
            rc = read_weekday(r, part, &known);
        if ((r->id == DAY || r->id == WEEKDAY) && part.len == 1 && part.p[0] == '?') {
            part = STR("*");
            r->part = part;
        }
        if (rc == 0 && !known)
            rc = read_range(r, part);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void store_field(struct reader *r, str text) {
    struct cron_expr *e = r->e;
    switch (r->id) {
    case MINUTE:
        e->minutes = r->bits;
        break;
    case HOUR:
        e->hours = (uint32_t)r->bits;
        break;
    case DAY:
        e->days = (uint32_t)r->bits;
        e->every_day = is_star(text);
        break;
    case MONTH:
        e->months = (uint32_t)r->bits;
        break;
    case WEEKDAY:
        e->weekdays = (uint8_t)r->bits;
        e->every_weekday = is_star(text);
        break;
    case SECOND:
        e->seconds = r->bits;
        break;
    }
}

static str alias(str text) {
    static const struct {
        str name, stands_for;
    } all[] = {
        {STR("@yearly"), STR("0 0 1 1 *")},  {STR("@annually"), STR("0 0 1 1 *")},
        {STR("@monthly"), STR("0 0 1 * *")}, {STR("@weekly"), STR("0 0 * * 0")},
        {STR("@daily"), STR("0 0 * * *")},   {STR("@midnight"), STR("0 0 * * *")},
        {STR("@hourly"), STR("0 * * * *")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        if (str_ieq(text, all[i].name))
            return all[i].stands_for;
    return text;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

int cron_expr_parse(str text, struct cron_expr *out, struct err *err) {
    struct cron_expr e = {.seconds = 1};
    str fields[ARRAY_COUNT(FIELDS)] = {STR_NULL};
    size_t count = 0;
    if (text.len > CRON_EXPR_BYTES_MAX)
        return err_set(err, ERR_INVALID, "must be at most %d bytes", CRON_EXPR_BYTES_MAX);
    str rest = alias(str_trim(text));
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.p[i] < ' ' && rest.p[i] != '\t')
            return err_set(err, ERR_INVALID, "must be one line");
    for (size_t at = 0; at < rest.len;) {
        size_t end = at;
        while (end < rest.len && !is_blank(rest.p[end]))
            end++;
        if (end > at && count == ARRAY_COUNT(fields))
            return err_set(err, ERR_INVALID, "must have five or six fields, it has more");
        if (end > at)
            fields[count++] = str_slice(rest, at, end);
        at = end + 1;
    }
    if (count < 5)
        return err_set(err, ERR_INVALID, "must have five or six fields, it has %zu", count);
    for (size_t i = 0; i < count; i++) {
        struct reader r = {.e = &e, .id = (enum field_id)i, .err = err};
        int rc = read_field(&r, fields[i]);
        if (rc < 0)
            return rc;
        store_field(&r, fields[i]);
    }
    e.fixed = fields[MINUTE].p[0] != '*' && fields[HOUR].p[0] != '*';
    *out = e;
    return 0;
}

/* --- matching on the local clock --- */

/* The first value of the set from `from` on; -1: none. */
static int bit_from(uint64_t set, int from) {
    if (from > 63)
        return -1;
    set &= ~UINT64_C(0) << from;
    return set ? __builtin_ctzll(set) : -1;
}

/* Second of the day, from `from` on; -1: none that day. */
static int64_t time_from(const struct cron_expr *e, int from) {
    int hour = bit_from(e->hours, from / 3600);
    bool same = hour == from / 3600;
    while (hour >= 0) {
        int minute = bit_from(e->minutes, same ? from / 60 % 60 : 0);
        bool same_minute = same && minute == from / 60 % 60;
        while (minute >= 0) {
            int second = bit_from(e->seconds, same_minute ? from % 60 : 0);
            if (second >= 0)
                return hour * 3600 + minute * 60 + second;
            minute = bit_from(e->minutes, minute + 1);
            same_minute = false;
        }
        hour = bit_from(e->hours, hour + 1);
        same = false;
    }
    return -1;
}

/* Monday to Friday next to the day, within the month; 0: the month has no such day. */
static int near_workday(int day, int first_weekday, int count) {
    if (day > count)
        return 0;
    int weekday = (first_weekday + day - 1) % 7;
    if (weekday == 6)
        return day > 1 ? day - 1 : day + 2;
    if (weekday == 0)
        return day < count ? day + 1 : day - 2;
    return day;
}

/* The days of a month on which it fires. */
static uint32_t days_of_month(const struct cron_expr *e, int64_t year, int month) {
    int count = civil_month_days(year, month);
    int first = civil_weekday(civil_days(year, month, 1));
    uint32_t all = (uint32_t)((UINT64_C(2) << count) - 2), by_day = e->days, by_weekday = 0;
    if (e->every_day && e->every_weekday)
        return all;
    for (int d = bit_from(e->near_days, 1); d > 0; d = bit_from(e->near_days, d + 1))
        by_day |= UINT32_C(1) << near_workday(d, first, count); /* bit 0 is no day */
    if (e->last_day)
        by_day |= UINT32_C(1) << count;
    if (e->last_workday)
        by_day |= UINT32_C(1) << near_workday(count, first, count);
    for (int d = 1; d <= count; d++) {
        int weekday = (first + d - 1) % 7;
        uint8_t set = e->weekdays | e->nth_weekdays[(d + 6) / 7];
        if (d + 7 > count)
            set |= e->last_weekdays;
        if (set >> weekday & 1)
            by_weekday |= UINT32_C(1) << d;
    }
    if (e->every_day)
        return by_weekday & all;
    return (e->every_weekday ? by_day : by_day | by_weekday) & all;
}

static int64_t day_of(int64_t seconds) { return seconds / DAY_S - (seconds % DAY_S < 0); }

/* The first local time from `from` on and before `until`. */
static bool local_from(const struct cron_expr *e, int64_t from, int64_t until, int64_t *out) {
    int64_t first = day_of(from);
    struct civil_date date = civil_of_days(first);
    int day = date.day;
    for (;;) {
        int64_t month_first = civil_days(date.year, date.month, 1);
        if (month_first * DAY_S >= until)
            return false;
        bool wanted = e->months >> date.month & 1;
        uint32_t days = wanted ? days_of_month(e, date.year, date.month) : 0;
        for (day = bit_from(days, day); day > 0; day = bit_from(days, day + 1)) {
            int64_t at = month_first + day - 1;
            int64_t time = time_from(e, at == first ? (int)(from - first * DAY_S) : 0);
            if (at * DAY_S >= until)
                return false;
            if (time < 0)
                continue;
            *out = at * DAY_S + time;
            return *out < until;
        }
        date.year += date.month == 12;
        date.month = date.month % 12 + 1;
        day = 1;
    }
}

/* --- instants --- */

/* The latest local time that was shown before the span began. */
static int64_t horizon_of(const struct time_zone *zone, const struct time_zone_span *span) {
    int64_t start = span->start, latest = INT64_MIN;
    while (start > span->start - HORIZON_S) {
        struct time_zone_span before = time_zone_span_at(zone, start - 1);
        if (before.end + before.offset > latest)
            latest = before.end + before.offset;
        if (before.start == INT64_MIN)
            break;
        start = before.start;
    }
    return latest;
}

int cron_expr_next(const struct cron_expr *e, const struct time_zone *zone, int64_t after,
                   int64_t *out, struct err *err) {
    int64_t at = after < -INSTANT_LAST  ? -INSTANT_LAST
                 : after < INSTANT_LAST ? after + 1
                                        : INSTANT_LAST;
    int64_t last = at + CRON_YEARS * YEAR_S;
    last = last > INSTANT_LAST ? INSTANT_LAST : last;
    while (at < last) {
        struct time_zone_span span = time_zone_span_at(zone, at);
        int64_t end = span.end < last ? span.end : last, found;
        int64_t from = at + span.offset;
        if (e->fixed && span.start != INT64_MIN) {
            int64_t horizon = horizon_of(zone, &span);
            if (at == span.start && local_from(e, horizon, from, &found)) {
                *out = at;
                return 0;
            }
            from = horizon > from ? horizon : from;
        }
        if (local_from(e, from, end + span.offset, &found)) {
            *out = found - span.offset;
            return 0;
        }
        at = end;
    }
    return err_set(err, ERR_NOT_FOUND, "it never fires");
}
