/* SPDX-License-Identifier: Apache-2.0 */
/* router.c - a tree of path segments over one table of routes.
 *
 * Design: each node has literal children (sorted by name, found by bisection), at most one
 * parameter child, and one route per method. Matching goes down literals first and falls back to
 * the parameter when the literal branch has no route for this method: with GET /threads/{id} and
 * POST /threads/search, GET /threads/search is the thread "search". The depth is bounded by the
 * longest template, so backtracking visits at most 2^depth nodes of a table that the program wrote.
 *
 * Segments are compared undecoded first; one with an escape is decoded before the comparison, so
 * "/%74hreads" is "/threads". A decoded "%2F" stays inside its segment. Empty segments match
 * nothing, except the one behind a trailing slash.
 *
 * Invariants: building asserts that no two routes have the same method and shape. */
#include "http/router.h"

#include "base/mem.h"
#include "base/vec.h"

#define SEGMENT_COUNT_MAX 16
#define METHOD_COUNT      (HTTP_OPTIONS + 1)

struct node {
    str name; /* literal segment; absent for the root and parameters */
    VEC(struct node *) literals;
    struct node *param;
    const struct http_route *routes[METHOD_COUNT];
};

struct http_router {
    struct node root;
};

/* Splits "/a/b/" into segments; false when it is no plain path or deeper than any template. */
static bool split_path(str path, str out[SEGMENT_COUNT_MAX], size_t *out_count) {
    size_t n = 0;
    if (path.len == 0 || path.p[0] != '/')
        return false;
    str rest = str_n(path.p + 1, path.len - 1);
    if (rest.len && rest.p[rest.len - 1] == '/')
        rest.len--;
    else if (rest.len == 0) {
        *out_count = 0;
        return true;
    }
    for (;;) {
        const char *slash = rest.len ? memchr(rest.p, '/', rest.len) : NULL;
        size_t len = slash ? (size_t)(slash - rest.p) : rest.len;
        if (len == 0 || n == SEGMENT_COUNT_MAX)
            return false;
        out[n++] = str_n(rest.p, len);
        if (!slash)
            break;
        rest = str_n(slash + 1, rest.len - len - 1);
    }
    *out_count = n;
    return true;
}

/* Index of the first literal child that is not less than name. */
static size_t literal_bound(const struct node *n, str name) {
    size_t low = 0, high = n->literals.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (str_cmp(n->literals.p[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct node *literal_find(const struct node *n, str name) {
    size_t at = literal_bound(n, name);
    return at < n->literals.count && str_eq(n->literals.p[at]->name, name) ? n->literals.p[at]
                                                                           : NULL;
}

static struct node *child_for(struct node *n, str segment) {
    if (segment.p[0] == '{') {
        ASSERT(segment.p[segment.len - 1] == '}');
        if (!n->param)
            n->param = NEW(struct node);
        return n->param;
    }
    struct node *child = literal_find(n, segment);
    if (child)
        return child;
    child = NEW(struct node);
    child->name = segment;
    size_t at = literal_bound(n, segment);
    vec_push(&n->literals, child);
    for (size_t i = n->literals.count - 1; i > at; i--)
        n->literals.p[i] = n->literals.p[i - 1];
    n->literals.p[at] = child;
    return child;
}

static void add_route(struct http_router *r, const struct http_route *route) {
    str segments[SEGMENT_COUNT_MAX];
    size_t count = 0, params = 0;
    bool plain = split_path(str_of(route->path), segments, &count);
    ASSERT(plain);
    struct node *n = &r->root;
    for (size_t i = 0; i < count; i++) {
        params += segments[i].p[0] == '{';
        n = child_for(n, segments[i]);
    }
    ASSERT(params <= HTTP_ROUTE_PARAM_MAX);
    ASSERT((unsigned)route->method < METHOD_COUNT && !n->routes[route->method]);
    n->routes[route->method] = route;
}

struct http_router *http_router_new(const struct http_route *routes, size_t count) {
    struct http_router *r = NEW(struct http_router);
    for (size_t i = 0; i < count; i++)
        add_route(r, &routes[i]);
    return r;
}

static void node_deinit(struct node *n) {
    for (size_t i = 0; i < n->literals.count; i++) {
        node_deinit(n->literals.p[i]);
        mem_free(n->literals.p[i]);
    }
    vec_deinit(&n->literals);
    if (n->param) {
        node_deinit(n->param);
        mem_free(n->param);
    }
}

void http_router_free(struct http_router *r) {
    if (!r)
        return;
    node_deinit(&r->root);
    mem_free(r);
}

/* One look-up under way. */
struct search {
    enum http_method method;
    const str *segments;
    size_t count;
    bool allowed[METHOD_COUNT]; /* over all nodes with this path */
    size_t taken[HTTP_ROUTE_PARAM_MAX];
    const struct http_route *found;
    size_t found_count;
};

static const struct http_route *route_of(struct search *s, const struct node *n) {
    for (size_t m = 0; m < METHOD_COUNT; m++)
        if (n->routes[m])
            s->allowed[m] = true;
    if (n->routes[s->method])
        return n->routes[s->method];
    return s->method == HTTP_HEAD ? n->routes[HTTP_GET] : NULL;
}

static bool search_from(struct search *s, const struct node *n, size_t depth, size_t params) {
    if (depth == s->count) {
        s->found = route_of(s, n);
        s->found_count = params;
        return s->found != NULL;
    }
    const struct node *literal = literal_find(n, s->segments[depth]);
    if (literal && search_from(s, literal, depth + 1, params))
        return true;
    if (!n->param || params == HTTP_ROUTE_PARAM_MAX)
        return false;
    s->taken[params] = depth;
    return search_from(s, n->param, depth + 1, params + 1);
}

static str allow_text(struct arena *a, bool allowed[METHOD_COUNT]) {
    size_t len = 0;
    if (allowed[HTTP_GET])
        allowed[HTTP_HEAD] = true;
    char *text = arena_alloc(a, 64);
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        if (!allowed[m])
            continue;
        str name = http_method_name((enum http_method)m);
        if (len) {
            memcpy(text + len, ", ", 2);
            len += 2;
        }
        memcpy(text + len, name.p, name.len);
        len += name.len;
    }
    ASSERT(len <= 64);
    return str_n(text, len);
}

int http_router_match(const struct http_router *r, const struct http_request *req,
                      struct http_match *out, str *out_allow) {
    str segments[SEGMENT_COUNT_MAX];
    size_t count;
    if (!split_path(req->path, segments, &count))
        return ERR_NOT_FOUND;
    for (size_t i = 0; i < count; i++)
        if (memchr(segments[i].p, '%', segments[i].len) &&
            http_percent_decode(req->arena, segments[i], false, &segments[i]))
            return ERR_NOT_FOUND;
    struct search s = {.method = req->method, .segments = segments, .count = count};
    if (search_from(&s, &r->root, 0, 0)) {
        out->route = s.found;
        out->param_count = s.found_count;
        for (size_t i = 0; i < s.found_count; i++)
            out->params[i] = segments[s.taken[i]];
        return 0;
    }
    for (size_t m = 0; m < METHOD_COUNT; m++)
        if (s.allowed[m]) {
            *out_allow = allow_text(req->arena, s.allowed);
            return ERR_UNSUPPORTED;
        }
    return ERR_NOT_FOUND;
}
