/* SPDX-License-Identifier: Apache-2.0 */
/* accept.c - reads Accept-Encoding and Accept.
 *
 *   Accept-Encoding   #( ( coding / "identity" / "*" ) [ OWS ";" OWS "q=" qvalue ] )
 *   Accept            #( ( "*" "/" "*" / type "/" "*" / type "/" subtype ) *( OWS ";" OWS param ) )
 *   qvalue            "0" [ "." 0*3DIGIT ] / "1" [ "." 0*3("0") ]
 *
 * Invariants: a weight lies within 0 … 1000; one that cannot be read is 0, so that no client gets
 * what it may not have asked for. Of a member that is named twice the last one counts. Parameters
 * of a type other than q are not looked at. */
#include "http/accept.h"

#include "base/err.h"

static const str coding_names[HTTP_CODING_COUNT] = {
    [HTTP_IDENTITY] = {"identity", 8},
    [HTTP_GZIP] = {"gzip", 4},
    [HTTP_ZSTD] = {"zstd", 4},
    [HTTP_BROTLI] = {"br", 2},
};

str http_coding_name(enum http_coding c) {
    ASSERT((unsigned)c < HTTP_CODING_COUNT);
    return coding_names[c];
}

bool http_coding_parse(str name, enum http_coding *out) {
    for (int c = 0; c < HTTP_CODING_COUNT; c++)
        if (str_ieq(name, coding_names[c])) {
            *out = (enum http_coding)c;
            return true;
        }
    *out = HTTP_GZIP;
    return str_ieq(name, STR("x-gzip"));
}

/* "0.25" gives 250; what is no qvalue 0. */
static int qvalue(str s) {
    if (s.len == 0 || s.len > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.len > 1 && s.p[1] != '.'))
        return 0;
    int value = (s.p[0] - '0') * HTTP_WEIGHT_MAX, unit = HTTP_WEIGHT_MAX;
    for (size_t i = 2; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 0;
        unit /= 10;
        value += (s.p[i] - '0') * unit;
    }
    return value > HTTP_WEIGHT_MAX ? 0 : value;
}

/* The name of a member and its weight; without a q it weighs all there is. */
static int member_read(str member, str *out_name) {
    str part;
    int weight = HTTP_WEIGHT_MAX;
    *out_name = STR("");
    if (str_split_next(&member, ';', &part))
        *out_name = str_trim(part);
    while (str_split_next(&member, ';', &part)) {
        part = str_trim(part);
        if (part.len >= 2 && (part.p[0] | 0x20) == 'q' && part.p[1] == '=')
            weight = qvalue(str_slice(part, 2, part.len));
    }
    return weight;
}

void http_accept_codings(str value, int weights[HTTP_CODING_COUNT]) {
    int any = -1;
    str member, name;
    enum http_coding c;
    for (int i = 0; i < HTTP_CODING_COUNT; i++)
        weights[i] = -1;
    while (value.len && str_split_next(&value, ',', &member)) {
        int weight = member_read(member, &name);
        if (str_eq(name, STR("*")))
            any = weight;
        else if (http_coding_parse(name, &c))
            weights[c] = weight;
    }
    for (int i = 0; i < HTTP_CODING_COUNT; i++)
        if (weights[i] < 0)
            weights[i] = i == HTTP_IDENTITY ? any != 0 : any > 0 ? any : 0;
}

enum http_coding http_accept_choose(const int weights[HTTP_CODING_COUNT],
                                    const enum http_coding *offered, size_t count) {
    enum http_coding best = HTTP_IDENTITY;
    int most = 0;
    for (size_t i = 0; i < count; i++)
        if (weights[offered[i]] > most) {
            best = offered[i];
            most = weights[best];
        }
    return weights[HTTP_IDENTITY] > most ? HTTP_IDENTITY : best;
}

#define FIT_WHOLE 3

/* How exactly the range names the type; 0 not at all. */
static int range_fit(str range, str type) {
    if (str_ieq(range, type))
        return FIT_WHOLE;
    if (str_eq(range, STR("*/*")))
        return 1;
    ptrdiff_t slash = str_find_char(range, '/');
    bool family =
        slash > 0 && str_eq(str_slice(range, (size_t)slash, range.len), STR("/*")) &&
        str_ieq(str_slice(range, 0, (size_t)slash + 1), str_slice(type, 0, (size_t)slash + 1));
    return family ? 2 : 0;
}

int http_accept_type(str value, str type, bool named) {
    str member, name;
    int weight = 0, best = named ? FIT_WHOLE : 0;
    value = str_trim(value);
    if (value.len == 0)
        return named ? 0 : HTTP_WEIGHT_MAX;
    while (str_split_next(&value, ',', &member)) {
        int w = member_read(member, &name), fit = range_fit(name, type);
        if (fit > 0 && fit >= best) {
            best = fit;
            weight = w;
        }
    }
    return weight;
}
