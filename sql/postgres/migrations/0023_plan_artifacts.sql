-- Artifacts of plans: named bytes of a run or of one of its steps (position -1: of the run). The
-- bytes are blobs under their SHA-256, outside of the database. `loose_at` says since when nobody
-- may hold a blob, `doomed_at` that somebody is removing it.

-- migrate:up
CREATE TABLE holdfast.plan_artifacts (
  plan_id    uuid NOT NULL,
  position   integer NOT NULL,
  name       text COLLATE "C" NOT NULL,
  id         uuid NOT NULL,
  owner      text COLLATE "C" NOT NULL,
  type       text NOT NULL,
  sha256     text COLLATE "C" NOT NULL,
  bytes      bigint NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (plan_id, position, name)
) WITH (vacuum_truncate = false);
CREATE UNIQUE INDEX plan_artifacts_id ON holdfast.plan_artifacts (id);
CREATE INDEX plan_artifacts_sha256 ON holdfast.plan_artifacts (sha256);

CREATE TABLE holdfast.blobs (
  sha256    text COLLATE "C" PRIMARY KEY,
  loose_at  timestamptz,
  doomed_at timestamptz
) WITH (vacuum_truncate = false);
CREATE INDEX blobs_loose ON holdfast.blobs (loose_at) WHERE loose_at IS NOT NULL;
CREATE INDEX blobs_doomed ON holdfast.blobs (doomed_at) WHERE doomed_at IS NOT NULL;

CREATE FUNCTION holdfast.plan_artifacts_of_plan_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.plan_artifacts WHERE plan_id = old.id;
  RETURN NULL;
END $$;
CREATE TRIGGER plan_artifacts_of_plan_go AFTER DELETE ON holdfast.plans
FOR EACH ROW EXECUTE FUNCTION holdfast.plan_artifacts_of_plan_go();

CREATE FUNCTION holdfast.plan_artifacts_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE holdfast.blobs SET loose_at = clock_timestamp() WHERE sha256 = old.sha256;
  RETURN NULL;
END $$;
CREATE TRIGGER plan_artifacts_go AFTER DELETE ON holdfast.plan_artifacts
FOR EACH ROW EXECUTE FUNCTION holdfast.plan_artifacts_go();
CREATE TRIGGER plan_artifacts_change AFTER UPDATE OF sha256 ON holdfast.plan_artifacts
FOR EACH ROW WHEN (old.sha256 <> new.sha256)
EXECUTE FUNCTION holdfast.plan_artifacts_go();

-- migrate:down
DROP TRIGGER plan_artifacts_of_plan_go ON holdfast.plans;
DROP FUNCTION holdfast.plan_artifacts_of_plan_go();
DROP TABLE holdfast.plan_artifacts;
DROP FUNCTION holdfast.plan_artifacts_go();
DROP TABLE holdfast.blobs;
