-- Plans of steps: src/store/plans.c. What concerns many steps is one statement, whose rows come as
-- one JSON text.

-- shared: plan_final
('succeeded', 'failed', 'cancelled', 'timed_out')

-- shared: plan_columns
p.id, p.thread_id, p.run_id, p.owner, p.project_id, p.goal, p.hash, p.metadata, p.concurrency,
       p.status, p.version, p.step_count, p.fault_count, p.succeeded, p.failed, p.cancelled,
       p.timed_out, p.error, p.created_at, p.started_at, p.ended_at, p.updated_at, p.attempt, p.rerun_of

-- shared: plan_step_columns
s.position, s.name, s.tool, s.inputs, s.spec, s.key, s.status, s.attempt, s.wish, s.output,
       s.error, s.started_at, s.ended_at, s.losses, s.spent

-- name: plan_insert
-- only: sqlite
-- $1 id, $2 thread, $3 run, $4 owner, $5 project, $6 goal, $7 hash, $8 metadata, $9 concurrency,
-- $10 steps, $11 with a fault, $12 now, $13 made from, $14 steps that are done already
INSERT INTO plans (id, thread_id, run_id, owner, project_id, goal, hash, metadata,
  concurrency, status, version, step_count, fault_count, succeeded, failed, cancelled,
  timed_out, created_at, updated_at, rerun_of)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', 1, $10, $11, $14, $11, 0, 0, $12, $12, $13);

-- name: plan_steps_insert
-- only: sqlite
-- $1 plan, $2 now, $3 [{"p": position, "n": name, "t": tool, "i": inputs, "s": spec, "k": key,
-- "x": fault, "o": output}]. One that has an output is done already.
INSERT INTO plan_steps (plan_id, position, name, tool, inputs, spec, key, status, attempt, output,
  error, ended_at)
SELECT $1, r.value ->> 'p', r.value ->> 'n', r.value ->> 't', r.value -> 'i', r.value -> 's',
       r.value ->> 'k',
       CASE WHEN r.value ->> 'x' IS NOT NULL THEN 'failed'
            WHEN r.value -> 'o' IS NOT NULL THEN 'succeeded' ELSE 'queued' END, 0,
       r.value -> 'o', r.value ->> 'x',
       CASE WHEN r.value ->> 'x' IS NULL AND r.value -> 'o' IS NULL THEN NULL ELSE $2 END
FROM json_each($3) r;

-- name: plan_steps_update
-- $1 plan, $2 now, $3 [{"p": position, "s": status, "a": attempt, "b": us since it began,
-- "e": us since it ended, "o": output, "x": error, "l": losses, "f": spent}]. The rows are there; written like this each is
-- found by its key, whatever the planner believes of the list's length.
INSERT INTO plan_steps (plan_id, position, name, tool, inputs, spec, key, status, attempt, output,
  error, started_at, ended_at, losses, spent)
SELECT $1, r.value ->> 'p', '', '', '', '', '', r.value ->> 's', r.value ->> 'a', r.value -> 'o',
       r.value ->> 'x', $2 - (r.value ->> 'b'), $2 - (r.value ->> 'e'), coalesce(r.value ->> 'l', 0),
       coalesce(r.value ->> 'f', 0)
FROM json_each($3) r WHERE true
ON CONFLICT (plan_id, position) DO UPDATE
SET status = excluded.status, attempt = excluded.attempt, wish = NULL, output = excluded.output,
    error = excluded.error, started_at = excluded.started_at, ended_at = excluded.ended_at,
    losses = excluded.losses, spent = excluded.spent;

-- name: plan_advance
-- $1 id, $2 version, $3 status, $4 succeeded, $5 failed, $6 cancelled, $7 timed out, $8 error,
-- $9 run, $10 now, $11 its attempt when it came further, else 0
UPDATE plans
SET version = version + 1, status = $3, succeeded = $4, failed = $5, cancelled = $6, timed_out = $7,
    error = $8, run_id = $9, updated_at = $10,
    attempt = CASE WHEN run_id <> $9 THEN $11 WHEN $11 > attempt THEN $11 ELSE attempt END,
    started_at = CASE WHEN started_at IS NULL AND $3 NOT IN ('queued', 'cancelled') THEN $10
                      ELSE started_at END,
    ended_at = CASE WHEN $3 IN @plan_final THEN $10 END
WHERE id = $1 AND version = $2;

-- name: plan_step_wish
-- $1 plan, $2 position, $3 wish
UPDATE plan_steps SET wish = $3
WHERE plan_id = $1 AND position = $2 AND status NOT IN @plan_final;

-- name: plan_end
-- A plan whose run is over, or never was; not one that another run has by now. $1 thread, $2 status,
-- $3 error, $4 and $5 bounds of the present status, $6 now, $7 run
UPDATE plans
SET version = version + 1, status = $2, error = $3, ended_at = $6, updated_at = $6,
    cancelled = step_count - succeeded - failed - timed_out
WHERE thread_id = $1 AND run_id = $7 AND status >= $4 AND status <= $5
  AND status NOT IN @plan_final;

-- name: plan_end_steps
-- Those that are left when it has ended. $1 thread, $2 now
UPDATE plan_steps SET status = 'cancelled', wish = NULL, ended_at = $2
WHERE plan_id = (SELECT p.id FROM plans p
                 WHERE p.thread_id = $1 AND p.status IN @plan_final)
  AND status NOT IN @plan_final;

-- name: plan_get
-- few
-- With its first steps. $1 id, $2 and $3 bounds of the owner, $4 steps
SELECT @plan_columns,
       @plan_step_columns
FROM plans p
LEFT JOIN plan_steps s ON s.plan_id = p.id AND s.position < $4
WHERE p.id = $1 AND p.owner >= $2 AND p.owner <= $3
ORDER BY s.position;

-- name: plan_of_thread
-- point
SELECT @plan_columns
FROM plans p WHERE p.thread_id = $1;

-- name: plan_steps
-- few
-- $1 plan, $2 after this position, $3 and $4 bounds of the status, $5 limit
SELECT @plan_step_columns
FROM plan_steps s
WHERE s.plan_id = $1 AND s.position > $2 AND s.status >= $3 AND s.status <= $4
ORDER BY s.position LIMIT $5;

-- name: plan_wishes
-- $1 plan
SELECT p.version, s.position, s.wish, p.run_id, p.status
FROM plans p
LEFT JOIN plan_steps s ON s.plan_id = p.id AND s.wish IS NOT NULL
WHERE p.id = $1;

-- name: plan_page
-- $1 owner, $2 before this id, $3 limit
SELECT @plan_columns
FROM plans p
WHERE p.owner = $1 AND p.id < $2 ORDER BY p.id DESC LIMIT $3;

-- name: plan_page_project
-- $1 owner, $2 before this id, $3 limit, $4 project, $5 and $6 bounds of the status
SELECT @plan_columns
FROM plans p
WHERE p.owner = $1 AND p.project_id = $4 AND p.id < $2 AND p.status >= $5 AND p.status <= $6
ORDER BY p.id DESC LIMIT $3;

-- name: plan_page_status
-- $1 owner, $2 before this id, $3 limit, $4 status
SELECT @plan_columns
FROM plans p
WHERE p.owner = $1 AND p.status = $4 AND p.id < $2 ORDER BY p.id DESC LIMIT $3;

-- name: plan_events
-- $1 thread, $2 after this number, $3 kind, $4 limit
SELECT seq, run_id, at, data FROM events
WHERE thread_id = $1 AND seq > $2 AND kind = $3 ORDER BY seq LIMIT $4;

-- name: plan_backlog
-- Steps that are not over, of all plans that are not.
SELECT coalesce(sum(p.step_count - p.succeeded - p.failed - p.cancelled - p.timed_out), 0)
FROM plans p WHERE p.status IN ('queued', 'running', 'blocked');
