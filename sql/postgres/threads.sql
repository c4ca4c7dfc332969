-- Threads: the row that other runtimes share, and its head (what that row has no columns for).
-- New ids are dashed; look-ups find the other spelling, too. The owner stands in the metadata, for
-- other runtimes; nobody's is ''. Lists of one owner run backwards along (owner, updated_at): they
-- are cut to their page before the heads are looked up.
-- Look-ups by key write the owner as (… || ''), so that the planner cannot take an owner's index
-- for it while the tables are empty.

-- shared: thread_columns
-- A row of threads `t` with its head `h`. Its checkpoint: a LangGraph process may have written a newer
-- one than the head names; a thread that never ran here may have states beside the checkpoints, then
-- the id is one that no checkpoint has. NULL: there is no state at all. Ids are compared as texts,
-- whose order is the same: functions in SQL, as for the id of a text, are dear.
t.id, coalesce(t.metadata ->> 'owner', '') AS owner, t.status, t.metadata - 'owner', t.config,
t.interrupts, h.error, coalesce(h.seq, 0),
coalesce(greatest(h.checkpoint_id::text, (
           SELECT c.checkpoint_id FROM lg_checkpoints.checkpoints c
           WHERE c.thread_id = t.id AND c.checkpoint_ns = ''
           ORDER BY c.checkpoint_id DESC LIMIT 1) COLLATE "C"),
         CASE WHEN h.thread_id IS NULL AND (t.values <> '{}' OR EXISTS (
                SELECT 1 FROM langgraph_server.thread_states s WHERE s.thread_id = t.id
                OFFSET 0)) -- never all of them, hashed
              THEN '00000000-0000-5000-8000-000000000000' END),
t.created_at, t.updated_at, coalesce(h.state_updated_at, t.updated_at)

-- shared: thread_values
-- id, metadata and config of a new thread in `a`, in the spelling that is to be used.
CASE WHEN EXISTS (SELECT 1 FROM langgraph_server.threads t
                           WHERE t.id = replace(a.thread::text, '-', '')
                           OFFSET 0) -- never all of them, hashed
         THEN holdfast.other_spelling() ELSE a.thread::text END,
         CASE WHEN a.owner = '' THEN a.metadata - 'owner'
         ELSE a.metadata || jsonb_build_object('owner', a.owner) END,
         a.config,

-- shared: thread_cleared
-- What another runtime has left of the new thread in `a` goes first.
CASE WHEN EXISTS (SELECT 1 FROM holdfast.thread_heads h WHERE h.thread_id = a.thread
                          OFFSET 0) -- never all of them, hashed
        THEN holdfast.thread_clear(a.thread) ELSE true END

-- shared: head_of_row
-- The head of a row `t` of a page: by its key, whatever the planner believes of the tables.
LEFT JOIN LATERAL (SELECT * FROM holdfast.thread_heads
                   WHERE thread_id = holdfast.to_uuid(t.id) LIMIT 1) h ON true

-- shared: lg_rows_go
-- What a thread has in LangGraph's tables; $1 thread.
lg AS (
  DELETE FROM lg_checkpoints.checkpoints
  WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
), blobs AS (
  DELETE FROM lg_checkpoints.checkpoint_blobs
  WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
), writes AS (
  DELETE FROM lg_checkpoints.checkpoint_writes
  WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
)

-- shared: spellings_of_1
-- The texts of the ids in $1, in both spellings.
ARRAY(SELECT unnest(ARRAY[i::text, replace(i::text, '-', '')]) FROM unnest($1::uuid[]) AS i)

-- name: thread_insert
-- $1 id, $2 owner, $3 metadata, $4 config, $5 now, $6 and $7 what ends it, and when; NULL: nothing
WITH head AS (
  INSERT INTO holdfast.thread_heads (thread_id, seq, state_updated_at, ttl_strategy, ttl_us,
                                     ttl_check_at)
  SELECT $1, 0, $5, $6::text, $7::int8,
         $5::timestamptz + $7::int8 * interval '1 microsecond'
  WHERE CASE WHEN EXISTS (SELECT 1 FROM holdfast.thread_heads WHERE thread_id = $1)
        THEN holdfast.thread_clear($1) ELSE true END
)
INSERT INTO langgraph_server.threads (id, metadata, config, status, interrupts, created_at,
                                      updated_at)
SELECT CASE WHEN EXISTS (SELECT 1 FROM langgraph_server.threads
                         WHERE id = replace($1::uuid::text, '-', ''))
       THEN holdfast.other_spelling() ELSE $1::uuid::text END,
       CASE WHEN $2::text = '' THEN $3::jsonb - 'owner'
       ELSE $3::jsonb || jsonb_build_object('owner', $2::text) END,
       $4::jsonb, 'idle', '{}', $5, $5
RETURNING id;

-- arrays: thread_insert
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::jsonb[], $5::timestamptz[],
                       $6::text[], $7::int8[]) WITH ORDINALITY
    AS a(thread, owner, metadata, config, now, strategy, ttl, number)
), head AS (
  INSERT INTO holdfast.thread_heads (thread_id, seq, state_updated_at, ttl_strategy, ttl_us,
                                     ttl_check_at)
  SELECT a.thread, 0, a.now, a.strategy, a.ttl, a.now + a.ttl * interval '1 microsecond'
  FROM args a
  WHERE @thread_cleared
), thread AS (
  INSERT INTO langgraph_server.threads (id, metadata, config, status, interrupts, created_at,
                                        updated_at)
  SELECT @thread_values 'idle', '{}', a.now, a.now
  FROM args a
  RETURNING id
)
SELECT a.number, t.id
FROM args a JOIN thread t ON t.id = a.thread::text;

-- name: thread_get
-- together: uuid text text
-- $1 id, $2 and $3 bounds of the owner
SELECT @thread_columns
FROM langgraph_server.threads t LEFT JOIN holdfast.thread_heads h ON h.thread_id = $1
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3;

-- name: thread_patch
-- $1 id, $2 and $3 bounds of the owner, $4 metadata to merge, $5 now
UPDATE langgraph_server.threads t
SET metadata = t.metadata || ($4::jsonb - 'owner'), updated_at = $5
FROM (SELECT 1) one LEFT JOIN holdfast.thread_heads h ON h.thread_id = $1
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3
RETURNING @thread_columns;

-- name: thread_delete
-- $1 id, $2 and $3 bounds of the owner, $4 a status that it must not have ('': any). Heads are locked
-- before threads, everywhere.
WITH head AS (SELECT 1 FROM holdfast.thread_heads WHERE thread_id = $1 FOR UPDATE),
gone AS (
  DELETE FROM langgraph_server.threads
  WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND (coalesce(metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3
    AND status IS DISTINCT FROM $4 AND (SELECT count(*) FROM head) >= 0
  RETURNING 1
), headless AS (
  DELETE FROM holdfast.thread_heads WHERE thread_id = $1 AND EXISTS (SELECT 1 FROM gone)
), preferences AS (
  DELETE FROM holdfast.preference_overrides
  WHERE thread_id = $1 AND EXISTS (SELECT 1 FROM gone)
)
SELECT 1 FROM gone;

-- arrays: thread_delete
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
    AS a(thread, low, high, unless, number)
), head AS (
  SELECT 1 FROM holdfast.thread_heads WHERE thread_id = ANY ($1) ORDER BY thread_id FOR UPDATE
), gone AS (
  DELETE FROM langgraph_server.threads t USING args a
  WHERE t.id IN (a.thread::text, replace(a.thread::text, '-', ''))
    AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN a.low AND a.high
    AND t.status IS DISTINCT FROM a.unless AND (SELECT count(*) FROM head) >= 0
  RETURNING a.number, a.thread
), headless AS (
  DELETE FROM holdfast.thread_heads WHERE thread_id = ANY (ARRAY(SELECT thread FROM gone))
), preferences AS (
  DELETE FROM holdfast.preference_overrides
  WHERE thread_id = ANY (ARRAY(SELECT thread FROM gone))
)
SELECT DISTINCT number FROM gone;

-- name: thread_delete_held
-- only: postgres
-- The thread goes with the run that has it: thread_hold and thread_delete in one.
-- $1 thread, $2 run, $3 attempt, $4 worker
WITH head AS (
  DELETE FROM holdfast.thread_heads
  WHERE thread_id = $1 AND run_id = $2 AND attempt = $3 AND worker = $4
  RETURNING 1
), gone AS (
  DELETE FROM langgraph_server.threads t USING head
  WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  RETURNING 1
), preferences AS (
  DELETE FROM holdfast.preference_overrides o USING gone WHERE o.thread_id = $1
)
SELECT 1 FROM gone;

-- arrays: thread_delete_held 1 2
WITH head AS (
  DELETE FROM holdfast.thread_heads h
  USING unnest($1::uuid[], $2::uuid[], $3::int8[], $4::uuid[]) WITH ORDINALITY
    AS a(thread, run, attempt, worker, number)
  WHERE h.thread_id = ANY (ARRAY[a.thread]) AND h.run_id = a.run AND h.attempt = a.attempt
    AND h.worker = a.worker
  RETURNING a.number, a.thread
), gone AS (
  DELETE FROM langgraph_server.threads t USING head h
  WHERE t.id IN (h.thread::text, replace(h.thread::text, '-', ''))
  RETURNING h.number, h.thread
), preferences AS (
  DELETE FROM holdfast.preference_overrides
  WHERE thread_id = ANY (ARRAY(SELECT thread FROM gone))
)
SELECT DISTINCT number FROM gone;

-- name: thread_delete_rest
-- only: postgres
-- All of a thread but its row and head, behind the statement that has locked these: what others have
-- committed until then is seen here, and goes. The statement proper is done first: states go before
-- runs. (What is the conversation's: a new title holds the lock of the thread's row.)
WITH runs AS (
  DELETE FROM langgraph_server.runs
  WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
), conversation AS (
  DELETE FROM holdfast.thread_conversations WHERE thread_id = $1
), events AS (
  DELETE FROM holdfast.events WHERE thread_id = $1
), @lg_rows_go, native AS (
  DELETE FROM holdfast.checkpoints WHERE thread_id = $1
), parts AS (
  DELETE FROM holdfast.checkpoint_values WHERE thread_id = $1
), lists AS (
  DELETE FROM holdfast.checkpoint_lists WHERE thread_id = $1
), doom AS (
  DELETE FROM holdfast.doomed_threads WHERE thread_id = $1
), c AS (
  DELETE FROM langgraph_server.crons c
  WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  RETURNING holdfast.to_uuid(c.id) AS id
), @cron_rows
DELETE FROM holdfast.run_states s
WHERE s.run_id = ANY (ARRAY(
  SELECT holdfast.to_uuid(r.id) FROM langgraph_server.runs r
  WHERE r.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))));

-- arrays: thread_delete_rest
WITH spelled AS MATERIALIZED (
  SELECT @spellings_of_1 AS ids
), runs AS (
  DELETE FROM langgraph_server.runs WHERE thread_id = ANY ((SELECT ids FROM spelled)::text[])
), conversation AS (
  DELETE FROM holdfast.thread_conversations WHERE thread_id = ANY ($1)
), events AS (
  DELETE FROM holdfast.events WHERE thread_id = ANY ($1)
), lg AS (
  DELETE FROM lg_checkpoints.checkpoints WHERE thread_id = ANY ((SELECT ids FROM spelled)::text[])
), blobs AS (
  DELETE FROM lg_checkpoints.checkpoint_blobs
  WHERE thread_id = ANY ((SELECT ids FROM spelled)::text[])
), writes AS (
  DELETE FROM lg_checkpoints.checkpoint_writes
  WHERE thread_id = ANY ((SELECT ids FROM spelled)::text[])
), native AS (
  DELETE FROM holdfast.checkpoints WHERE thread_id = ANY ($1)
), parts AS (
  DELETE FROM holdfast.checkpoint_values WHERE thread_id = ANY ($1)
), lists AS (
  DELETE FROM holdfast.checkpoint_lists WHERE thread_id = ANY ($1)
), doom AS (
  DELETE FROM holdfast.doomed_threads WHERE thread_id = ANY ($1)
), c AS (
  DELETE FROM langgraph_server.crons c
  WHERE c.thread_id = ANY ((SELECT ids FROM spelled)::text[])
  RETURNING holdfast.to_uuid(c.id) AS id
), @cron_rows
DELETE FROM holdfast.run_states s
WHERE s.run_id = ANY (ARRAY(
  SELECT holdfast.to_uuid(r.id) FROM langgraph_server.runs r
  WHERE r.thread_id = ANY ((SELECT ids FROM spelled)::text[])));

-- name: thread_delete_events
DELETE FROM holdfast.events WHERE thread_id = $1;

-- name: thread_delete_checkpoints
WITH @lg_rows_go
DELETE FROM holdfast.checkpoints WHERE thread_id = $1;

-- name: thread_delete_values
DELETE FROM holdfast.checkpoint_values WHERE thread_id = $1;

-- name: thread_delete_lists
DELETE FROM holdfast.checkpoint_lists WHERE thread_id = $1;

-- name: thread_search
-- vary: sort = updated_at created_at
-- vary: dir = desc asc
-- The page is cut before anything else is looked up, and its filters stand in CASE: what the planner
-- would think of them without statistics is that hardly a row is left, and that sorting all is cheap.
-- $1 owner, $2 statuses, $3 metadata, $4 limit, $5 offset
SELECT @thread_columns
FROM (SELECT * FROM langgraph_server.threads
      WHERE coalesce(metadata ->> 'owner', '') COLLATE "C" = $1
        AND CASE WHEN $2 = '' THEN true ELSE status = ANY (string_to_array($2, ',')) END
        AND CASE WHEN ($3::jsonb) ? 'owner' THEN false ELSE metadata @> $3::jsonb END
      ORDER BY @sort @dir, id @dir LIMIT $4 OFFSET $5) t
@head_of_row
ORDER BY t.@sort @dir, t.id @dir;

-- name: thread_search_sorted
-- vary: sort = state_updated_at:coalesce(h.state_updated_at,o.updated_at) id:o.id status:o.status
-- vary: dir = desc asc
-- Orders that no index gives: sorts as many as $6 says. The last column is how many there were.
-- $1 owner, $2 statuses, $3 metadata, $4 limit, $5 offset
WITH page AS (
  SELECT n.id, n.among, row_number() OVER (ORDER BY n.key @dir, n.id @dir) AS place
  FROM (SELECT o.id, @sort AS key, count(*) OVER () AS among
        FROM (SELECT t.id, t.status, t.updated_at FROM langgraph_server.threads t
              WHERE coalesce(t.metadata ->> 'owner', '') COLLATE "C" = $1
                AND ($2 = '' OR t.status = ANY (string_to_array($2, ',')))
                AND t.metadata @> $3::jsonb AND NOT ($3::jsonb) ? 'owner'
              ORDER BY t.updated_at DESC LIMIT $6) o
        LEFT JOIN LATERAL (SELECT state_updated_at FROM holdfast.thread_heads
                           WHERE thread_id = holdfast.to_uuid(o.id) LIMIT 1) h ON true) n
  ORDER BY n.key @dir, n.id @dir LIMIT $4 OFFSET $5
)
SELECT @thread_columns, p.among
FROM page p
JOIN langgraph_server.threads t ON t.id = p.id
LEFT JOIN holdfast.thread_heads h ON h.thread_id = holdfast.to_uuid(t.id)
ORDER BY p.place;

-- name: thread_search_active
-- vary: dir = desc asc
-- For a status other than idle, in the order of updated_at: few threads, which have their own index.
-- $1 owner, $2 status, $3 metadata, $4 limit, $5 offset
SELECT @thread_columns
FROM (SELECT * FROM langgraph_server.threads
      WHERE coalesce(metadata ->> 'owner', '') COLLATE "C" = $1 AND status = $2
        AND status <> 'idle' AND metadata @> $3::jsonb AND NOT ($3::jsonb) ? 'owner'
      ORDER BY updated_at @dir, id @dir LIMIT $4 OFFSET $5) t
@head_of_row
ORDER BY t.updated_at @dir, t.id @dir;

-- name: thread_search_ids
-- vary: sort = updated_at created_at state_updated_at:coalesce(h.state_updated_at,t.updated_at) id status
-- vary: dir = desc asc
-- $1 and $2 bounds of the owner, $3 JSON array of ids, $4 statuses, $5 metadata, $6 limit, $7 offset
SELECT @thread_columns
FROM langgraph_server.threads t
LEFT JOIN holdfast.thread_heads h ON h.thread_id = holdfast.to_uuid(t.id)
WHERE t.id = ANY (ARRAY(SELECT unnest(holdfast.spellings(i::uuid))
                        FROM jsonb_array_elements_text($3::jsonb) AS i))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $1 AND $2
  AND ($4 = '' OR t.status = ANY (string_to_array($4, ',')))
  AND t.metadata @> $5::jsonb AND NOT ($5::jsonb) ? 'owner'
ORDER BY @sort @dir, t.id @dir LIMIT $6 OFFSET $7;

-- name: thread_count
-- vary: own = mine:= all:>=
-- $1 owner, $2 statuses, $3 metadata
SELECT count(*) FROM langgraph_server.threads t
WHERE coalesce(t.metadata ->> 'owner', '') COLLATE "C" @own $1
  AND ($2 = '' OR t.status = ANY (string_to_array($2, ',')))
  AND t.metadata @> $3::jsonb AND NOT ($3::jsonb) ? 'owner';

-- name: thread_count_plain
-- vary: own = mine:= all:>=
-- Without a filter.
-- $1 owner
SELECT count(*) FROM langgraph_server.threads t
WHERE coalesce(t.metadata ->> 'owner', '') COLLATE "C" @own $1;

-- name: thread_count_ids
-- $1 and $2 bounds of the owner, $3 JSON array of ids, $4 statuses, $5 metadata
SELECT count(*) FROM langgraph_server.threads t
WHERE t.id = ANY (ARRAY(SELECT unnest(holdfast.spellings(i::uuid))
                        FROM jsonb_array_elements_text($3::jsonb) AS i))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $1 AND $2
  AND ($4 = '' OR t.status = ANY (string_to_array($4, ',')))
  AND t.metadata @> $5::jsonb AND NOT ($5::jsonb) ? 'owner';

-- name: thread_ids_containing
-- vary: own = mine:= all:>=
-- In the order of the ids as such, whatever their spelling.
-- $1 owner, $2 metadata, $3 after this id, $4 limit
SELECT t.id FROM langgraph_server.threads t
WHERE coalesce(t.metadata ->> 'owner', '') COLLATE "C" @own $1
  AND holdfast.to_uuid(t.id) > $3 AND t.metadata @> $2::jsonb AND NOT ($2::jsonb) ? 'owner'
ORDER BY holdfast.to_uuid(t.id) LIMIT $4;

-- name: thread_doom
-- $1 thread, $2 when it goes
INSERT INTO holdfast.doomed_threads (thread_id, due_at) VALUES ($1, $2)
ON CONFLICT (thread_id) DO NOTHING;

-- name: thread_doomed
-- $1 now, $2 limit
SELECT thread_id FROM holdfast.doomed_threads WHERE due_at <= $1 ORDER BY due_at LIMIT $2;

-- name: thread_undoom
DELETE FROM holdfast.doomed_threads WHERE thread_id = $1;

-- name: thread_walk
-- Of threads that ran here. $1 after this id, $2 limit
SELECT thread_id FROM holdfast.thread_heads WHERE thread_id > $1 ORDER BY thread_id LIMIT $2;
