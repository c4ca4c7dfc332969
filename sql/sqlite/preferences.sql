-- Preferences of owners, and what stands in for them in a thread. src/store/preferences.c. What a
-- run or a client is served of them is read by run_context.

-- name: preference_put
-- Unless the owner has $8 and this is none of them, or it is fixed. $1 id, $2 owner, $3 key, $4 value,
-- $5 mutable, when it is new, $6 now, $7 also what is fixed
INSERT INTO preferences (id, user_id, key, value, mutable, updated_at)
SELECT $1, $2, $3, $4, $5, $6
WHERE EXISTS (SELECT 1 FROM preferences o WHERE o.user_id = $2 AND o.key = $3)
   OR (SELECT count(*) FROM preferences o WHERE o.user_id = $2) < $8
ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
WHERE preferences.mutable OR $7
RETURNING key, value, mutable, updated_at;

-- name: preference_put_all
-- All of an object, or none. $1 owner, $2 {key: value}, $3 mutable, those that are new, $4 now, $5 also
-- what is fixed, $6 how many the owner may have
INSERT INTO preferences (id, user_id, key, value, mutable, updated_at)
SELECT lower(hex(randomblob(16))), $1, w.key, $2 -> ('$."' || w.key || '"'), $3, $4
FROM json_each($2) w
WHERE ($5 OR NOT EXISTS (SELECT 1 FROM json_each($2) w2 CROSS JOIN preferences o
                         ON o.user_id = $1 AND o.key = w2.key WHERE NOT o.mutable))
  AND (SELECT count(*) FROM (SELECT o.key FROM preferences o WHERE o.user_id = $1
                             UNION SELECT w3.key FROM json_each($2) w3)) <= $6
ORDER BY w.key
ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
RETURNING key, value, mutable, updated_at;

-- name: preference_get
-- point
-- $1 owner, $2 key
SELECT key, value, mutable, updated_at FROM preferences WHERE user_id = $1 AND key = $2;

-- name: preference_list
-- By key. $1 owner, $2 [key], NULL: all, $3 limit
SELECT key, value, mutable, updated_at FROM preferences
WHERE user_id = $1 AND ($2 IS NULL OR key IN (SELECT w.value FROM json_each($2) w))
ORDER BY key LIMIT $3;

-- name: preference_delete
-- $1 owner, $2 key, $3 also what is fixed
DELETE FROM preferences WHERE user_id = $1 AND key = $2 AND (mutable OR $3);

-- name: preference_fixed
-- Is there one that its owner cannot change? $1 owner, $2 key
SELECT 1 FROM preferences WHERE user_id = $1 AND key = $2 AND NOT mutable;

-- name: preference_override_put
-- In a thread of the owner, unless there are $6 others. $1 thread, $2 owner, $3 key, $4 value,
-- $5 expires at
INSERT INTO preference_overrides (thread_id, user_id, key, value, expires_at)
SELECT $1, $2, $3, $4, $5
FROM threads t
WHERE t.id = $1 AND t.owner = $2
  AND (SELECT count(*) FROM preference_overrides o
       WHERE o.thread_id = $1 AND o.user_id = $2 AND o.key <> $3) < $6
ON CONFLICT (thread_id, user_id, key) DO UPDATE SET
  value = excluded.value, expires_at = excluded.expires_at
RETURNING key, value, expires_at;

-- name: preference_override_delete
-- $1 thread, $2 owner, $3 key, $4 now
DELETE FROM preference_overrides
WHERE thread_id = $1 AND user_id = $2 AND key = $3 AND expires_at > $4;

-- name: preference_override_renew
-- Those of a thread that are not over. $1 thread, $2 owner, $3 now, $4 until
UPDATE preference_overrides SET expires_at = $4
WHERE thread_id = $1 AND user_id = $2 AND expires_at > $3 AND expires_at < $4;

-- name: preference_override_sweep
-- $1 now, $2 limit
DELETE FROM preference_overrides
WHERE rowid IN (SELECT o.rowid FROM preference_overrides o WHERE o.expires_at <= $1
                ORDER BY o.expires_at LIMIT $2);
