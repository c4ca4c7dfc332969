-- What is to be told to other programs (webhooks): the outbox of the batch in which it happened.
-- order_key '': in any order; else one after the other by id. A claim moves due_at on, so that what
-- a process left unfinished is due again.
CREATE TABLE deliveries (
  id          TEXT NOT NULL PRIMARY KEY,
  owner       TEXT NOT NULL,
  kind        TEXT NOT NULL,
  order_key   TEXT NOT NULL,
  target      TEXT NOT NULL,
  payload     TEXT NOT NULL,
  status      TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'dead')),
  attempt     INTEGER NOT NULL DEFAULT 0,
  due_at      INTEGER NOT NULL,
  http_status INTEGER NOT NULL DEFAULT 0,
  error       TEXT,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status = 'pending';
CREATE INDEX deliveries_order ON deliveries (kind, order_key, id)
  WHERE status = 'pending' AND order_key <> '';
CREATE INDEX deliveries_owner ON deliveries (owner, id);
CREATE INDEX deliveries_dead ON deliveries (updated_at) WHERE status = 'dead';
