/* SPDX-License-Identifier: Apache-2.0 */
/* template.c - texts with expressions in them.
 *
 * An expression ends at the first "}}" up to which it is whole, for it may itself hold braces:
 * {{ state.{a: b}}}. When none is whole, the error is that of the shortest. */
#include "graphs/template.h"

#include "base/vec.h"

#define PARTS_MAX 256
#define TRIES_MAX 8

struct part {
    str text;
    const struct expr *expr; /* NULL: the text itself */
};
struct template {
    struct part *parts;
    size_t count;
};

/* rest begins behind "{{"; *out_len: bytes up to and including "}}". */
static int read_expr(struct arena *a, str rest, const struct expr **out, size_t *out_len,
                     struct err *err) {
    size_t at = 0;
    struct err first = {0};
    for (int i = 0; i < TRIES_MAX; i++) {
        ptrdiff_t end = str_find(str_slice(rest, at, rest.len), STR("}}"));
        if (end < 0)
            break;
        at += (size_t)end;
        int rc = expr_compile(a, str_slice(rest, 0, at), out, i ? NULL : &first);
        *out_len = at + 2;
        if (rc == 0)
            return 0;
        at++; /* "}}}": the brace before may be the expression's */
    }
    if (first.code == 0)
        return err_set(err, ERR_MALFORMED, "\"{{\" without \"}}\"");
    if (err)
        *err = first;
    return first.code;
}

int template_compile(struct arena *a, str text, const struct template **out, struct err *err) {
    VEC(struct part) parts = {0};
    int rc = 0;
    while (text.len && rc == 0) {
        ptrdiff_t open = str_find(text, STR("{{"));
        struct part plain = {.text = str_slice(text, 0, open < 0 ? text.len : (size_t)open)};
        plain.text = arena_dup(a, plain.text);
        if (plain.text.len)
            vec_push(&parts, plain);
        if (open < 0)
            break;
        struct part made = {0};
        size_t len = 0;
        text = str_slice(text, (size_t)open + 2, text.len);
        rc = read_expr(a, text, &made.expr, &len, err);
        text = str_slice(text, len, text.len);
        vec_push(&parts, made);
        if (rc == 0 && parts.count > PARTS_MAX)
            rc = err_set(err, ERR_TOO_LARGE, "a text has at most %d expressions", PARTS_MAX / 2);
    }
    if (rc == 0) {
        struct template *t = ARENA_NEW(a, struct template);
        t->count = parts.count;
        t->parts = ARENA_ARRAY(a, struct part, parts.count + 1);
        if (parts.count)
            memcpy(t->parts, parts.p, parts.count * sizeof(*t->parts));
        *out = t;
    }
    vec_deinit(&parts);
    return rc;
}

int template_render(const struct template *t, const struct expr_value *root, struct arena *a,
                    size_t bytes_max, str *out, struct err *err) {
    struct buf b;
    int rc = 0;
    buf_init(&b, bytes_max);
    struct json_writer w = json_writer(&b);
    for (size_t i = 0; i < t->count && rc == 0; i++) {
        struct expr_value v;
        w.comma = false;
        if (!t->parts[i].expr) {
            buf_str(&b, t->parts[i].text);
            continue;
        }
        rc = expr_eval(t->parts[i].expr, root, a, NULL, &v, err);
        if (rc == 0 && v.kind == EXPR_STRING)
            buf_str(&b, v.string);
        else if (rc == 0 && v.kind != EXPR_NULL)
            expr_write(&w, &v);
    }
    if (rc == 0 && !buf_ok(&b))
        rc = err_set(err, ERR_TOO_LARGE, "the text is longer than %zu bytes", bytes_max);
    if (rc == 0)
        *out = arena_dup(a, b.len ? buf_view(&b) : STR(""));
    buf_deinit(&b);
    return rc;
}
