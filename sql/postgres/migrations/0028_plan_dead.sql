-- Steps of plans that failed for good, until somebody has them done again or takes note. `losses`
-- counts how often a step was cut off while it was executed, `spent` the attempts of budgets before
-- the present one. `attempt` of a plan is that of its run when it last came further, `rerun_of` the
-- plan that it was made from.

-- migrate:up
ALTER TABLE holdfast.plans ADD COLUMN attempt integer NOT NULL DEFAULT 0;
ALTER TABLE holdfast.plans ADD COLUMN rerun_of uuid;
ALTER TABLE holdfast.plan_steps ADD COLUMN losses integer NOT NULL DEFAULT 0;
ALTER TABLE holdfast.plan_steps ADD COLUMN spent integer NOT NULL DEFAULT 0;

CREATE TABLE holdfast.plan_dead (
  id         uuid PRIMARY KEY,
  plan_id    uuid NOT NULL,
  position   integer NOT NULL,
  owner      text COLLATE "C" NOT NULL,
  project_id text COLLATE "C" NOT NULL,
  tool       text COLLATE "C" NOT NULL,
  reason     text NOT NULL,
  died_at    timestamptz NOT NULL
) WITH (vacuum_truncate = false);
CREATE UNIQUE INDEX plan_dead_step ON holdfast.plan_dead (plan_id, position);
CREATE INDEX plan_dead_owner ON holdfast.plan_dead (owner, id);
CREATE INDEX plan_dead_project ON holdfast.plan_dead (owner, project_id, id);
CREATE INDEX plan_dead_tool ON holdfast.plan_dead (owner, tool, id);

CREATE FUNCTION holdfast.plan_dead_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.plan_dead WHERE plan_id = old.id;
  RETURN NULL;
END $$;
CREATE TRIGGER plan_dead_go AFTER DELETE ON holdfast.plans
FOR EACH ROW EXECUTE FUNCTION holdfast.plan_dead_go();

-- migrate:down
DROP TRIGGER plan_dead_go ON holdfast.plans;
DROP FUNCTION holdfast.plan_dead_go();
DROP TABLE holdfast.plan_dead;
ALTER TABLE holdfast.plan_steps DROP COLUMN spent;
ALTER TABLE holdfast.plan_steps DROP COLUMN losses;
ALTER TABLE holdfast.plans DROP COLUMN rerun_of;
ALTER TABLE holdfast.plans DROP COLUMN attempt;
