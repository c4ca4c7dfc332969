-- How much waits of plans, and since when: the plans that are not over, the leases of an owner and of
-- a queue. `late`: the log of its plan says that it has waited too long.

-- migrate:up
CREATE INDEX plans_open ON holdfast.plans (status) WHERE status IN ('queued', 'running', 'blocked');
CREATE INDEX plan_work_owner_leases ON holdfast.plan_work (owner) WHERE status = 'leased';
CREATE INDEX plan_work_queue_leases ON holdfast.plan_work (queue) WHERE status = 'leased';
ALTER TABLE holdfast.plan_work ADD COLUMN late boolean NOT NULL DEFAULT false;

-- migrate:down
ALTER TABLE holdfast.plan_work DROP COLUMN late;
DROP INDEX holdfast.plan_work_queue_leases;
DROP INDEX holdfast.plan_work_owner_leases;
DROP INDEX holdfast.plans_open;
