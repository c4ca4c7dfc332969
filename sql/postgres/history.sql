-- The history store: src/history/sql/. $1 is a session's key unless said otherwise. What changes a
-- session's events holds its row first.

-- shared: history_session
(SELECT s.number FROM holdfast.history_sessions s WHERE s.key = $1)

-- shared: history_columns
e.seq, e.id, e.type, e.occurred_at, e.stored_at, e.source, e.trace_id, nullif(e.ttl_ms, 0),
       e.headers, nullif(e.kind, 0)

-- shared: history_largest
(SELECT s.bytes_max FROM holdfast.history_sessions s WHERE s.key = $1)

-- name: history_bump
-- many
-- Room for events, the session if need be. $2 owner, $3 name, $4 events, $5 bytes of payloads, $6 of
-- the largest one, $7 the first to expire, $8 now
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::int8[],
                       $7::timestamptz[], $8::timestamptz[]) WITH ORDINALITY
    AS a(key, owner, name, events, bytes, bytes_max, expires_at, now, number)
), made AS (
  INSERT INTO holdfast.history_sessions AS s (key, owner, name, last_seq, low_seq, events, bytes,
    bytes_max, oldest_at, expires_at, checkpoints, deleted, created_at, updated_at)
  SELECT a.key, a.owner, a.name, a.events, 1, a.events, a.bytes, a.bytes_max, a.now, a.expires_at, 0,
         false, a.now, a.now
  FROM args a ORDER BY a.key
  ON CONFLICT (key) DO UPDATE SET
    last_seq = s.last_seq + excluded.last_seq, events = s.events + excluded.events,
    bytes = s.bytes + excluded.bytes, bytes_max = greatest(s.bytes_max, excluded.bytes_max),
    expires_at = least(s.expires_at, excluded.expires_at), updated_at = excluded.updated_at
  RETURNING key, last_seq
)
SELECT a.number, m.last_seq FROM args a JOIN made m ON m.key = a.key;

-- name: history_add
-- many
-- One of the events that room was made for. $2 how many come after it, $3 id, $4 type, $5 occurred
-- at, $6 now, $7 expires at, $8 source, $9 trace id, $10 ttl in ms, $11 headers, $12 kind of
-- payload, $13 digest, $14 payload
INSERT INTO holdfast.history_events (session, seq, id, type, occurred_at, stored_at, expires_at,
  source, trace_id, ttl_ms, headers, kind, digest, bytes, payload)
SELECT s.number, s.last_seq - e.back, e.id, e.type, e.occurred_at, e.now, e.expires_at, e.source,
       e.trace_id, e.ttl_ms, e.headers, e.kind, e.digest, length(e.payload), e.payload
FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
            $7::timestamptz[], $8::text[], $9::text[], $10::int8[], $11::text[], $12::int2[],
            $13::bytea[], $14::bytea[])
  AS e(key, back, id, type, occurred_at, now, expires_at, source, trace_id, ttl_ms, headers, kind,
       digest, payload)
JOIN LATERAL (SELECT t.number, t.last_seq FROM holdfast.history_sessions t WHERE t.key = e.key
              OFFSET 0) s ON true;

-- name: history_known
-- Which of these ids are there? $2 [id]
SELECT e.id, e.seq, e.digest
FROM json_array_elements_text($2::json) AS i(id)
CROSS JOIN LATERAL (SELECT f.id, f.seq, f.digest FROM holdfast.history_events f
                    WHERE f.session = @history_session AND f.id = i.id OFFSET 0) e;

-- name: history_state
-- point
-- together: uuid
SELECT s.last_seq FROM holdfast.history_sessions s WHERE s.key = $1;

-- In what follows, bounds that are not the order's stand in a CASE: a range is thought to be narrow; then
-- another index and a sort look cheaper than the order of the right one, whatever the session's size.
-- A number costs the server 80 ns a row to send, NULL nothing: what follows from the rest is NULL, which
-- is the length of a payload that is there, and the largest payload when it does not bound the page.

-- shared: history_bound_seq
(SELECT s.bytes_max FROM holdfast.history_sessions s
        WHERE s.key = $1 AND $8::int8 < $7::int8 * s.bytes_max)

-- name: history_by_seq_up
-- vary: what = heads:e.bytes,NULL::bytea full:nullif(e.bytes,length(e.payload)),e.payload
-- $2 from, $3 to, $4 occurred from, $5 before, $6 now, $7 limit, $8 of how many bytes; the last
-- column is the largest payload of the session, if that is why there may be less
SELECT @history_columns, @what, @history_bound_seq
FROM holdfast.history_events e
WHERE e.session = @history_session AND e.seq >= $2 AND e.seq <= $3
  AND CASE WHEN e.occurred_at < $4 OR e.expires_at <= $6 THEN false ELSE e.occurred_at < $5 END
ORDER BY e.seq
LIMIT (SELECT greatest(1, least($7::int8, $8::int8 / greatest(@history_largest, 1))));

-- name: history_by_seq_down
-- vary: what = heads:e.bytes,NULL::bytea full:nullif(e.bytes,length(e.payload)),e.payload
-- As history_by_seq_up.
SELECT @history_columns, @what, @history_bound_seq
FROM holdfast.history_events e
WHERE e.session = @history_session AND e.seq >= $2 AND e.seq <= $3
  AND CASE WHEN e.occurred_at < $4 OR e.expires_at <= $6 THEN false ELSE e.occurred_at < $5 END
ORDER BY e.seq DESC
LIMIT (SELECT greatest(1, least($7::int8, $8::int8 / greatest(@history_largest, 1))));

-- shared: history_bound_time
(SELECT s.bytes_max FROM holdfast.history_sessions s
        WHERE s.key = $1 AND $9::int8 < $8::int8 * s.bytes_max)

-- name: history_by_time_up
-- vary: what = heads:e.bytes,NULL::bytea full:nullif(e.bytes,length(e.payload)),e.payload
-- $2 $3 behind this time and number, $4 occurred before, $5 number from, $6 to, $7 now, $8 limit,
-- $9 of how many bytes
SELECT @history_columns, @what, @history_bound_time
FROM holdfast.history_events e
WHERE e.session = @history_session AND (e.occurred_at, e.seq) > ($2, $3)
  AND e.occurred_at < $4
  AND CASE WHEN e.seq < $5 OR e.expires_at <= $7 THEN false ELSE e.seq <= $6 END
ORDER BY e.occurred_at, e.seq
LIMIT (SELECT greatest(1, least($8::int8, $9::int8 / greatest(@history_largest, 1))));

-- name: history_by_time_down
-- vary: what = heads:e.bytes,NULL::bytea full:nullif(e.bytes,length(e.payload)),e.payload
-- $2 $3 before this time and number, $4 occurred from, $5 number from, $6 to, $7 now, $8 limit,
-- $9 of how many bytes
SELECT @history_columns, @what, @history_bound_time
FROM holdfast.history_events e
WHERE e.session = @history_session AND (e.occurred_at, e.seq) < ($2, $3)
  AND e.occurred_at >= $4
  AND CASE WHEN e.seq < $5 OR e.expires_at <= $7 THEN false ELSE e.seq <= $6 END
ORDER BY e.occurred_at DESC, e.seq DESC
LIMIT (SELECT greatest(1, least($8::int8, $9::int8 / greatest(@history_largest, 1))));

-- name: history_checkpoint_touch
-- The number of the next checkpoint, the session if need be. $2 owner, $3 name, $4 now
INSERT INTO holdfast.history_sessions AS s (key, owner, name, last_seq, low_seq, events, bytes,
  bytes_max, oldest_at, checkpoints, deleted, created_at, updated_at)
VALUES ($1, $2, $3, 0, 1, 0, 0, 0, $4, 1, false, $4, $4)
ON CONFLICT (key) DO UPDATE SET checkpoints = s.checkpoints + 1, updated_at = excluded.updated_at;

-- name: history_checkpoint_add
-- $2 id, $3 parent, $4 label, $5 position, $6 kind of payload, $7 digest, $8 created at, $9 payload
INSERT INTO holdfast.history_checkpoints (session, number, id, parent, label, seq, kind, digest,
  created_at, payload)
SELECT s.number, s.checkpoints, $2,
       coalesce($3::uuid, (SELECT c.id FROM holdfast.history_checkpoints c
                           WHERE c.session = s.number AND c.number = s.latest)),
       $4, CASE $5::int8 WHEN 0 THEN s.last_seq ELSE $5::int8 END, $6, $7, $8, $9
FROM holdfast.history_sessions s
WHERE s.key = $1 AND $5::int8 <= s.last_seq
  AND ($3::uuid IS NULL OR EXISTS (SELECT 1 FROM holdfast.history_checkpoints c
                                   WHERE c.session = s.number AND c.id = $3::uuid))
RETURNING parent, seq;

-- name: history_checkpoint_settle
-- The newest is the latest.
UPDATE holdfast.history_sessions SET latest = checkpoints WHERE key = $1;

-- name: history_checkpoint_trim
-- $2 how many newest ones stay
DELETE FROM holdfast.history_checkpoints
WHERE session = @history_session AND number <= (
  SELECT c.number FROM holdfast.history_checkpoints c WHERE c.session = @history_session
  ORDER BY c.number DESC LIMIT 1 OFFSET $2)
  AND number <> (SELECT s.latest FROM holdfast.history_sessions s WHERE s.key = $1);

-- name: history_checkpoint_get
-- vary: what = heads:NULL::bytea full:c.payload
-- $2 id
SELECT c.number, c.id, c.parent, c.label, c.seq, c.kind, c.digest, c.created_at, @what
FROM holdfast.history_checkpoints c WHERE c.session = @history_session AND c.id = $2;

-- name: history_checkpoint_latest
SELECT c.number, c.id, c.parent, c.label, c.seq, c.kind, c.digest, c.created_at, c.payload
FROM holdfast.history_sessions s
JOIN holdfast.history_checkpoints c ON c.session = s.number AND c.number = s.latest
WHERE s.key = $1;

-- name: history_checkpoint_list
-- $2 numbers before this one, $3 limit
SELECT c.number, c.id, c.parent, c.label, c.seq, c.kind, c.digest, c.created_at, NULL::bytea
FROM holdfast.history_checkpoints c WHERE c.session = @history_session AND c.number < $2
ORDER BY c.number DESC LIMIT $3;

-- name: history_checkpoint_rollback
-- $2 id
UPDATE holdfast.history_sessions s SET latest = c.number
FROM holdfast.history_checkpoints c
WHERE s.key = $1 AND c.session = s.number AND c.id = $2;

-- shared: history_session_columns
s.name, coalesce((SELECT e.seq FROM holdfast.history_events e WHERE e.session = s.number
                       ORDER BY e.seq LIMIT 1), s.last_seq + 1),
       s.last_seq, s.bytes, s.created_at, s.updated_at

-- name: history_session_get
SELECT @history_session_columns FROM holdfast.history_sessions s WHERE s.key = $1;

-- name: history_session_list
-- $1 owner, $2 names behind this one, $3 limit
SELECT @history_session_columns FROM holdfast.history_sessions s
WHERE s.owner = $1 AND s.name > $2 AND NOT s.deleted ORDER BY s.name LIMIT $3;

-- name: history_owner_list
-- vary: from = first:>= after:>
-- $1 owners from or behind this one, $2 limit
SELECT DISTINCT s.owner FROM holdfast.history_sessions s
WHERE s.owner @from $1 AND NOT s.deleted ORDER BY s.owner LIMIT $2;

-- name: history_stats
SELECT count(*), coalesce(sum(s.events), 0)::int8, coalesce(sum(s.bytes), 0)::int8
FROM holdfast.history_sessions s WHERE NOT s.deleted;

-- name: history_doom
-- The session is no more: its key goes to nobody. $2 another key
UPDATE holdfast.history_sessions SET key = $2, deleted = true, expires_at = NULL WHERE key = $1;

-- name: history_doom_checkpoints
DELETE FROM holdfast.history_checkpoints WHERE session = @history_session;

-- name: history_doom_consumers
DELETE FROM holdfast.history_consumers WHERE session = @history_session;

-- name: history_bury
DELETE FROM holdfast.history_sessions s
WHERE s.key = $1 AND s.deleted
  AND NOT EXISTS (SELECT 1 FROM holdfast.history_events e WHERE e.session = s.number);

-- name: history_hold
-- Before its events are cut.
SELECT 1 FROM holdfast.history_sessions WHERE key = $1 FOR NO KEY UPDATE;

-- shared: history_cut
UPDATE holdfast.history_sessions s
SET events = s.events - g.events, bytes = s.bytes - g.bytes
FROM (SELECT count(*) AS events, coalesce(sum(bytes), 0)::int8 AS bytes FROM gone) g
WHERE s.key = $1
RETURNING g.events

-- name: history_cut_any
-- The first events. $2 limit
WITH gone AS (
  DELETE FROM holdfast.history_events
  WHERE session = @history_session
    AND seq = ANY (ARRAY(SELECT e.seq FROM holdfast.history_events e
                         WHERE e.session = @history_session ORDER BY e.seq LIMIT $2))
  RETURNING bytes
)
@history_cut;

-- name: history_cut_expired
-- $2 now, $3 limit
WITH gone AS (
  DELETE FROM holdfast.history_events
  WHERE session = @history_session
    AND seq = ANY (ARRAY(SELECT e.seq FROM holdfast.history_events e
                         WHERE e.session = @history_session AND e.expires_at <= $2
                         ORDER BY e.expires_at LIMIT $3))
  RETURNING bytes
)
@history_cut;

-- name: history_cut_kept
-- Of the first events those that the owner does not want any more. $2 now, $3 limit
WITH gone AS (
  DELETE FROM holdfast.history_events
  WHERE session = @history_session
    AND seq = ANY (ARRAY(
      SELECT e.seq
      FROM (SELECT f.seq, f.stored_at FROM holdfast.history_events f
            WHERE f.session = @history_session ORDER BY f.seq LIMIT $3) e,
           holdfast.history_sessions s JOIN holdfast.history_retention r ON r.owner = s.owner
      WHERE s.key = $1
        AND ((r.age_us > 0
              AND e.stored_at <= $2::timestamptz - r.age_us * interval '1 microsecond')
             OR (r.count_max > 0 AND e.seq <= s.last_seq - r.count_max))))
  RETURNING bytes
)
@history_cut;

-- name: history_settle
-- What a sweep looks for, after events were cut. $2 now
UPDATE holdfast.history_sessions s SET
  expires_at = (SELECT e.expires_at FROM holdfast.history_events e
                WHERE e.session = s.number AND e.expires_at IS NOT NULL
                ORDER BY e.expires_at LIMIT 1),
  oldest_at = coalesce((SELECT e.stored_at FROM holdfast.history_events e
                        WHERE e.session = s.number ORDER BY e.seq LIMIT 1), $2),
  low_seq = coalesce((SELECT e.seq FROM holdfast.history_events e
                      WHERE e.session = s.number ORDER BY e.seq LIMIT 1), s.last_seq + 1)
WHERE s.key = $1 AND NOT s.deleted;

-- name: history_due_deleted
-- $1 now, $2 limit
SELECT s.key FROM holdfast.history_sessions s
WHERE s.deleted AND ($1::timestamptz IS NULL OR true)
ORDER BY s.number LIMIT $2;

-- name: history_due_expired
-- $1 now, $2 limit
SELECT s.key FROM holdfast.history_sessions s
WHERE s.expires_at <= $1 ORDER BY s.expires_at LIMIT $2;

-- name: history_due_old
-- $1 now, $2 limit
SELECT s.key FROM holdfast.history_retention r
CROSS JOIN LATERAL (
  SELECT o.key FROM holdfast.history_sessions o
  WHERE o.owner = r.owner AND o.events > 0 AND NOT o.deleted
    AND o.oldest_at <= $1::timestamptz - r.age_us * interval '1 microsecond' LIMIT $2) s
WHERE r.age_us > 0 LIMIT $2;

-- name: history_due_many
-- $1 now, $2 limit
SELECT s.key FROM holdfast.history_retention r
CROSS JOIN LATERAL (
  SELECT o.key FROM holdfast.history_sessions o
  WHERE o.owner = r.owner AND o.events > 0 AND NOT o.deleted
    AND o.low_seq <= o.last_seq - r.count_max LIMIT $2) s
WHERE r.count_max > 0 AND ($1::timestamptz IS NULL OR true) LIMIT $2;

-- name: history_retention_set
-- $1 owner, $2 age in us, $3 events of a session
INSERT INTO holdfast.history_retention (owner, age_us, count_max) VALUES ($1, $2, $3)
ON CONFLICT (owner) DO UPDATE SET age_us = excluded.age_us, count_max = excluded.count_max;

-- name: history_retention_get
-- $1 owner
SELECT r.age_us, r.count_max FROM holdfast.history_retention r WHERE r.owner = $1;

-- name: history_consumer_ack
-- $2 name, $3 position, $4 now
INSERT INTO holdfast.history_consumers AS c (session, name, acked_seq, updated_at)
SELECT s.number, $2, $3::int8, $4 FROM holdfast.history_sessions s
WHERE s.key = $1 AND $3::int8 <= s.last_seq
ON CONFLICT (session, name) DO UPDATE SET
  acked_seq = greatest(c.acked_seq, excluded.acked_seq),
  updated_at = CASE WHEN c.acked_seq < excluded.acked_seq THEN excluded.updated_at
               ELSE c.updated_at END
RETURNING acked_seq;

-- name: history_consumer_list
SELECT c.name, c.acked_seq, c.updated_at FROM holdfast.history_consumers c
WHERE c.session = @history_session ORDER BY c.name;

-- name: history_consumer_delete
-- $2 name
DELETE FROM holdfast.history_consumers WHERE session = @history_session AND name = $2;
