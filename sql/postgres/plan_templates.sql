-- Templates of plans. src/store/plan_templates.c.

-- shared: plan_template_columns
t.id, t.owner, t.name, t.description, t.parameters, t.version, t.created_at, t.updated_at

-- name: plan_template_insert
-- Unless the owner has $8. $1 id, $2 owner, $3 name, $4 description, $5 parameters, $6 plan, $7 now
INSERT INTO holdfast.plan_templates (id, owner, name, description, parameters, plan, version, created_at,
  updated_at)
SELECT $1, $2, $3, $4, $5, $6, 1, $7::timestamptz, $7::timestamptz
WHERE (SELECT count(*) FROM holdfast.plan_templates t WHERE t.owner = $2) < $8;

-- name: plan_template_list
-- By name. $1 owner, $2 after this one, $3 limit
SELECT @plan_template_columns
FROM holdfast.plan_templates t WHERE t.owner = $1 AND t.name > $2 ORDER BY t.name LIMIT $3;

-- name: plan_template_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @plan_template_columns, t.plan
FROM holdfast.plan_templates t WHERE t.id = $1 AND t.owner >= $2 AND t.owner <= $3;

-- name: plan_template_find
-- $1 owner, $2 name
SELECT @plan_template_columns, t.plan
FROM holdfast.plan_templates t WHERE t.owner = $1 AND t.name = $2;

-- name: plan_template_update
-- $1 id, $2 and $3 bounds of the owner, $4 version that was read, $5 name, $6 description,
-- $7 parameters, $8 plan, $9 now
UPDATE holdfast.plan_templates SET name = $5, description = $6, parameters = $7, plan = $8,
  version = version + 1, updated_at = $9
WHERE id = $1 AND owner >= $2 AND owner <= $3 AND version = $4;

-- name: plan_template_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM holdfast.plan_templates WHERE id = $1 AND owner >= $2 AND owner <= $3;
