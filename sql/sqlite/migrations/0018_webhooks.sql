-- Webhooks: who subscribed to the events of plans. What is due to one is a row of `deliveries`, made by
-- the batch that wrote the log's entry; order_seq is the entry's number, and those of one order key go
-- one after the other by it. `progress`: parts of the payload that were taken.
CREATE TABLE webhooks (
  id         TEXT NOT NULL PRIMARY KEY,
  owner      TEXT NOT NULL,
  project_id TEXT NOT NULL,
  url        TEXT NOT NULL,
  types      TEXT NOT NULL,
  steps      INTEGER NOT NULL,
  mode       TEXT NOT NULL CHECK (mode IN ('batch', 'single')),
  secret     TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('active', 'gone')),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE INDEX webhooks_owner ON webhooks (owner, id);

ALTER TABLE deliveries ADD COLUMN webhook_id TEXT;
ALTER TABLE deliveries ADD COLUMN order_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN progress INTEGER NOT NULL DEFAULT 0;
DROP INDEX deliveries_order;
CREATE INDEX deliveries_order ON deliveries (kind, order_key, order_seq, id)
  WHERE status = 'pending' AND order_key <> '';
CREATE INDEX deliveries_webhook ON deliveries (webhook_id) WHERE webhook_id IS NOT NULL;
