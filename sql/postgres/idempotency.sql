-- Answers to requests with an Idempotency-Key. src/store/idempotency.c.

-- name: idempotency_get
-- point
-- $1 owner, $2 key, $3 now
SELECT request, body, thread_id, run_id FROM holdfast.idempotency_keys
WHERE owner = $1 AND key = $2 AND expires_at > $3;

-- name: idempotency_put
-- Changes nothing when the key is in use. $1 owner, $2 key, $3 request, $4 body, $5 thread, $6 run,
-- $7 now, $8 when it expires
INSERT INTO holdfast.idempotency_keys AS k
  (owner, key, request, body, thread_id, run_id, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $8)
ON CONFLICT (owner, key) DO UPDATE SET
  request = excluded.request, body = excluded.body, thread_id = excluded.thread_id,
  run_id = excluded.run_id, expires_at = excluded.expires_at
WHERE k.expires_at <= $7;

-- name: idempotency_sweep
-- A key that was used anew meanwhile stays. $1 now, $2 limit
DELETE FROM holdfast.idempotency_keys
WHERE ctid = ANY (ARRAY(SELECT k.ctid FROM holdfast.idempotency_keys k
                        WHERE k.expires_at <= $1 ORDER BY k.expires_at LIMIT $2))
  AND expires_at <= $1;
