-- Pruning: of each namespace the states before a floor go, but for those that are named. See
-- src/store/thread_prune.c. Each statement does it in both layouts.

-- name: prune_floors
-- Of each namespace: it, the oldest state that stays, the root state that its newest one belongs to
-- (of a subgraph's), how many there are before the floor, and how many in all.
-- $1 thread, $2 how many newest stay, $3 the time before which none but the newest stays, $4 limit
WITH states AS (
  SELECT checkpoint_ns AS ns, checkpoint_id::text COLLATE "C" AS id, created_at AS at
  FROM holdfast.checkpoints WHERE thread_id = $1
  UNION ALL
  SELECT checkpoint_ns, checkpoint_id COLLATE "C",
         CASE WHEN $2::int8 = 1 THEN NULL
              WHEN checkpoint ->> 'ts' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'
              THEN (checkpoint ->> 'ts')::timestamptz ELSE 'infinity' END
  FROM lg_checkpoints.checkpoints
  WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND holdfast.to_uuid(checkpoint_id) IS NOT NULL
), ranked AS (
  SELECT ns, id, at, row_number() OVER (PARTITION BY ns ORDER BY id DESC) AS n FROM states
), floors AS (
  SELECT ns, max(id) AS newest, count(*) AS states,
         min(id) FILTER (WHERE n = 1 OR (n <= $2 AND at >= $3::timestamptz)) AS floor
  FROM ranked GROUP BY ns
)
SELECT f.ns, f.floor::uuid,
       coalesce((SELECT c.metadata::jsonb -> 'parents' ->> '' FROM holdfast.checkpoints c
                 WHERE c.thread_id = $1 AND c.checkpoint_ns = f.ns
                   AND c.checkpoint_id = f.newest::uuid),
                (SELECT c.metadata -> 'parents' ->> '' FROM lg_checkpoints.checkpoints c
                 WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
                   AND c.checkpoint_ns = f.ns AND c.checkpoint_id = f.newest LIMIT 1)),
       (SELECT count(*) FROM ranked r WHERE r.ns = f.ns AND r.id < f.floor), f.states
FROM floors f ORDER BY f.ns COLLATE "C" LIMIT $4;

-- name: prune_needed
-- States before the floor from which later ones are made. A delta channel has a version but neither
-- a blob nor an inline value: it is made from the nearest ancestor that has one, and the writes on
-- the way; without any, from all ancestors. Channels that are merely empty look the same: so this
-- counts only where the libraries have left their marks of delta channels. And a state older than
-- version 4 reads the sends of its parent.
-- $1 thread, $2 namespace, $3 floor
WITH RECURSIVE marks AS (
  SELECT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoints c
                 WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
                   AND c.checkpoint_ns = $2
                   AND (c.metadata ? 'counters_since_delta_snapshot'
                        OR c.metadata ? 'delta_writes_versioned'
                        OR EXISTS (
                          SELECT 1
                          FROM jsonb_each(CASE jsonb_typeof(c.checkpoint -> 'channel_values')
                                          WHEN 'object' THEN c.checkpoint -> 'channel_values' END) i
                          JOIN lg_checkpoints.checkpoint_blobs b
                            ON b.thread_id = c.thread_id AND b.checkpoint_ns = $2
                           AND b.channel = i.key
                           AND b.version = c.checkpoint -> 'channel_versions' ->> i.key
                          WHERE i.value = 'true'))) AS delta
), edge AS (
  SELECT c.thread_id, c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint
  FROM lg_checkpoints.checkpoints c
  WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND c.checkpoint_ns = $2 AND c.checkpoint_id COLLATE "C" >= $3::uuid::text
    AND c.parent_checkpoint_id COLLATE "C" < $3::uuid::text
), chain (thread_id, id, parent, channels) AS (
  SELECT e.thread_id, e.checkpoint_id, e.parent_checkpoint_id,
         ARRAY(SELECT v.key FROM jsonb_each_text(e.checkpoint -> 'channel_versions') v
               WHERE v.key !~ '^(__|branch:|join:)'
                 AND NOT coalesce(e.checkpoint -> 'channel_values' ? v.key, false)
                 AND NOT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoint_blobs b
                                 WHERE b.thread_id = e.thread_id AND b.checkpoint_ns = $2
                                   AND b.channel = v.key AND b.version = v.value))
  FROM edge e, marks WHERE marks.delta
  UNION
  SELECT c.thread_id, c.checkpoint_id, c.parent_checkpoint_id,
         ARRAY(SELECT n.name FROM unnest(p.channels) AS n(name)
               WHERE NOT coalesce(c.checkpoint -> 'channel_values' ? n.name, false)
                 AND NOT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoint_blobs b
                                 WHERE b.thread_id = c.thread_id AND b.checkpoint_ns = $2
                                   AND b.channel = n.name AND b.type <> 'empty'
                                   AND b.version = c.checkpoint -> 'channel_versions' ->> n.name))
  FROM chain p
  JOIN lg_checkpoints.checkpoints c
    ON c.thread_id = p.thread_id AND c.checkpoint_ns = $2 AND c.checkpoint_id = p.parent
  WHERE cardinality(p.channels) > 0
), saved_marks AS (
  SELECT EXISTS (SELECT 1 FROM holdfast.checkpoints c
                 WHERE c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.saved IS NOT NULL
                   AND (c.metadata::jsonb ? 'counters_since_delta_snapshot'
                        OR c.metadata::jsonb ? 'delta_writes_versioned')) AS delta
), saved_edge AS (
  SELECT c.checkpoint_id, c.parent_checkpoint_id, c.channels::jsonb AS channels,
         c.saved::jsonb AS saved
  FROM holdfast.checkpoints c
  WHERE c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id >= $3
    AND c.parent_checkpoint_id < $3 AND c.saved IS NOT NULL
), saved_chain (id, parent, channels) AS (
  SELECT e.checkpoint_id, e.parent_checkpoint_id,
         ARRAY(SELECT v.key FROM jsonb_each(e.saved -> 'channel_versions') v
               WHERE v.key !~ '^(__|branch:|join:)' AND NOT e.channels ? v.key)
  FROM saved_edge e, saved_marks WHERE saved_marks.delta
  UNION
  SELECT c.checkpoint_id, c.parent_checkpoint_id,
         ARRAY(SELECT n.name FROM unnest(p.channels) AS n(name)
               WHERE NOT c.channels::jsonb ? n.name)
  FROM saved_chain p
  JOIN holdfast.checkpoints c
    ON c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id = p.parent
  WHERE cardinality(p.channels) > 0
)
SELECT id::uuid FROM chain WHERE id COLLATE "C" < $3::uuid::text
UNION
SELECT id FROM saved_chain WHERE id < $3
UNION
SELECT e.parent_checkpoint_id FROM saved_edge e
WHERE CASE WHEN e.saved ->> 'v' ~ '^\d+$' THEN (e.saved ->> 'v')::int < 4 END
  AND EXISTS (SELECT 1 FROM holdfast.checkpoint_writes w
              WHERE w.thread_id = $1 AND w.checkpoint_ns = $2
                AND w.checkpoint_id = e.parent_checkpoint_id AND w.channel = '__pregel_tasks')
UNION
SELECT e.parent_checkpoint_id::uuid FROM edge e
WHERE CASE WHEN e.checkpoint ->> 'v' ~ '^\d+$' THEN (e.checkpoint ->> 'v')::int < 4 END
  AND EXISTS (SELECT 1 FROM lg_checkpoints.checkpoint_writes w
              WHERE w.thread_id = e.thread_id AND w.checkpoint_ns = $2
                AND w.checkpoint_id = e.parent_checkpoint_id AND w.channel = '__pregel_tasks');

-- name: prune_events
-- The log of runs that lose a state: it shows states, so it is whole or gone.
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay, $5 limit
WITH kept AS (
  SELECT ARRAY(SELECT k::uuid FROM jsonb_array_elements_text($4::jsonb) AS k) AS ids
)
DELETE FROM holdfast.events
WHERE thread_id = $1
  AND run_id = ANY (ARRAY(
    (SELECT c.run_id FROM holdfast.checkpoints c, kept
     WHERE c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id < $3
       AND c.checkpoint_id <> ALL (kept.ids) ORDER BY c.checkpoint_id LIMIT $5)
    UNION
    (SELECT holdfast.to_uuid(c.metadata ->> 'run_id') FROM lg_checkpoints.checkpoints c, kept
     WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
       AND c.checkpoint_ns = $2 AND c.checkpoint_id COLLATE "C" < $3::uuid::text
       AND c.checkpoint_id <> ALL (kept.ids::text[]) ORDER BY c.checkpoint_id LIMIT $5)));

-- name: prune_checkpoints
-- Writes go with their state, a blob when a state that goes refers to it and none that stays does:
-- what another process is about to write is neither seen nor deleted.
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay, $5 limit
WITH kept AS (
  SELECT ARRAY(SELECT k::uuid FROM jsonb_array_elements_text($4::jsonb) AS k) AS ids
), victims AS (
  SELECT c.thread_id, c.checkpoint_id FROM lg_checkpoints.checkpoints c, kept
  WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND c.checkpoint_ns = $2 AND c.checkpoint_id COLLATE "C" < $3::uuid::text
    AND c.checkpoint_id <> ALL (kept.ids::text[]) ORDER BY c.checkpoint_id LIMIT $5
), writes AS (
  DELETE FROM lg_checkpoints.checkpoint_writes w USING victims v
  WHERE w.thread_id = v.thread_id AND w.checkpoint_ns = $2 AND w.checkpoint_id = v.checkpoint_id
), gone AS (
  DELETE FROM lg_checkpoints.checkpoints c USING victims v
  WHERE c.thread_id = v.thread_id AND c.checkpoint_ns = $2 AND c.checkpoint_id = v.checkpoint_id
  RETURNING c.thread_id, c.checkpoint -> 'channel_versions' AS versions
), freed AS (
  SELECT DISTINCT g.thread_id, r.key, r.value
  FROM gone g CROSS JOIN LATERAL jsonb_each_text(g.versions) AS r
), used AS (
  SELECT DISTINCT c.thread_id, r.key, r.value
  FROM lg_checkpoints.checkpoints c
  CROSS JOIN LATERAL jsonb_each_text(c.checkpoint -> 'channel_versions') AS r
  WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND c.checkpoint_ns = $2
    AND NOT EXISTS (SELECT 1 FROM victims v WHERE v.thread_id = c.thread_id
                                              AND v.checkpoint_id = c.checkpoint_id)
), blobs AS (
  DELETE FROM lg_checkpoints.checkpoint_blobs b USING freed f
  WHERE b.thread_id = f.thread_id AND b.checkpoint_ns = $2 AND b.channel = f.key
    AND b.version = f.value
    AND NOT EXISTS (SELECT 1 FROM used u WHERE u.thread_id = f.thread_id AND u.key = f.key
                                           AND u.value = f.value)
), native AS (
  DELETE FROM holdfast.checkpoints c
  WHERE c.thread_id = $1 AND c.checkpoint_ns = $2
    AND c.checkpoint_id = ANY (ARRAY(
      SELECT o.checkpoint_id FROM holdfast.checkpoints o, kept
      WHERE o.thread_id = $1 AND o.checkpoint_ns = $2 AND o.checkpoint_id < $3
        AND o.checkpoint_id <> ALL (kept.ids) ORDER BY o.checkpoint_id LIMIT $5))
  RETURNING 1
)
SELECT 1 FROM gone UNION ALL SELECT 1 FROM native;

-- name: prune_parents
-- $1 thread, $2 namespace, $3 floor, $4 JSON array of ids that stay
WITH kept AS (
  SELECT ARRAY(SELECT k::uuid FROM jsonb_array_elements_text($4::jsonb) AS k) AS ids
), lg AS (
  UPDATE lg_checkpoints.checkpoints c SET parent_checkpoint_id = NULL FROM kept
  WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND c.checkpoint_ns = $2 AND c.parent_checkpoint_id COLLATE "C" < $3::uuid::text
    AND c.parent_checkpoint_id <> ALL (kept.ids::text[])
)
UPDATE holdfast.checkpoints c SET parent_checkpoint_id = NULL FROM kept
WHERE c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.parent_checkpoint_id < $3
  AND c.parent_checkpoint_id <> ALL (kept.ids);

-- name: prune_values
-- What no state refers to any more, and older states that other runtimes keep beside them.
-- $1 thread
WITH used AS (
  SELECT DISTINCT e.value ->> 'h' AS hash
  FROM holdfast.checkpoints c CROSS JOIN LATERAL jsonb_each(c.channels::jsonb) AS e
  WHERE c.thread_id = $1
), states AS (
  DELETE FROM langgraph_server.thread_states s
  WHERE s.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND s.id < (SELECT max(o.id) FROM langgraph_server.thread_states o
                WHERE o.thread_id = s.thread_id)
)
DELETE FROM holdfast.checkpoint_values v
WHERE v.thread_id = $1 AND NOT EXISTS (SELECT 1 FROM used u WHERE u.hash = v.hash);

-- name: prune_lists
-- A state needs a list from its start to a length. $1 thread
WITH used AS (
  SELECT (e.value ->> 'l')::int8 AS list, max((e.value ->> 'n')::int8) AS length
  FROM holdfast.checkpoints c CROSS JOIN LATERAL jsonb_each(c.channels::jsonb) AS e
  WHERE c.thread_id = $1 AND e.value ? 'l' GROUP BY 1
)
DELETE FROM holdfast.checkpoint_lists l
WHERE l.thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM used u WHERE u.list = l.list_id AND u.length > l.start);
