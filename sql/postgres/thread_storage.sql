-- What a thread takes up, in rows (part, name, count, bytes as stored: large values are compressed).

-- name: thread_storage
-- $1 thread, in both layouts. Values and lists that several channels share count for each of them in
-- 'channel', and once in 'values'.
WITH lg AS (
  SELECT c.* FROM lg_checkpoints.checkpoints c
  WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
), blobs AS (
  SELECT b.channel, coalesce(pg_column_size(b.blob), 0) AS bytes
  FROM lg_checkpoints.checkpoint_blobs b
  WHERE b.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
), refs AS (
  SELECT DISTINCT e.key AS channel, e.value ->> 'h' AS hash, (e.value ->> 'l')::int8 AS list
  FROM holdfast.checkpoints c CROSS JOIN LATERAL jsonb_each(c.channels::jsonb) AS e
  WHERE c.thread_id = $1
)
SELECT 'checkpoints' AS part, '' AS name, count(*), coalesce(sum(bytes), 0)::int8
FROM (SELECT pg_column_size(checkpoint) + pg_column_size(metadata) AS bytes FROM lg
      UNION ALL
      SELECT pg_column_size(channels) + pg_column_size(next) + pg_column_size(tasks)
             + pg_column_size(metadata) + coalesce(pg_column_size(saved), 0)
      FROM holdfast.checkpoints WHERE thread_id = $1
      UNION ALL
      SELECT pg_column_size(s.*) FROM langgraph_server.thread_states s
      WHERE s.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))) c
UNION ALL
SELECT 'values', '', count(*), coalesce(sum(bytes), 0)::int8
FROM (SELECT bytes FROM blobs
      UNION ALL
      SELECT pg_column_size(value) FROM holdfast.checkpoint_values WHERE thread_id = $1
      UNION ALL
      SELECT pg_column_size(items) FROM holdfast.checkpoint_lists WHERE thread_id = $1) v
UNION ALL
SELECT 'channel', channel, count(*), coalesce(sum(bytes), 0)::int8
FROM (SELECT channel, bytes FROM blobs
      UNION ALL
      SELECT r.channel, pg_column_size(v.value)
      FROM (SELECT DISTINCT channel, hash FROM refs WHERE hash IS NOT NULL) r
      JOIN holdfast.checkpoint_values v ON v.thread_id = $1 AND v.hash = r.hash
      UNION ALL
      SELECT r.channel, pg_column_size(l.items)
      FROM (SELECT DISTINCT channel, list FROM refs WHERE list IS NOT NULL) r
      JOIN holdfast.checkpoint_lists l ON l.thread_id = $1 AND l.list_id = r.list) n
GROUP BY channel
UNION ALL
SELECT 'writes', '', count(*), coalesce(sum(bytes), 0)::int8
FROM (SELECT pg_column_size(w.blob) AS bytes FROM lg_checkpoints.checkpoint_writes w
      WHERE w.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
      UNION ALL
      SELECT pg_column_size(w.value) FROM holdfast.checkpoint_writes w WHERE w.thread_id = $1) w
UNION ALL
SELECT 'log', '', count(*), coalesce(sum(pg_column_size(data)), 0)::int8
FROM holdfast.events WHERE thread_id = $1
UNION ALL
SELECT 'runs', '', count(*), coalesce(sum(pg_column_size(kwargs) + pg_column_size(metadata)), 0)::int8
FROM langgraph_server.runs
WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
ORDER BY 1, 2;
