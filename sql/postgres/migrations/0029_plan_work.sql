-- Steps of plans that somebody outside does. `token` counts the leases: who had an older one is told
-- so. What came of a lease is kept (`done_token`, `done_as`), so that telling it twice is telling it
-- once. Rows go with their plan.

-- migrate:up
CREATE TABLE holdfast.plan_work (
  plan_id     uuid NOT NULL,
  position    integer NOT NULL,
  owner       text COLLATE "C" NOT NULL,
  queue       text COLLATE "C" NOT NULL,
  rank        bigint NOT NULL,
  status      text COLLATE "C" NOT NULL CHECK (status IN ('ready', 'leased', 'done', 'over')),
  token       bigint NOT NULL,
  attempt     integer NOT NULL,
  lost        integer NOT NULL,
  timeout_us  bigint NOT NULL,
  progress    integer NOT NULL,
  worker      text,
  ready_at    timestamptz NOT NULL,
  claimed_at  timestamptz,
  lease_until timestamptz,
  deadline_at timestamptz,
  done_token  bigint,
  done_as     text,
  outcome     text,
  output      text,
  error       text,
  PRIMARY KEY (plan_id, position)
) WITH (fillfactor = 60, vacuum_truncate = false);
CREATE INDEX plan_work_ready ON holdfast.plan_work (owner, queue, rank, ready_at)
  WHERE status = 'ready';
CREATE INDEX plan_work_queue ON holdfast.plan_work (queue, rank, ready_at) WHERE status = 'ready';
CREATE INDEX plan_work_age ON holdfast.plan_work (ready_at) WHERE status = 'ready';
CREATE INDEX plan_work_leases ON holdfast.plan_work (lease_until) WHERE status = 'leased';
CREATE INDEX plan_work_done ON holdfast.plan_work (plan_id, position) WHERE status = 'done';

CREATE FUNCTION holdfast.plan_work_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.plan_work WHERE plan_id = old.id;
  RETURN NULL;
END $$;
CREATE TRIGGER plan_work_go AFTER DELETE ON holdfast.plans
FOR EACH ROW EXECUTE FUNCTION holdfast.plan_work_go();

-- migrate:down
DROP TRIGGER plan_work_go ON holdfast.plans;
DROP FUNCTION holdfast.plan_work_go();
DROP TABLE holdfast.plan_work;
