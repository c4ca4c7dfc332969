-- Conversations: threads, newest first. src/store/conversations.c. Both kinds of a list run along an
-- index of threads; the rows of this table are looked up by key.

-- shared: archived_at
-- As the index threads_archived has it.
(CASE WHEN t.metadata GLOB '*archived_at"*' THEN t.metadata ->> '$.archived_at' END)

-- name: conversation_older
-- vary: kind = open:ISNULL archived:NOTNULL
-- $1 owner, $2 and $3 before this time and thread, $4 limit
SELECT t.id, t.status, t.metadata, t.created_at, t.updated_at,
       (SELECT c.title FROM thread_conversations c WHERE c.thread_id = t.id)
FROM threads t
WHERE t.owner = $1 AND @archived_at @kind
  AND t.updated_at <= $2 AND (t.updated_at < $2 OR t.id < $3)
ORDER BY t.updated_at DESC, t.id DESC LIMIT $4;

-- name: conversation_newer
-- vary: kind = open:ISNULL archived:NOTNULL
-- Oldest first. $1 owner, $2 and $3 after this time and thread, $4 limit
SELECT t.id, t.status, t.metadata, t.created_at, t.updated_at,
       (SELECT c.title FROM thread_conversations c WHERE c.thread_id = t.id)
FROM threads t
WHERE t.owner = $1 AND @archived_at @kind
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
-- $1 thread, $2 title
INSERT INTO thread_conversations (thread_id, title) VALUES ($1, $2)
ON CONFLICT (thread_id) DO UPDATE SET title = excluded.title;

-- name: conversation_title_words
-- Behind the title; they wait for the index. $1 thread, $2 number of words, $3 the owner as a word,
-- $4 words
INSERT INTO conversation_texts (thread_id, number, size, owner_word, words)
VALUES ($1, -1, $2, $3, $4)
ON CONFLICT (thread_id, number) DO UPDATE SET
  size = excluded.size, owner_word = excluded.owner_word, words = excluded.words;

-- name: conversation_summary
-- Where the one up to $5 stands ('': none). $1 thread, $2 summary, $3 its last message, $4 now
INSERT INTO thread_conversations AS c (thread_id, summary, summary_upto, summary_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (thread_id) DO UPDATE SET
  summary = excluded.summary, summary_upto = excluded.summary_upto,
  summary_at = excluded.summary_at
WHERE coalesce(c.summary_upto, '') = $5;

-- name: conversation_search
-- A title or a message has some of the words; the best of a conversation counts, in millionths.
-- $1 owner, $2 the owner as a word, $3 words as a JSON array, $4 limit, $5 $6 $7 behind this rank, time
-- and thread
WITH hits AS MATERIALIZED (
  SELECT x.thread_id, hf_text_score(conversation_words, x.size) AS score
  FROM conversation_words
  CROSS JOIN conversation_texts x ON x.id = conversation_words.rowid
  WHERE conversation_words MATCH
    ('owner : ' || $2 || ' AND words : ('
     || (SELECT group_concat('"' || w.value || '"', ' OR ') FROM json_each($3) w) || ')')
), best AS MATERIALIZED (
  SELECT h.thread_id, t.updated_at, h.rank
  FROM (SELECT thread_id, CAST(round(max(score) * 1000000) AS INTEGER) AS rank
        FROM hits GROUP BY thread_id) h
  CROSS JOIN threads t ON t.id = h.thread_id
  WHERE t.owner = $1 AND (h.rank, t.updated_at, h.thread_id) < ($5, $6, $7)
  ORDER BY h.rank DESC, t.updated_at DESC, h.thread_id DESC LIMIT $4
)
SELECT t.id, t.status, t.metadata, t.created_at, t.updated_at,
       (SELECT c.title FROM thread_conversations c WHERE c.thread_id = t.id), b.rank
FROM best b CROSS JOIN threads t ON t.id = b.thread_id
ORDER BY b.rank DESC, b.updated_at DESC, b.thread_id DESC;

-- What makes messages texts that are searched: src/store/conversation_texts.c.

-- name: conversation_owner_get
-- point
-- Up to when the threads of an owner have been looked at. $1 owner
SELECT upto_at FROM conversation_owners WHERE owner = $1;

-- name: conversation_owner_put
-- $1 owner, $2 a time
INSERT INTO conversation_owners AS o (owner, upto_at) VALUES ($1, $2)
ON CONFLICT (owner) DO UPDATE SET upto_at = max(o.upto_at, excluded.upto_at);

-- name: conversation_changed
-- Threads that were added to, oldest first: id, when, is there nothing to look at?, its mark.
-- $1 owner, $2 and $3 after this time and thread, $4 limit
SELECT t.id, t.updated_at,
       m.seen_at IS t.updated_at
       OR (m.mark IS NULL AND NOT EXISTS (SELECT 1 FROM checkpoints c WHERE c.thread_id = t.id)),
       coalesce(m.mark, '')
FROM threads t LEFT JOIN conversation_marks m ON m.thread_id = t.id
WHERE t.owner = $1 AND t.updated_at >= $2 AND (t.updated_at > $2 OR t.id > $3)
ORDER BY t.updated_at, t.id LIMIT $4;

-- name: conversation_row
-- What texts and marks hang on. $1 thread
INSERT INTO thread_conversations (thread_id) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: conversation_mark
-- In place of the mark $4 ('': none). $1 thread, $2 when it was added to, $3 mark
INSERT INTO conversation_marks AS m (thread_id, seen_at, mark)
SELECT $1, $2, $3
WHERE $4 = '' OR EXISTS (SELECT 1 FROM conversation_marks o WHERE o.thread_id = $1)
ON CONFLICT (thread_id) DO UPDATE SET seen_at = excluded.seen_at, mark = excluded.mark
WHERE m.mark = $4;

-- name: conversation_texts_put
-- $1 thread, $2 the owner as a word, $3 JSON array of [number, number of words, words]
INSERT INTO conversation_texts (thread_id, number, size, owner_word, words)
SELECT $1, e.value ->> '$[0]', e.value ->> '$[1]', $2, e.value ->> '$[2]' FROM json_each($3) e
WHERE true
ON CONFLICT (thread_id, number) DO UPDATE SET
  size = excluded.size, owner_word = excluded.owner_word, words = excluded.words;

-- name: conversation_texts_drop
-- The texts of messages. $1 thread
DELETE FROM conversation_texts WHERE thread_id = $1 AND number >= 0;

-- name: conversation_mark_drop
-- $1 thread
DELETE FROM conversation_marks WHERE thread_id = $1;

-- name: conversation_texts_waiting
-- only: sqlite
-- point
-- The last whose words wait for the index.
SELECT coalesce(max(id), 0) FROM conversation_texts WHERE words IS NOT NULL;

-- name: conversation_texts_index
-- only: sqlite
-- Gives the index the words of some, by triggers. $1 the last of them, $2 limit
UPDATE conversation_texts SET owner_word = NULL, words = NULL
WHERE id IN (SELECT id FROM conversation_texts WHERE words IS NOT NULL AND id <= $1
             ORDER BY id LIMIT $2);
