-- The server's own settings: a small key/value table. A value is bytes here.

-- name: kv_get
-- point
-- together: text text
-- $1 owner, $2 key
SELECT value, version, updated_at FROM holdfast.kv WHERE owner = $1 AND key = $2;

-- name: kv_list
-- $1 owner, $2 after this key, $3 limit
SELECT key, value, version, updated_at FROM holdfast.kv WHERE owner = $1 AND key COLLATE "C" > $2 ORDER BY key COLLATE "C" LIMIT $3;

-- name: kv_insert
-- $1 owner, $2 key, $3 value, $4 now
INSERT INTO holdfast.kv AS kv (owner, key, value, version, updated_at) VALUES ($1, $2, $3, 1, $4);

-- name: kv_insert_missing
-- $1 owner, $2 key, $3 value, $4 now; changes nothing when the key is there
INSERT INTO holdfast.kv AS kv (owner, key, value, version, updated_at) VALUES ($1, $2, $3, 1, $4)
ON CONFLICT (owner, key) DO NOTHING;

-- name: kv_put
-- $1 owner, $2 key, $3 value, $4 now; returns the new version
INSERT INTO holdfast.kv AS kv (owner, key, value, version, updated_at) VALUES ($1, $2, $3, 1, $4)
ON CONFLICT (owner, key) DO UPDATE
SET value = excluded.value, version = kv.version + 1, updated_at = excluded.updated_at
RETURNING version;

-- name: kv_replace
-- $1 owner, $2 key, $3 value, $4 now, $5 the version it replaces
UPDATE holdfast.kv SET value = $3, version = version + 1, updated_at = $4
WHERE owner = $1 AND key = $2 AND version = $5
RETURNING version;

-- name: kv_delete
-- $1 owner, $2 key
DELETE FROM holdfast.kv WHERE owner = $1 AND key = $2;
