-- The long-term store. A prefix is a range of the primary key: $2 <= namespace < $3, where of the
-- names between 'a' and 'a.' only 'a' itself belongs to it ($4 is 'a.', and '' for everything).

-- name: item_put
-- $1 owner, $2 namespace, $3 key, $4 value, $5 ttl in minutes, $6 end of it, $7 now
INSERT INTO store_items (owner, namespace, key, value, ttl_minutes, expires_at, created_at,
                         updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (owner, namespace, key) DO UPDATE SET
  value = excluded.value, ttl_minutes = excluded.ttl_minutes, expires_at = excluded.expires_at,
  created_at = CASE WHEN store_items.expires_at <= excluded.updated_at THEN excluded.created_at
               ELSE store_items.created_at END,
  updated_at = excluded.updated_at;

-- name: item_get
-- point
-- $1 owner, $2 namespace, $3 key, $4 now
SELECT namespace, key, value, created_at, updated_at, expires_at
FROM store_items
WHERE owner = $1 AND namespace = $2 AND key = $3 AND (expires_at IS NULL OR expires_at > $4);

-- name: item_refresh
-- $1 owner, $2 namespace, $3 key, $4 now
UPDATE store_items SET expires_at = $4 + ttl_minutes * 60000000
WHERE owner = $1 AND namespace = $2 AND key = $3 AND expires_at > $4;

-- name: item_delete
-- $1 owner, $2 namespace, $3 key
DELETE FROM store_items WHERE owner = $1 AND namespace = $2 AND key = $3;

-- name: item_search
-- few
-- vary: own = mine:= all:>=
-- vary: dir = desc asc
-- $1 owner, $2 $3 $4 range of the namespace, $5 now, $6 filter, $7 limit, $8 offset,
-- $9 and $10 are for others: to read and sort many takes little
SELECT namespace, key, value, created_at, updated_at, expires_at, 0
FROM store_items
WHERE $9 <> '' AND $10 > 0 AND owner @own $1
  AND namespace >= $2 AND namespace < $3 AND (namespace = $2 OR namespace >= $4)
  AND (expires_at IS NULL OR expires_at > $5) AND hf_filter(value, $6)
ORDER BY updated_at @dir, namespace, key LIMIT $7 OFFSET $8;

-- name: item_text_put
-- $1 owner, $2 namespace, $3 key, $4 number of words, $5 the owner as a word, $6 words, $7 now
INSERT INTO item_texts (owner, namespace, key, size, owner_word, words)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (owner, namespace, key) DO UPDATE SET
  size = excluded.size, owner_word = excluded.owner_word, words = excluded.words
WHERE $7 IS NOT NULL;

-- name: item_texts_waiting
-- only: sqlite
-- point
-- The last whose words wait for the index.
SELECT coalesce(max(id), 0) FROM item_texts WHERE words IS NOT NULL;

-- name: item_texts_index
-- only: sqlite
-- Gives the index the words of some, by triggers.
-- $1 the last of them, $2 limit
UPDATE item_texts SET owner_word = NULL, words = NULL
WHERE id IN (SELECT id FROM item_texts WHERE words IS NOT NULL AND id <= $1 ORDER BY id LIMIT $2);

-- name: item_text_drop
-- $1 owner, $2 namespace, $3 key
DELETE FROM item_texts WHERE owner = $1 AND namespace = $2 AND key = $3;

-- name: item_search_text
-- vary: own = mine:= all:>=
-- $1 owner, $2 $3 $4 range of the namespace, $5 now, $6 filter, $7 limit, $8 offset, $9 words as a
-- JSON array, $10 the owner as a word, '' for all
SELECT i.namespace, i.key, i.value, i.created_at, i.updated_at, i.expires_at,
       hf_text_score(item_words, t.size) AS score
FROM item_words
CROSS JOIN item_texts t ON t.id = item_words.rowid
CROSS JOIN store_items i
  ON i.owner = t.owner AND i.namespace = t.namespace AND i.key = t.key
WHERE item_words MATCH
  (CASE WHEN $10 = '' THEN '' ELSE 'owner : ' || $10 || ' AND ' END || 'words : ('
   || (SELECT group_concat('"' || w.value || '"', ' OR ') FROM json_each($9) w) || ')')
  AND t.owner @own $1
  AND t.namespace >= $2 AND t.namespace < $3 AND (t.namespace = $2 OR t.namespace >= $4)
  AND (i.expires_at IS NULL OR i.expires_at > $5) AND hf_filter(i.value, $6)
ORDER BY score DESC, i.updated_at DESC, i.namespace, i.key LIMIT $7 OFFSET $8;

-- name: item_vector_drop
-- $1 owner, $2 namespace, $3 key
DELETE FROM item_vectors WHERE owner = $1 AND namespace = $2 AND key = $3;

-- name: item_vector_put
-- $1 owner, $2 namespace, $3 key, $4 field, $5 model, $6 vector, $7 now
INSERT INTO item_vectors (owner, namespace, key, field, model, vector, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: item_vector_ids
-- vary: own = mine:= all:>=
-- $1 owner, $2 $3 $4 range of the namespace, $5 now, $6 filter, $7 model, $8 limit
SELECT v.id
FROM item_vectors v
CROSS JOIN store_items i
  ON i.owner = v.owner AND i.namespace = v.namespace AND i.key = v.key
  AND i.updated_at = v.updated_at
WHERE v.owner @own $1
  AND v.namespace >= $2 AND v.namespace < $3 AND (v.namespace = $2 OR v.namespace >= $4)
  AND (i.expires_at IS NULL OR i.expires_at > $5) AND v.model = $7 AND hf_filter(i.value, $6)
LIMIT $8;

-- name: item_vector_load
-- vary: own = mine:= all:>=
-- $1 owner, $2 ids as a JSON array
SELECT v.id, v.vector
FROM json_each($2) w CROSS JOIN item_vectors v ON v.id = w.value
WHERE v.owner @own $1;

-- name: item_of_vectors
-- vary: own = mine:= all:>=
-- $1 owner, $2 ids as a JSON array
SELECT i.namespace, i.key, i.value, i.created_at, i.updated_at, i.expires_at, v.id, i.owner
FROM json_each($2) w CROSS JOIN item_vectors v ON v.id = w.value
CROSS JOIN store_items i
  ON i.owner = v.owner AND i.namespace = v.namespace AND i.key = v.key
  AND i.updated_at = v.updated_at
WHERE v.owner @own $1;

-- name: item_namespaces
-- vary: own = mine:= all:>=
-- $1 owner, $2 $3 $4 range of the namespace, $5 now, $6 prefix, $7 suffix, $8 depth, $9 limit,
-- $10 offset
SELECT DISTINCT hf_labels_cut(namespace, $8) AS name
FROM store_items
WHERE owner @own $1 AND namespace >= $2 AND namespace < $3 AND (namespace = $2 OR namespace >= $4)
  AND (expires_at IS NULL OR expires_at > $5) AND hf_labels_match(namespace, $6, $7)
ORDER BY name LIMIT $9 OFFSET $10;

-- name: item_sweep
-- $1 now, $2 limit
DELETE FROM store_items WHERE (owner, namespace, key) IN
  (SELECT owner, namespace, key FROM store_items WHERE expires_at <= $1 LIMIT $2);
