-- Steps of plans that failed for good, until somebody has them done again or takes note. `losses`
-- counts how often a step was cut off while it was executed, `spent` the attempts of budgets before
-- the present one. `attempt` of a plan is that of its run when it last came further, `rerun_of` the
-- plan that it was made from.
ALTER TABLE plans ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE plans ADD COLUMN rerun_of TEXT;
ALTER TABLE plan_steps ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE plan_steps ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;

CREATE TABLE plan_dead (
  id         TEXT NOT NULL PRIMARY KEY,
  plan_id    TEXT NOT NULL,
  position   INTEGER NOT NULL,
  owner      TEXT NOT NULL,
  project_id TEXT NOT NULL,
  tool       TEXT NOT NULL,
  reason     TEXT NOT NULL,
  died_at    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX plan_dead_step ON plan_dead (plan_id, position);
CREATE INDEX plan_dead_owner ON plan_dead (owner, id);
CREATE INDEX plan_dead_project ON plan_dead (owner, project_id, id);
CREATE INDEX plan_dead_tool ON plan_dead (owner, tool, id);

CREATE TRIGGER plan_dead_go AFTER DELETE ON plans BEGIN
  DELETE FROM plan_dead WHERE plan_id = old.id;
END;
