-- How much waits of plans, and since when: the plans that are not over, the leases of an owner and of
-- a queue. `late`: the log of its plan says that it has waited too long.
CREATE INDEX plans_open ON plans (status) WHERE status IN ('queued', 'running', 'blocked');
CREATE INDEX plan_work_owner_leases ON plan_work (owner) WHERE status = 'leased';
CREATE INDEX plan_work_queue_leases ON plan_work (queue) WHERE status = 'leased';
ALTER TABLE plan_work ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
