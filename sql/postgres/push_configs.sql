-- Who is told of the ends of tasks of A2A, and what is due to them. src/store/push_configs.c.

-- shared: push_columns
p.thread_id, p.run_id, p.id, p.owner, p.version, p.url, p.token, p.scheme, p.credentials

-- name: push_config_put
-- Unless the run has $11 others, or is gone. Its state is held: a run that ends meanwhile sees it,
-- or its end is seen by what follows in the batch.
-- $1 id, $2 thread, $3 run, $4 owner, $5 version, $6 address, $7 token, $8 scheme, $9 credentials,
-- $10 now
INSERT INTO holdfast.push_configs (run_id, id, thread_id, owner, version, url, token, scheme,
  credentials, created_at)
SELECT $3, $1, $2::uuid, $4, $5, $6, $7, $8, $9, $10::timestamptz
FROM (SELECT 1 FROM holdfast.run_states s WHERE s.run_id = $3 FOR SHARE) run
WHERE (SELECT count(*) FROM holdfast.push_configs p WHERE p.run_id = $3 AND p.id <> $1) < $11
ON CONFLICT (run_id, id) DO UPDATE SET
  version = excluded.version, url = excluded.url, token = excluded.token, scheme = excluded.scheme,
  credentials = excluded.credentials;

-- name: push_config_get
-- $1 run, $2 id
SELECT @push_columns
FROM holdfast.push_configs p WHERE p.run_id = $1 AND p.id = $2;

-- name: push_config_list
-- $1 run, $2 limit
SELECT @push_columns
FROM holdfast.push_configs p WHERE p.run_id = $1 ORDER BY p.id LIMIT $2;

-- name: push_config_delete
-- $1 run, $2 id
DELETE FROM holdfast.push_configs WHERE run_id = $1 AND id = $2;

-- name: push_told
-- A run has ended: all of them are told. $1 run, $2 now, $3 the same in ms
INSERT INTO holdfast.deliveries (id, owner, kind, order_key, webhook_id, target, payload, due_at,
  created_at, updated_at)
SELECT overlay(replace(gen_random_uuid()::text, '-', '')
               placing lpad(to_hex($3::bigint), 12, '0') || '7' from 1 for 13)::uuid,
       p.owner, 'push', '', p.run_id, p.url,
       '{"run":"' || p.run_id::text || '","config":' || to_json(p.id)::text || '}',
       $2::timestamptz, $2::timestamptz, $2::timestamptz
FROM holdfast.push_configs p
WHERE p.run_id = $1;

-- name: push_told_late
-- One is told, if the run is over. $1 run, $2 id, $3 now, $4 the same in ms
INSERT INTO holdfast.deliveries (id, owner, kind, order_key, webhook_id, target, payload, due_at,
  created_at, updated_at)
SELECT overlay(replace(gen_random_uuid()::text, '-', '')
               placing lpad(to_hex($4::bigint), 12, '0') || '7' from 1 for 13)::uuid,
       p.owner, 'push', '', p.run_id, p.url,
       '{"run":"' || p.run_id::text || '","config":' || to_json(p.id)::text || '}',
       $3::timestamptz, $3::timestamptz, $3::timestamptz
FROM holdfast.push_configs p
JOIN holdfast.run_states s ON s.run_id = p.run_id
WHERE p.run_id = $1 AND p.id = $2 AND NOT s.live;
