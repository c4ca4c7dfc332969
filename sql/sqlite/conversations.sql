-- Conversations: threads, newest first. src/store/conversations.c. Both kinds of a list run along an
-- index of threads; the rows of this table are looked up by key.

-- name: conversation_older
-- vary: kind = open:ISNULL archived:NOTNULL
-- $1 owner, $2 and $3 before this time and thread, $4 limit
SELECT t.id, t.status, t.metadata, t.created_at, t.updated_at,
       (SELECT c.title FROM thread_conversations c WHERE c.thread_id = t.id)
FROM threads t
WHERE t.owner = $1 AND (t.metadata ->> '$.archived_at') @kind
  AND t.updated_at <= $2 AND (t.updated_at < $2 OR t.id < $3)
ORDER BY t.updated_at DESC, t.id DESC LIMIT $4;

-- name: conversation_newer
-- vary: kind = open:ISNULL archived:NOTNULL
-- Oldest first. $1 owner, $2 and $3 after this time and thread, $4 limit
SELECT t.id, t.status, t.metadata, t.created_at, t.updated_at,
       (SELECT c.title FROM thread_conversations c WHERE c.thread_id = t.id)
FROM threads t
WHERE t.owner = $1 AND (t.metadata ->> '$.archived_at') @kind
  AND t.updated_at >= $2 AND (t.updated_at > $2 OR t.id > $3)
ORDER BY t.updated_at, t.id LIMIT $4;

-- name: conversation_get
-- point
-- $1 id, $2 and $3 bounds of the owner
SELECT t.id, t.status, t.metadata, t.created_at, t.updated_at, c.title,
       t.owner, t.config, c.summary, c.summary_upto, c.summary_at
FROM threads t LEFT JOIN thread_conversations c ON c.thread_id = t.id
WHERE t.id = $1 AND t.owner BETWEEN $2 AND $3;

-- name: conversation_set
-- $1 id, $2 and $3 bounds of the owner, $4 metadata to merge, $5 a member that goes; '': none
UPDATE threads SET
  metadata = CASE WHEN $5 = '' THEN hf_merge(metadata, $4)
             ELSE json_remove(hf_merge(metadata, $4), '$.' || $5) END
WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: conversation_hold
-- In a batch: the thread is there. $1 id, $2 its owner
SELECT 1 FROM threads WHERE id = $1 AND owner = $2;

-- name: conversation_title
-- $1 thread, $2 title, $3 number of words, $4 the owner as a word, $5 words
INSERT INTO conversation_new (thread_id, title, size, owner_word, words)
VALUES ($1, $2, $3, $4, $5);

-- name: conversation_summary
-- Where the one up to $5 stands ('': none). $1 thread, $2 summary, $3 its last message, $4 now
INSERT INTO thread_conversations AS c (thread_id, summary, summary_upto, summary_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (thread_id) DO UPDATE SET
  summary = excluded.summary, summary_upto = excluded.summary_upto,
  summary_at = excluded.summary_at
WHERE coalesce(c.summary_upto, '') = $5;

-- name: conversation_search
-- $1 owner, $2 the owner as a word, $3 words as a JSON array, $4 limit
SELECT t.id, t.status, t.metadata, t.created_at, t.updated_at, c.title,
       hf_text_score(conversation_words, x.size) AS score
FROM conversation_words
CROSS JOIN conversation_texts x ON x.id = conversation_words.rowid
CROSS JOIN threads t ON t.id = x.thread_id
CROSS JOIN thread_conversations c ON c.thread_id = x.thread_id
WHERE conversation_words MATCH
  ('owner : ' || $2 || ' AND words : ('
   || (SELECT group_concat('"' || w.value || '"', ' OR ') FROM json_each($3) w) || ')')
  AND t.owner = $1
ORDER BY score DESC, t.updated_at DESC, t.id DESC LIMIT $4;
