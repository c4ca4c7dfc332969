-- The history store: src/history/sql/. $1 is a session's key unless said otherwise. An event stands
-- at session << 32 | seq.

-- shared: history_session
(SELECT s.number FROM history_sessions s WHERE s.key = $1)

-- shared: history_place
(SELECT s.number << 32 FROM history_sessions s WHERE s.key = $1)

-- shared: history_columns
e.at & 4294967295, e.id, e.type, e.occurred_at, e.stored_at, e.source, e.trace_id, e.ttl_ms,
       e.headers, e.kind, e.bytes

-- shared: history_largest
(SELECT s.bytes_max FROM history_sessions s WHERE s.key = $1)

-- name: history_bump
-- Room for events, the session if need be. $2 owner, $3 name, $4 events, $5 bytes of payloads, $6 of
-- the largest one, $7 the first to expire, $8 now
INSERT INTO history_sessions AS s (key, owner, name, last_seq, low_seq, events, bytes, bytes_max,
  oldest_at, expires_at, checkpoints, deleted, created_at, updated_at)
VALUES ($1, $2, $3, $4, 1, $4, $5, $6, $8, $7, 0, 0, $8, $8)
ON CONFLICT (key) DO UPDATE SET
  last_seq = s.last_seq + excluded.last_seq, events = s.events + excluded.events,
  bytes = s.bytes + excluded.bytes, bytes_max = max(s.bytes_max, excluded.bytes_max),
  expires_at = min(coalesce(s.expires_at, excluded.expires_at),
                   coalesce(excluded.expires_at, s.expires_at)),
  updated_at = excluded.updated_at
RETURNING last_seq;

-- name: history_add
-- One of the events that room was made for. $2 how many come after it, $3 id, $4 type, $5 occurred
-- at, $6 now, $7 expires at, $8 source, $9 trace id, $10 ttl in ms, $11 headers, $12 kind of
-- payload, $13 digest, $14 payload
-- (One row of VALUES: rows of a SELECT would be journalled, page by page, in case that one fails.
-- Without a session the text is refused as a place.)
INSERT INTO history_events (at, id, type, occurred_at, stored_at, expires_at, source, trace_id, ttl_ms,
  headers, kind, digest, bytes, payload)
VALUES (coalesce((SELECT s.number << 32 | (s.last_seq - $2) FROM history_sessions s WHERE s.key = $1),
                 'none'),
        $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, length($14), $14);

-- name: history_known
-- Which of these ids are there? $2 [id]
SELECT e.id, e.at & 4294967295, e.digest
FROM json_each($2) j
CROSS JOIN history_events e ON e.session = @history_session AND e.id = j.value;

-- name: history_state
-- point
SELECT s.last_seq FROM history_sessions s WHERE s.key = $1;

-- name: history_by_seq_up
-- page: 7
-- vary: what = heads:NULL full:e.payload
-- $2 from, $3 to, $4 occurred from, $5 before, $6 now, $7 limit, $8 of how many bytes; the last
-- column is the largest payload of the session
SELECT @history_columns, @what, @history_largest
FROM history_events e
WHERE e.at >= @history_place + $2 AND e.at <= @history_place + $3
  AND e.occurred_at >= $4 AND e.occurred_at < $5 AND (e.expires_at IS NULL OR e.expires_at > $6)
ORDER BY e.at
LIMIT (SELECT max(1, min($7, $8 / max(coalesce(@history_largest, 1), 1))));

-- name: history_by_seq_down
-- page: 7
-- vary: what = heads:NULL full:e.payload
-- As history_by_seq_up.
SELECT @history_columns, @what, @history_largest
FROM history_events e
WHERE e.at >= @history_place + $2 AND e.at <= @history_place + $3
  AND e.occurred_at >= $4 AND e.occurred_at < $5 AND (e.expires_at IS NULL OR e.expires_at > $6)
ORDER BY e.at DESC
LIMIT (SELECT max(1, min($7, $8 / max(coalesce(@history_largest, 1), 1))));

-- name: history_by_time_up
-- page: 8
-- vary: what = heads:NULL full:e.payload
-- $2 $3 behind this time and number, $4 occurred before, $5 number from, $6 to, $7 now, $8 limit,
-- $9 of how many bytes
SELECT @history_columns, @what, @history_largest
FROM history_events e
WHERE e.session = @history_session AND (e.occurred_at, e.at) > ($2, @history_place + $3)
  AND e.occurred_at < $4
  AND e.at >= @history_place + $5 AND e.at <= @history_place + $6
  AND (e.expires_at IS NULL OR e.expires_at > $7)
ORDER BY e.occurred_at, e.at
LIMIT (SELECT max(1, min($8, $9 / max(coalesce(@history_largest, 1), 1))));

-- name: history_by_time_down
-- page: 8
-- vary: what = heads:NULL full:e.payload
-- $2 $3 before this time and number, $4 occurred from, $5 number from, $6 to, $7 now, $8 limit,
-- $9 of how many bytes
SELECT @history_columns, @what, @history_largest
FROM history_events e
WHERE e.session = @history_session AND (e.occurred_at, e.at) < ($2, @history_place + $3)
  AND e.occurred_at >= $4
  AND e.at >= @history_place + $5 AND e.at <= @history_place + $6
  AND (e.expires_at IS NULL OR e.expires_at > $7)
ORDER BY e.occurred_at DESC, e.at DESC
LIMIT (SELECT max(1, min($8, $9 / max(coalesce(@history_largest, 1), 1))));

-- name: history_checkpoint_touch
-- The number of the next checkpoint, the session if need be. $2 owner, $3 name, $4 now
INSERT INTO history_sessions AS s (key, owner, name, last_seq, low_seq, events, bytes, bytes_max,
  oldest_at, checkpoints, deleted, created_at, updated_at)
VALUES ($1, $2, $3, 0, 1, 0, 0, 0, $4, 1, 0, $4, $4)
ON CONFLICT (key) DO UPDATE SET checkpoints = s.checkpoints + 1, updated_at = excluded.updated_at;

-- name: history_checkpoint_add
-- $2 id, $3 parent, $4 label, $5 position, $6 kind of payload, $7 digest, $8 created at, $9 payload
INSERT INTO history_checkpoints (session, number, id, parent, label, seq, kind, digest, created_at,
  payload)
SELECT s.number, s.checkpoints, $2,
       coalesce($3, (SELECT c.id FROM history_checkpoints c
                     WHERE c.session = s.number AND c.number = s.latest)),
       $4, CASE $5 WHEN 0 THEN s.last_seq ELSE $5 END, $6, $7, $8, $9
FROM history_sessions s
WHERE s.key = $1 AND $5 <= s.last_seq
  AND ($3 IS NULL OR EXISTS (SELECT 1 FROM history_checkpoints c
                             WHERE c.session = s.number AND c.id = $3))
RETURNING parent, seq;

-- name: history_checkpoint_settle
-- The newest is the latest.
UPDATE history_sessions SET latest = checkpoints WHERE key = $1;

-- name: history_checkpoint_trim
-- $2 how many newest ones stay
DELETE FROM history_checkpoints
WHERE session = @history_session AND number <= (
  SELECT c.number FROM history_checkpoints c WHERE c.session = @history_session
  ORDER BY c.number DESC LIMIT 1 OFFSET $2)
  AND number <> (SELECT s.latest FROM history_sessions s WHERE s.key = $1);

-- name: history_checkpoint_get
-- vary: what = heads:NULL full:c.payload
-- $2 id
SELECT c.number, c.id, c.parent, c.label, c.seq, c.kind, c.digest, c.created_at, @what
FROM history_checkpoints c WHERE c.session = @history_session AND c.id = $2;

-- name: history_checkpoint_latest
SELECT c.number, c.id, c.parent, c.label, c.seq, c.kind, c.digest, c.created_at, c.payload
FROM history_sessions s
CROSS JOIN history_checkpoints c ON c.session = s.number AND c.number = s.latest
WHERE s.key = $1;

-- name: history_checkpoint_list
-- $2 numbers before this one, $3 limit
SELECT c.number, c.id, c.parent, c.label, c.seq, c.kind, c.digest, c.created_at, NULL
FROM history_checkpoints c WHERE c.session = @history_session AND c.number < $2
ORDER BY c.number DESC LIMIT $3;

-- name: history_checkpoint_rollback
-- $2 id
UPDATE history_sessions SET latest = (SELECT c.number FROM history_checkpoints c
                                      WHERE c.session = history_sessions.number AND c.id = $2)
WHERE key = $1 AND EXISTS (SELECT 1 FROM history_checkpoints c
                           WHERE c.session = history_sessions.number AND c.id = $2);

-- shared: history_session_columns
s.name, coalesce((SELECT e.at & 4294967295 FROM history_events e
                       WHERE e.at > s.number << 32 AND e.at < (s.number + 1) << 32
                       ORDER BY e.at LIMIT 1), s.last_seq + 1),
       s.last_seq, s.bytes, s.created_at, s.updated_at

-- name: history_session_get
SELECT @history_session_columns FROM history_sessions s WHERE s.key = $1;

-- name: history_session_list
-- $1 owner, $2 names behind this one, $3 limit
SELECT @history_session_columns FROM history_sessions s
WHERE s.owner = $1 AND s.name > $2 AND s.deleted = 0 ORDER BY s.name LIMIT $3;

-- name: history_owner_list
-- vary: from = first:>= after:>
-- $1 owners from or behind this one, $2 limit
SELECT DISTINCT s.owner FROM history_sessions s
WHERE s.owner @from $1 AND s.deleted = 0 ORDER BY s.owner LIMIT $2;

-- name: history_stats
SELECT count(*), coalesce(sum(s.events), 0), coalesce(sum(s.bytes), 0)
FROM history_sessions s WHERE s.deleted = 0;

-- name: history_doom
-- The session is no more: its key goes to nobody. $2 another key
UPDATE history_sessions SET key = $2, deleted = 1, expires_at = NULL WHERE key = $1;

-- name: history_doom_checkpoints
DELETE FROM history_checkpoints WHERE session = @history_session;

-- name: history_doom_consumers
DELETE FROM history_consumers WHERE session = @history_session;

-- name: history_bury
DELETE FROM history_sessions
WHERE key = $1 AND deleted = 1
  AND NOT EXISTS (SELECT 1 FROM history_events e
                  WHERE e.at > history_sessions.number << 32
                    AND e.at < (history_sessions.number + 1) << 32);

-- name: history_hold
-- Before its events are cut.
SELECT 1 FROM history_sessions WHERE key = $1;

-- name: history_cut_any
-- The first events. $2 limit
DELETE FROM history_events
WHERE at IN (SELECT e.at FROM history_events e
             WHERE e.at > @history_place AND e.at < @history_place + 4294967296
             ORDER BY e.at LIMIT $2)
RETURNING 1;

-- name: history_cut_expired
-- $2 now, $3 limit
DELETE FROM history_events
WHERE at IN (SELECT e.at FROM history_events e
             WHERE e.session = @history_session AND e.expires_at <= $2
             ORDER BY e.expires_at LIMIT $3)
RETURNING 1;

-- name: history_cut_kept
-- Of the first events those that the owner does not want any more. $2 now, $3 limit
DELETE FROM history_events
WHERE at IN (
  SELECT e.at
  FROM (SELECT f.at, f.stored_at FROM history_events f
        WHERE f.at > @history_place AND f.at < @history_place + 4294967296
        ORDER BY f.at LIMIT $3) e,
       history_sessions s CROSS JOIN history_retention r ON r.owner = s.owner
  WHERE s.key = $1
    AND ((r.age_us > 0 AND e.stored_at <= $2 - r.age_us)
         OR (r.count_max > 0 AND e.at & 4294967295 <= s.last_seq - r.count_max)))
RETURNING 1;

-- name: history_settle
-- What a sweep looks for, after events were cut. $2 now
UPDATE history_sessions SET
  expires_at = (SELECT e.expires_at FROM history_events e
                WHERE e.session = history_sessions.number AND e.expires_at IS NOT NULL
                ORDER BY e.expires_at LIMIT 1),
  oldest_at = coalesce((SELECT e.stored_at FROM history_events e
                        WHERE e.at > history_sessions.number << 32
                          AND e.at < (history_sessions.number + 1) << 32
                        ORDER BY e.at LIMIT 1), $2),
  low_seq = coalesce((SELECT e.at & 4294967295 FROM history_events e
                      WHERE e.at > history_sessions.number << 32
                        AND e.at < (history_sessions.number + 1) << 32
                      ORDER BY e.at LIMIT 1), last_seq + 1)
WHERE key = $1 AND deleted = 0;

-- name: history_due_deleted
-- $1 now, $2 limit
SELECT s.key FROM history_sessions s WHERE s.deleted = 1 AND $1 IS NOT NULL
ORDER BY s.number LIMIT $2;

-- name: history_due_expired
-- $1 now, $2 limit
SELECT s.key FROM history_sessions s WHERE s.expires_at <= $1 ORDER BY s.expires_at LIMIT $2;

-- name: history_due_old
-- $1 now, $2 limit
SELECT s.key FROM history_retention r
CROSS JOIN history_sessions s ON s.owner = r.owner AND s.oldest_at <= $1 - r.age_us
WHERE r.age_us > 0 AND s.events > 0 AND s.deleted = 0 LIMIT $2;

-- name: history_due_many
-- $1 now, $2 limit
SELECT s.key FROM history_retention r
CROSS JOIN history_sessions s ON s.owner = r.owner
WHERE r.count_max > 0 AND s.events > 0 AND s.low_seq <= s.last_seq - r.count_max AND s.deleted = 0
  AND $1 IS NOT NULL
LIMIT $2;

-- name: history_retention_set
-- $1 owner, $2 age in us, $3 events of a session
INSERT INTO history_retention (owner, age_us, count_max) VALUES ($1, $2, $3)
ON CONFLICT (owner) DO UPDATE SET age_us = excluded.age_us, count_max = excluded.count_max;

-- name: history_retention_get
-- $1 owner
SELECT r.age_us, r.count_max FROM history_retention r WHERE r.owner = $1;

-- name: history_consumer_ack
-- $2 name, $3 position, $4 now
INSERT INTO history_consumers AS c (session, name, acked_seq, updated_at)
SELECT s.number, $2, $3, $4 FROM history_sessions s WHERE s.key = $1 AND $3 <= s.last_seq
ON CONFLICT (session, name) DO UPDATE SET
  acked_seq = max(c.acked_seq, excluded.acked_seq),
  updated_at = CASE WHEN c.acked_seq < excluded.acked_seq THEN excluded.updated_at
               ELSE c.updated_at END
RETURNING acked_seq;

-- name: history_consumer_list
SELECT c.name, c.acked_seq, c.updated_at FROM history_consumers c
WHERE c.session = @history_session ORDER BY c.name;

-- name: history_consumer_delete
-- $2 name
DELETE FROM history_consumers WHERE session = @history_session AND name = $2;
