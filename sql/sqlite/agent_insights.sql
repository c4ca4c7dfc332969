-- Insights: what a model makes of logs of agents, session by session. src/store/agent_insights.c.
-- Lists go from the newest on, below a place, along an index; a row that is not of the category that
-- is asked for comes without its text.

-- shared: agent_insight_columns
i.id, i.session_id, i.category, i.logs, i.first_at, i.last_at, i.model, i.created_at

-- shared: agent_insight_meets
($3 IS NULL OR coalesce(i.category = $3, 0))

-- shared: agent_insight_page
i.created_at >= $4 AND (i.created_at, i.id) < ($5, $6) ORDER BY i.created_at DESC, i.id DESC

-- name: agent_log_pending
-- Logs that no insight covers, by owner, session and time, behind $1 $2 $3. $4 limit, $5 characters of
-- a message and of data at most
SELECT a.user_id, a.session_id, a.created_at, a.id, a.level, a.category, substr(a.content, 1, $5),
       substr(a.data, 1, $5)
FROM agent_logs a
WHERE a.pending AND (a.user_id, a.session_id, a.created_at) > ($1, $2, $3)
ORDER BY a.user_id, a.session_id, a.created_at, a.id LIMIT $4;

-- name: agent_insight_put
-- In a batch with the next two: where all of its logs still wait for it. $1 id, $2 owner, $3 session,
-- $4 category, $5 text, $6 number of logs, $7 $8 times of the first and last, $9 model, $10 now,
-- $11 ids of the logs as a JSON array
INSERT INTO agent_insights
  (id, user_id, session_id, category, content, logs, first_at, last_at, model, created_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
WHERE (SELECT count(*) FROM agent_logs
       WHERE id IN (SELECT value FROM json_each($11)) AND pending) = $6;

-- name: agent_insight_covers
-- $1 ids of the logs
UPDATE agent_logs SET pending = 0 WHERE id IN (SELECT value FROM json_each($1));

-- name: agent_insight_text
-- $1 insight, $2 number of words, $3 the owner as a word, $4 words, $5 what made the vector, $6 vector
INSERT INTO agent_insight_new (insight_id, size, owner_word, words, embedder, vector)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: agent_insight_list_user
-- $1 owner, $3 category, $4 since, $5 $6 below, $7 limit
SELECT @agent_insight_columns, @agent_insight_meets, CASE WHEN @agent_insight_meets THEN i.content END
FROM agent_insights i
WHERE i.user_id = $1 AND ($2 IS NULL OR true) AND @agent_insight_page LIMIT $7;

-- name: agent_insight_list_session
-- As before, of the session $2
SELECT @agent_insight_columns, @agent_insight_meets, CASE WHEN @agent_insight_meets THEN i.content END
FROM agent_insights i
WHERE i.session_id = $2 AND i.user_id = $1 AND @agent_insight_page LIMIT $7;

-- name: agent_insight_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @agent_insight_columns, true, i.content
FROM agent_insights i WHERE i.id = $1 AND i.user_id BETWEEN $2 AND $3;

-- name: agent_insight_search
-- $1 owner, $2 session or none, $3 category or none, $4 since, $5 $6 below, $7 limit, $8 the owner as a
-- word, $9 words as a JSON array
SELECT @agent_insight_columns, true, i.content, hf_text_score(agent_insight_words, x.size) AS score
FROM agent_insight_words
CROSS JOIN agent_insight_texts x ON x.id = agent_insight_words.rowid
CROSS JOIN agent_insights i ON i.id = x.insight_id
WHERE agent_insight_words MATCH
  ('owner : ' || $8 || ' AND words : ('
   || (SELECT group_concat('"' || w.value || '"', ' OR ') FROM json_each($9) w) || ')')
  AND i.user_id = $1 AND ($2 IS NULL OR i.session_id = $2) AND @agent_insight_meets
  AND i.created_at >= $4 AND (i.created_at, i.id) < ($5, $6)
ORDER BY score DESC, i.created_at DESC, i.id DESC LIMIT $7;

-- name: agent_insight_vectors_user
-- $1 owner, $3 category or none, $4 since, $5 $6 below, $7 limit, $8 what made them
SELECT i.id, i.created_at, CASE WHEN x.embedder = $8 AND @agent_insight_meets THEN x.vector END
FROM agent_insights i JOIN agent_insight_texts x ON x.insight_id = i.id
WHERE i.user_id = $1 AND ($2 IS NULL OR true) AND @agent_insight_page LIMIT $7;

-- name: agent_insight_vectors_session
-- As before, of the session $2
SELECT i.id, i.created_at, CASE WHEN x.embedder = $8 AND @agent_insight_meets THEN x.vector END
FROM agent_insights i JOIN agent_insight_texts x ON x.insight_id = i.id
WHERE i.session_id = $2 AND i.user_id = $1 AND @agent_insight_page LIMIT $7;

-- name: agent_insight_many
-- $1 owner, $2 ids as a JSON array
SELECT @agent_insight_columns, true, i.content
FROM agent_insights i
WHERE i.id IN (SELECT value FROM json_each($2)) AND i.user_id || '' = $1;

-- name: agent_insight_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM agent_insights WHERE id = $1 AND user_id BETWEEN $2 AND $3;

-- name: agent_insight_delete_session
-- $1 owner, $2 session, $3 limit
DELETE FROM agent_insights WHERE id IN (
  SELECT i.id FROM agent_insights i WHERE i.session_id = $2 AND i.user_id = $1 LIMIT $3);

-- name: agent_insight_purge
-- Of before $1, the oldest first. $2 limit
DELETE FROM agent_insights WHERE id IN (
  SELECT i.id FROM agent_insights i WHERE i.created_at < $1 ORDER BY i.created_at LIMIT $2);
