-- Plans: a run's goal with its steps, and the decisions that steps wait for. A plan belongs to the
-- thread of its run and goes with it. `version` counts its writes: who writes names the one that it
-- has seen. `wish` is what somebody asks of a step whose run is under way. The tables that were
-- reserved for this, and never written, go.

-- migrate:up
DROP TABLE holdfast.gates, holdfast.steps, holdfast.plans;

CREATE TABLE holdfast.plans (
  id          uuid PRIMARY KEY,
  thread_id   uuid NOT NULL UNIQUE,
  run_id      uuid NOT NULL,
  owner       text COLLATE "C" NOT NULL,
  project_id  text COLLATE "C" NOT NULL,
  goal        text NOT NULL,
  hash        text NOT NULL,
  metadata    text NOT NULL,
  concurrency integer NOT NULL,
  status      text COLLATE "C" NOT NULL,
  version     bigint NOT NULL,
  step_count  integer NOT NULL,
  fault_count integer NOT NULL,
  succeeded   integer NOT NULL,
  failed      integer NOT NULL,
  cancelled   integer NOT NULL,
  timed_out   integer NOT NULL,
  error       text,
  created_at  timestamptz NOT NULL,
  started_at  timestamptz,
  ended_at    timestamptz,
  updated_at  timestamptz NOT NULL
) WITH (fillfactor = 70, vacuum_truncate = false);
CREATE INDEX plans_owner ON holdfast.plans (owner, id);
CREATE INDEX plans_project ON holdfast.plans (owner, project_id, id);
CREATE INDEX plans_status ON holdfast.plans (owner, status, id);

CREATE TABLE holdfast.plan_steps (
  plan_id    uuid NOT NULL,
  position   integer NOT NULL,
  name       text NOT NULL,
  tool       text NOT NULL,
  inputs     text NOT NULL,
  spec       text NOT NULL,
  key        text NOT NULL,
  status     text COLLATE "C" NOT NULL,
  attempt    integer NOT NULL,
  wish       text,
  output     text,
  error      text,
  started_at timestamptz,
  ended_at   timestamptz,
  PRIMARY KEY (plan_id, position)
) WITH (fillfactor = 60, vacuum_truncate = false);

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

CREATE FUNCTION holdfast.plans_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.plans WHERE thread_id = old.thread_id;
  RETURN NULL;
END $$;
CREATE TRIGGER plans_go AFTER DELETE ON holdfast.thread_heads
FOR EACH ROW EXECUTE FUNCTION holdfast.plans_go();

CREATE FUNCTION holdfast.plan_parts_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.plan_steps WHERE plan_id = old.id;
  DELETE FROM holdfast.plan_gates WHERE plan_id = old.id;
  RETURN NULL;
END $$;
CREATE TRIGGER plan_parts_go AFTER DELETE ON holdfast.plans
FOR EACH ROW EXECUTE FUNCTION holdfast.plan_parts_go();

-- migrate:down
DROP TRIGGER plans_go ON holdfast.thread_heads;
DROP FUNCTION holdfast.plans_go();
DROP TABLE holdfast.plan_gates;
DROP TABLE holdfast.plan_steps;
DROP TABLE holdfast.plans;
DROP FUNCTION holdfast.plan_parts_go();

CREATE TABLE holdfast.plans (
  run_id       uuid PRIMARY KEY,
  thread_id    uuid NOT NULL,
  user_id      text NOT NULL DEFAULT '',
  project_id   text NOT NULL DEFAULT 'default',
  status       text NOT NULL DEFAULT 'queued',
  plan         jsonb NOT NULL,
  metadata     jsonb NOT NULL DEFAULT '{}',
  started_at   timestamptz,
  completed_at timestamptz,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL
);

CREATE TABLE holdfast.steps (
  id              uuid PRIMARY KEY,
  run_id          uuid NOT NULL,
  name            text NOT NULL,
  tool            text NOT NULL,
  inputs          jsonb NOT NULL DEFAULT '{}',
  outputs         jsonb,
  status          text NOT NULL DEFAULT 'queued',
  error           text,
  idempotency_key text,
  started_at      timestamptz,
  completed_at    timestamptz,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);

CREATE TABLE holdfast.gates (
  id           uuid PRIMARY KEY,
  run_id       uuid NOT NULL,
  step_id      uuid,
  gate_type    text NOT NULL,
  status       text NOT NULL DEFAULT 'pending'
               CHECK (status IN ('pending', 'passed', 'failed', 'waived')),
  evidence_uri text,
  approved_by  text,
  approved_at  timestamptz,
  created_at   timestamptz NOT NULL
);
CREATE INDEX steps_run ON holdfast.steps (run_id);
CREATE INDEX steps_idempotency
  ON holdfast.steps (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX steps_run_idempotency
  ON holdfast.steps (run_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX steps_run_status ON holdfast.steps (run_id, status);
CREATE INDEX steps_created ON holdfast.steps (created_at DESC);
CREATE INDEX gates_run_step ON holdfast.gates (run_id, step_id);
CREATE INDEX gates_pending ON holdfast.gates (status) WHERE status = 'pending';
CREATE INDEX plans_project ON holdfast.plans (project_id, created_at DESC);
CREATE INDEX plans_status ON holdfast.plans (status);
CREATE INDEX plans_user
  ON holdfast.plans (user_id, project_id, created_at DESC) WHERE user_id <> '';
