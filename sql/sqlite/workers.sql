-- Workers (processes), and who does the periodic work.

-- name: worker_insert
-- $1 id, $2 host, $3 pid, $4 now, $5 length of the lease, $6 address of its datagrams
INSERT INTO workers (id, host, pid, started_at, seen_at, expires_at, address)
VALUES ($1, $2, $3, $4, $4, $4 + $5, $6);

-- name: worker_renew
-- A lease that is over stays over. Returns how many others are alive. $1 id, $2 now, $3 length
UPDATE workers SET seen_at = $2, expires_at = $2 + $3 WHERE id = $1 AND expires_at > $2
RETURNING (SELECT count(*) FROM workers o WHERE o.id <> $1 AND o.expires_at > $2);

-- name: worker_addresses
-- Of the others that are alive. $1 id, $2 now, $3 limit
SELECT address FROM workers WHERE id <> $1 AND expires_at > $2 AND address IS NOT NULL LIMIT $3;

-- name: worker_delete
DELETE FROM workers WHERE id = $1;

-- name: worker_sweep
-- Those that were gone before $1.
DELETE FROM workers WHERE expires_at < $1;

-- name: leader_take
-- $1 name, $2 worker, $3 now, $4 length
INSERT INTO leaders (name, worker, expires_at) VALUES ($1, $2, $3 + $4)
ON CONFLICT (name) DO UPDATE SET worker = excluded.worker, expires_at = excluded.expires_at
WHERE leaders.worker = $2 OR leaders.expires_at <= $3;

-- name: leader_leave
-- $1 worker
DELETE FROM leaders WHERE worker = $1;
