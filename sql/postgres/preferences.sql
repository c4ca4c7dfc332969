-- Preferences of owners, and what stands in for them in a thread. src/store/preferences.c. What a
-- run or a client is served of them is read by run_context.

-- name: preference_put
-- Unless the owner has $8 and this is none of them, or it is fixed. $1 id, $2 owner, $3 key, $4 value,
-- $5 mutable, when it is new, $6 now, $7 also what is fixed
INSERT INTO holdfast.preferences AS p (id, user_id, key, value, mutable, updated_at)
SELECT $1, $2, $3, $4::jsonb, $5::boolean, $6::timestamptz
WHERE EXISTS (SELECT 1 FROM holdfast.preferences o WHERE o.user_id = $2 AND o.key = $3)
   OR (SELECT count(*) FROM holdfast.preferences o WHERE o.user_id = $2) < $8
ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
WHERE p.mutable OR $7
RETURNING key, value, mutable, updated_at;

-- name: preference_put_all
-- All of an object, or none. $1 owner, $2 {key: value}, $3 mutable, those that are new, $4 now, $5 also
-- what is fixed, $6 how many the owner may have
WITH wanted AS MATERIALIZED (
  SELECT w.key, w.value FROM jsonb_each($2::jsonb) w
), stored AS (
  INSERT INTO holdfast.preferences AS p (id, user_id, key, value, mutable, updated_at)
  SELECT gen_random_uuid(), $1, w.key, w.value, $3::boolean, $4::timestamptz
  FROM wanted w
  WHERE (SELECT count(*) FROM (SELECT o.key FROM holdfast.preferences o WHERE o.user_id = $1
                               UNION SELECT w2.key FROM wanted w2) k) <= $6
  ORDER BY w.key
  ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
  WHERE p.mutable OR $5
  RETURNING key, value, mutable, updated_at
)
SELECT s.key, s.value, s.mutable, s.updated_at
FROM stored s
WHERE CASE WHEN (SELECT count(*) FROM stored) = (SELECT count(*) FROM wanted) THEN true
      ELSE holdfast.expected() END
ORDER BY s.key COLLATE "C";

-- name: preference_get
-- together: text text
-- $1 owner, $2 key
SELECT p.key, p.value, p.mutable, p.updated_at
FROM holdfast.preferences p WHERE p.user_id = $1 AND p.key = $2;

-- name: preference_list
-- By key. $1 owner, $2 [key], NULL: all, $3 limit
SELECT p.key, p.value, p.mutable, p.updated_at
FROM holdfast.preferences p
WHERE p.user_id = $1
  AND ($2::jsonb IS NULL OR p.key = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb))))
ORDER BY p.key COLLATE "C" LIMIT $3;

-- name: preference_delete
-- $1 owner, $2 key, $3 also what is fixed
DELETE FROM holdfast.preferences WHERE user_id = $1 AND key = $2 AND (mutable OR $3);

-- name: preference_fixed
-- Is there one that its owner cannot change? $1 owner, $2 key
SELECT 1 FROM holdfast.preferences WHERE user_id = $1 AND key = $2 AND NOT mutable;

-- name: preference_override_put
-- In a thread of the owner, unless there are $6 others. $1 thread, $2 owner, $3 key, $4 value,
-- $5 expires at
INSERT INTO holdfast.preference_overrides (thread_id, user_id, key, value, expires_at)
SELECT $1, $2, $3, $4::jsonb, $5::timestamptz
FROM langgraph_server.threads t
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" = $2
  AND (SELECT count(*) FROM holdfast.preference_overrides o
       WHERE o.thread_id = $1 AND o.user_id = $2 AND o.key <> $3) < $6
ON CONFLICT (thread_id, user_id, key) DO UPDATE SET
  value = excluded.value, expires_at = excluded.expires_at
RETURNING key, value, expires_at;

-- name: preference_override_delete
-- $1 thread, $2 owner, $3 key, $4 now
DELETE FROM holdfast.preference_overrides
WHERE thread_id = $1 AND user_id = $2 AND key = $3 AND expires_at > $4;

-- name: preference_override_renew
-- Those of a thread that are not over. (In a CASE, for a range of time is thought to be narrow.)
-- $1 thread, $2 owner, $3 now, $4 until
UPDATE holdfast.preference_overrides SET expires_at = $4
WHERE thread_id = $1 AND user_id = $2
  AND CASE WHEN expires_at > $3 THEN expires_at < $4 ELSE false END;

-- name: preference_override_sweep
-- $1 now, $2 limit
DELETE FROM holdfast.preference_overrides
WHERE ctid = ANY (ARRAY(SELECT o.ctid FROM holdfast.preference_overrides o WHERE o.expires_at <= $1
                        ORDER BY o.expires_at LIMIT $2 FOR UPDATE SKIP LOCKED));
