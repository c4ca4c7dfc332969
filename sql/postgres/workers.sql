-- Workers (processes), and who does the periodic work. Leases run by the clock of the database.

-- name: worker_insert
-- unused: 4
-- $1 id, $2 host, $3 pid, $5 length of the lease in microseconds, $6 address of its datagrams
INSERT INTO holdfast.workers (id, host, pid, started_at, seen_at, expires_at, address)
SELECT $1, $2, $3, clock_timestamp(), clock_timestamp(),
       clock_timestamp() + $5::int8 * interval '1 microsecond', $6
WHERE @unused;

-- name: worker_renew
-- unused: 2
-- A lease that is over stays over. Returns how many others are alive. $1 id, $3 length
UPDATE holdfast.workers
SET seen_at = clock_timestamp(), expires_at = clock_timestamp() + $3::int8 * interval '1 microsecond'
WHERE id = $1 AND expires_at > clock_timestamp() AND @unused
RETURNING (SELECT count(*) FROM holdfast.workers o
           WHERE o.id <> $1 AND o.expires_at > clock_timestamp());

-- name: worker_addresses
-- unused: 2
-- Of the others that are alive. $1 id, $3 limit
SELECT address FROM holdfast.workers
WHERE id <> $1 AND expires_at > clock_timestamp() AND address IS NOT NULL AND @unused LIMIT $3;

-- name: worker_delete
DELETE FROM holdfast.workers WHERE id = $1;

-- name: worker_sweep
-- Those that were gone before $1.
DELETE FROM holdfast.workers WHERE expires_at < $1 AND expires_at < clock_timestamp();

-- name: leader_take
-- unused: 3
-- $1 name, $2 worker, $4 length in microseconds
INSERT INTO holdfast.leaders AS l (name, worker, expires_at)
SELECT $1, $2, clock_timestamp() + $4::int8 * interval '1 microsecond' WHERE @unused
ON CONFLICT (name) DO UPDATE SET worker = excluded.worker, expires_at = excluded.expires_at
WHERE l.worker = excluded.worker OR l.expires_at <= clock_timestamp();

-- name: leader_leave
-- $1 worker
DELETE FROM holdfast.leaders WHERE worker = $1;

-- name: hint_send
-- only: postgres
-- On its own, never in a batch: the server takes a lock for it when it commits. $1 text
SELECT true FROM pg_notify('holdfast', $1);
