-- Who is told of the end of a run that a client of A2A began. They go with their run, and with them
-- what is still due to them: of such a delivery `webhook_id` is the run.

-- migrate:up
CREATE TABLE holdfast.push_configs (
  run_id      uuid NOT NULL,
  id          text COLLATE "C" NOT NULL,
  thread_id   uuid NOT NULL,
  owner       text COLLATE "C" NOT NULL,
  version     text NOT NULL CHECK (version IN ('0.3', '1.0')),
  url         text NOT NULL,
  token       text NOT NULL,
  scheme      text NOT NULL,
  credentials text NOT NULL,
  created_at  timestamptz NOT NULL,
  PRIMARY KEY (run_id, id)
);

CREATE FUNCTION holdfast.push_configs_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.push_configs WHERE run_id = old.run_id;
  IF FOUND THEN
    DELETE FROM holdfast.deliveries WHERE webhook_id = old.run_id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER push_configs_go AFTER DELETE ON holdfast.run_states
FOR EACH ROW EXECUTE FUNCTION holdfast.push_configs_go();

-- migrate:down
DROP TRIGGER push_configs_go ON holdfast.run_states;
DROP FUNCTION holdfast.push_configs_go();
DELETE FROM holdfast.deliveries WHERE kind = 'push';
DROP TABLE holdfast.push_configs;
