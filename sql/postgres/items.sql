-- The long-term store. What belongs to nobody has the owner "anonymous", as in other runtimes. A
-- namespace is labels joined by '.'; the Python runtime writes '{a,b}' for a.b, which is found, too.
-- A prefix is a range of holdfast_items_labels: $2 <= labels < $3, where of the names between 'a'
-- and 'a.' only 'a' itself belongs to it ($4 is 'a.', and '' for everything).

-- name: item_put
-- $1 owner, $2 namespace, $3 key, $4 value, $5 ttl in minutes, $6 end of it, $7 now
WITH old AS (
  SELECT expires_at FROM holdfast.item_ttls
  WHERE owner = coalesce(nullif($1, ''), 'anonymous') AND namespace = $2 AND key = $3
), gone AS (
  DELETE FROM holdfast.item_ttls
  WHERE owner = coalesce(nullif($1, ''), 'anonymous') AND namespace = $2 AND key = $3
    AND $5::int8 IS NULL
), ttl AS (
  INSERT INTO holdfast.item_ttls (owner, namespace, key, ttl_minutes, expires_at)
  SELECT coalesce(nullif($1, ''), 'anonymous'), $2, $3, $5::int8, $6::timestamptz
  WHERE $5::int8 IS NOT NULL
  ON CONFLICT (owner, namespace, key) DO UPDATE SET
    ttl_minutes = excluded.ttl_minutes, expires_at = excluded.expires_at
)
INSERT INTO langgraph_server.store_items AS i (namespace, key, value, owner_id, created_at, updated_at)
SELECT coalesce((SELECT s.namespace FROM langgraph_server.store_items s
                 WHERE s.owner_id = coalesce(nullif($1, ''), 'anonymous')
                   AND holdfast.labels(s.namespace) COLLATE "C" = $2 AND s.key = $3
                 LIMIT 1), $2),
       $3, $4::jsonb, coalesce(nullif($1, ''), 'anonymous'), $7, $7
ON CONFLICT (namespace, key, owner_id) DO UPDATE SET
  value = excluded.value,
  created_at = CASE WHEN (SELECT expires_at FROM old) <= excluded.updated_at
               THEN excluded.created_at ELSE i.created_at END,
  updated_at = excluded.updated_at;

-- name: item_get
-- together: text text text timestamptz
-- $1 owner, $2 namespace, $3 key, $4 now
SELECT holdfast.labels(i.namespace), i.key, i.value, i.created_at, i.updated_at, t.expires_at
FROM langgraph_server.store_items i
LEFT JOIN holdfast.item_ttls t
  ON t.owner = i.owner_id AND t.namespace = $2 AND t.key = i.key
WHERE i.owner_id = coalesce(nullif($1, ''), 'anonymous')
  AND holdfast.labels(i.namespace) COLLATE "C" = $2 AND i.key = $3
  AND (t.expires_at IS NULL OR t.expires_at > $4);

-- name: item_refresh
-- $1 owner, $2 namespace, $3 key, $4 now
UPDATE holdfast.item_ttls SET expires_at = $4 + ttl_minutes * interval '1 minute'
WHERE owner = coalesce(nullif($1, ''), 'anonymous') AND namespace = $2 AND key = $3
  AND expires_at > $4;

-- name: item_delete
-- $1 owner, $2 namespace, $3 key
WITH ttl AS (
  DELETE FROM holdfast.item_ttls
  WHERE owner = coalesce(nullif($1, ''), 'anonymous') AND namespace = $2 AND key = $3
), texts AS (
  DELETE FROM holdfast.item_texts
  WHERE owner = coalesce(nullif($1, ''), 'anonymous') AND namespace = $2 AND key = $3
), vectors AS (
  DELETE FROM holdfast.item_vectors
  WHERE owner = coalesce(nullif($1, ''), 'anonymous') AND namespace COLLATE "C" = $2 AND key = $3
)
DELETE FROM langgraph_server.store_items
WHERE owner_id = coalesce(nullif($1, ''), 'anonymous')
  AND holdfast.labels(namespace) COLLATE "C" = $2 AND key = $3;

-- shared: item_in_range
-- Items `i` of the namespaces $2, $3, $4, see above.
holdfast.labels(i.namespace) COLLATE "C" >= $2 AND holdfast.labels(i.namespace) COLLATE "C" < $3
     AND (holdfast.labels(i.namespace) = $2 OR holdfast.labels(i.namespace) COLLATE "C" >= $4)

-- shared: item_end
-- When an item `i` is over: by its key, whatever the planner believes of the table.
LEFT JOIN LATERAL (SELECT e.expires_at FROM holdfast.item_ttls e
                      WHERE e.owner = i.owner_id AND e.namespace = holdfast.labels(i.namespace)
                        AND e.key = i.key LIMIT 1) t ON true

-- shared: item_meets
-- Items `i` that meet the filter $6. They hold $9, which costs a fraction of the function to see.
($6::jsonb = '{}' OR i.value @> $9::jsonb AND holdfast.filter(i.value, $6::jsonb))

-- name: item_search
-- vary: own = mine:coalesce(nullif($1,''),'anonymous')=i.owner_id all:$1<=i.owner_id
-- vary: dir = desc asc
-- Of a range that holds fewer items than $10: reads and sorts them. The last column is how many the
-- range holds, $10 at most; there is a row without an item for it when there are no others.
-- $1 owner, $2 $3 $4 range of the namespace, $5 now, $6 filter, $7 limit, $8 offset, $9 what a value that
-- meets the filter holds
WITH held AS MATERIALIZED (
  SELECT i.owner_id, i.namespace, i.key, i.value, i.created_at, i.updated_at
  FROM langgraph_server.store_items i WHERE @own AND @item_in_range LIMIT $10
)
SELECT found.*, n.among
FROM (SELECT count(*) AS among FROM held) n
LEFT JOIN LATERAL (
  SELECT holdfast.labels(i.namespace), i.key, i.value, i.created_at, i.updated_at, t.expires_at
  FROM held i @item_end
  WHERE n.among < $10 AND @item_meets AND (t.expires_at IS NULL OR t.expires_at > $5)
  ORDER BY i.updated_at @dir, holdfast.labels(i.namespace) COLLATE "C", i.key COLLATE "C"
  LIMIT $7 OFFSET $8) found ON true;

-- name: item_search_wide
-- only: postgres
-- vary: own = mine:coalesce(nullif($1,''),'anonymous')=i.owner_id all:$1<=i.owner_id
-- vary: dir = desc asc
-- Of a range that holds many: goes through the owner's items in order of time until there are enough,
-- with all of the last one's time. Conditions stand in CASE: what the planner would think of them
-- without statistics is that hardly an item is left, and that sorting all is cheap. Parameters as above.
WITH found AS (
  SELECT i.namespace, i.key, i.value, i.created_at, i.updated_at, t.expires_at
  FROM langgraph_server.store_items i @item_end
  WHERE @own
    AND CASE WHEN i.updated_at IS NULL THEN false ELSE @item_in_range AND @item_meets END
    AND CASE WHEN t.expires_at IS NULL THEN true ELSE t.expires_at > $5 END
  ORDER BY i.updated_at @dir FETCH FIRST ($7::int8 + $8::int8) ROWS WITH TIES
)
SELECT holdfast.labels(i.namespace), i.key, i.value, i.created_at, i.updated_at, i.expires_at
FROM found i
ORDER BY i.updated_at @dir, holdfast.labels(i.namespace) COLLATE "C", i.key COLLATE "C"
LIMIT $7 OFFSET $8;

-- name: item_text_put
-- As holdfast.words says it, which is not inlined and would be planned for each execution.
-- $1 owner, $2 namespace, $3 key, $4 number of words, $5 the owner as a word, $6 words, $7 now
INSERT INTO holdfast.item_texts (owner, namespace, key, size, words, updated_at)
VALUES (coalesce(nullif($1, ''), 'anonymous'), $2, $3, $4,
        (SELECT coalesce(string_agg('''' || u.word || ''':' || u.place, ' '), '')
         FROM unnest(string_to_array(rtrim($6, ' '), ' ')) WITH ORDINALITY AS u(word, place)
         WHERE u.word <> '')::tsvector || ($5::text || ':1')::tsvector, $7)
ON CONFLICT (owner, namespace, key) DO UPDATE SET
  size = excluded.size, words = excluded.words, updated_at = excluded.updated_at;

-- name: item_text_drop
-- $1 owner, $2 namespace, $3 key
DELETE FROM holdfast.item_texts
WHERE owner = coalesce(nullif($1, ''), 'anonymous') AND namespace = $2 AND key = $3;

-- name: item_search_text
-- vary: own = mine:t.owner=coalesce(nullif($1,''),'anonymous') all:t.owner>=$1
-- $1 owner, $2 $3 $4 range of the namespace, $5 now, $6 filter, $7 limit, $8 offset, $9 words as a
-- JSON array, $10 the owner as a word, '' for all
WITH wanted AS MATERIALIZED (
  SELECT ARRAY(SELECT jsonb_array_elements_text($9::jsonb)) AS words
)
SELECT t.namespace, i.key, i.value, i.created_at, i.updated_at, e.expires_at,
       holdfast.words_score(t.words, t.size, (SELECT words FROM wanted)) AS score
FROM holdfast.item_texts t
JOIN langgraph_server.store_items i
  ON i.owner_id = t.owner AND holdfast.labels(i.namespace) COLLATE "C" = t.namespace
  AND i.key = t.key AND i.updated_at = t.updated_at
LEFT JOIN holdfast.item_ttls e
  ON e.owner = t.owner AND e.namespace = t.namespace AND e.key = t.key
WHERE t.words @@ holdfast.words_query($10, (SELECT words FROM wanted)) AND @own
  AND t.namespace COLLATE "C" >= $2 AND t.namespace COLLATE "C" < $3
  AND (t.namespace = $2 OR t.namespace COLLATE "C" >= $4)
  AND (e.expires_at IS NULL OR e.expires_at > $5)
  AND ($6::jsonb = '{}' OR holdfast.filter(i.value, $6::jsonb))
ORDER BY score DESC, i.updated_at DESC, t.namespace COLLATE "C", i.key COLLATE "C"
LIMIT $7 OFFSET $8;

-- name: item_vector_drop
-- $1 owner, $2 namespace, $3 key
DELETE FROM holdfast.item_vectors
WHERE owner = coalesce(nullif($1, ''), 'anonymous') AND namespace COLLATE "C" = $2 AND key = $3;

-- name: item_vector_put
-- $1 owner, $2 namespace, $3 key, $4 field, $5 model, $6 vector, $7 now
INSERT INTO holdfast.item_vectors (owner, namespace, key, field, model, vector, updated_at)
VALUES (coalesce(nullif($1, ''), 'anonymous'), $2, $3, $4, $5, $6, $7);

-- name: item_vector_ids
-- vary: own = mine:v.owner=coalesce(nullif($1,''),'anonymous') all:v.owner>=$1
-- $1 owner, $2 $3 $4 range of the namespace, $5 now, $6 filter, $7 model, $8 limit
SELECT v.id
FROM holdfast.item_vectors v
JOIN langgraph_server.store_items i
  ON i.owner_id = v.owner AND holdfast.labels(i.namespace) COLLATE "C" = v.namespace
  AND i.key = v.key AND i.updated_at = v.updated_at
LEFT JOIN holdfast.item_ttls e
  ON e.owner = v.owner AND e.namespace = v.namespace AND e.key = v.key
WHERE @own
  AND v.namespace COLLATE "C" >= $2 AND v.namespace COLLATE "C" < $3
  AND (v.namespace = $2 OR v.namespace COLLATE "C" >= $4)
  AND (e.expires_at IS NULL OR e.expires_at > $5) AND v.model = $7
  AND ($6::jsonb = '{}' OR holdfast.filter(i.value, $6::jsonb))
LIMIT $8;

-- name: item_vector_near
-- only: postgres
-- vary: own = mine:coalesce(nullif($1,''),'anonymous') all:nullif($1,$1)
-- $1 to $7 as above, $8 the query's vector, $9 limit
SELECT holdfast.vectors_near(@own, $2, $3, $4, $5, $6::jsonb, $7, $8, $9);

-- name: item_vector_load
-- vary: own = mine:v.owner=coalesce(nullif($1,''),'anonymous') all:v.owner>=$1
-- $1 owner, $2 ids as a JSON array
SELECT v.id, v.vector
FROM holdfast.item_vectors v
WHERE @own AND v.id = ANY (ARRAY(SELECT w::int8 FROM jsonb_array_elements_text($2::jsonb) w));

-- name: item_of_vectors
-- vary: own = mine:v.owner=coalesce(nullif($1,''),'anonymous') all:v.owner>=$1
-- $1 owner, $2 ids as a JSON array
SELECT v.namespace, i.key, i.value, i.created_at, i.updated_at, e.expires_at, v.id, v.owner
FROM holdfast.item_vectors v
JOIN langgraph_server.store_items i
  ON i.owner_id = v.owner AND holdfast.labels(i.namespace) COLLATE "C" = v.namespace
  AND i.key = v.key AND i.updated_at = v.updated_at
LEFT JOIN holdfast.item_ttls e
  ON e.owner = v.owner AND e.namespace = v.namespace AND e.key = v.key
WHERE @own AND v.id = ANY (ARRAY(SELECT w::int8 FROM jsonb_array_elements_text($2::jsonb) w));

-- name: item_namespaces
-- vary: own = mine:coalesce(nullif($1,''),'anonymous')=i.owner_id all:$1<=i.owner_id
-- $1 owner, $2 $3 $4 range of the namespace, $5 now, $6 prefix, $7 suffix, $8 depth, $9 limit,
-- $10 offset
SELECT DISTINCT holdfast.labels_cut(holdfast.labels(i.namespace), $8) COLLATE "C" AS name
FROM langgraph_server.store_items i
LEFT JOIN holdfast.item_ttls t
  ON t.owner = i.owner_id AND t.namespace = holdfast.labels(i.namespace) AND t.key = i.key
WHERE @own
  AND holdfast.labels(i.namespace) COLLATE "C" >= $2 AND holdfast.labels(i.namespace) COLLATE "C" < $3
  AND (holdfast.labels(i.namespace) = $2 OR holdfast.labels(i.namespace) COLLATE "C" >= $4)
  AND (t.expires_at IS NULL OR t.expires_at > $5)
  AND holdfast.labels_match(holdfast.labels(i.namespace), $6, $7)
ORDER BY name LIMIT $9 OFFSET $10;

-- name: item_sweep
-- $1 now, $2 limit
WITH gone AS (
  DELETE FROM holdfast.item_ttls
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM holdfast.item_ttls WHERE expires_at <= $1
                          ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
  RETURNING owner, namespace, key
), texts AS (
  DELETE FROM holdfast.item_texts t USING gone g
  WHERE t.owner = g.owner AND t.namespace = g.namespace AND t.key = g.key
), vectors AS (
  DELETE FROM holdfast.item_vectors v USING gone g
  WHERE v.owner = g.owner AND v.namespace COLLATE "C" = g.namespace AND v.key = g.key
)
DELETE FROM langgraph_server.store_items i USING gone g
WHERE i.owner_id = g.owner AND holdfast.labels(i.namespace) COLLATE "C" = g.namespace
  AND i.key = g.key;
