-- A step of a plan has any number of gates, each with an id of its own; `spec` is the gate as the
-- plan has it, `version` counts the row's writes. The table that this replaces was never written.
DROP TABLE plan_gates;
CREATE TABLE plan_gates (
  id         TEXT NOT NULL PRIMARY KEY,
  plan_id    TEXT NOT NULL,
  position   INTEGER NOT NULL,
  number     INTEGER NOT NULL,
  owner      TEXT NOT NULL,
  spec       TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('pending', 'passed', 'failed', 'waived')),
  version    INTEGER NOT NULL,
  evidence   TEXT,
  actor      TEXT,
  reason     TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  decided_at INTEGER
);
CREATE INDEX plan_gates_plan ON plan_gates (plan_id, id);
CREATE INDEX plan_gates_status ON plan_gates (owner, status, id);
CREATE INDEX plan_gates_expiry ON plan_gates (expires_at)
  WHERE status = 'pending' AND expires_at IS NOT NULL;
