-- Logs of agents. Lists go from the newest on, below a place ($7 $8), by the index of what is asked
-- for first; of what else is asked ($3 … $5) each row says whether it meets it, and those that do not
-- are there without contents, so that a list reads $9 rows at most and still knows where to go on.
-- Those of a session or an owner are in order within each tier.

-- shared: agent_log_columns
l.id, l.session_id, l.level, l.category, l.tier, l.created_at, l.meets, CASE WHEN l.meets THEN l.content END, CASE WHEN l.meets THEN l.data END

-- shared: agent_log_meets
($3 IS NULL OR a.tier = $3) AND ($4 IS NULL OR a.level = $4) AND ($5 IS NULL OR a.category = $5)

-- shared: agent_log_page
a.created_at >= $6 AND (a.created_at, a.id) < ($7, $8) ORDER BY a.created_at DESC, a.id DESC LIMIT $9

-- name: agent_log_put
-- $1 owner, $2 [{id, session_id, level, category, message, bytes, at, data}]
INSERT INTO agent_logs (id, session_id, user_id, level, category, content, tier, created_at, data, bytes)
SELECT e.value ->> '$.id', e.value ->> '$.session_id', $1, e.value ->> '$.level',
       e.value ->> '$.category', e.value ->> '$.message', 'hot', e.value ->> '$.at',
       e.value -> '$.data', e.value ->> '$.bytes'
FROM json_each($2) e;

-- name: agent_log_list_session
-- $1 owner, $2 session, $3 tier, $4 level, $5 category, $6 since, $7 $8 below, $9 limit
SELECT @agent_log_columns
FROM (SELECT * FROM (SELECT a.*, @agent_log_meets AS meets FROM agent_logs a
      WHERE a.session_id = $2 AND a.user_id = $1 AND a.tier = 'hot' AND ($3 IS NULL OR $3 = 'hot')
        AND @agent_log_page)
      UNION ALL SELECT * FROM (SELECT a.*, @agent_log_meets AS meets FROM agent_logs a
      WHERE a.session_id = $2 AND a.user_id = $1 AND a.tier = 'warm' AND ($3 IS NULL OR $3 = 'warm')
        AND @agent_log_page)
      UNION ALL SELECT * FROM (SELECT a.*, @agent_log_meets AS meets FROM agent_logs a
      WHERE a.session_id = $2 AND a.user_id = $1 AND a.tier = 'cold' AND ($3 IS NULL OR $3 = 'cold')
        AND @agent_log_page)) l
ORDER BY l.created_at DESC, l.id DESC LIMIT $9;

-- name: agent_log_list_user
-- As before, of all sessions. $1 $3 … $9
SELECT @agent_log_columns
FROM (SELECT * FROM (SELECT a.*, @agent_log_meets AS meets FROM agent_logs a
      WHERE a.user_id = $1 AND ($2 IS NULL OR true) AND a.tier = 'hot' AND ($3 IS NULL OR $3 = 'hot')
        AND @agent_log_page)
      UNION ALL SELECT * FROM (SELECT a.*, @agent_log_meets AS meets FROM agent_logs a
      WHERE a.user_id = $1 AND ($2 IS NULL OR true) AND a.tier = 'warm' AND ($3 IS NULL OR $3 = 'warm')
        AND @agent_log_page)
      UNION ALL SELECT * FROM (SELECT a.*, @agent_log_meets AS meets FROM agent_logs a
      WHERE a.user_id = $1 AND ($2 IS NULL OR true) AND a.tier = 'cold' AND ($3 IS NULL OR $3 = 'cold')
        AND @agent_log_page)) l
ORDER BY l.created_at DESC, l.id DESC LIMIT $9;

-- name: agent_log_list_by
-- vary: lead = level category
-- As before, of one level or category: $2.
SELECT @agent_log_columns
FROM (SELECT a.*, @agent_log_meets AS meets FROM agent_logs a
      WHERE a.user_id = $1 AND a.@lead = $2 AND @agent_log_page) l
ORDER BY l.created_at DESC, l.id DESC LIMIT $9;

-- name: agent_log_get
-- $1 id, $2 and $3 bounds of the owner
SELECT l.id, l.session_id, l.level, l.category, l.tier, l.created_at, true, l.content, l.data
FROM agent_logs l WHERE l.id = $1 AND l.user_id BETWEEN $2 AND $3;

-- name: agent_log_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM agent_logs WHERE id = $1 AND user_id BETWEEN $2 AND $3;

-- name: agent_log_delete_session
-- $1 owner, $2 session, $3 limit
DELETE FROM agent_logs WHERE id IN (
  SELECT a.id FROM agent_logs a
  WHERE a.session_id = $2 AND a.tier IN ('hot', 'warm', 'cold') AND a.user_id = $1 LIMIT $3);

-- name: agent_log_tiers
-- $1 owner
SELECT a.tier, count(*), coalesce(sum(a.bytes), 0) FROM agent_logs a
WHERE a.user_id = $1 GROUP BY a.tier;

-- name: agent_log_move
-- Those of before $3, the oldest first. $1 from this tier, $2 to that, $4 limit, $5 does an
-- insight wait for them?
UPDATE agent_logs SET tier = $2, pending = pending OR $5 WHERE id IN (
  SELECT a.id FROM agent_logs a WHERE a.tier = $1 AND a.created_at < $3
  ORDER BY a.created_at LIMIT $4);

-- name: agent_log_purge
-- Cold ones of before $1. $2 limit
DELETE FROM agent_logs WHERE id IN (
  SELECT a.id FROM agent_logs a WHERE a.tier = 'cold' AND a.created_at < $1
  ORDER BY a.created_at LIMIT $2);
