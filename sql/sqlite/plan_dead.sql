-- Steps that failed for good: src/store/dead.c. A step is on the list once; its row goes with the
-- plan, when it is done again, or when somebody has taken note.

-- shared: dead_columns
d.id, d.plan_id, d.position, d.owner, d.project_id, d.tool, d.reason, d.died_at, s.name,
       s.error, s.attempt, s.losses

-- name: dead_insert
-- $1 plan, $2 owner, $3 project, $4 now, $5 [{"i": id, "p": position, "t": tool, "r": reason}]
INSERT INTO plan_dead (id, plan_id, position, owner, project_id, tool, reason, died_at)
SELECT r.value ->> 'i', $1, r.value ->> 'p', $2, $3, r.value ->> 't', r.value ->> 'r', $4
FROM json_each($5) r WHERE true
ON CONFLICT (plan_id, position) DO UPDATE
SET id = excluded.id, reason = excluded.reason, died_at = excluded.died_at;

-- name: dead_revive
-- Those of steps that are done again. $1 plan, $2 [position]
DELETE FROM plan_dead WHERE plan_id = $1 AND position IN (SELECT v.value FROM json_each($2) v);

-- name: dead_discard
-- $1 owner, $2 [id]
DELETE FROM plan_dead WHERE owner = $1 AND id IN (SELECT v.value FROM json_each($2) v);

-- name: dead_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @dead_columns
FROM plan_dead d JOIN plan_steps s ON s.plan_id = d.plan_id AND s.position = d.position
WHERE d.id = $1 AND d.owner >= $2 AND d.owner <= $3;

-- name: dead_page
-- $1 owner, $2 before this id, $3 limit
SELECT @dead_columns
FROM plan_dead d JOIN plan_steps s ON s.plan_id = d.plan_id AND s.position = d.position
WHERE d.owner = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3;

-- name: dead_page_project
-- $1 owner, $2 before this id, $3 limit, $4 project, $5 and $6 bounds of the tool
SELECT @dead_columns
FROM plan_dead d JOIN plan_steps s ON s.plan_id = d.plan_id AND s.position = d.position
WHERE d.owner = $1 AND d.project_id = $4 AND d.id < $2 AND d.tool >= $5 AND d.tool <= $6
ORDER BY d.id DESC LIMIT $3;

-- name: dead_page_tool
-- $1 owner, $2 before this id, $3 limit, $4 tool
SELECT @dead_columns
FROM plan_dead d JOIN plan_steps s ON s.plan_id = d.plan_id AND s.position = d.position
WHERE d.owner = $1 AND d.tool = $4 AND d.id < $2 ORDER BY d.id DESC LIMIT $3;

-- name: dead_page_plan
-- $1 plan, $2 before this id, $3 limit, $4 and $5 bounds of the owner, $6 and $7 of the tool,
-- $8 and $9 of the project
SELECT @dead_columns
FROM plan_dead d JOIN plan_steps s ON s.plan_id = d.plan_id AND s.position = d.position
WHERE d.plan_id = $1 AND d.id < $2 AND d.owner >= $4 AND d.owner <= $5 AND d.tool >= $6 AND d.tool <= $7
  AND d.project_id >= $8 AND d.project_id <= $9
ORDER BY d.id DESC LIMIT $3;
