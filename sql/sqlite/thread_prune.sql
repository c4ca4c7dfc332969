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
-- States before the floor from which later ones are made. Those of the server have all of their
-- values. Of a saver's, a delta channel has a version but no value: it is made from the nearest
-- ancestor that has one, and the writes on the way; without any, from all ancestors. Channels that
-- are merely empty look the same: so this counts only where the libraries have left their marks of
-- delta channels. And a state older than version 4 reads the sends of its parent.
-- $1 thread, $2 namespace, $3 floor
WITH RECURSIVE marks AS (
  SELECT EXISTS (SELECT 1 FROM checkpoints
                 WHERE thread_id = $1 AND checkpoint_ns = $2 AND saved IS NOT NULL
                   AND (json_type(metadata, '$.counters_since_delta_snapshot') IS NOT NULL
                        OR json_type(metadata, '$.delta_writes_versioned') IS NOT NULL)) AS delta
), edge AS (
  SELECT checkpoint_id, parent_checkpoint_id, channels, saved FROM checkpoints
  WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id >= $3
    AND parent_checkpoint_id < $3 AND saved IS NOT NULL
), chain (id, parent, channels) AS (
  SELECT e.checkpoint_id, e.parent_checkpoint_id,
         (SELECT json_group_array(v.key) FROM json_each(e.saved, '$.channel_versions') v
          WHERE v.key NOT GLOB '__*' AND v.key NOT GLOB 'branch:*' AND v.key NOT GLOB 'join:*'
            AND NOT EXISTS (SELECT 1 FROM json_each(e.channels) r WHERE r.key = v.key))
  FROM edge e, marks WHERE marks.delta
  UNION
  SELECT c.checkpoint_id, c.parent_checkpoint_id,
         (SELECT json_group_array(n.value) FROM json_each(p.channels) n
          WHERE NOT EXISTS (SELECT 1 FROM json_each(c.channels) r WHERE r.key = n.value))
  FROM chain p
  JOIN checkpoints c ON c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id = p.parent
  WHERE json_array_length(p.channels) > 0
)
SELECT id FROM chain WHERE id < $3
UNION
SELECT e.parent_checkpoint_id FROM edge e
WHERE json_extract(e.saved, '$.v') < 4
  AND EXISTS (SELECT 1 FROM checkpoint_writes w
              WHERE w.thread_id = $1 AND w.checkpoint_ns = $2
                AND w.checkpoint_id = e.parent_checkpoint_id AND w.channel = '__pregel_tasks');

-- name: prune_events
-- The log of runs that lose a state: it shows states, so it is whole or gone.
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay, $5 limit
DELETE FROM events
WHERE thread_id = $1
  AND run_id IN (SELECT run_id FROM checkpoints
                 WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
                   AND checkpoint_id NOT IN (SELECT value FROM json_each($4))
                 ORDER BY checkpoint_id LIMIT $5);

-- shared: next_to_go
-- The checkpoints that go next.
checkpoint_id IN (SELECT checkpoint_id FROM checkpoints
                  WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
                    AND checkpoint_id NOT IN (SELECT value FROM json_each($4))
                  ORDER BY checkpoint_id LIMIT $5)

-- name: prune_writes
-- only: sqlite
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay, $5 limit
DELETE FROM checkpoint_writes
WHERE thread_id = $1 AND checkpoint_ns = $2 AND @next_to_go;

-- name: prune_checkpoints
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay, $5 limit
DELETE FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND @next_to_go;

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
