-- Steps of plans that somebody outside does: src/store/plan_work.c. Who writes a lease names its
-- token, and that it is leased.

-- shared: work_columns
w.plan_id, w.position, w.owner, w.queue, w.status, w.token, w.attempt, w.lost, w.worker,
       w.claimed_at, w.lease_until, w.deadline_at, w.done_token, w.done_as

-- shared: work_final
('succeeded', 'failed', 'cancelled', 'timed_out')

-- name: work_offer
-- What was over before is offered anew. $1 plan, $2 owner, $3 now, $4 [{"p": position, "q": queue,
-- "r": rank, "a": attempts so far, "t": us that one may take,
-- "l": leases that were lost}]
INSERT INTO holdfast.plan_work (plan_id, position, owner, queue, rank, status, token, attempt, lost,
  timeout_us, progress, ready_at)
SELECT $1, r.p, $2, r.q, r.r, 'ready', 0, r.a, r.l, r.t, 0, $3::timestamptz
FROM json_to_recordset($4::json) AS r(p integer, q text, r bigint, a integer, t bigint, l integer)
ON CONFLICT (plan_id, position) DO UPDATE
SET status = 'ready', rank = excluded.rank, token = plan_work.token + 1,
    attempt = excluded.attempt, lost = excluded.lost, progress = 0, ready_at = excluded.ready_at,
    worker = NULL, claimed_at = NULL, lease_until = NULL, deadline_at = NULL, outcome = NULL,
    output = NULL, error = NULL, late = false
WHERE plan_work.status = 'over';

-- name: work_any
-- Is anything ready? $1 owner, $2 queue, $3 now
SELECT 1 FROM holdfast.plan_work w
WHERE w.owner = $1 AND w.queue = $2 AND w.status = 'ready' AND w.ready_at <= $3 LIMIT 1;

-- name: work_any_owner
-- Of any owner. $1 queue, $2 now
SELECT 1 FROM holdfast.plan_work w
WHERE w.queue = $1 AND w.status = 'ready' AND w.ready_at <= $2 LIMIT 1;

-- name: work_claim
-- $1 owner, $2 queue, $3 now, $4 when the lease is over, $5 worker, $6 limit
UPDATE holdfast.plan_work
SET status = 'leased', token = token + 1, attempt = attempt + 1, progress = 0, worker = $5,
    claimed_at = $3, deadline_at = $3::timestamptz + timeout_us * interval '1 microsecond',
    lease_until = LEAST($4::timestamptz, $3::timestamptz + timeout_us * interval '1 microsecond')
WHERE (plan_id, position) IN (
  SELECT w.plan_id, w.position FROM holdfast.plan_work w
  WHERE w.owner = $1 AND w.queue = $2 AND w.status = 'ready' AND w.ready_at <= $3
  ORDER BY w.rank, w.ready_at LIMIT $6
  FOR NO KEY UPDATE OF w SKIP LOCKED)
RETURNING plan_id, position, token;

-- name: work_claim_owner
-- Of any owner. $1 queue, $2 limit, $3 now, $4 when the lease is over, $5 worker
UPDATE holdfast.plan_work
SET status = 'leased', token = token + 1, attempt = attempt + 1, progress = 0, worker = $5,
    claimed_at = $3, deadline_at = $3::timestamptz + timeout_us * interval '1 microsecond',
    lease_until = LEAST($4::timestamptz, $3::timestamptz + timeout_us * interval '1 microsecond')
WHERE (plan_id, position) IN (
  SELECT w.plan_id, w.position FROM holdfast.plan_work w
  WHERE w.queue = $1 AND w.status = 'ready' AND w.ready_at <= $3
  ORDER BY w.rank, w.ready_at LIMIT $2
  FOR NO KEY UPDATE OF w SKIP LOCKED)
RETURNING plan_id, position, token;

-- name: work_get
-- $1 [{"i": plan, "p": position}], $2 and $3 bounds of the owner
SELECT @work_columns,
       p.thread_id, p.run_id, p.status, p.project_id, s.name, s.tool, s.inputs, s.spec, s.key,
       s.spent
FROM json_to_recordset($1::json) AS r(i uuid, p integer)
JOIN holdfast.plan_work w ON w.plan_id = r.i AND w.position = r.p
JOIN holdfast.plans p ON p.id = w.plan_id
JOIN holdfast.plan_steps s ON s.plan_id = w.plan_id AND s.position = w.position
WHERE w.owner >= $2 AND w.owner <= $3;

-- name: work_step
-- The step of a lease that begins, or that comes to nothing. $1 plan, $2 position, $3 token,
-- $4 status, $5 attempt, $6 started at, $7 error
UPDATE holdfast.plan_steps
SET status = $4, attempt = $5, started_at = $6, error = $7
WHERE plan_id = $1 AND position = $2 AND status NOT IN @work_final
  AND EXISTS (SELECT 1 FROM holdfast.plan_work w
              WHERE w.plan_id = $1 AND w.position = $2 AND w.token = $3 AND w.status = 'leased');

-- name: work_extend
-- $1 plan, $2 position, $3 token, $4 when the lease is over
UPDATE holdfast.plan_work SET lease_until = LEAST($4::timestamptz, deadline_at)
WHERE plan_id = $1 AND position = $2 AND token = $3 AND status = 'leased'
RETURNING lease_until;

-- name: work_progress
-- $1 plan, $2 position, $3 token, $4 more, $5 at most
UPDATE holdfast.plan_work SET progress = progress + $4
WHERE plan_id = $1 AND position = $2 AND token = $3 AND status = 'leased'
  AND progress + $4 <= $5;

-- name: work_done
-- $1 plan, $2 position, $3 token, $4 what is answered when it is told again, $5 outcome, $6 output,
-- $7 error, $8 leases that were lost by it
UPDATE holdfast.plan_work
SET status = 'done', done_token = $3, done_as = $4, outcome = $5, output = $6, error = $7,
    lost = lost + $8, lease_until = NULL
WHERE plan_id = $1 AND position = $2 AND token = $3 AND status = 'leased';

-- name: work_again
-- $1 plan, $2 position, $3 token, $4 what is answered when it is told again, NULL: nobody told,
-- $5 when it can be claimed, $6 leases that were lost by it, $7 error
UPDATE holdfast.plan_work
SET status = 'ready', done_token = CASE WHEN $4::text IS NULL THEN done_token ELSE $3 END,
    done_as = COALESCE($4::text, done_as), ready_at = $5, lost = lost + $6, error = $7,
    worker = NULL, lease_until = NULL, deadline_at = NULL, late = false
WHERE plan_id = $1 AND position = $2 AND token = $3 AND status = 'leased';

-- name: work_close
-- Of steps that are over. $1 plan, $2 [position]
UPDATE holdfast.plan_work SET status = 'over', output = NULL, lease_until = NULL
WHERE plan_id = $1 AND status <> 'over'
  AND position IN (SELECT v::integer FROM json_array_elements_text($2::json) v);

-- name: work_end
-- Of a plan that is over. $1 thread
UPDATE holdfast.plan_work SET status = 'over', output = NULL, lease_until = NULL
WHERE plan_id = (SELECT p.id FROM holdfast.plans p
                 WHERE p.thread_id = $1 AND p.status IN @work_final)
  AND status <> 'over';

-- name: work_of_plan
-- What is not over. $1 plan
SELECT @work_columns
FROM holdfast.plan_work w WHERE w.plan_id = $1 AND w.status <> 'over' ORDER BY w.position;

-- name: work_results
-- What the plan has not taken yet. $1 plan, $2 limit
SELECT @work_columns, w.outcome, w.output, w.error
FROM holdfast.plan_work w WHERE w.plan_id = $1 AND w.status = 'done' ORDER BY w.position LIMIT $2;

-- name: work_expiring
-- The first leases to end. $1 limit
SELECT @work_columns
FROM holdfast.plan_work w WHERE w.status = 'leased' ORDER BY w.lease_until LIMIT $1;

-- name: work_oldest
-- Since when is the oldest one ready?
SELECT w.ready_at FROM holdfast.plan_work w WHERE w.status = 'ready' ORDER BY w.ready_at LIMIT 1;

-- name: work_late
-- Of each owner and queue the step that is ready for longest, if since before $1; $2 how many steps
-- are looked at, the oldest first
SELECT DISTINCT ON (o.owner, o.queue) o.owner, o.queue, o.ready_at, o.plan_id, o.position
FROM (SELECT w.owner, w.queue, w.ready_at, w.plan_id, w.position FROM holdfast.plan_work w
      WHERE w.status = 'ready' AND w.ready_at <= $1 ORDER BY w.ready_at LIMIT $2) o
ORDER BY o.owner, o.queue, o.ready_at;

-- name: work_late_tell
-- $1 plan, $2 position
UPDATE holdfast.plan_work SET late = true
WHERE plan_id = $1 AND position = $2 AND status = 'ready' AND NOT late;

-- name: work_leased
-- Leases of the owner, and of the queue; each counted up to $3. $1 owner, $2 queue
SELECT (SELECT count(*) FROM (SELECT 1 FROM holdfast.plan_work w
                              WHERE w.owner = $1 AND w.status = 'leased' LIMIT $3) a),
       (SELECT count(*) FROM (SELECT 1 FROM holdfast.plan_work w
                              WHERE w.queue = $2 AND w.status = 'leased' LIMIT $3) b);
