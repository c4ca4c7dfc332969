-- What a thread takes up, in rows (part, name, count, bytes).

-- name: thread_storage
-- $1 thread. Values and lists that several channels share count for each of them in 'channel', and
-- once in 'values'.
SELECT 'checkpoints' AS part, '' AS name, count(*),
       coalesce(sum(octet_length(channels) + octet_length(next) + octet_length(tasks)
                    + octet_length(metadata) + coalesce(octet_length(saved), 0)), 0)
FROM checkpoints WHERE thread_id = $1
UNION ALL
SELECT 'values', '', count(*), coalesce(sum(bytes), 0)
FROM (SELECT octet_length(value) AS bytes FROM checkpoint_values WHERE thread_id = $1
      UNION ALL SELECT octet_length(items) FROM checkpoint_lists WHERE thread_id = $1)
UNION ALL
SELECT 'channel', channel, count(*), coalesce(sum(bytes), 0)
FROM (SELECT r.channel, octet_length(v.value) AS bytes
      FROM (SELECT DISTINCT e.key AS channel, json_extract(e.value, '$.h') AS hash
            FROM checkpoints c, json_each(c.channels) e WHERE c.thread_id = $1) r
      JOIN checkpoint_values v ON v.thread_id = $1 AND v.hash = r.hash
      UNION ALL
      SELECT r.channel, octet_length(l.items)
      FROM (SELECT DISTINCT e.key AS channel, json_extract(e.value, '$.l') AS list
            FROM checkpoints c, json_each(c.channels) e WHERE c.thread_id = $1) r
      JOIN checkpoint_lists l ON l.thread_id = $1 AND l.list_id = r.list)
GROUP BY channel
UNION ALL
SELECT 'writes', '', count(*), coalesce(sum(octet_length(value)), 0)
FROM checkpoint_writes WHERE thread_id = $1
UNION ALL
SELECT 'log', '', count(*), coalesce(sum(octet_length(data)), 0) FROM events WHERE thread_id = $1
UNION ALL
SELECT 'runs', '', count(*), coalesce(sum(octet_length(kwargs) + octet_length(metadata)), 0)
FROM runs WHERE thread_id = $1
ORDER BY 1, 2;
