-- Deliveries to other programs: the outbox and its relay. src/store/deliveries.c.

-- name: delivery_insert
-- $1 id, $2 owner, $3 kind, $4 order, $5 target, $6 payload, $7 now
INSERT INTO deliveries (id, owner, kind, order_key, target, payload, due_at, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $7);

-- name: delivery_claim
-- $1 now, $2 when the claim is over, $3 limit
UPDATE deliveries SET due_at = $2, attempt = attempt + 1
WHERE id IN (SELECT d.id FROM deliveries d
             WHERE d.status = 'pending' AND d.due_at <= $1
               AND (d.order_key = ''
                    OR NOT EXISTS (SELECT 1 FROM deliveries o
                                   WHERE o.status = 'pending' AND o.order_key <> ''
                                     AND o.kind = d.kind AND o.order_key = d.order_key
                                     AND (o.order_seq, o.id) < (d.order_seq, d.id)))
             ORDER BY d.due_at LIMIT $3)
RETURNING id, kind, order_key, target, payload, attempt, progress, created_at;

-- name: delivery_done
-- $1 id, $2 attempt
DELETE FROM deliveries WHERE id = $1 AND attempt = $2;

-- name: delivery_next
-- The first of an order, if it is due. $1 kind, $2 order, $3 now, $4 when the claim is over
UPDATE deliveries SET due_at = $4, attempt = attempt + 1
WHERE id = (SELECT d.id FROM deliveries d
            WHERE d.status = 'pending' AND d.order_key <> '' AND d.kind = $1 AND d.order_key = $2
            ORDER BY d.order_seq, d.id LIMIT 1)
  AND status = 'pending' AND due_at <= $3
RETURNING id, kind, order_key, target, payload, attempt, progress, created_at;

-- name: delivery_failed
-- $1 id, $2 attempt, $3 status, $4 when it is due again, $5 HTTP status, $6 error, $7 now,
-- $8 parts that were taken, $9 attempts so far
UPDATE deliveries SET status = $3, due_at = $4, http_status = $5, error = $6, updated_at = $7,
    progress = $8, attempt = $9
WHERE id = $1 AND attempt = $2;

-- name: delivery_give_back
-- The attempt was not made, or not to its end: its number comes again, so the claim is told by its
-- end, too. $1 id, $2 attempt, $3 when it is due again, $4 parts that were taken, $5 the claim's end
UPDATE deliveries SET due_at = $3, attempt = attempt - 1, progress = $4
WHERE id = $1 AND attempt = $2 AND due_at = $5;

-- name: delivery_next_due
SELECT due_at FROM deliveries WHERE status = 'pending' ORDER BY due_at LIMIT 1;

-- name: delivery_page
-- $1 owner, $2 and $3 bounds of the status, $4 limit, $5 offset
SELECT id, kind, target, status, attempt, due_at, http_status, error, created_at, updated_at
FROM deliveries
WHERE owner = $1 AND status >= $2 AND status <= $3
ORDER BY id DESC LIMIT $4 OFFSET $5;

-- name: delivery_revive
-- $1 id, $2 owner, $3 now
UPDATE deliveries SET status = 'pending', attempt = 0, due_at = $3, updated_at = $3
WHERE id = $1 AND owner = $2 AND status = 'dead';

-- name: delivery_sweep
-- The dead of before $1, at most $2.
DELETE FROM deliveries
WHERE id IN (SELECT d.id FROM deliveries d WHERE d.status = 'dead' AND d.updated_at < $1
             ORDER BY d.updated_at LIMIT $2);

-- name: delivery_counts
-- The dead, those that wait, and since when the first of them is due. $1 counted at most
SELECT (SELECT count(*)
        FROM (SELECT 1 FROM deliveries WHERE status = 'dead' LIMIT $1) AS d),
    (SELECT count(*)
     FROM (SELECT 1 FROM deliveries WHERE status = 'pending' LIMIT $1) AS p),
    coalesce((SELECT due_at FROM deliveries WHERE status = 'pending' ORDER BY due_at LIMIT 1),
             0);
