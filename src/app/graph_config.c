/* SPDX-License-Identifier: Apache-2.0 */
/* graph_config.c - reads LANGGRAPH_CONFIG.
 *
 * A configuration is what an assistant's config is: tags, recursion_limit, configurable. It may
 * carry the assistant's context as well, as a member of its own. */
#include "app/graph_config.h"

#include "base/json.h"

static int refuse(struct err *err, str graph_id, const char *what) {
    return err_set(err, ERR_INVALID, "LANGGRAPH_CONFIG: the configuration of \"%.*s\" %s",
                   (int)(graph_id.len < 100 ? graph_id.len : 100), graph_id.p, what);
}

static int apply(struct arena *a, str graph_id, yyjson_val *config, struct assistant_default *to,
                 struct err *err) {
    yyjson_val *context = json_get(config, "context");
    if (!yyjson_is_obj(config))
        return refuse(err, graph_id, "must be an object");
    if (context && !yyjson_is_obj(context))
        return refuse(err, graph_id, "has a context that is no object");
    if (!to)
        return 0;
    to->config = json_without(a, json_text(a, config), "context");
    to->context = context ? json_text(a, context) : STR_NULL;
    return 0;
}

int graph_config_read(struct arena *a, str text, struct assistant_default *defaults, size_t count,
                      str *out_unknown, struct err *err) {
    yyjson_val *root;
    *out_unknown = STR_NULL;
    if (str_trim(text).len == 0)
        return 0;
    int rc = json_parse(a, text, &root, err);
    if (rc < 0) {
        (void)err_context(err, "LANGGRAPH_CONFIG");
        return rc;
    }
    if (!yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "LANGGRAPH_CONFIG: must be a JSON object: graph → config");
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    for (yyjson_val *k; rc == 0 && (k = yyjson_obj_iter_next(&it)) != NULL;) {
        str graph_id = json_str(k);
        struct assistant_default *to = NULL;
        for (size_t i = 0; i < count; i++)
            if (str_eq(defaults[i].graph_id, graph_id))
                to = &defaults[i];
        if (!to && !out_unknown->p)
            *out_unknown = graph_id;
        rc = apply(a, graph_id, yyjson_obj_iter_get_val(k), to, err);
    }
    return rc;
}
