-- Gates of steps in plans: src/store/gates.c. A gate's version counts its writes: who writes names
-- the one that it has seen, and the gate must be open.

-- shared: gate_columns
g.id, g.plan_id, g.position, g.number, g.owner, g.spec, g.status, g.version, g.evidence, g.actor,
       g.reason, g.created_at, g.expires_at, g.decided_at

-- shared: gate_plan_final
('succeeded', 'failed', 'cancelled', 'timed_out')

-- name: gates_insert
-- $1 plan, $2 owner, $3 now, $4 [{"i": id, "p": position, "n": number, "s": spec, "e": us until it
-- expires}]
INSERT INTO holdfast.plan_gates (id, plan_id, position, number, owner, spec, status, version,
  created_at, expires_at)
SELECT r.i, $1, r.p, r.n, $2, r.s::text, 'pending', 1, $3::timestamptz,
       $3::timestamptz + r.e * interval '1 microsecond'
FROM json_to_recordset($4::json) AS r(i uuid, p integer, n integer, s json, e bigint);

-- name: gate_write
-- $1 id, $2 version, $3 status, $4 evidence, $5 actor, $6 reason, $7 decided at
UPDATE holdfast.plan_gates
SET status = $3, version = version + 1, evidence = $4, actor = $5, reason = $6, decided_at = $7
WHERE id = $1 AND version = $2 AND status = 'pending';

-- name: gates_close
-- Those of steps that are over. $1 plan, $2 now, $3 reason
UPDATE holdfast.plan_gates
SET status = 'failed', version = version + 1, reason = $3, decided_at = $2
WHERE plan_id = $1 AND status = 'pending'
  AND position IN (SELECT s.position FROM holdfast.plan_steps s
                   WHERE s.plan_id = $1 AND s.status IN @gate_plan_final);

-- name: gates_end
-- Those of a plan that is over. $1 thread, $2 now, $3 reason
UPDATE holdfast.plan_gates
SET status = 'failed', version = version + 1, reason = $3, decided_at = $2
WHERE plan_id = (SELECT p.id FROM holdfast.plans p
                 WHERE p.thread_id = $1 AND p.status IN @gate_plan_final)
  AND status = 'pending';

-- name: gates_forget
-- Those that failed, of steps that are done again. $1 plan, $2 [position]
DELETE FROM holdfast.plan_gates
WHERE plan_id = $1 AND status = 'failed' AND position IN (SELECT v::integer FROM json_array_elements_text($2::json) v);

-- name: plan_touch_live
-- Whoever has the plan is to look at it; not when nobody has it. $1 id, $2 now
UPDATE holdfast.plans SET version = version + 1, updated_at = $2
WHERE id = $1 AND status IN ('queued', 'running');

-- name: gate_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @gate_columns
FROM holdfast.plan_gates g WHERE g.id = $1 AND g.owner >= $2 AND g.owner <= $3;

-- name: gate_find
-- A step by its position, or by a name: the plan's state and size, the step's position and spec,
-- each of its gates that is open or was, the plan's thread. $1 plan, $2 and $3 bounds of the owner,
-- $4 position, $5 name
SELECT p.status, p.step_count, s.position, s.spec, g.number, g.id, p.thread_id
FROM holdfast.plans p
JOIN holdfast.plan_steps s ON s.plan_id = p.id
LEFT JOIN holdfast.plan_gates g ON g.plan_id = p.id AND g.position = s.position
WHERE p.id = $1 AND p.owner >= $2 AND p.owner <= $3 AND (s.position = $4 OR s.name = $5)
ORDER BY s.position;

-- name: gates_of_plan
-- $1 plan, $2 and $3 bounds of the owner, $4 after this id, $5 and $6 bounds of the status, $7 limit
SELECT @gate_columns
FROM holdfast.plan_gates g
WHERE g.plan_id = $1 AND g.owner >= $2 AND g.owner <= $3 AND g.id > $4 AND g.status >= $5
  AND g.status <= $6
ORDER BY g.id LIMIT $7;

-- name: gate_page
-- $1 owner, $2 status, $3 after this id, $4 limit
SELECT @gate_columns
FROM holdfast.plan_gates g
WHERE g.owner = $1 AND g.status = $2 AND g.id > $3 ORDER BY g.id LIMIT $4;

-- name: gates_expiring
-- Of plans that nobody has, the first to expire, in the order of the index: a join would begin
-- with all plans. $1 limit
SELECT @gate_columns
FROM holdfast.plan_gates g
WHERE g.status = 'pending' AND g.expires_at IS NOT NULL
  AND (SELECT p.status FROM holdfast.plans p WHERE p.id = g.plan_id) = 'blocked'
ORDER BY g.expires_at LIMIT $1;
