-- What was answered to requests with an Idempotency-Key. body '' with a run: the answer is what the
-- run makes (a stream, or its values).

-- migrate:up
CREATE TABLE holdfast.idempotency_keys (
  owner      text NOT NULL,
  key        text NOT NULL,
  request    text NOT NULL,
  body       text NOT NULL,
  thread_id  uuid,
  run_id     uuid,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_expiry ON holdfast.idempotency_keys (expires_at);

-- migrate:down
DROP TABLE holdfast.idempotency_keys;
