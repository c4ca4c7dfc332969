-- Artifacts of plans, and who holds which blob: src/store/artifacts.c.

-- shared: artifact_columns
a.id, a.plan_id, a.position, a.name, a.type, a.sha256, a.bytes, a.created_at

-- name: blob_claim
-- Before its bytes are put. $1 sha256, $2 now
INSERT INTO holdfast.blobs AS b (sha256, loose_at) VALUES ($1, $2)
ON CONFLICT (sha256) DO UPDATE
SET loose_at = CASE WHEN b.loose_at IS NOT NULL THEN excluded.loose_at END
WHERE b.doomed_at IS NULL;

-- name: blob_hold
-- In the batch that refers to it. $1 sha256
UPDATE holdfast.blobs SET loose_at = NULL WHERE sha256 = $1 AND doomed_at IS NULL;

-- name: artifact_put
-- $1 id, $2 plan, $3 position, $4 name, $5 type, $6 sha256, $7 bytes, $8 now, $9 and $10 bounds of
-- the owner
INSERT INTO holdfast.plan_artifacts (plan_id, position, name, id, owner, type, sha256, bytes, created_at)
SELECT p.id, $3::integer, $4::text, $1::uuid, p.owner, $5::text, $6::text, $7::bigint, $8::timestamptz
FROM holdfast.plans p
WHERE p.id = $2 AND p.owner >= $9 AND p.owner <= $10 AND p.step_count > $3::integer
FOR KEY SHARE
ON CONFLICT (plan_id, position, name) DO UPDATE
SET id = excluded.id, type = excluded.type, sha256 = excluded.sha256, bytes = excluded.bytes,
    created_at = excluded.created_at;

-- name: artifact_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @artifact_columns
FROM holdfast.plan_artifacts a WHERE a.id = $1 AND a.owner >= $2 AND a.owner <= $3;

-- name: artifact_page
-- $1 plan, $2 and $3 after this position and name, $4 up to this position, $5 limit
SELECT @artifact_columns
FROM holdfast.plan_artifacts a
WHERE a.plan_id = $1 AND (a.position, a.name) > ($2, $3) AND a.position <= $4
ORDER BY a.position, a.name LIMIT $5;

-- name: blobs_loose
-- $1 loose since before, $2 limit
SELECT sha256, loose_at FROM holdfast.blobs
WHERE loose_at < $1 AND doomed_at IS NULL ORDER BY loose_at LIMIT $2;

-- name: blobs_doomed
-- What somebody began to remove and did not end. $1 before, $2 limit
SELECT sha256, doomed_at FROM holdfast.blobs WHERE doomed_at < $1 ORDER BY doomed_at LIMIT $2;

-- name: blob_doom
-- $1 sha256, $2 loose since, $3 now
UPDATE holdfast.blobs SET doomed_at = $3
WHERE sha256 = $1 AND loose_at = $2 AND doomed_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM holdfast.plan_artifacts a WHERE a.sha256 = $1);

-- name: blob_doom_again
-- $1 sha256, $2 doomed since, $3 now
UPDATE holdfast.blobs SET doomed_at = $3 WHERE sha256 = $1 AND doomed_at = $2;

-- name: blob_keep
-- $1 sha256, $2 loose since
UPDATE holdfast.blobs SET loose_at = NULL
WHERE sha256 = $1 AND loose_at = $2
  AND EXISTS (SELECT 1 FROM holdfast.plan_artifacts a WHERE a.sha256 = $1);

-- name: blob_forget
-- $1 sha256, $2 doomed since
DELETE FROM holdfast.blobs WHERE sha256 = $1 AND doomed_at = $2;
