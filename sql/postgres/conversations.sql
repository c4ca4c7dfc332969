-- Conversations: threads, newest first. src/store/conversations.c. Both kinds of a list run along an
-- index of threads; the rows of this table are looked up by key. Threads of one moment are ordered by
-- their ids as such, whatever their spelling. (ISNULL by itself is thought to be rare.)

-- shared: conversation_columns
t.id, t.status, t.metadata - 'owner', t.created_at, t.updated_at

-- shared: title_of
(SELECT c.title FROM holdfast.thread_conversations c WHERE c.thread_id = holdfast.to_uuid(t.id))

-- name: conversation_older
-- vary: kind = open:coalesce((t.metadata->>'archived_at')ISNULL,true) archived:(t.metadata->>'archived_at')NOTNULL
-- $1 owner, $2 and $3 before this time and thread, $4 limit
SELECT @conversation_columns, @title_of
FROM langgraph_server.threads t
WHERE coalesce(t.metadata ->> 'owner', '') COLLATE "C" = $1
  AND @kind
  AND t.updated_at <= $2 AND (t.updated_at < $2 OR holdfast.to_uuid(t.id) < $3)
ORDER BY t.updated_at DESC, holdfast.to_uuid(t.id) DESC LIMIT $4;

-- name: conversation_newer
-- vary: kind = open:coalesce((t.metadata->>'archived_at')ISNULL,true) archived:(t.metadata->>'archived_at')NOTNULL
-- Oldest first. $1 owner, $2 and $3 after this time and thread, $4 limit
SELECT @conversation_columns, @title_of
FROM langgraph_server.threads t
WHERE coalesce(t.metadata ->> 'owner', '') COLLATE "C" = $1
  AND @kind
  AND t.updated_at >= $2 AND (t.updated_at > $2 OR holdfast.to_uuid(t.id) > $3)
ORDER BY t.updated_at, holdfast.to_uuid(t.id) LIMIT $4;

-- name: conversation_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @conversation_columns, c.title, coalesce(t.metadata ->> 'owner', '') AS owner, t.config,
       c.summary, c.summary_upto, c.summary_at
FROM langgraph_server.threads t LEFT JOIN holdfast.thread_conversations c ON c.thread_id = $1
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3;

-- name: conversation_set
-- $1 id, $2 and $3 bounds of the owner, $4 metadata to merge, $5 a member that goes; '': none
UPDATE langgraph_server.threads SET
  metadata = CASE WHEN $5::text = '' THEN metadata || ($4::jsonb - 'owner')
             ELSE (metadata || ($4::jsonb - 'owner')) - $5::text END
WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3;

-- name: conversation_hold
-- In a batch: the thread is there, and who deletes it waits and sees what the batch made. $1 id, $2 its
-- owner
SELECT 1 FROM langgraph_server.threads
WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(metadata ->> 'owner', '') || '') COLLATE "C" = $2
FOR KEY SHARE;

-- name: conversation_title
-- $1 thread, $2 title, $3 number of words, $4 the owner as a word, $5 words
INSERT INTO holdfast.thread_conversations (thread_id, title, size, words)
VALUES ($1, $2, $3, holdfast.words($4, $5))
ON CONFLICT (thread_id) DO UPDATE SET
  title = excluded.title, size = excluded.size, words = excluded.words;

-- name: conversation_summary
-- Where the one up to $5 stands ('': none). $1 thread, $2 summary, $3 its last message, $4 now
INSERT INTO holdfast.thread_conversations AS c (thread_id, summary, summary_upto, summary_at, size, words)
VALUES ($1, $2, $3, $4, 0, '')
ON CONFLICT (thread_id) DO UPDATE SET
  summary = excluded.summary, summary_upto = excluded.summary_upto,
  summary_at = excluded.summary_at
WHERE coalesce(c.summary_upto, '') = $5;

-- name: conversation_search
-- $1 owner, $2 the owner as a word, $3 words as a JSON array, $4 limit
WITH wanted AS MATERIALIZED (
  SELECT ARRAY(SELECT jsonb_array_elements_text($3::jsonb)) AS words
)
SELECT @conversation_columns, c.title,
       holdfast.words_score(c.words, c.size, (SELECT words FROM wanted)) AS score
FROM holdfast.thread_conversations c
JOIN langgraph_server.threads t ON t.id = ANY (holdfast.spellings(c.thread_id))
WHERE c.words @@ holdfast.words_query($2, (SELECT words FROM wanted))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" = $1
ORDER BY score DESC, t.updated_at DESC, c.thread_id DESC LIMIT $4;
