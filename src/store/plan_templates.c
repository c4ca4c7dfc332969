/* SPDX-License-Identifier: Apache-2.0 */
/* plan_templates.c - rows of templates of plans.
 *
 * A name is its owner's: two owners may have one of the same name. Lists leave the plans out, which
 * can be large; who changes one names the version that was read. */
#include "store/plan_templates.h"

#define MISSING "Template not found"

static struct plan_template from_row(const struct db_rows *r, size_t row) {
    return (struct plan_template){.id = db_id(r, row, 0),
                                  .owner = db_str(r, row, 1),
                                  .name = db_str(r, row, 2),
                                  .description = db_str(r, row, 3),
                                  .parameters = db_str(r, row, 4),
                                  .version = db_int(r, row, 5),
                                  .created_at = db_int(r, row, 6),
                                  .updated_at = db_int(r, row, 7),
                                  .plan = r->col_count > 8 ? db_str(r, row, 8) : STR_NULL};
}

static int taken(int rc, struct err *err) {
    return rc == ERR_EXISTS ? err_set(err, rc, "There is a template of this name") : rc;
}

int plan_template_create(struct store *s, struct plan_template *t, struct arena *a,
                         struct err *err) {
    struct db_batch b;
    t->version = 1;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PLAN_TEMPLATE_INSERT,
                 DB_PARAMS(DB_UUID(t->id), DB_T(t->owner.p ? t->owner : STR("")), DB_T(t->name),
                           DB_T(t->description), DB_T(t->parameters), DB_T(t->plan),
                           DB_I(t->created_at), DB_I(PLAN_TEMPLATE_COUNT_MAX)),
                 DB_EXPECT_CHANGE(ERR_LIMIT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_LIMIT && b.failed_at == 0)
        return err_set(err, rc, "There can be at most %d templates", PLAN_TEMPLATE_COUNT_MAX);
    return taken(rc, err);
}

int plan_template_list(struct store *s, const struct principal *who, str after, int64_t limit,
                       struct arena *a, struct plan_template **out, size_t *out_count,
                       struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PLAN_TEMPLATE_LIST,
                     DB_PARAMS(DB_T(principal_owner(who)), DB_T(after.p ? after : STR("")),
                               DB_I(limit)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    struct plan_template *list = ARENA_ARRAY(a, struct plan_template, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int plan_template_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                      struct plan_template *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_PLAN_TEMPLATE_GET, who, id, MISSING, a, &rows, err);
    if (rc == 0)
        *out = from_row(&rows, 0);
    return rc;
}

int plan_template_find(struct store *s, const struct principal *who, str name, struct arena *a,
                       struct plan_template *out, struct err *err) {
    struct db_rows rows;
    struct id id;
    if (id_parse(name, &id))
        return plan_template_get(s, who, id, a, out, err);
    int rc = db_read(s->db, SQL_PLAN_TEMPLATE_FIND,
                     DB_PARAMS(DB_T(principal_owner(who)), DB_T(name)), a, &rows, err);
    if (rc == 0 && rows.row_count == 0)
        rc = err_set(err, ERR_NOT_FOUND, MISSING);
    if (rc == 0)
        *out = from_row(&rows, 0);
    return rc;
}

int plan_template_update(struct store *s, const struct principal *who, struct plan_template *t,
                         struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PLAN_TEMPLATE_UPDATE,
                 DB_PARAMS(DB_UUID(t->id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)), DB_I(t->version), DB_T(t->name),
                           DB_T(t->description), DB_T(t->parameters), DB_T(t->plan),
                           DB_I(t->updated_at)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_CONFLICT)
        return err_set(err, rc, "The template was changed meanwhile");
    t->version += rc == 0;
    return taken(rc, err);
}

int plan_template_delete(struct store *s, const struct principal *who, struct id id,
                         struct arena *a, struct err *err) {
    return store_delete_owned(s, SQL_PLAN_TEMPLATE_DELETE, who, id, MISSING, a, err);
}
