-- Assistants and their versions. The server's own (owner '', metadata.created_by system) are
-- readable by everybody, so a list of one owner joins two ranges, each in the order of its index.

-- name: assistant_insert
-- only: sqlite
-- $1 id, $2 owner, $3 graph, $4 name, $5 description, $6 config, $7 context, $8 metadata, $9 now
INSERT INTO assistants (id, owner, graph_id, name, description, config, context, metadata, version,
                        created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9);

-- name: assistant_insert_missing
-- Parameters as assistant_insert; changes nothing when the id exists.
INSERT INTO assistants (id, owner, graph_id, name, description, config, context, metadata, version,
                        created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9)
ON CONFLICT (id) DO NOTHING;

-- name: assistant_default_refresh
-- A graph's own assistant that nobody changed follows the settings.
-- $1 id, $2 config, $3 context, $4 now
UPDATE assistants SET config = $2, context = $3, updated_at = $4
WHERE id = $1 AND owner = '' AND metadata = '{"created_by":"system"}'
  AND (config <> $2 OR context <> $3)
  AND NOT EXISTS (SELECT 1 FROM assistant_versions WHERE assistant_id = $1 AND version > 1);

-- name: assistant_default_version
-- Its only version does so, too. $1 id
UPDATE assistant_versions SET (config, context) =
  (SELECT a.config, a.context FROM assistants a WHERE a.id = assistant_id)
WHERE assistant_id = $1 AND version = 1
  AND NOT EXISTS (SELECT 1 FROM assistant_versions WHERE assistant_id = $1 AND version > 1)
  AND EXISTS (SELECT 1 FROM assistants a WHERE a.id = $1 AND a.owner = ''
              AND a.metadata = '{"created_by":"system"}');

-- name: assistant_version_keep
-- The row's present content as a version.
INSERT INTO assistant_versions (assistant_id, version, graph_id, name, description, config, context,
                                metadata, created_at)
SELECT id, version, graph_id, name, description, config, context, metadata, updated_at
FROM assistants WHERE id = $1
ON CONFLICT (assistant_id, version) DO NOTHING;

-- name: assistant_get
-- point
-- $1 id, $2 and $3 bounds of the owner
SELECT id, owner, graph_id, name, description, config, context, metadata, version,
       created_at, updated_at
FROM assistants
WHERE id = $1 AND (owner BETWEEN $2 AND $3
                   OR (owner = '' AND hf_contains(metadata, '{"created_by":"system"}')));

-- name: assistant_update
-- $1 id, $2 and $3 bounds of the owner, $4 graph, $5 name, $6 description, $7 config, $8 context,
-- $9 metadata to merge, $10 now; NULL keeps what is there
UPDATE assistants SET
  graph_id = coalesce($4, graph_id), name = coalesce($5, name),
  description = coalesce($6, description), config = coalesce($7, config),
  context = coalesce($8, context), metadata = hf_merge(metadata, $9),
  version = 1 + max(version, (SELECT max(version) FROM assistant_versions WHERE assistant_id = $1)),
  updated_at = $10
WHERE id = $1 AND owner BETWEEN $2 AND $3
RETURNING id, owner, graph_id, name, description, config, context, metadata, version,
          created_at, updated_at;

-- name: assistant_versions
-- $1 id, $2 metadata, $3 limit, $4 offset. Who may read the assistant is asked before.
SELECT a.id, a.owner, v.graph_id, v.name, v.description, v.config, v.context, v.metadata, v.version,
       v.created_at, v.created_at
FROM assistant_versions v JOIN assistants a ON a.id = v.assistant_id
WHERE v.assistant_id = $1 AND hf_contains(v.metadata, $2)
ORDER BY v.version DESC LIMIT $3 OFFSET $4;

-- name: assistant_set_latest
-- $1 id, $2 and $3 bounds of the owner, $4 version, $5 now
UPDATE assistants SET
  graph_id = v.graph_id, name = v.name, description = v.description, config = v.config,
  context = v.context, metadata = v.metadata, version = v.version, updated_at = $5
FROM assistant_versions v
WHERE v.assistant_id = assistants.id AND v.version = $4
  AND assistants.id = $1 AND assistants.owner BETWEEN $2 AND $3
RETURNING id, owner, graph_id, name, description, config, context, metadata, version,
          created_at, updated_at;

-- name: assistant_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM assistants WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: assistant_delete_versions
-- only: sqlite
DELETE FROM assistant_versions WHERE assistant_id = $1;

-- name: assistant_owned
-- point
-- $1 id, $2 and $3 bounds of the owner
SELECT 1 FROM assistants WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: assistant_search
-- vary: sort = created_at updated_at id name graph_id
-- vary: dir = desc asc
-- $1 owner, $2 graph, $3 part of the name, $4 metadata, $5 limit, $6 offset
SELECT id, owner, graph_id, name, description, config, context, metadata, version,
       created_at, updated_at
FROM assistants
WHERE owner = $1 AND hf_in(graph_id, $2) AND hf_icontains(name, $3) AND hf_contains(metadata, $4)
UNION ALL
SELECT id, owner, graph_id, name, description, config, context, metadata, version,
       created_at, updated_at
FROM assistants
WHERE owner = '' AND $1 <> '' AND hf_contains(metadata, '{"created_by":"system"}')
  AND hf_in(graph_id, $2) AND hf_icontains(name, $3) AND hf_contains(metadata, $4)
ORDER BY @sort @dir, id @dir LIMIT $5 OFFSET $6;

-- name: assistant_search_all
-- vary: sort = created_at updated_at id name graph_id
-- vary: dir = desc asc
-- $1 graph, $2 part of the name, $3 metadata, $4 limit, $5 offset
SELECT id, owner, graph_id, name, description, config, context, metadata, version,
       created_at, updated_at
FROM assistants
WHERE hf_in(graph_id, $1) AND hf_icontains(name, $2) AND hf_contains(metadata, $3)
ORDER BY @sort @dir, id @dir LIMIT $4 OFFSET $5;

-- name: assistant_count
-- $1 owner, $2 graph, $3 part of the name, $4 metadata
SELECT count(*) FROM assistants
WHERE owner IN ($1, '') AND (owner = $1 OR hf_contains(metadata, '{"created_by":"system"}'))
  AND hf_in(graph_id, $2) AND hf_icontains(name, $3) AND hf_contains(metadata, $4);

-- name: assistant_count_all
-- $1 graph, $2 part of the name, $3 metadata
SELECT count(*) FROM assistants
WHERE hf_in(graph_id, $1) AND hf_icontains(name, $2) AND hf_contains(metadata, $3);
