-- Webhooks: who subscribed to the events of plans. What is due to one is a row of `deliveries`, made by
-- the batch that wrote the log's entry; order_seq is the entry's number, and those of one order key go
-- one after the other by it. `progress`: parts of the payload that were taken.

-- migrate:up
CREATE TABLE holdfast.webhooks (
  id         uuid PRIMARY KEY,
  owner      text COLLATE "C" NOT NULL,
  project_id text COLLATE "C" NOT NULL,
  url        text NOT NULL,
  types      text NOT NULL,
  steps      boolean NOT NULL,
  mode       text NOT NULL CHECK (mode IN ('batch', 'single')),
  secret     text NOT NULL,
  status     text NOT NULL CHECK (status IN ('active', 'gone')),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX webhooks_owner ON holdfast.webhooks (owner, id);

ALTER TABLE holdfast.deliveries
  ADD COLUMN webhook_id uuid,
  ADD COLUMN order_seq bigint NOT NULL DEFAULT 0,
  ADD COLUMN progress bigint NOT NULL DEFAULT 0;
DROP INDEX holdfast.deliveries_order;
CREATE INDEX deliveries_order ON holdfast.deliveries (kind, order_key, order_seq, id)
  WHERE status = 'pending' AND order_key <> '';
CREATE INDEX deliveries_webhook ON holdfast.deliveries (webhook_id) WHERE webhook_id IS NOT NULL;

-- migrate:down
DROP TABLE holdfast.webhooks;
DELETE FROM holdfast.deliveries WHERE webhook_id IS NOT NULL;
DROP INDEX holdfast.deliveries_webhook;
DROP INDEX holdfast.deliveries_order;
ALTER TABLE holdfast.deliveries
  DROP COLUMN webhook_id, DROP COLUMN order_seq, DROP COLUMN progress;
CREATE INDEX deliveries_order ON holdfast.deliveries (kind, order_key, id)
  WHERE status = 'pending' AND order_key <> '';
