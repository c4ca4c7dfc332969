/* SPDX-License-Identifier: Apache-2.0 */
/* take.c - what callers pass in, checked and made ours.
 *
 * Sizes are looked at before anything is copied. A text or payload is copied for the _async form
 * only; JSON is parsed here, on the caller's thread, since what is stored must be compact. Names
 * and numbers are checked by the port. */
#include "library/library_int.h"

#define STRUCT_BYTES_MAX 4096

str library_text(struct library_call *c, const char *z, size_t bytes_max, const char *what) {
    if (!z || c->rc < 0)
        return STR_NULL;
    str s = str_n(z, strnlen(z, bytes_max + 1));
    if (s.len > bytes_max) {
        library_fault(c, ERR_INVALID, "%s: at most %zu bytes", what, bytes_max);
        return STR_NULL;
    }
    return c->async ? arena_dup(&c->in, s) : s;
}

void library_take_key(struct library_call *c, const char *owner, const char *session) {
    c->key.owner = library_text(c, owner ? owner : "", HISTORY_NAME_BYTES_MAX, "owner");
    c->key.session = library_text(c, session, HISTORY_NAME_BYTES_MAX, "session");
    if (!c->key.session.p)
        library_fault(c, ERR_INVALID, "session: is required");
}

static str compact(struct library_call *c, str text) {
    yyjson_val *root;
    if (json_parse(&c->in, text, &root, &c->err) < 0) {
        c->rc = err_context(&c->err, "payload");
        return STR_NULL;
    }
    return json_text(&c->in, root);
}

str library_payload(struct library_call *c, int kind, const void *bytes, size_t size,
                    enum history_payload *out_kind) {
    str s = str_n(bytes ? bytes : "", size);
    if (c->rc < 0)
        return STR_NULL;
    if ((kind != HF_JSON && kind != HF_BYTES) || (!bytes && size > 0)) {
        library_fault(c, ERR_INVALID, "payload: must be HF_JSON or HF_BYTES, and there");
        return STR_NULL;
    }
    if (size > HISTORY_PAYLOAD_BYTES_MAX) {
        library_fault(c, ERR_TOO_LARGE, "payload: at most %u bytes", HISTORY_PAYLOAD_BYTES_MAX);
        return STR_NULL;
    }
    *out_kind = kind == HF_JSON ? HISTORY_JSON : HISTORY_BYTES;
    if (kind == HF_JSON)
        return compact(c, s);
    return c->async ? arena_dup(&c->in, s) : s;
}

size_t library_limit(size_t limit) { return limit ? limit : HISTORY_PAGE_MAX; }

int library_struct(const void *in, size_t min, void *out, size_t bytes, const char *what,
                   struct err *err) {
    size_t size;
    memset(out, 0, bytes);
    if (!in)
        return err_set(err, ERR_INVALID, "%s: is required", what);
    memcpy(&size, in, sizeof size);
    if (size < min || size > STRUCT_BYTES_MAX)
        return err_set(err, ERR_INVALID, "%s: its struct_size must be its size", what);
    for (size_t i = bytes; i < size; i++) {
        if (((const unsigned char *)in)[i] != 0)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: has what this version of the library does not know", what);
    }
    memcpy(out, in, size < bytes ? size : bytes);
    return 0;
}

void library_take_struct(struct library_call *c, const void *in, size_t min, void *out,
                         size_t bytes, const char *what) {
    bool first = c->rc == 0;
    int rc = library_struct(in, min, out, bytes, what, first ? &c->err : NULL);
    if (first)
        c->rc = rc;
}

const char *library_z(struct arena *a, str s) { return s.p ? arena_z(a, s) : NULL; }
