-- What is to be told to other programs (webhooks): the outbox of the batch in which it happened.
-- order_key '': in any order; else one after the other by id. A claim moves due_at on, so that what
-- a process left unfinished is due again.

-- migrate:up
CREATE TABLE holdfast.deliveries (
  id          uuid PRIMARY KEY,
  owner       text NOT NULL,
  kind        text NOT NULL,
  order_key   text NOT NULL,
  target      text NOT NULL,
  payload     text NOT NULL,
  status      text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'dead')),
  attempt     bigint NOT NULL DEFAULT 0,
  due_at      timestamptz NOT NULL,
  http_status bigint NOT NULL DEFAULT 0,
  error       text,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE INDEX deliveries_due ON holdfast.deliveries (due_at) WHERE status = 'pending';
CREATE INDEX deliveries_order ON holdfast.deliveries (kind, order_key, id)
  WHERE status = 'pending' AND order_key <> '';
CREATE INDEX deliveries_owner ON holdfast.deliveries (owner, id);
CREATE INDEX deliveries_dead ON holdfast.deliveries (updated_at) WHERE status = 'dead';

-- migrate:down
DROP TABLE holdfast.deliveries;
