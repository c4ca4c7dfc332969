-- Assistants and their versions. The server's own (owner '', metadata.created_by system) are
-- readable by everybody, and so are those that other runtimes give to the owner "system".

-- name: assistant_make
-- only: postgres
-- An assistant and its first version.
-- $1 id, $2 owner, $3 graph, $4 name, $5 description, $6 config, $7 context, $8 metadata, $9 now
WITH made AS (
  INSERT INTO langgraph_server.assistants (id, graph_id, name, description, config, context,
                                           metadata, version, created_at, updated_at)
  SELECT CASE WHEN EXISTS (SELECT 1 FROM langgraph_server.assistants
                           WHERE id = replace($1::uuid::text, '-', ''))
         THEN holdfast.other_spelling() ELSE $1::uuid::text END,
         $3, $4, $5, $6::jsonb, $7::jsonb,
         CASE WHEN $2::text = '' THEN $8::jsonb - 'owner'
         ELSE $8::jsonb || jsonb_build_object('owner', $2::text) END,
         1, $9, $9
  RETURNING id, graph_id, name, description, config, context, metadata - 'owner' AS metadata,
            version, created_at, updated_at
), kept AS (
  INSERT INTO holdfast.assistant_versions (assistant_id, version, graph_id, name, description,
                                           config, context, metadata, created_at)
  SELECT $1, version, graph_id, name, description, config, context, metadata, updated_at FROM made
  ON CONFLICT (assistant_id, version) DO NOTHING
)
SELECT id FROM made;

-- arrays: assistant_make
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[],
                       $7::jsonb[], $8::jsonb[], $9::timestamptz[]) WITH ORDINALITY
    AS a(assistant, owner, graph, name, description, config, context, metadata, now, number)
), made AS (
  INSERT INTO langgraph_server.assistants (id, graph_id, name, description, config, context,
                                           metadata, version, created_at, updated_at)
  SELECT CASE WHEN EXISTS (SELECT 1 FROM langgraph_server.assistants s
                           WHERE s.id = replace(a.assistant::text, '-', '')
                           OFFSET 0) -- never all of them, hashed
         THEN holdfast.other_spelling() ELSE a.assistant::text END,
         a.graph, a.name, a.description, a.config, a.context,
         CASE WHEN a.owner = '' THEN a.metadata - 'owner'
         ELSE a.metadata || jsonb_build_object('owner', a.owner) END,
         1, a.now, a.now
  FROM args a
  RETURNING id, graph_id, name, description, config, context, metadata - 'owner' AS metadata,
            version, created_at, updated_at
), kept AS (
  INSERT INTO holdfast.assistant_versions (assistant_id, version, graph_id, name, description,
                                           config, context, metadata, created_at)
  SELECT m.id::uuid, m.version, m.graph_id, m.name, m.description, m.config, m.context, m.metadata,
         m.updated_at
  FROM made m
  ON CONFLICT (assistant_id, version) DO NOTHING
)
SELECT a.number, m.id
FROM args a JOIN made m ON m.id = a.assistant::text;

-- name: assistant_insert_missing
-- Parameters as assistant_make; changes nothing when the id exists.
INSERT INTO langgraph_server.assistants (id, graph_id, name, description, config, context, metadata,
                                         version, created_at, updated_at)
SELECT $1::uuid::text, $3, $4, $5, $6::jsonb, $7::jsonb,
       CASE WHEN $2::text = '' THEN $8::jsonb - 'owner'
       ELSE $8::jsonb || jsonb_build_object('owner', $2::text) END,
       1, $9, $9
WHERE NOT EXISTS (SELECT 1 FROM langgraph_server.assistants
                  WHERE id = replace($1::uuid::text, '-', ''))
ON CONFLICT (id) DO NOTHING;

-- name: assistant_default_refresh
-- A graph's own assistant that nobody changed follows the settings.
-- $1 id, $2 config, $3 context, $4 now
UPDATE langgraph_server.assistants SET config = $2::jsonb, context = $3::jsonb, updated_at = $4
WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND metadata = '{"created_by":"system"}'
  AND (config <> $2::jsonb OR context <> $3::jsonb)
  AND NOT EXISTS (SELECT 1 FROM holdfast.assistant_versions v
                  WHERE v.assistant_id = $1 AND v.version > 1);

-- name: assistant_default_version
-- Its only version does so, too. $1 id
UPDATE holdfast.assistant_versions v SET config = a.config, context = a.context
FROM langgraph_server.assistants a
WHERE v.assistant_id = $1 AND v.version = 1
  AND a.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND a.metadata = '{"created_by":"system"}'
  AND NOT EXISTS (SELECT 1 FROM holdfast.assistant_versions o
                  WHERE o.assistant_id = $1 AND o.version > 1);

-- name: assistant_version_keep
-- The row's present content as a version.
INSERT INTO holdfast.assistant_versions (assistant_id, version, graph_id, name, description, config,
                                         context, metadata, created_at)
SELECT $1, version, graph_id, name, description, config, context, metadata - 'owner', updated_at
FROM langgraph_server.assistants WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
ON CONFLICT (assistant_id, version) DO NOTHING;

-- name: assistant_get
-- together: uuid text text
-- $1 id, $2 and $3 bounds of the owner
SELECT id, coalesce(metadata ->> 'owner', ''), graph_id, coalesce(name, graph_id), description, config,
       context, metadata - 'owner', version, created_at, updated_at
FROM langgraph_server.assistants
WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND ((coalesce(metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3
       OR (coalesce(metadata ->> 'owner', '') = '' AND metadata @> '{"created_by":"system"}')
       OR metadata ->> 'owner' = 'system');

-- name: assistant_update
-- $1 id, $2 and $3 bounds of the owner, $4 graph, $5 name, $6 description, $7 config, $8 context,
-- $9 metadata to merge, $10 now; NULL keeps what is there
UPDATE langgraph_server.assistants SET
  graph_id = coalesce($4, graph_id), name = coalesce($5, name),
  description = coalesce($6, description), config = coalesce($7::jsonb, config),
  context = coalesce($8::jsonb, context),
  metadata = metadata || coalesce($9::jsonb - 'owner', '{}'),
  version = 1 + greatest(version, (SELECT max(v.version) FROM holdfast.assistant_versions v
                                   WHERE v.assistant_id = $1)),
  updated_at = $10
WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3
RETURNING id, coalesce(metadata ->> 'owner', ''), graph_id, coalesce(name, graph_id), description,
          config, context, metadata - 'owner', version, created_at, updated_at;

-- name: assistant_versions
-- The assistant of another runtime has one version, until it is changed here.
-- $1 id, $2 metadata, $3 limit, $4 offset. Who may read the assistant is asked before.
SELECT a.id, coalesce(a.metadata ->> 'owner', ''), v.graph_id, coalesce(v.name, v.graph_id),
       v.description, v.config, v.context, v.metadata, v.version, v.created_at, v.created_at
FROM langgraph_server.assistants a
JOIN LATERAL (
  SELECT o.version, o.graph_id, o.name, o.description, o.config, o.context, o.metadata, o.created_at
  FROM holdfast.assistant_versions o WHERE o.assistant_id = $1
  UNION ALL
  SELECT a.version, a.graph_id, a.name, a.description, a.config, a.context, a.metadata - 'owner',
         a.updated_at
  WHERE NOT EXISTS (SELECT 1 FROM holdfast.assistant_versions o
                    WHERE o.assistant_id = $1 AND o.version = a.version)
) v ON true
WHERE a.id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND v.metadata @> $2::jsonb
ORDER BY v.version DESC LIMIT $3 OFFSET $4;

-- name: assistant_set_latest
-- $1 id, $2 and $3 bounds of the owner, $4 version, $5 now
UPDATE langgraph_server.assistants a SET
  graph_id = v.graph_id, name = v.name, description = v.description, config = v.config,
  context = v.context, version = v.version, updated_at = $5,
  metadata = v.metadata || CASE WHEN a.metadata ? 'owner'
                           THEN jsonb_build_object('owner', a.metadata -> 'owner') ELSE '{}' END
FROM holdfast.assistant_versions v
WHERE v.assistant_id = $1 AND v.version = $4
  AND a.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(a.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3
RETURNING a.id, coalesce(a.metadata ->> 'owner', ''), a.graph_id, coalesce(a.name, a.graph_id),
          a.description, a.config, a.context, a.metadata - 'owner', a.version, a.created_at,
          a.updated_at;

-- name: assistant_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM langgraph_server.assistants
WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3;

-- arrays: assistant_delete
DELETE FROM langgraph_server.assistants s
USING unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS a(assistant, low, high, number)
WHERE s.id IN (a.assistant::text, replace(a.assistant::text, '-', ''))
  AND (coalesce(s.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN a.low AND a.high
RETURNING a.number;

-- name: assistant_delete_rest
-- only: postgres
-- What is an assistant's, behind the statement that has locked its row.
WITH c AS (
  DELETE FROM langgraph_server.crons c
  WHERE c.assistant_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  RETURNING holdfast.to_uuid(c.id) AS id
), @cron_rows
DELETE FROM holdfast.assistant_versions WHERE assistant_id = $1;

-- arrays: assistant_delete_rest
WITH c AS (
  DELETE FROM langgraph_server.crons c
  WHERE c.assistant_id = ANY (@spellings_of_1)
  RETURNING holdfast.to_uuid(c.id) AS id
), @cron_rows
DELETE FROM holdfast.assistant_versions WHERE assistant_id = ANY ($1::uuid[]);

-- name: assistant_owned
-- together: uuid text text
-- $1 id, $2 and $3 bounds of the owner
SELECT 1 FROM langgraph_server.assistants
WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3;

-- name: assistant_search
-- vary: sort = created_at updated_at id name graph_id
-- vary: dir = desc asc
-- $1 owner, $2 graph, $3 part of the name, $4 metadata, $5 limit, $6 offset
SELECT id, owner, graph_id, name, description, config, context, metadata, version,
       created_at, updated_at
FROM (
  SELECT id, coalesce(metadata ->> 'owner', '') AS owner, graph_id, coalesce(name, graph_id) AS name,
         description, config, context, metadata - 'owner' AS metadata, version, created_at, updated_at
  FROM langgraph_server.assistants
  WHERE coalesce(metadata ->> 'owner', '') COLLATE "C" = $1
    AND metadata @> $4::jsonb AND NOT ($4::jsonb) ? 'owner'
  UNION ALL
  SELECT id, coalesce(metadata ->> 'owner', ''), graph_id, coalesce(name, graph_id), description,
         config, context, metadata - 'owner', version, created_at, updated_at
  FROM langgraph_server.assistants
  WHERE coalesce(metadata ->> 'owner', '') COLLATE "C" IN ('', 'system')
    AND coalesce(metadata ->> 'owner', '') COLLATE "C" <> $1
    AND (metadata ->> 'owner' = 'system' OR metadata @> '{"created_by":"system"}')
    AND metadata @> $4::jsonb AND NOT ($4::jsonb) ? 'owner'
) a
WHERE ($2 = '' OR graph_id = ANY (string_to_array($2, ','))) AND holdfast.icontains(name, $3)
ORDER BY @sort @dir, id @dir LIMIT $5 OFFSET $6;

-- name: assistant_search_all
-- vary: sort = created_at updated_at id name graph_id
-- vary: dir = desc asc
-- $1 graph, $2 part of the name, $3 metadata, $4 limit, $5 offset
SELECT id, coalesce(metadata ->> 'owner', ''), graph_id, coalesce(name, graph_id), description, config,
       context, metadata - 'owner', version, created_at, updated_at
FROM langgraph_server.assistants
WHERE ($1 = '' OR graph_id = ANY (string_to_array($1, ',')))
  AND holdfast.icontains(coalesce(name, graph_id), $2)
  AND metadata @> $3::jsonb AND NOT ($3::jsonb) ? 'owner'
ORDER BY @sort @dir, id @dir LIMIT $4 OFFSET $5;

-- name: assistant_count
-- $1 owner, $2 graph, $3 part of the name, $4 metadata
SELECT count(*) FROM langgraph_server.assistants
WHERE coalesce(metadata ->> 'owner', '') COLLATE "C" IN ($1, '', 'system')
  AND (coalesce(metadata ->> 'owner', '') COLLATE "C" = $1 OR metadata ->> 'owner' = 'system'
       OR metadata @> '{"created_by":"system"}')
  AND ($2 = '' OR graph_id = ANY (string_to_array($2, ',')))
  AND holdfast.icontains(coalesce(name, graph_id), $3)
  AND metadata @> $4::jsonb AND NOT ($4::jsonb) ? 'owner';

-- name: assistant_count_all
-- $1 graph, $2 part of the name, $3 metadata
SELECT count(*) FROM langgraph_server.assistants
WHERE ($1 = '' OR graph_id = ANY (string_to_array($1, ',')))
  AND holdfast.icontains(coalesce(name, graph_id), $2)
  AND metadata @> $3::jsonb AND NOT ($3::jsonb) ? 'owner';
