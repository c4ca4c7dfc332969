-- Artifacts of plans: named bytes of a run or of one of its steps (position -1: of the run). The
-- bytes are blobs under their SHA-256, outside of the database. `loose_at` says since when nobody
-- may hold a blob, `doomed_at` that somebody is removing it.
CREATE TABLE plan_artifacts (
  plan_id    TEXT NOT NULL,
  position   INTEGER NOT NULL,
  name       TEXT NOT NULL,
  id         TEXT NOT NULL,
  owner      TEXT NOT NULL,
  type       TEXT NOT NULL,
  sha256     TEXT NOT NULL,
  bytes      INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (plan_id, position, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX plan_artifacts_id ON plan_artifacts (id);
CREATE INDEX plan_artifacts_sha256 ON plan_artifacts (sha256);

CREATE TABLE blobs (
  sha256    TEXT NOT NULL PRIMARY KEY,
  loose_at  INTEGER,
  doomed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX blobs_loose ON blobs (loose_at) WHERE loose_at IS NOT NULL;
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE doomed_at IS NOT NULL;

CREATE TRIGGER plan_artifacts_of_plan_go AFTER DELETE ON plans BEGIN
  DELETE FROM plan_artifacts WHERE plan_id = old.id;
END;

CREATE TRIGGER plan_artifacts_go AFTER DELETE ON plan_artifacts BEGIN
  UPDATE blobs SET loose_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER)
  WHERE sha256 = old.sha256;
END;

CREATE TRIGGER plan_artifacts_change AFTER UPDATE OF sha256 ON plan_artifacts
WHEN old.sha256 <> new.sha256 BEGIN
  UPDATE blobs SET loose_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER)
  WHERE sha256 = old.sha256;
END;
