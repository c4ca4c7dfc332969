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
-- $1 thread, $2 title
INSERT INTO holdfast.thread_conversations (thread_id, title) VALUES ($1, $2)
ON CONFLICT (thread_id) DO UPDATE SET title = excluded.title;

-- name: conversation_title_words
-- Behind the title. $1 thread, $2 number of words, $3 the owner as a word, $4 words
INSERT INTO holdfast.conversation_texts (thread_id, number, size, words)
VALUES ($1, -1, $2, holdfast.words($3, $4))
ON CONFLICT (thread_id, number) DO UPDATE SET size = excluded.size, words = excluded.words;

-- name: conversation_summary
-- Where the one up to $5 stands ('': none). $1 thread, $2 summary, $3 its last message, $4 now
INSERT INTO holdfast.thread_conversations AS c (thread_id, summary, summary_upto, summary_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (thread_id) DO UPDATE SET
  summary = excluded.summary, summary_upto = excluded.summary_upto,
  summary_at = excluded.summary_at
WHERE coalesce(c.summary_upto, '') = $5;

-- name: conversation_search
-- A title or a message has some of the words; the best of a conversation counts, in millionths.
-- $1 owner, $2 the owner as a word, $3 words as a JSON array, $4 limit, $5 $6 $7 behind this rank, time
-- and thread
WITH wanted AS MATERIALIZED (
  SELECT ARRAY(SELECT jsonb_array_elements_text($3::jsonb)) AS words
), hits AS MATERIALIZED (
  SELECT x.thread_id,
         max((holdfast.words_score(x.words, x.size, (SELECT words FROM wanted)) * 1000000)::int8) AS rank
  FROM holdfast.conversation_texts x
  WHERE x.words @@ holdfast.words_query($2, (SELECT words FROM wanted))
  GROUP BY x.thread_id
)
SELECT @conversation_columns, @title_of, h.rank
FROM hits h CROSS JOIN LATERAL (
  SELECT * FROM langgraph_server.threads WHERE id = ANY (holdfast.spellings(h.thread_id)) OFFSET 0
) t
WHERE (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" = $1
  AND (h.rank, t.updated_at, h.thread_id) < ($5, $6, $7)
ORDER BY h.rank DESC, t.updated_at DESC, h.thread_id DESC LIMIT $4;

-- What makes messages texts that are searched: src/store/conversation_texts.c.

-- name: conversation_owner_get
-- Up to when the threads of an owner have been looked at. $1 owner
SELECT upto_at FROM holdfast.conversation_owners WHERE owner = $1;

-- name: conversation_owner_put
-- $1 owner, $2 a time
INSERT INTO holdfast.conversation_owners AS o (owner, upto_at) VALUES ($1, $2)
ON CONFLICT (owner) DO UPDATE SET upto_at = greatest(o.upto_at, excluded.upto_at);

-- name: conversation_changed
-- Threads that were added to, oldest first: id, when, is there nothing to look at?, its mark.
-- $1 owner, $2 and $3 after this time and thread, $4 limit
SELECT t.id, t.updated_at,
       CASE WHEN m.mark IS NOT NULL THEN m.seen_at = t.updated_at
       ELSE (SELECT 1 FROM lg_checkpoints.checkpoints c
             WHERE c.thread_id = ANY (holdfast.spellings(holdfast.to_uuid(t.id))) LIMIT 1) IS NULL
            AND (SELECT 1 FROM holdfast.checkpoints c
                 WHERE c.thread_id = holdfast.to_uuid(t.id) LIMIT 1) IS NULL END,
       coalesce(m.mark, '')
FROM langgraph_server.threads t
LEFT JOIN holdfast.conversation_marks m ON m.thread_id = holdfast.to_uuid(t.id)
WHERE coalesce(t.metadata ->> 'owner', '') COLLATE "C" = $1
  AND t.updated_at >= $2 AND (t.updated_at > $2 OR holdfast.to_uuid(t.id) > $3)
ORDER BY t.updated_at, holdfast.to_uuid(t.id) LIMIT $4;

-- name: conversation_row
-- What texts and marks hang on. $1 thread
INSERT INTO holdfast.thread_conversations (thread_id) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: conversation_mark
-- In place of the mark $4 ('': none). $1 thread, $2 when it was added to, $3 mark
INSERT INTO holdfast.conversation_marks AS m (thread_id, seen_at, mark)
SELECT $1::uuid, $2::timestamptz, $3::text
WHERE $4::text = '' OR EXISTS (SELECT 1 FROM holdfast.conversation_marks o WHERE o.thread_id = $1)
ON CONFLICT (thread_id) DO UPDATE SET seen_at = excluded.seen_at, mark = excluded.mark
WHERE m.mark = $4;

-- name: conversation_texts_put
-- $1 thread, $2 the owner as a word, $3 JSON array of [number, number of words, words]
INSERT INTO holdfast.conversation_texts (thread_id, number, size, words)
SELECT $1::uuid, (e ->> 0)::int8, (e ->> 1)::int4, holdfast.words($2, e ->> 2)
FROM jsonb_array_elements($3::jsonb) e
ON CONFLICT (thread_id, number) DO UPDATE SET size = excluded.size, words = excluded.words;

-- name: conversation_texts_drop
-- The texts of messages. $1 thread
DELETE FROM holdfast.conversation_texts WHERE thread_id = $1 AND number >= 0;

-- name: conversation_mark_drop
-- $1 thread
DELETE FROM holdfast.conversation_marks WHERE thread_id = $1;
