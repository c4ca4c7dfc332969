/* SPDX-License-Identifier: Apache-2.0 */
/* tools.c - the table of tools, their arguments, and the small ones.
 *
 * Arguments are checked against what the schema says about them: an object, no unknown member,
 * every required one there, every one a string (no built-in tool takes another kind yet; a tool
 * that does extends check_arguments). The texts are for the model, which may then try again.
 *
 * current_time knows UTC and fixed offsets only: named zones would need a zone database that is
 * kept up to date, and a wrong hour is worse than a refusal. The schema says so.
 *
 * A new tool: a row in TOOLS and its function. */
#include "graphs/tools.h"

#include "base/clock.h"
#include "graphs/calculator.h"

static int run_current_time(const struct tool_call *call, struct tool_answer *out);
static int run_calculator(const struct tool_call *call, struct tool_answer *out);

static const struct tool TOOLS[] = {
    {"current_time",
     "The current date, time and day of the week, in UTC or at a fixed offset from it.",
     "{\"type\":\"object\",\"properties\":{\"timezone\":{\"type\":\"string\",\"description\":"
     "\"UTC or a fixed offset from UTC such as +02:00 or -05:30. Names of places such as "
     "Europe/Berlin are not known. Default: UTC.\"}},\"additionalProperties\":false}",
     run_current_time},
    {"calculator",
     "Evaluates one arithmetic expression, for example (2 + 3) * 4 or round(sqrt(2), 3).",
     "{\"type\":\"object\",\"properties\":{\"expression\":{\"type\":\"string\",\"description\":"
     "\"Numbers, + - * / % ^, parentheses, pi, e, and the functions sqrt abs floor ceil round exp "
     "ln log sin cos tan min max.\"}},\"required\":[\"expression\"],"
     "\"additionalProperties\":false}",
     run_calculator},
    {"http_get",
     "Fetches one http or https address of an allowed host and returns the text found there.",
     "{\"type\":\"object\",\"properties\":{\"url\":{\"type\":\"string\",\"description\":"
     "\"The whole address, with http:// or https://.\"}},\"required\":[\"url\"],"
     "\"additionalProperties\":false}",
     tool_http_get},
};

const struct tool *tool_find(str name) {
    for (size_t i = 0; i < ARRAY_COUNT(TOOLS); i++)
        if (str_eq(name, str_of(TOOLS[i].name)))
            return &TOOLS[i];
    return NULL;
}

unsigned tool_bit(const struct tool *tool) { return 1u << (tool - TOOLS); }

unsigned tools_default(const struct graphs_settings *settings) {
    unsigned set = 0;
    for (size_t i = 0; i < ARRAY_COUNT(TOOLS); i++)
        if (TOOLS[i].run != tool_http_get || str_trim(settings->http_get_hosts).len)
            set |= 1u << i;
    return set;
}

str tools_names(struct arena *a, unsigned set) {
    str names = STR("");
    for (size_t i = 0; i < ARRAY_COUNT(TOOLS); i++)
        if (set & 1u << i)
            names = arena_printf(a, STR_FMT "%s%s", STR_ARG(names), names.len ? ", " : "",
                                 TOOLS[i].name);
    return names;
}

str tools_json(struct arena *a, unsigned set) {
    struct buf b;
    if (!set)
        return STR_NULL;
    buf_init(&b, 64 * 1024);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < ARRAY_COUNT(TOOLS); i++) {
        if (!(set & 1u << i))
            continue;
        jw_object(&w);
        jw_key(&w, "name");
        jw_z(&w, TOOLS[i].name);
        jw_key(&w, "description");
        jw_z(&w, TOOLS[i].description);
        jw_key(&w, "parameters");
        jw_raw(&w, str_of(TOOLS[i].parameters));
        jw_object_end(&w);
    }
    jw_array_end(&w);
    ASSERT(buf_ok(&b));
    return arena_take(a, &b);
}

/* --- arguments --- */

static bool check_arguments(const struct tool *tool, const struct tool_call *call, str *out_why) {
    yyjson_val *schema, *key, *value, *name;
    size_t i, n;
    if (json_parse(call->arena, str_of(tool->parameters), &schema, NULL) < 0)
        UNREACHABLE();
    yyjson_val *properties = json_get(schema, "properties");
    if (!yyjson_is_obj(call->arguments)) {
        *out_why = STR("the arguments must be a JSON object");
        return false;
    }
    yyjson_obj_foreach(call->arguments, i, n, key, value) {
        str member = str_slice(json_str(key), 0, 64);
        if (!json_get_str(properties, json_str(key))) {
            *out_why =
                arena_printf(call->arena, "there is no argument \"" STR_FMT "\"", STR_ARG(member));
            return false;
        }
        if (!yyjson_is_str(value) && !yyjson_is_null(value)) {
            *out_why = arena_printf(call->arena, "the argument \"" STR_FMT "\" must be a string",
                                    STR_ARG(member));
            return false;
        }
    }
    yyjson_arr_foreach(json_get(schema, "required"), i, n, name) {
        if (yyjson_is_str(json_get_str(call->arguments, json_str(name))))
            continue;
        *out_why = arena_printf(call->arena, "the argument \"" STR_FMT "\" is required",
                                STR_ARG(json_str(name)));
        return false;
    }
    return true;
}

int tool_run(const struct tool *tool, const struct tool_call *call, struct tool_answer *out) {
    str why;
    if (!check_arguments(tool, call, &why)) {
        out->text = arena_printf(call->arena, "Error: " STR_FMT ". The arguments' schema is %s",
                                 STR_ARG(why), tool->parameters);
        out->failed = true;
        return 0;
    }
    return tool->run(call, out);
}

/* --- current_time --- */

static bool two_digits(str s, size_t at, int *out) {
    if (at + 2 > s.len || s.p[at] < '0' || s.p[at] > '9' || s.p[at + 1] < '0' || s.p[at + 1] > '9')
        return false;
    *out = (s.p[at] - '0') * 10 + s.p[at + 1] - '0';
    return true;
}

/* "UTC", "Z", "GMT", "+hh", "+hh:mm", "+hhmm", and these after "UTC" or "GMT". */
static bool parse_offset(str zone, int *out_minutes) {
    int hours, minutes = 0;
    if (zone.len >= 3 &&
        (str_ieq(str_slice(zone, 0, 3), STR("UTC")) || str_ieq(str_slice(zone, 0, 3), STR("GMT"))))
        zone = str_slice(zone, 3, zone.len);
    if (zone.len == 0 || str_ieq(zone, STR("Z"))) {
        *out_minutes = 0;
        return true;
    }
    if ((zone.p[0] != '+' && zone.p[0] != '-') || !two_digits(zone, 1, &hours))
        return false;
    size_t at = 3;
    if (at < zone.len && zone.p[at] == ':')
        at++;
    if (at == 4 ? !two_digits(zone, at, &minutes)
                : at < zone.len && !two_digits(zone, at, &minutes))
        return false;
    if (zone.len != (zone.len > 3 ? at + 2 : 3) || hours > 14 || minutes > 59 ||
        (hours == 14 && minutes > 0))
        return false;
    *out_minutes = (hours * 60 + minutes) * (zone.p[0] == '-' ? -1 : 1);
    return true;
}

static const char *weekday(int64_t wall_us) {
    static const char *const names[] = {"Thursday", "Friday",  "Saturday", "Sunday",
                                        "Monday",   "Tuesday", "Wednesday"};
    return names[wall_us / 86400000000 % 7]; /* 1970 began on a Thursday */
}

static int run_current_time(const struct tool_call *call, struct tool_answer *out) {
    str zone = json_str(json_get(call->arguments, "timezone"));
    int minutes = 0;
    zone = str_trim(zone);
    if (str_ieq(zone, STR("Etc/UTC")))
        zone = STR("UTC");
    if (!parse_offset(zone, &minutes)) {
        out->failed = true;
        out->text = STR("Error: only UTC and fixed offsets from it, such as +02:00, are known as "
                        "timezone");
        return 0;
    }
    int64_t at = rt_now_us(call->services->rt) + (int64_t)minutes * 60000000;
    at = at < 0 ? 0 : at; /* a simulated clock may stand before 1970 */
    char text[TIME_ISO_LEN];
    time_write_iso(at, text);
    int distance = minutes < 0 ? -minutes : minutes;
    str offset = arena_printf(call->arena, "%c%02d:%02d", minutes < 0 ? '-' : '+', distance / 60,
                              distance % 60);
    out->text = arena_printf(call->arena, "%.19s" STR_FMT " (%s)", text,
                             STR_ARG(minutes ? offset : STR("Z")), weekday(at));
    return 0;
}

/* --- calculator --- */

static int run_calculator(const struct tool_call *call, struct tool_answer *out) {
    str expression = json_str(json_get(call->arguments, "expression"));
    out->text = calculator_answer(call->arena, expression, &out->failed);
    return 0;
}
