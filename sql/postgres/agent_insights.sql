-- Insights: what a model makes of logs of agents, session by session. src/store/agent_insights.c.
-- Lists go from the newest on, below a place, along an index; a row that is not of the category that
-- is asked for comes without its text. user_id || '' and logs > 0 name an index (0040), coalesce() keeps
-- others out.

-- shared: agent_insight_columns
i.id, i.session_id, i.category, i.logs, i.first_at, i.last_at, i.model, i.created_at

-- shared: agent_insight_page
i.created_at >= $4 AND (i.created_at, i.id) < ($5, $6) ORDER BY i.created_at DESC, i.id DESC

-- name: agent_log_pending
-- Logs that no insight covers, by owner, session and time, behind $1 $2 $3. $4 limit, $5 characters of
-- a message and of data at most
SELECT a.user_id, a.session_id, a.created_at, a.id, a.level, a.category, left(a.content, $5::int8::int4),
       left(a.data::text, $5::int8::int4)
FROM holdfast.agent_logs a
WHERE a.pending AND (a.user_id, a.session_id, a.created_at) > ($1, $2, $3)
ORDER BY a.user_id, a.session_id, a.created_at, a.id LIMIT $4;

-- name: agent_insight_put
-- In a batch with the next two: where all of its logs still wait for it. $1 id, $2 owner, $3 session,
-- $4 category, $5 text, $6 number of logs, $7 $8 times of the first and last, $9 model, $10 now,
-- $11 ids of the logs as a JSON array
WITH held AS (
  SELECT 1 FROM holdfast.agent_logs
  WHERE id = ANY (ARRAY(SELECT e::uuid FROM jsonb_array_elements_text($11::jsonb) e)) AND coalesce(pending, false)
  ORDER BY id FOR UPDATE
)
INSERT INTO holdfast.agent_insights
  (id, user_id, session_id, category, content, logs, first_at, last_at, model, created_at)
SELECT $1::uuid, $2::text, $3::uuid, $4::text, $5::text, $6::int8, $7::timestamptz, $8::timestamptz,
       $9::text, $10::timestamptz
WHERE (SELECT count(*) FROM held) = $6::int8;

-- name: agent_insight_covers
-- $1 ids of the logs
UPDATE holdfast.agent_logs SET pending = false
WHERE id = ANY (ARRAY(SELECT e::uuid FROM jsonb_array_elements_text($1::jsonb) e));

-- name: agent_insight_text
-- $1 insight, $2 number of words, $3 the owner as a word, $4 words, $5 what made the vector, $6 vector
INSERT INTO holdfast.agent_insight_texts (insight_id, size, words, embedder, vector)
VALUES ($1, $2, holdfast.words($3, $4), $5, $6);

-- name: agent_insight_list_user
-- unused: 2
-- $1 owner, $3 category, $4 since, $5 $6 below, $7 limit
SELECT @agent_insight_columns, l.meets, CASE WHEN l.meets THEN i.content END
FROM holdfast.agent_insights i, LATERAL (SELECT $3::text IS NULL OR coalesce(i.category = $3, false) AS meets) l
WHERE i.user_id || '' = $1 AND @unused AND @agent_insight_page LIMIT $7;

-- name: agent_insight_list_session
-- As before, of the session $2
SELECT @agent_insight_columns, l.meets, CASE WHEN l.meets THEN i.content END
FROM holdfast.agent_insights i, LATERAL (SELECT $3::text IS NULL OR coalesce(i.category = $3, false) AS meets) l
WHERE i.session_id = $2 AND i.user_id = $1 AND @agent_insight_page LIMIT $7;

-- name: agent_insight_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @agent_insight_columns, true, i.content
FROM holdfast.agent_insights i WHERE i.id = $1 AND i.user_id BETWEEN $2 AND $3;

-- name: agent_insight_search
-- $1 owner, $2 session or none, $3 category or none, $4 since, $5 $6 below, $7 limit, $8 the owner as a
-- word, $9 words as a JSON array
WITH wanted AS MATERIALIZED (
  SELECT ARRAY(SELECT jsonb_array_elements_text($9::jsonb)) AS words
)
SELECT @agent_insight_columns, true, i.content,
       holdfast.words_score(x.words, x.size, (SELECT words FROM wanted)) AS score
FROM holdfast.agent_insight_texts x JOIN holdfast.agent_insights i ON i.id = x.insight_id
WHERE x.words @@ holdfast.words_query($8, (SELECT words FROM wanted))
  AND coalesce(i.user_id = $1 AND ($2::uuid IS NULL OR i.session_id = $2)
               AND ($3::text IS NULL OR i.category = $3)
               AND i.created_at >= $4 AND (i.created_at, i.id) < ($5, $6), false)
ORDER BY score DESC, i.created_at DESC, i.id DESC LIMIT $7;

-- name: agent_insight_vectors_user
-- unused: 2
-- $1 owner, $3 category or none, $4 since, $5 $6 below, $7 limit, $8 what made them
SELECT i.id, i.created_at, CASE WHEN x.embedder = $8 AND ($3::text IS NULL OR i.category = $3) THEN x.vector END
FROM holdfast.agent_insights i JOIN holdfast.agent_insight_texts x ON x.insight_id = i.id
WHERE i.user_id || '' = $1 AND @unused AND @agent_insight_page LIMIT $7;

-- name: agent_insight_vectors_session
-- As before, of the session $2
SELECT i.id, i.created_at, CASE WHEN x.embedder = $8 AND ($3::text IS NULL OR i.category = $3) THEN x.vector END
FROM holdfast.agent_insights i JOIN holdfast.agent_insight_texts x ON x.insight_id = i.id
WHERE i.session_id = $2 AND i.user_id = $1 AND @agent_insight_page LIMIT $7;

-- name: agent_insight_many
-- $1 owner, $2 ids as a JSON array
SELECT @agent_insight_columns, true, i.content
FROM holdfast.agent_insights i
WHERE i.id = ANY (ARRAY(SELECT e::uuid FROM jsonb_array_elements_text($2::jsonb) e)) AND i.user_id = $1;

-- name: agent_insight_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM holdfast.agent_insights WHERE id = $1 AND user_id BETWEEN $2 AND $3;

-- name: agent_insight_delete_session
-- $1 owner, $2 session, $3 limit
DELETE FROM holdfast.agent_insights WHERE id = ANY (ARRAY(
  SELECT i.id FROM holdfast.agent_insights i WHERE i.session_id = $2 AND i.user_id = $1 LIMIT $3));

-- name: agent_insight_purge
-- Of before $1, the oldest first. $2 limit
DELETE FROM holdfast.agent_insights WHERE id = ANY (ARRAY(
  SELECT i.id FROM holdfast.agent_insights i WHERE (i.logs > 0) AND i.created_at < $1
  ORDER BY i.created_at LIMIT $2));
