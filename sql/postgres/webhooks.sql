-- Webhooks: who subscribed to the events of plans, and what is due to them. src/store/webhooks.c.

-- shared: webhook_columns
w.id, w.owner, w.project_id, w.url, w.types, w.steps, w.mode, w.secret, w.status, w.created_at,
       w.updated_at, w.handshake, w.rate

-- name: webhook_insert
-- Unless the owner has $11. $1 id, $2 owner, $3 project, $4 address, $5 types, $6 wants steps,
-- $7 mode, $8 secret, $9 status, $10 now, $12 asks for consent, $13 requests a minute
INSERT INTO holdfast.webhooks (id, owner, project_id, url, types, steps, mode, secret, status,
  created_at, updated_at, handshake, rate)
SELECT $1, $2, $3, $4, $5, $6::boolean, $7, $8, $9, $10::timestamptz, $10::timestamptz,
       $12::boolean, $13
WHERE (SELECT count(*) FROM holdfast.webhooks w WHERE w.owner = $2) < $11;

-- name: webhook_list
-- $1 owner, $2 limit
SELECT @webhook_columns
FROM holdfast.webhooks w WHERE w.owner = $1 ORDER BY w.id LIMIT $2;

-- name: webhook_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @webhook_columns
FROM holdfast.webhooks w WHERE w.id = $1 AND w.owner >= $2 AND w.owner <= $3;

-- name: webhook_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM holdfast.webhooks WHERE id = $1 AND owner >= $2 AND owner <= $3;

-- name: webhook_drop_deliveries
DELETE FROM holdfast.deliveries WHERE webhook_id = $1;

-- name: webhook_status
-- $1 id, $2 and $3 bounds of the owner, $4 status, $5 now
UPDATE holdfast.webhooks SET status = $4, updated_at = $5
WHERE id = $1 AND owner >= $2 AND owner <= $3;

-- name: webhook_give_up
-- What waits for a receiver that is gone. $1 webhook, $2 error, $3 now
UPDATE holdfast.deliveries SET status = 'dead', error = $2, updated_at = $3
WHERE webhook_id = $1 AND status = 'pending';

-- shared: outbox_columns
(id, owner, kind, order_key, webhook_id, order_seq, target, payload, due_at, created_at, updated_at)

-- A row of an entry e in the log of plan p for webhook w, up to the payload's last members, at o.ms
-- shared: outbox_row
overlay(replace(gen_random_uuid()::text, '-', '')
               placing lpad(to_hex(o.ms), 12, '0') || '7' from 1 for 13)::uuid,
       w.owner, 'events', w.id::text || '/' || p.thread_id::text, w.id, e.seq, w.url,
       '{"webhook":"' || w.id::text || '","plan":"' || p.id::text
         || '","thread":"' || p.thread_id::text
         || '","run":"' || e.run_id::text || '","project":' || to_json(p.project_id)::text
         || ',"seq":' || e.seq::text
         || ',"kind":' || e.kind::text
         || ',"at":' || (extract(epoch FROM e.at) * 1000000)::bigint::text

-- shared: outbox_wanted
(w.steps OR position('"status":' in e.data) > 0 OR position('"began":' in e.data) > 0)

-- name: outbox_add
-- The last $2 entries of a thread's log, of kinds $3 and $4, to everybody who wants them. $1 thread,
-- $5 now, $6 the same in ms
INSERT INTO holdfast.deliveries @outbox_columns
SELECT @outbox_row || ',"data":' || e.data || '}', $5::timestamptz, $5::timestamptz, $5::timestamptz
FROM (SELECT $6::bigint AS ms) o
CROSS JOIN holdfast.plans p
JOIN holdfast.webhooks w ON w.owner = p.owner AND w.status = 'active'
 AND w.project_id IN ('', p.project_id)
JOIN holdfast.events e ON e.thread_id = p.thread_id AND e.kind IN ($3, $4)
 AND e.seq > (SELECT h.seq FROM holdfast.thread_heads h WHERE h.thread_id = $1) - $2
WHERE p.thread_id = $1 AND @outbox_wanted;

-- name: outbox_replay
-- The log of a plan once more, to one webhook. $1 webhook, $2 plan, $3 kind, $4 after this number,
-- $5 now, $6 the same in ms, $7 only the event of this index (-1: all), $8 up to this number, $9 limit
INSERT INTO holdfast.deliveries @outbox_columns
SELECT @outbox_row || ',"only":' || $7::bigint::text || ',"data":' || e.data || '}',
       $5::timestamptz, $5::timestamptz, $5::timestamptz
FROM (SELECT $6::bigint AS ms) o
CROSS JOIN holdfast.plans p
JOIN holdfast.webhooks w ON w.id = $1
JOIN holdfast.events e ON e.thread_id = p.thread_id
WHERE p.id = $2 AND e.kind = $3 AND e.seq > $4 AND e.seq <= $8
ORDER BY e.seq LIMIT $9
RETURNING order_seq;
