/* SPDX-License-Identifier: Apache-2.0 */
/* fill.c - JSON with expressions in its texts.
 *
 * A text is cut at {{secret.NAME}}; each part between is a template by itself. After it was
 * rendered, a part that holds the beginning of such a name has it from a value, and is refused. */
#include "graphs/fill.h"

#include "graphs/template.h"

#define OPENING "{{secret."

struct filling {
    struct arena *a;
    const struct expr_value *root; /* NULL: only check */
    struct json_writer w;
    size_t bytes_max;
};

static bool names_secret(str text) { return str_find(text, STR(OPENING)) >= 0; }

static int secret_put_in(struct err *err) {
    return err_set(err, ERR_INVALID, "a value holds the name of a secret");
}

/* Bytes of the secret's name that text begins with; 0: it is none. */
static size_t secret_len(str text) {
    ptrdiff_t end = str_find(text, STR("}}"));
    return str_starts(text, STR(OPENING)) && end > 0 ? (size_t)end + 2 : 0;
}

/* The text between the braces, when it is one whole expression. */
static const struct expr *whole(struct arena *a, str text) {
    const struct expr *e;
    str t = str_trim(text);
    if (t.len < 5 || !str_starts(t, STR("{{")) || !str_ends(t, STR("}}")) || secret_len(t))
        return NULL;
    return expr_compile(a, str_slice(t, 2, t.len - 2), &e, NULL) == 0 ? e : NULL;
}

static int fill_part(struct filling *f, str part, struct buf *out, struct err *err) {
    const struct template *t;
    str text;
    int rc = template_compile(f->a, part, &t, err);
    if (rc < 0 || !f->root)
        return rc;
    rc = template_render(t, f->root, f->a, f->bytes_max, &text, err);
    if (rc == 0 && names_secret(text))
        rc = secret_put_in(err);
    if (rc == 0)
        buf_str(out, text);
    return rc;
}

static int fill_text(struct filling *f, str text, struct err *err) {
    struct buf b;
    int rc = 0;
    buf_init(&b, f->bytes_max);
    while (rc == 0 && text.len) {
        ptrdiff_t at = str_find(text, STR(OPENING));
        size_t plain = at < 0 ? text.len : (size_t)at;
        size_t name = secret_len(str_slice(text, plain, text.len));
        if (at >= 0 && name == 0) {
            rc = err_set(err, ERR_MALFORMED, "\"{{\" without \"}}\"");
            break;
        }
        rc = plain ? fill_part(f, str_slice(text, 0, plain), &b, err) : 0;
        buf_str(&b, str_slice(text, plain, plain + name));
        text = str_slice(text, plain + name, text.len);
    }
    if (rc == 0 && !buf_ok(&b))
        rc = err_set(err, ERR_TOO_LARGE, "a text is longer than %zu bytes", f->bytes_max);
    if (rc == 0 && f->root)
        jw_str(&f->w, b.len ? buf_view(&b) : STR(""));
    buf_deinit(&b);
    return rc;
}

static int fill_str(struct filling *f, str text, struct err *err) {
    const struct expr *e = whole(f->a, text);
    struct expr_value v;
    str json;
    if (!e)
        return fill_text(f, text, err);
    if (!f->root)
        return 0;
    int rc = expr_eval(e, f->root, f->a, NULL, &v, err);
    if (rc == 0)
        rc = expr_json(f->a, &v, f->bytes_max, &json, err);
    if (rc == 0 && names_secret(json))
        rc = secret_put_in(err);
    if (rc == 0)
        jw_raw(&f->w, json);
    return rc;
}

static int fill_value(struct filling *f, yyjson_val *v, int depth, struct err *err) {
    size_t i, n;
    yyjson_val *key, *item;
    int rc = 0;
    if (depth > FILL_DEPTH_MAX)
        return err_set(err, ERR_TOO_LARGE, "it is nested more than %d deep", FILL_DEPTH_MAX);
    if (!buf_ok(f->w.b))
        return err_set(err, ERR_TOO_LARGE, "it is longer than %zu bytes", f->bytes_max);
    if (yyjson_is_str(v))
        return fill_str(f, json_str(v), err);
    if (yyjson_is_obj(v)) {
        jw_object(&f->w);
        yyjson_obj_foreach(v, i, n, key, item) {
            jw_key_str(&f->w, json_str(key));
            rc = fill_value(f, item, depth + 1, err);
            if (rc < 0)
                return rc;
        }
        jw_object_end(&f->w);
    } else if (yyjson_is_arr(v)) {
        jw_array(&f->w);
        yyjson_arr_foreach(v, i, n, item) {
            rc = fill_value(f, item, depth + 1, err);
            if (rc < 0)
                return rc;
        }
        jw_array_end(&f->w);
    } else {
        jw_val(&f->w, v);
    }
    return rc;
}

int fill(struct arena *a, yyjson_val *v, const struct expr_value *root, size_t bytes_max, str *out,
         struct err *err) {
    struct buf b;
    struct filling f = {.a = a, .root = root, .bytes_max = bytes_max};
    buf_init(&b, bytes_max);
    f.w = json_writer(&b);
    int rc = fill_value(&f, v, 0, err);
    if (rc == 0 && !buf_ok(&b))
        rc = err_set(err, ERR_TOO_LARGE, "it is longer than %zu bytes", bytes_max);
    if (rc == 0)
        *out = arena_dup(a, buf_view(&b));
    buf_deinit(&b);
    return rc;
}

static int check_value(struct filling *f, yyjson_val *v, int depth, struct err *err) {
    size_t i, n;
    yyjson_val *key, *item;
    int rc = 0;
    if (depth > FILL_DEPTH_MAX)
        return err_set(err, ERR_TOO_LARGE, "it is nested more than %d deep", FILL_DEPTH_MAX);
    if (yyjson_is_str(v))
        return fill_str(f, json_str(v), err);
    if (yyjson_is_obj(v)) {
        yyjson_obj_foreach(v, i, n, key, item) {
            rc = rc < 0 ? rc : check_value(f, item, depth + 1, err);
        }
    } else if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, n, item) {
            rc = rc < 0 ? rc : check_value(f, item, depth + 1, err);
        }
    }
    return rc;
}

int fill_check(struct arena *a, yyjson_val *v, struct err *err) {
    struct filling f = {.a = a, .bytes_max = SIZE_MAX / 4};
    return check_value(&f, v, 0, err);
}
