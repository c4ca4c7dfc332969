-- Pruning: of each namespace the states before a floor go, but for those that are named. See
-- src/store/thread_prune.c.

-- name: prune_floors
-- Of each namespace: it, the oldest state that stays, the root state that its newest one belongs to
-- (of a subgraph's), how many there are before the floor, and how many in all.
-- $1 thread, $2 how many newest stay, $3 the time before which none but the newest stays, $4 limit
WITH ranked AS (
  SELECT checkpoint_ns AS ns, checkpoint_id AS id, created_at,
         row_number() OVER (PARTITION BY checkpoint_ns ORDER BY checkpoint_id DESC) AS n
  FROM checkpoints WHERE thread_id = $1
), floors AS (
  SELECT ns, max(id) AS newest, count(*) AS states,
         min(CASE WHEN n = 1 OR (n <= $2 AND created_at >= $3) THEN id END) AS floor
  FROM ranked GROUP BY ns
)
SELECT f.ns, f.floor, json_extract(c.metadata, '$.parents.""'),
       (SELECT count(*) FROM checkpoints b
        WHERE b.thread_id = $1 AND b.checkpoint_ns = f.ns AND b.checkpoint_id < f.floor), f.states
FROM floors f
JOIN checkpoints c ON c.thread_id = $1 AND c.checkpoint_ns = f.ns AND c.checkpoint_id = f.newest
ORDER BY f.ns LIMIT $4;

-- name: prune_needed
-- States before the floor from which later ones are made: none, each has all of its values.
-- $1 thread, $2 namespace, $3 floor
SELECT checkpoint_id FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3 AND false;

-- name: prune_events
-- The log of runs that lose a state: it shows states, so it is whole or gone.
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay, $5 limit
DELETE FROM events
WHERE thread_id = $1
  AND run_id IN (SELECT run_id FROM checkpoints
                 WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
                   AND checkpoint_id NOT IN (SELECT value FROM json_each($4))
                 ORDER BY checkpoint_id LIMIT $5);

-- name: prune_checkpoints
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay, $5 limit
DELETE FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2
  AND checkpoint_id IN (SELECT checkpoint_id FROM checkpoints
                        WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
                          AND checkpoint_id NOT IN (SELECT value FROM json_each($4))
                        ORDER BY checkpoint_id LIMIT $5);

-- name: prune_parents
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay
UPDATE checkpoints SET parent_checkpoint_id = NULL
WHERE thread_id = $1 AND checkpoint_ns = $2 AND parent_checkpoint_id < $3
  AND parent_checkpoint_id NOT IN (SELECT value FROM json_each($4));

-- name: prune_values
-- What no state refers to any more. $1 thread
WITH used AS MATERIALIZED (
  SELECT DISTINCT json_extract(e.value, '$.h') AS hash
  FROM checkpoints c, json_each(c.channels) e WHERE c.thread_id = $1
)
DELETE FROM checkpoint_values
WHERE thread_id = $1 AND NOT EXISTS (SELECT 1 FROM used u WHERE u.hash = checkpoint_values.hash);

-- name: prune_lists
-- A state needs a list from its start to a length. $1 thread
WITH used AS MATERIALIZED (
  SELECT json_extract(e.value, '$.l') AS list, max(json_extract(e.value, '$.n')) AS length
  FROM checkpoints c, json_each(c.channels) e
  WHERE c.thread_id = $1 AND json_extract(e.value, '$.l') IS NOT NULL
  GROUP BY 1
)
DELETE FROM checkpoint_lists
WHERE thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM used u WHERE u.list = list_id AND u.length > start);
