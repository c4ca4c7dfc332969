/* SPDX-License-Identifier: Apache-2.0 */
/* calculator.c - a recursive-descent evaluator over doubles, without variables or side effects.
 *
 *   sum     = product { ("+" | "-") product }
 *   product = unary { ("*" | "/" | "%") unary }
 *   unary   = { "+" | "-" } power
 *   power   = atom [ ("^" | "**") unary ]
 *   atom    = number | constant | function "(" sum { "," sum } ")" | "(" sum ")"
 *
 * Invariants: the input is read once, left to right; recursion goes only through parse_sum() and
 * the right side of a power, and both count depth, so CALCULATOR_DEPTH_MAX bounds the stack; every
 * function and operator refuses what it is not defined for, so that no NaN or infinity gets on.
 * A new function: a row in FUNCTIONS and a case in apply(). */
#include "graphs/calculator.h"

#include <math.h>

#include "base/json.h"

#define NUMBER_BYTES_MAX 128 /* its buffer is on the stack, possibly at every level */

enum function {
    FN_ABS,
    FN_CEIL,
    FN_COS,
    FN_EXP,
    FN_FLOOR,
    FN_LN,
    FN_LOG,
    FN_MAX,
    FN_MIN,
    FN_ROUND,
    FN_SIN,
    FN_SQRT,
    FN_TAN
};

static const struct function_def {
    str name;
    enum function function;
    size_t args_min, args_max;
} FUNCTIONS[] = {
    {{"abs", 3}, FN_ABS, 1, 1},
    {{"ceil", 4}, FN_CEIL, 1, 1},
    {{"cos", 3}, FN_COS, 1, 1},
    {{"exp", 3}, FN_EXP, 1, 1},
    {{"floor", 5}, FN_FLOOR, 1, 1},
    {{"ln", 2}, FN_LN, 1, 1},
    {{"log", 3}, FN_LOG, 1, 2},
    {{"max", 3}, FN_MAX, 1, CALCULATOR_ARGUMENTS_MAX},
    {{"min", 3}, FN_MIN, 1, CALCULATOR_ARGUMENTS_MAX},
    {{"round", 5}, FN_ROUND, 1, 2},
    {{"sin", 3}, FN_SIN, 1, 1},
    {{"sqrt", 4}, FN_SQRT, 1, 1},
    {{"tan", 3}, FN_TAN, 1, 1},
};

struct parser {
    str text;
    size_t at;
    int depth;
    struct err *err;
};

static int parse_sum(struct parser *p, double *out);
static int parse_unary(struct parser *p, double *out);

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The next character that is no white space, or NUL at the end; does not consume it. */
static char peek(struct parser *p) {
    while (p->at < p->text.len) {
        char c = p->text.p[p->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return c;
        p->at++;
    }
    return '\0';
}

static bool accept(struct parser *p, char c) {
    if (p->at >= p->text.len || peek(p) != c || p->at >= p->text.len)
        return false;
    p->at++;
    return true;
}

static int refuse(struct parser *p, const char *what) {
    if (p->at >= p->text.len)
        return err_set(p->err, ERR_INVALID, "%s, found the end", what);
    char c = p->text.p[p->at];
    if (c < ' ' || c > '~')
        return err_set(p->err, ERR_INVALID, "%s, found byte 0x%02x at position %zu", what,
                       (unsigned char)c, p->at + 1);
    return err_set(p->err, ERR_INVALID, "%s, found '%c' at position %zu", what, c, p->at + 1);
}

static int finite_or_refuse(struct parser *p, double v, double *out) {
    if (!isfinite(v))
        return err_set(p->err, ERR_INVALID, "the result is too large");
    *out = v;
    return 0;
}

static int enter(struct parser *p) {
    if (p->depth >= CALCULATOR_DEPTH_MAX)
        return err_set(p->err, ERR_INVALID, "the expression is nested too deep");
    p->depth++;
    return 0;
}

static size_t skip_digits(struct parser *p) {
    size_t from = p->at;
    while (p->at < p->text.len && is_digit(p->text.p[p->at]))
        p->at++;
    return p->at - from;
}

static int parse_number(struct parser *p, double *out) {
    char text[NUMBER_BYTES_MAX + 2];
    size_t from = p->at, len = 0;
    size_t digits = skip_digits(p);
    if (p->at < p->text.len && p->text.p[p->at] == '.') {
        p->at++;
        digits += skip_digits(p);
    }
    if (digits == 0)
        return refuse(p, "expected a digit");
    size_t mantissa_end = p->at;
    if (p->at < p->text.len && (p->text.p[p->at] | 0x20) == 'e') {
        p->at++;
        if (p->at < p->text.len && (p->text.p[p->at] == '+' || p->text.p[p->at] == '-'))
            p->at++;
        if (skip_digits(p) == 0)
            p->at = mantissa_end; /* not an exponent after all */
    }
    if (p->at - from > NUMBER_BYTES_MAX)
        return err_set(p->err, ERR_INVALID, "the number at position %zu is too long", from + 1);
    /* Strict readers want a digit on both sides of the point. */
    for (size_t i = from; i < p->at; i++) {
        char c = p->text.p[i];
        if (c == '.' && i == from)
            text[len++] = '0';
        bool lonely = c == '.' && (i + 1 == p->at || !is_digit(p->text.p[i + 1]));
        if (!lonely)
            text[len++] = c;
    }
    double v;
    if (!str_to_double(str_n(text, len), &v))
        return err_set(p->err, ERR_INVALID, "the number at position %zu is out of range", from + 1);
    return finite_or_refuse(p, v, out);
}

/* Half away from zero, as people round; digits may be negative. */
static double round_to(double v, double digits) {
    double scale = pow(10, fabs(digits));
    double scaled = digits < 0 ? v / scale : v * scale;
    if (!isfinite(scaled) || scale == 1)
        return round(v);
    return digits < 0 ? round(scaled) * scale : round(scaled) / scale;
}

static int apply_logarithm(struct parser *p, const struct function_def *def, const double *args,
                           size_t count, double *out) {
    if (args[0] <= 0)
        return err_set(p->err, ERR_INVALID, STR_FMT " needs a number above 0", STR_ARG(def->name));
    if (def->function == FN_LN) {
        *out = log(args[0]);
    } else if (count == 1 || args[1] == 10) {
        *out = log10(args[0]);
    } else if (args[1] <= 0 || args[1] == 1) {
        return err_set(p->err, ERR_INVALID, "the base of log must be above 0 and not 1");
    } else {
        *out = args[1] == 2 ? log2(args[0]) : log(args[0]) / log(args[1]);
    }
    return 0;
}

static double extreme(enum function which, const double *args, size_t count) {
    double best = args[0];
    for (size_t i = 1; i < count; i++)
        if (which == FN_MAX ? args[i] > best : args[i] < best)
            best = args[i];
    return best;
}

static int apply(struct parser *p, const struct function_def *def, const double *args, size_t count,
                 double *out) {
    double v = 0;
    int rc = 0;
    switch (def->function) {
    case FN_ABS:
        v = fabs(args[0]);
        break;
    case FN_CEIL:
        v = ceil(args[0]);
        break;
    case FN_COS:
        v = cos(args[0]);
        break;
    case FN_EXP:
        v = exp(args[0]);
        break;
    case FN_FLOOR:
        v = floor(args[0]);
        break;
    case FN_LN:
    case FN_LOG:
        rc = apply_logarithm(p, def, args, count, &v);
        break;
    case FN_MAX:
    case FN_MIN:
        v = extreme(def->function, args, count);
        break;
    case FN_ROUND:
        if (count == 2 && (floor(args[1]) != args[1] || fabs(args[1]) > 15))
            return err_set(p->err, ERR_INVALID, "round takes from -15 to 15 digits");
        v = count == 2 ? round_to(args[0], args[1]) : round(args[0]);
        break;
    case FN_SIN:
        v = sin(args[0]);
        break;
    case FN_SQRT:
        if (args[0] < 0)
            return err_set(p->err, ERR_INVALID, "sqrt of a negative number");
        v = sqrt(args[0]);
        break;
    case FN_TAN:
        v = tan(args[0]);
        break;
    }
    return rc < 0 ? rc : finite_or_refuse(p, v, out);
}

static int parse_call(struct parser *p, const struct function_def *def, double *out) {
    double args[CALCULATOR_ARGUMENTS_MAX];
    size_t count = 0;
    if (!accept(p, '(')) {
        (void)peek(p); /* the position in the text */
        return refuse(p, "expected '(' after the name of a function");
    }
    do {
        if (count == def->args_max)
            return err_set(p->err, ERR_INVALID, STR_FMT " takes at most %zu values",
                           STR_ARG(def->name), def->args_max);
        int rc = parse_sum(p, &args[count]);
        if (rc < 0)
            return rc;
        count++;
    } while (accept(p, ','));
    if (!accept(p, ')'))
        return refuse(p, "expected ',' or ')'");
    ASSERT(count >= def->args_min);
    return apply(p, def, args, count, out);
}

static int parse_name(struct parser *p, double *out) {
    size_t from = p->at;
    while (p->at < p->text.len && (is_letter(p->text.p[p->at]) || is_digit(p->text.p[p->at])))
        p->at++;
    str name = str_slice(p->text, from, p->at);
    if (str_ieq(name, STR("pi"))) {
        *out = M_PI;
        return 0;
    }
    if (str_ieq(name, STR("e"))) {
        *out = M_E;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(FUNCTIONS); i++)
        if (str_ieq(name, FUNCTIONS[i].name))
            return parse_call(p, &FUNCTIONS[i], out);
    return err_set(p->err, ERR_INVALID, "unknown name '" STR_FMT "' at position %zu",
                   STR_ARG(str_slice(name, 0, 32)), from + 1);
}

static int parse_atom(struct parser *p, double *out) {
    char c = peek(p);
    if (is_digit(c) || c == '.')
        return parse_number(p, out);
    if (is_letter(c))
        return parse_name(p, out);
    if (!accept(p, '('))
        return refuse(p, "expected a number, a name or '('");
    int rc = parse_sum(p, out);
    if (rc < 0)
        return rc;
    return accept(p, ')') ? 0 : refuse(p, "expected an operator or ')'");
}

static bool accept_power(struct parser *p) {
    if (accept(p, '^'))
        return true;
    if (peek(p) != '*' || p->at + 1 >= p->text.len || p->text.p[p->at + 1] != '*')
        return false;
    p->at += 2;
    return true;
}

static int parse_power(struct parser *p, double *out) {
    double base, exponent;
    int rc = parse_atom(p, &base);
    if (rc < 0)
        return rc;
    if (!accept_power(p)) {
        *out = base;
        return 0;
    }
    rc = enter(p);
    if (rc < 0)
        return rc;
    rc = parse_unary(p, &exponent);
    p->depth--;
    if (rc < 0)
        return rc;
    if (base == 0 && exponent < 0)
        return err_set(p->err, ERR_INVALID, "division by zero");
    if (base < 0 && floor(exponent) != exponent)
        return err_set(p->err, ERR_INVALID, "a fractional power of a negative number");
    return finite_or_refuse(p, pow(base, exponent), out);
}

static int parse_unary(struct parser *p, double *out) {
    bool negative = false;
    for (;;) {
        if (accept(p, '-'))
            negative = !negative;
        else if (!accept(p, '+'))
            break;
    }
    double v;
    int rc = parse_power(p, &v);
    if (rc < 0)
        return rc;
    *out = negative ? -v : v;
    return 0;
}

static int parse_product(struct parser *p, double *out) {
    double left, right;
    int rc = parse_unary(p, &left);
    if (rc < 0)
        return rc;
    for (;;) {
        char op = peek(p);
        if (op != '*' && op != '/' && op != '%')
            break;
        p->at++;
        rc = parse_unary(p, &right);
        if (rc < 0)
            return rc;
        if (op != '*' && right == 0)
            return err_set(p->err, ERR_INVALID, "division by zero");
        double v = op == '*' ? left * right : op == '/' ? left / right : fmod(left, right);
        rc = finite_or_refuse(p, v, &left);
        if (rc < 0)
            return rc;
    }
    *out = left;
    return 0;
}

static int parse_sum(struct parser *p, double *out) {
    double left, right;
    int rc = enter(p);
    if (rc < 0)
        return rc;
    rc = parse_product(p, &left);
    if (rc < 0)
        return rc;
    for (;;) {
        bool plus = accept(p, '+');
        if (!plus && !accept(p, '-'))
            break;
        rc = parse_product(p, &right);
        if (rc < 0)
            return rc;
        rc = finite_or_refuse(p, plus ? left + right : left - right, &left);
        if (rc < 0)
            return rc;
    }
    p->depth--;
    *out = left;
    return 0;
}

int calculator_eval(str expression, double *out, struct err *err) {
    struct parser p = {.text = expression, .err = err};
    double v;
    if (expression.len > CALCULATOR_BYTES_MAX)
        return err_set(err, ERR_INVALID, "the expression is longer than %d bytes",
                       CALCULATOR_BYTES_MAX);
    if (str_empty(str_trim(expression)))
        return err_set(err, ERR_INVALID, "the expression is empty");
    int rc = parse_sum(&p, &v);
    if (rc < 0)
        return rc;
    (void)peek(&p); /* skips what is left of white space */
    if (p.at < p.text.len)
        return refuse(&p, "expected an operator or the end");
    *out = v == 0 ? 0 : v; /* no minus zero */
    return 0;
}

str calculator_format(struct arena *a, double value) {
    if (floor(value) == value && fabs(value) < 1e15)
        return arena_printf(a, "%lld", (long long)value);
    struct buf b;
    buf_init(&b, 64);
    struct json_writer w = json_writer(&b);
    jw_double(&w, value);
    str text = buf_view(&b);
    if (str_ends(text, STR(".0")))
        text.len -= 2;
    text = arena_dup(a, text);
    buf_deinit(&b);
    return text;
}

str calculator_answer(struct arena *a, str expression, bool *out_failed) {
    struct err err = {0};
    double value;
    *out_failed = calculator_eval(expression, &value, &err) < 0;
    if (*out_failed)
        return arena_printf(a, "Error: %s", err.message);
    return calculator_format(a, value);
}
