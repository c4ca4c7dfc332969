-- A step of a plan has any number of gates, each with an id of its own; `spec` is the gate as the
-- plan has it, `version` counts the row's writes. The table that this replaces was never written.

-- migrate:up
DROP TABLE holdfast.plan_gates;
CREATE TABLE holdfast.plan_gates (
  id         uuid PRIMARY KEY,
  plan_id    uuid NOT NULL,
  position   integer NOT NULL,
  number     integer NOT NULL,
  owner      text COLLATE "C" NOT NULL,
  spec       text NOT NULL,
  status     text COLLATE "C" NOT NULL CHECK (status IN ('pending', 'passed', 'failed', 'waived')),
  version    bigint NOT NULL,
  evidence   text,
  actor      text,
  reason     text,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  decided_at timestamptz
) WITH (fillfactor = 80, vacuum_truncate = false);
CREATE INDEX plan_gates_plan ON holdfast.plan_gates (plan_id, id);
CREATE INDEX plan_gates_status ON holdfast.plan_gates (owner, status, id);
CREATE INDEX plan_gates_expiry ON holdfast.plan_gates (expires_at)
  WHERE status = 'pending' AND expires_at IS NOT NULL;

-- migrate:down
DROP TABLE holdfast.plan_gates;
CREATE TABLE holdfast.plan_gates (
  plan_id    uuid NOT NULL,
  position   integer NOT NULL,
  owner      text COLLATE "C" NOT NULL,
  kind       text NOT NULL,
  prompt     text NOT NULL,
  status     text COLLATE "C" NOT NULL CHECK (status IN ('pending', 'passed', 'failed', 'waived')),
  actor      text,
  reason     text,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  decided_at timestamptz,
  PRIMARY KEY (plan_id, position)
) WITH (vacuum_truncate = false);
CREATE INDEX plan_gates_pending ON holdfast.plan_gates (owner, plan_id, position)
  WHERE status = 'pending';
CREATE INDEX plan_gates_expiry ON holdfast.plan_gates (expires_at)
  WHERE status = 'pending' AND expires_at IS NOT NULL;
