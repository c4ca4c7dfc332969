-- Projects, and settings of owners. src/store/projects.c.

-- shared: project_columns
p.id, p.owner, p.name, p.description, p.metadata, p.settings, p.version, p.created_at, p.updated_at

-- name: project_insert
-- Unless the owner has $8. $1 id, $2 owner, $3 name, $4 description, $5 metadata, $6 settings, $7 now
INSERT INTO holdfast.projects (id, owner, name, description, metadata, settings, version, created_at,
  updated_at)
SELECT $1, $2, $3, $4, $5, $6, 1, $7::timestamptz, $7::timestamptz
WHERE (SELECT count(*) FROM holdfast.projects p WHERE p.owner = $2) < $8;

-- name: project_list
-- By name. $1 owner, $2 after this one, $3 limit
SELECT @project_columns
FROM holdfast.projects p WHERE p.owner = $1 AND p.name > $2 ORDER BY p.name LIMIT $3;

-- name: project_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @project_columns
FROM holdfast.projects p WHERE p.id = $1 AND p.owner >= $2 AND p.owner <= $3;

-- name: project_update
-- $1 id, $2 and $3 bounds of the owner, $4 version that was read, $5 name, $6 description,
-- $7 metadata, $8 settings, $9 now
UPDATE holdfast.projects SET name = $5, description = $6, metadata = $7, settings = $8,
  version = version + 1, updated_at = $9
WHERE id = $1 AND owner >= $2 AND owner <= $3 AND version = $4;

-- name: project_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM holdfast.projects WHERE id = $1 AND owner >= $2 AND owner <= $3;

-- name: setting_list
-- $1 owner, $2 limit
SELECT s.key, s.value FROM holdfast.settings s WHERE s.owner = $1 ORDER BY s.key LIMIT $2;

-- name: setting_get
-- $1 owner, $2 key
SELECT s.key, s.value FROM holdfast.settings s WHERE s.owner = $1 AND s.key = $2;

-- name: setting_put
-- Unless the owner has $5 others. $1 owner, $2 key, $3 value, $4 now
INSERT INTO holdfast.settings (owner, key, value, updated_at)
SELECT $1, $2, $3, $4::timestamptz
WHERE (SELECT count(*) FROM holdfast.settings s WHERE s.owner = $1 AND s.key <> $2) < $5
ON CONFLICT (owner, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;

-- name: setting_delete
-- $1 owner, $2 key
DELETE FROM holdfast.settings WHERE owner = $1 AND key = $2;

-- name: plan_context
-- together: text text uuid text text
-- What the first run of a new plan begins with, in one read: as run_context for a thread that is not
-- there yet, and what the plan takes from its owner and its project. $1 owner, $2 project (NULL: as the
-- owner's settings say), $3 assistant, $4 and $5 bounds of the owner
SELECT a.id, coalesce(a.metadata ->> 'owner', ''), a.graph_id, coalesce(a.name, a.graph_id),
       a.description, a.config, a.context, a.metadata - 'owner', a.version, a.created_at,
       a.updated_at,
       (SELECT jsonb_object_agg(f.key, f.value) FROM holdfast.preferences f WHERE f.user_id = $4),
       d.concurrency, d.webhook, d.project,
       (SELECT p.settings FROM holdfast.projects p
        WHERE p.owner = $1
          AND p.name = coalesce($2::text, nullif(d.project::json #>> '{}', ''), 'default'))
FROM (SELECT max(CASE s.key WHEN 'plan.concurrency' THEN s.value END) AS concurrency,
             max(CASE s.key WHEN 'plan.webhook' THEN s.value END) AS webhook,
             max(CASE s.key WHEN 'plan.project_id' THEN s.value END) AS project
      FROM holdfast.settings s
      WHERE s.owner = $1
        AND s.key IN ('plan.concurrency', 'plan.project_id', 'plan.webhook')) d
LEFT JOIN langgraph_server.assistants a
  ON a.id IN ($3::uuid::text, replace($3::uuid::text, '-', ''))
  AND ((coalesce(a.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $4 AND $5
       OR (coalesce(a.metadata ->> 'owner', '') = '' AND a.metadata @> '{"created_by":"system"}')
       OR a.metadata ->> 'owner' = 'system');
