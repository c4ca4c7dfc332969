-- Graphs that are documents. A change takes the next revision, deleted ones too, so that other
-- processes find by it what has changed since they looked. Graphs are read by everybody; changing
-- takes the owner.

-- name: graph_put
-- $1 graph, $2 owner, $3 document, $4 now
INSERT INTO graphs (graph_id, owner, version, document, revision, deleted, created_at, updated_at)
VALUES ($1, $2, 1 + coalesce((SELECT max(version) FROM graph_versions WHERE graph_id = $1), 0), $3,
        1 + coalesce((SELECT max(revision) FROM graphs), 0), 0, $4, $4)
ON CONFLICT (graph_id) DO UPDATE SET
  owner = excluded.owner, version = excluded.version, document = excluded.document,
  revision = excluded.revision, deleted = 0, updated_at = excluded.updated_at,
  created_at = CASE WHEN graphs.deleted = 1 THEN excluded.created_at ELSE graphs.created_at END
WHERE graphs.owner = excluded.owner OR graphs.deleted = 1
RETURNING graph_id, owner, version, document, revision, deleted, created_at, updated_at;

-- name: graph_version_keep
-- $1 graph
INSERT INTO graph_versions (graph_id, version, owner, document, created_at)
SELECT graph_id, version, owner, document, updated_at FROM graphs WHERE graph_id = $1;

-- name: graph_versions_trim
-- $1 graph, $2 how many stay
DELETE FROM graph_versions WHERE graph_id = $1 AND version <=
  (SELECT max(version) FROM graph_versions WHERE graph_id = $1) - $2;

-- name: graph_delete
-- $1 graph, $2 owner, $3 now
UPDATE graphs SET deleted = 1, document = '{}', updated_at = $3,
  revision = 1 + (SELECT max(revision) FROM graphs)
WHERE graph_id = $1 AND owner = $2 AND deleted = 0;

-- name: graph_sweep_versions
-- Of graphs that were deleted before $1. Whose revision is the last stays: it must not come again.
DELETE FROM graph_versions WHERE graph_id IN
  (SELECT graph_id FROM graphs WHERE deleted = 1 AND updated_at < $1
                                 AND revision < (SELECT max(revision) FROM graphs));

-- name: graph_sweep
-- $1 time
DELETE FROM graphs WHERE deleted = 1 AND updated_at < $1
                       AND revision < (SELECT max(revision) FROM graphs);

-- name: graph_version_get
-- $1 graph, $2 version
SELECT graph_id, owner, version, document, 0, 0, created_at, created_at FROM graph_versions
WHERE graph_id = $1 AND version = $2;

-- name: graph_since
-- $1 revision, $2 limit
SELECT graph_id, owner, version, document, revision, deleted, created_at, updated_at FROM graphs
WHERE revision > $1 ORDER BY revision LIMIT $2;

-- name: graph_count
SELECT count(*) FROM graphs WHERE deleted = 0;
