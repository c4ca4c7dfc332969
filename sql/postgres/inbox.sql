-- The inbox: who may deliver, and what was delivered. src/store/inbox.c.

-- shared: inbox_source_columns
s.id, s.owner, s.name, s.scheme, s.header, s.key_header, s.secret, s.action, s.retention_us,
       s.version, s.created_at, s.updated_at, s.origins

-- shared: inbox_columns
i.id, i.source_id, i.owner, i.key, i.digest, i.event, i.status, i.thread_id, i.run_id, i.error,
       i.received_at, i.expires_at

-- name: inbox_source_insert
-- Unless the owner has $11. $1 id, $2 owner, $3 name, $4 scheme, $5 header, $6 header of the key,
-- $7 secret, $8 action, $9 retention, $10 now, $12 origins
INSERT INTO holdfast.inbox_sources (id, owner, name, scheme, header, key_header, secret, action,
  retention_us, version, created_at, updated_at, origins)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10::timestamptz, $10::timestamptz, $12
WHERE (SELECT count(*) FROM holdfast.inbox_sources s WHERE s.owner = $2) < $11;

-- name: inbox_source_list
-- $1 owner, $2 limit
SELECT @inbox_source_columns
FROM holdfast.inbox_sources s WHERE s.owner = $1 ORDER BY s.name LIMIT $2;

-- name: inbox_source_get
-- point
-- $1 id, $2 and $3 bounds of the owner
SELECT @inbox_source_columns
FROM holdfast.inbox_sources s WHERE s.id = $1 AND s.owner >= $2 AND s.owner <= $3;

-- name: inbox_source_update
-- $1 id, $2 and $3 bounds of the owner, $4 version that was read, $5 name, $6 scheme, $7 header,
-- $8 header of the key, $9 secret, $10 action, $11 retention, $12 now,
-- $13 origins
UPDATE holdfast.inbox_sources SET name = $5, scheme = $6, header = $7, key_header = $8, secret = $9,
  action = $10, retention_us = $11, version = version + 1, updated_at = $12,
  origins = $13
WHERE id = $1 AND owner >= $2 AND owner <= $3 AND version = $4;

-- name: inbox_source_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM holdfast.inbox_sources WHERE id = $1 AND owner >= $2 AND owner <= $3;

-- name: inbox_drop
-- What a source brought.
DELETE FROM holdfast.inbox WHERE source_id = $1;

-- name: inbox_put
-- Changes nothing when the key is in use, or the source is gone. $1 id, $2 source, $3 key, $4 digest,
-- $5 event, $6 status, $7 thread, $8 run, $9 error, $10 now, $11 when it expires
INSERT INTO holdfast.inbox AS i (id, source_id, owner, key, digest, event, status, thread_id, run_id, error,
  received_at, expires_at)
SELECT $1::uuid, s.id, s.owner, $3, $4, $5, $6, $7::uuid, $8::uuid, $9, $10::timestamptz, $11::timestamptz
FROM holdfast.inbox_sources s WHERE s.id = $2
ON CONFLICT (source_id, key) DO UPDATE SET
  id = excluded.id, digest = excluded.digest, event = excluded.event, status = excluded.status,
  thread_id = excluded.thread_id, run_id = excluded.run_id, error = excluded.error,
  received_at = excluded.received_at, expires_at = excluded.expires_at
WHERE i.expires_at <= $10;

-- name: inbox_find
-- point
-- $1 source, $2 key, $3 now
SELECT i.id, i.digest FROM holdfast.inbox i
WHERE i.source_id = $1 AND i.key = $2 AND i.expires_at > $3;

-- name: inbox_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @inbox_columns
FROM holdfast.inbox i WHERE i.id = $1 AND i.owner >= $2 AND i.owner <= $3;

-- name: inbox_list
-- Newest first. $1 owner, $2 before this id, $3 limit
SELECT @inbox_columns
FROM holdfast.inbox i WHERE i.owner = $1 AND i.id < $2 ORDER BY i.id DESC LIMIT $3;

-- name: inbox_list_of_source
-- $1 owner, $2 before this id, $3 limit, $4 source
SELECT @inbox_columns
FROM holdfast.inbox i
WHERE i.source_id = $4 AND i.id < $2
  AND EXISTS (SELECT 1 FROM holdfast.inbox_sources s WHERE s.id = $4 AND s.owner = $1)
ORDER BY i.id DESC LIMIT $3;

-- name: inbox_list_failed
-- $1 owner, $2 before this id, $3 limit
SELECT @inbox_columns
FROM holdfast.inbox i WHERE i.owner = $1 AND i.status = 'failed' AND i.id < $2
ORDER BY i.id DESC LIMIT $3;

-- name: inbox_again
-- What failed has come to something, or failed again. $1 id, $2 status, $3 thread, $4 run, $5 error
UPDATE holdfast.inbox SET status = $2, thread_id = $3, run_id = $4, error = $5
WHERE id = $1 AND status = 'failed';

-- name: inbox_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM holdfast.inbox WHERE id = $1 AND owner >= $2 AND owner <= $3;

-- name: inbox_sweep
-- $1 now, $2 limit
DELETE FROM holdfast.inbox
WHERE id = ANY (ARRAY(SELECT i.id FROM holdfast.inbox i WHERE i.expires_at <= $1
                      ORDER BY i.expires_at LIMIT $2));
