/* SPDX-License-Identifier: Apache-2.0 */
/* expr_parse.c - the text of an expression to its tree.
 *
 * A Pratt parser: what a token means at the beginning of an expression (prefix) and after one
 * (infix), with a binding power each. A projection ("[*]", ".*", "[?…]", "[]", a slice) takes what
 * follows it as the expression applied to each element, up to a token that binds weaker than
 * PROJECTION_STOP, such as a pipe, a comparison or a closing bracket.
 *
 *   power  0 ) ] } , : literals names      9 []       40 .
 *          1 |                            20 *        45 !
 *          2 ||    3 &&                   21 [?       50 {
 *          5 == != < <= > >=                          55 [
 *
 * Limits: EXPR_BYTES_MAX of text, EXPR_DEPTH_MAX of nesting while parsing and of the tree, which a
 * chain of dots makes deep as well: the evaluation recurses over it. */
#include "model/expr_int.h"

#include "base/vec.h"

#define PROJECTION_STOP 10

enum token {
    T_END,
    T_NAME,
    T_QUOTED,
    T_LITERAL,
    T_NUMBER,
    T_DOT,
    T_STAR,
    T_LBRACKET,
    T_RBRACKET,
    T_FILTER,  /* [? */
    T_FLATTEN, /* [] */
    T_LBRACE,
    T_RBRACE,
    T_LPAREN,
    T_RPAREN,
    T_COMMA,
    T_COLON,
    T_PIPE,
    T_OR,
    T_AND,
    T_NOT,
    T_AMPERSAND,
    T_CURRENT,
    T_ROOT,
    T_COMPARE
};

static int power_of(enum token t) {
    switch (t) {
    case T_PIPE:
        return 1;
    case T_OR:
        return 2;
    case T_AND:
        return 3;
    case T_COMPARE:
        return 5;
    case T_FLATTEN:
        return 9;
    case T_STAR:
        return 20;
    case T_FILTER:
        return 21;
    case T_DOT:
        return 40;
    case T_NOT:
        return 45;
    case T_LBRACE:
        return 50;
    case T_LBRACKET:
        return 55;
    default:
        return 0;
    }
}

struct lexeme {
    enum token token;
    size_t at, end;
    str name;                        /* T_NAME, T_QUOTED */
    struct expr_value literal;       /* T_LITERAL */
    int64_t number;                  /* T_NUMBER */
    enum expr_comparison comparison; /* T_COMPARE */
};
struct parser {
    struct arena *a;
    str text;
    struct lexeme now, ahead;
    int depth, rc;
    struct err *err;
};

static int fail(struct parser *p, size_t at, const char *what) {
    if (p->rc == 0)
        p->rc = err_set(p->err, ERR_MALFORMED, "%s at position %zu of the expression", what, at);
    return p->rc;
}

/* --- tokens --- */

static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* From the opening delimiter at `at` to the closing one; 0 when there is none. */
static size_t find_close(str text, size_t at, char delimiter) {
    for (size_t i = at + 1; i < text.len; i++) {
        if (text.p[i] == '\\')
            i++;
        else if (text.p[i] == delimiter)
            return i;
    }
    return 0;
}

/* Drops the backslash before a delimiter; other escapes stay as they are. */
static str unescape(struct arena *a, str s, char delimiter) {
    char *p = arena_alloc(a, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '\\' && i + 1 < s.len) {
            if (s.p[i + 1] != delimiter)
                p[n++] = s.p[i];
            i++;
        }
        p[n++] = s.p[i];
    }
    return str_n(p, n);
}

static void lex_delimited(struct parser *p, struct lexeme *l, char delimiter) {
    size_t close = find_close(p->text, l->at, delimiter);
    yyjson_val *v;
    if (!close) {
        fail(p, l->at, "a string without an end begins");
        return;
    }
    l->end = close + 1;
    str inside = str_slice(p->text, l->at + 1, close);
    l->token = delimiter == '"' ? T_QUOTED : T_LITERAL;
    if (delimiter == '\'') {
        l->literal = expr_of_str(unescape(p->a, inside, delimiter));
        return;
    }
    str json = delimiter == '"' ? str_slice(p->text, l->at, l->end) : unescape(p->a, inside, '`');
    if (json_parse(p->a, json, &v, NULL) < 0) {
        fail(p, l->at,
             delimiter == '"' ? "a quoted name that is no JSON string"
                              : "a literal that is no JSON value");
        return;
    }
    l->literal = expr_of_json(v);
    l->name = json_str(v);
}

static void lex_number(struct parser *p, struct lexeme *l) {
    while (l->end < p->text.len && is_digit(p->text.p[l->end]))
        l->end++;
    l->token = T_NUMBER;
    if (!str_to_i64(str_slice(p->text, l->at, l->end), &l->number))
        fail(p, l->at, "a number that is no 64-bit integer");
}

struct sign {
    const char *text;
    enum token token;
    enum expr_comparison comparison;
};
static const struct sign SIGNS[] = {
    /* the longer ones first */
    {"[?", T_FILTER, 0},       {"[]", T_FLATTEN, 0},      {"||", T_OR, 0},
    {"&&", T_AND, 0},          {"==", T_COMPARE, CMP_EQ}, {"!=", T_COMPARE, CMP_NE},
    {"<=", T_COMPARE, CMP_LE}, {">=", T_COMPARE, CMP_GE}, {"<", T_COMPARE, CMP_LT},
    {">", T_COMPARE, CMP_GT},  {".", T_DOT, 0},           {"*", T_STAR, 0},
    {"[", T_LBRACKET, 0},      {"]", T_RBRACKET, 0},      {"{", T_LBRACE, 0},
    {"}", T_RBRACE, 0},        {"(", T_LPAREN, 0},        {")", T_RPAREN, 0},
    {",", T_COMMA, 0},         {":", T_COLON, 0},         {"|", T_PIPE, 0},
    {"!", T_NOT, 0},           {"&", T_AMPERSAND, 0},     {"@", T_CURRENT, 0},
    {"$", T_ROOT, 0},
};

static void lex_sign(struct parser *p, struct lexeme *l) {
    str rest = str_slice(p->text, l->at, p->text.len);
    for (size_t i = 0; i < ARRAY_COUNT(SIGNS); i++) {
        if (!str_starts(rest, str_of(SIGNS[i].text)))
            continue;
        l->token = SIGNS[i].token;
        l->comparison = SIGNS[i].comparison;
        l->end = l->at + strlen(SIGNS[i].text);
        return;
    }
    fail(p, l->at, "an unexpected character");
}

static struct lexeme lex(struct parser *p, size_t at) {
    while (at < p->text.len && strchr(" \t\r\n", p->text.p[at]) && p->text.p[at])
        at++;
    struct lexeme l = {.token = T_END, .at = at, .end = at};
    if (at == p->text.len)
        return l;
    char c = p->text.p[at];
    l.end = at + 1;
    if (is_name_start(c)) {
        while (l.end < p->text.len &&
               (is_name_start(p->text.p[l.end]) || is_digit(p->text.p[l.end])))
            l.end++;
        l.token = T_NAME;
        l.name = arena_dup(p->a, str_slice(p->text, at, l.end));
    } else if (c == '"' || c == '\'' || c == '`') {
        lex_delimited(p, &l, c);
    } else if (c == '-' || is_digit(c)) {
        lex_number(p, &l);
    } else {
        lex_sign(p, &l);
    }
    if (p->rc < 0)
        l.token = T_END;
    return l;
}

static void advance(struct parser *p) {
    p->now = p->ahead;
    p->ahead = p->now.token == T_END ? p->now : lex(p, p->now.end);
}

static bool expect(struct parser *p, enum token t, const char *what) {
    if (p->rc < 0 || p->now.token != t) {
        if (p->now.token == T_END)
            fail(p, p->now.at, "an unexpected end (something is missing)");
        fail(p, p->now.at, what);
        return false;
    }
    advance(p);
    return true;
}

/* --- nodes --- */

static int depth_of(const struct expr_node *n) { return n ? n->depth : 0; }

static struct expr_node *node(struct parser *p, enum expr_op op, struct expr_node *left,
                              struct expr_node *right) {
    struct expr_node *n = ARENA_NEW(p->a, struct expr_node);
    n->op = op;
    n->left = left;
    n->right = right;
    n->depth = 1 + (depth_of(left) > depth_of(right) ? depth_of(left) : depth_of(right));
    if (n->depth > EXPR_DEPTH_MAX)
        fail(p, p->now.at, "too deep a nesting");
    return n;
}

static void deepen(struct parser *p, struct expr_node *n, const struct expr_node *child) {
    if (child->depth >= n->depth)
        n->depth = child->depth + 1;
    if (n->depth > EXPR_DEPTH_MAX)
        fail(p, p->now.at, "too deep a nesting");
}

static struct expr_node *current(struct parser *p) { return node(p, OP_CURRENT, NULL, NULL); }

static struct expr_node *expression(struct parser *p, int power);

struct items {
    VEC(struct expr_node *) nodes;
    VEC(str) keys;
};

static void items_into(struct parser *p, struct items *items, struct expr_node *n) {
    n->count = items->nodes.count;
    n->items = ARENA_ARRAY(p->a, struct expr_node *, n->count + 1);
    for (size_t i = 0; i < n->count; i++) {
        n->items[i] = items->nodes.p[i];
        deepen(p, n, n->items[i]);
    }
    if (items->keys.count) {
        n->keys = ARENA_ARRAY(p->a, str, n->count);
        memcpy(n->keys, items->keys.p, n->count * sizeof(str));
    }
    vec_deinit(&items->nodes);
    vec_deinit(&items->keys);
}

/* After "[": expressions, then "]". */
static struct expr_node *multi_list(struct parser *p) {
    struct items items = {0};
    do {
        vec_push(&items.nodes, expression(p, 0));
        if (p->now.token != T_COMMA)
            break;
        advance(p);
    } while (p->rc == 0);
    expect(p, T_RBRACKET, "\"]\" or \",\" is expected");
    struct expr_node *n = node(p, OP_LIST, NULL, NULL);
    items_into(p, &items, n);
    return n;
}

/* After "{": name: expression, …, then "}". */
static struct expr_node *multi_hash(struct parser *p) {
    struct items items = {0};
    do {
        str key = p->now.name;
        if (p->now.token != T_NAME && p->now.token != T_QUOTED) {
            fail(p, p->now.at, "the name of a member is expected");
            break;
        }
        advance(p);
        if (!expect(p, T_COLON, "\":\" is expected"))
            break;
        vec_push(&items.keys, key);
        vec_push(&items.nodes, expression(p, 0));
        if (p->now.token != T_COMMA)
            break;
        advance(p);
    } while (p->rc == 0);
    expect(p, T_RBRACE, "\"}\" or \",\" is expected");
    struct expr_node *n = node(p, OP_HASH, NULL, NULL);
    items_into(p, &items, n);
    return n;
}

static struct expr_node *call(struct parser *p, const struct lexeme *name) {
    struct items items = {0};
    const struct expr_function *f = expr_function_find(name->name);
    advance(p); /* ( */
    while (p->rc == 0 && p->now.token != T_RPAREN) {
        if (p->now.token == T_AMPERSAND) {
            advance(p);
            vec_push(&items.nodes, node(p, OP_REFERENCE, expression(p, 0), NULL));
        } else {
            vec_push(&items.nodes, expression(p, 0));
        }
        if (p->now.token != T_COMMA)
            break;
        advance(p);
        if (p->now.token == T_RPAREN)
            fail(p, p->now.at, "an argument is missing");
    }
    expect(p, T_RPAREN, "\")\" or \",\" is expected");
    struct expr_node *n = node(p, OP_CALL, NULL, NULL);
    items_into(p, &items, n);
    n->function = f;
    if (p->rc == 0 && !f)
        p->rc = err_set(p->err, ERR_INVALID, "there is no function " STR_FMT "()",
                        STR_ARG(str_slice(name->name, 0, 64)));
    int count = (int)n->count;
    if (p->rc == 0 &&
        (count < f->arguments_min || (f->arguments_max >= 0 && count > f->arguments_max)))
        p->rc = err_set(p->err, ERR_INVALID, "%s() takes %s%d argument%s, not %d", f->name,
                        f->arguments_max < 0 ? "at least " : "", f->arguments_min,
                        f->arguments_min == 1 ? "" : "s", count);
    return n;
}

/* What may follow a dot. */
static struct expr_node *dot_right(struct parser *p, int power) {
    switch (p->now.token) {
    case T_NAME:
    case T_QUOTED:
    case T_STAR:
        return expression(p, power);
    case T_LBRACKET:
        advance(p);
        return multi_list(p);
    case T_LBRACE:
        advance(p);
        return multi_hash(p);
    default:
        fail(p, p->now.at, "a name, \"*\", \"[\" or \"{\" is expected");
        return current(p);
    }
}

/* What a projection applies to each element. */
static struct expr_node *projected(struct parser *p, int power) {
    if (power_of(p->now.token) < PROJECTION_STOP)
        return current(p);
    if (p->now.token == T_LBRACKET || p->now.token == T_FILTER)
        return expression(p, power);
    if (!expect(p, T_DOT, "an operator is expected"))
        return current(p);
    return dot_right(p, power);
}

/* start:stop:step with each part optional, or one number; then "]". */
static struct expr_node *index_or_slice(struct parser *p, struct expr_node *left) {
    struct expr_node *n = node(p, OP_INDEX, left, NULL);
    int part = 0;
    for (; p->rc == 0 && p->now.token != T_RBRACKET; advance(p)) {
        if (p->now.token == T_COLON && part < 2) {
            part++;
            n->op = OP_SLICE;
        } else if (p->now.token == T_NUMBER && !n->has[part]) {
            n->slice[part] = p->now.number;
            n->has[part] = true;
        } else {
            fail(p, p->now.at, "a number, \":\" or \"]\" is expected");
        }
    }
    expect(p, T_RBRACKET, "\"]\" is expected");
    if (n->op == OP_SLICE && n->has[2] && n->slice[2] == 0 && p->rc == 0)
        p->rc = err_set(p->err, ERR_INVALID, "the step of a slice must not be 0");
    return n->op == OP_SLICE ? node(p, OP_PROJECT, n, projected(p, power_of(T_STAR))) : n;
}

static struct expr_node *filter(struct parser *p, struct expr_node *left) {
    struct expr_node *condition = expression(p, 0);
    expect(p, T_RBRACKET, "\"]\" is expected");
    struct expr_node *right =
        p->now.token == T_FLATTEN ? current(p) : projected(p, power_of(T_FILTER));
    struct expr_node *n = node(p, OP_FILTER, left, right);
    n->condition = condition;
    deepen(p, n, condition);
    return n;
}

static struct expr_node *flatten(struct parser *p, struct expr_node *left) {
    struct expr_node *flat = node(p, OP_FLATTEN, left, NULL);
    return node(p, OP_PROJECT, flat, projected(p, power_of(T_FLATTEN)));
}

/* After "[" at the beginning of an expression. */
static struct expr_node *bracket(struct parser *p) {
    if (p->now.token == T_NUMBER || p->now.token == T_COLON)
        return index_or_slice(p, current(p));
    if (p->now.token == T_STAR && p->ahead.token == T_RBRACKET) {
        advance(p);
        advance(p);
        return node(p, OP_PROJECT, current(p), projected(p, power_of(T_STAR)));
    }
    return multi_list(p);
}

static struct expr_node *name(struct parser *p, const struct lexeme *l) {
    if (p->now.token == T_LPAREN && l->token == T_NAME)
        return call(p, l);
    if (p->now.token == T_LPAREN)
        fail(p, p->now.at, "the name of a function must not be quoted; a \"(\"");
    struct expr_node *n = node(p, OP_FIELD, NULL, NULL);
    n->name = l->name;
    return n;
}

static struct expr_node *prefix(struct parser *p) {
    struct lexeme l = p->now;
    struct expr_node *n;
    advance(p);
    switch (l.token) {
    case T_NAME:
    case T_QUOTED:
        return name(p, &l);
    case T_LITERAL:
        n = node(p, OP_LITERAL, NULL, NULL);
        n->literal = l.literal;
        return n;
    case T_STAR:
        n = current(p);
        return node(p, OP_PROJECT_VALUES, n,
                    p->now.token == T_RBRACKET ? current(p) : projected(p, power_of(T_STAR)));
    case T_FILTER:
        return filter(p, current(p));
    case T_FLATTEN:
        return flatten(p, current(p));
    case T_LBRACE:
        return multi_hash(p);
    case T_LBRACKET:
        return bracket(p);
    case T_LPAREN:
        n = expression(p, 0);
        expect(p, T_RPAREN, "\")\" is expected");
        return n;
    case T_NOT:
        return node(p, OP_NOT, expression(p, power_of(T_NOT)), NULL);
    case T_CURRENT:
        return current(p);
    case T_ROOT:
        return node(p, OP_ROOT, NULL, NULL);
    default:
        fail(p, l.at,
             l.token == T_END ? "an unexpected end (something is missing)"
                              : "an expression is expected");
        return current(p);
    }
}

static struct expr_node *infix(struct parser *p, struct expr_node *left) {
    struct lexeme l = p->now;
    struct expr_node *n;
    advance(p);
    switch (l.token) {
    case T_DOT:
        if (p->now.token != T_STAR)
            return node(p, OP_THEN, left, dot_right(p, power_of(T_DOT)));
        advance(p);
        return node(p, OP_PROJECT_VALUES, left, projected(p, power_of(T_STAR)));
    case T_PIPE:
        return node(p, OP_THEN, left, expression(p, power_of(T_PIPE)));
    case T_OR:
        return node(p, OP_OR, left, expression(p, power_of(T_OR)));
    case T_AND:
        return node(p, OP_AND, left, expression(p, power_of(T_AND)));
    case T_COMPARE:
        n = node(p, OP_COMPARE, left, expression(p, power_of(T_COMPARE)));
        n->comparison = l.comparison;
        return n;
    case T_FILTER:
        return filter(p, left);
    case T_FLATTEN:
        return flatten(p, left);
    case T_LBRACKET:
        if (p->now.token == T_NUMBER || p->now.token == T_COLON)
            return index_or_slice(p, left);
        if (expect(p, T_STAR, "a number, \":\" or \"*\" is expected"))
            expect(p, T_RBRACKET, "\"]\" is expected");
        return node(p, OP_PROJECT, left, projected(p, power_of(T_STAR)));
    default:
        fail(p, l.at, "an operator is expected");
        return left;
    }
}

static struct expr_node *expression(struct parser *p, int power) {
    if (++p->depth > EXPR_DEPTH_MAX)
        fail(p, p->now.at, "too deep a nesting");
    struct expr_node *left = p->rc < 0 ? current(p) : prefix(p);
    while (p->rc == 0 && power < power_of(p->now.token))
        left = infix(p, left);
    p->depth--;
    return left;
}

int expr_compile(struct arena *a, str text, const struct expr **out, struct err *err) {
    struct parser p = {.a = a, .text = text, .err = err};
    if (text.len > EXPR_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "an expression is at most %d bytes long",
                       EXPR_BYTES_MAX);
    if (!str_is_utf8(text))
        return err_set(err, ERR_MALFORMED, "the expression is not UTF-8");
    p.ahead = lex(&p, 0);
    advance(&p);
    struct expr_node *top = expression(&p, 0);
    if (p.rc == 0 && p.now.token != T_END)
        fail(&p, p.now.at, "an operator or the end is expected");
    if (p.rc == 0) {
        struct expr *e = ARENA_NEW(a, struct expr);
        e->top = top;
        *out = e;
    }
    return p.rc;
}
