-- What other runtimes leave of threads and runs that they delete from the shared tables.

-- name: orphan_threads
-- only: postgres
-- A page of heads: id, is its thread gone? $1 after this id, $2 limit
SELECT h.thread_id, NOT EXISTS (SELECT 1 FROM langgraph_server.threads t
                                WHERE t.id IN (h.thread_id::text,
                                               replace(h.thread_id::text, '-', '')))
FROM holdfast.thread_heads h WHERE h.thread_id > $1 ORDER BY h.thread_id LIMIT $2;

-- name: orphan_thread_delete
-- only: postgres
DELETE FROM holdfast.thread_heads
WHERE thread_id = $1 AND NOT holdfast.thread_has_live_runs($1)
  AND NOT EXISTS (SELECT 1 FROM langgraph_server.threads t
                  WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', '')));

-- name: orphan_runs
-- only: postgres
-- A page of runs: id, is it over and its row gone? $1 after this id, $2 limit
SELECT s.run_id, NOT s.live AND NOT EXISTS (SELECT 1 FROM langgraph_server.runs r
                                            WHERE r.id IN (s.run_id::text,
                                                           replace(s.run_id::text, '-', '')))
FROM holdfast.run_states s WHERE s.run_id > $1 ORDER BY s.run_id LIMIT $2;

-- name: orphan_run_delete
-- only: postgres
DELETE FROM holdfast.run_states WHERE run_id = $1 AND NOT live;

-- name: orphan_conversations
-- only: postgres
-- A page of titles: id, is its thread gone? $1 after this id, $2 limit
SELECT c.thread_id, NOT EXISTS (SELECT 1 FROM langgraph_server.threads t
                                WHERE t.id IN (c.thread_id::text,
                                               replace(c.thread_id::text, '-', '')))
FROM holdfast.thread_conversations c WHERE c.thread_id > $1 ORDER BY c.thread_id LIMIT $2;

-- name: orphan_conversation_delete
-- only: postgres
DELETE FROM holdfast.thread_conversations
WHERE thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM langgraph_server.threads t
                  WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', '')));

-- What other runtimes leave of items that they delete or change: words and vectors of a value that
-- is not the item's any more, which no search looks at.

-- name: orphan_item_texts
-- only: postgres
-- A page: owner, namespace, key, is it of no item? $1 $2 $3 after this one, $4 limit
SELECT t.owner, t.namespace, t.key,
       NOT EXISTS (SELECT 1 FROM langgraph_server.store_items i
                   WHERE i.owner_id = t.owner AND i.key = t.key AND i.updated_at = t.updated_at
                     AND holdfast.labels(i.namespace) COLLATE "C" = t.namespace)
FROM holdfast.item_texts t
WHERE (t.owner, t.namespace, t.key) > ($1, $2, $3)
ORDER BY t.owner, t.namespace, t.key LIMIT $4;

-- name: orphan_item_text_delete
-- only: postgres
-- $1 owner, $2 namespace, $3 key
DELETE FROM holdfast.item_texts t
WHERE t.owner = $1 AND t.namespace = $2 AND t.key = $3
  AND NOT EXISTS (SELECT 1 FROM langgraph_server.store_items i
                  WHERE i.owner_id = t.owner AND i.key = t.key AND i.updated_at = t.updated_at
                    AND holdfast.labels(i.namespace) COLLATE "C" = t.namespace);

-- name: orphan_item_vectors
-- only: postgres
-- A page: id, is it of no item? $1 after this id, $2 limit
SELECT v.id,
       NOT EXISTS (SELECT 1 FROM langgraph_server.store_items i
                   WHERE i.owner_id = v.owner AND i.key = v.key AND i.updated_at = v.updated_at
                     AND holdfast.labels(i.namespace) COLLATE "C" = v.namespace)
FROM holdfast.item_vectors v WHERE v.id > $1 ORDER BY v.id LIMIT $2;

-- name: orphan_item_vector_delete
-- only: postgres
-- An id stands for one vector for good, and what it is of does not come back. $1 id
DELETE FROM holdfast.item_vectors WHERE id = $1;
