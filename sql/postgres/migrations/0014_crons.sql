-- What the shared table of crons has no columns for, and which instants of a cron have been decided:
-- one that has a row has had its run, or never gets one (error says why). A cron without a state was
-- made by another program.

-- migrate:up
CREATE TABLE holdfast.cron_states (
  cron_id          uuid PRIMARY KEY,
  timezone         text,
  enabled          boolean NOT NULL DEFAULT true,
  on_run_completed text NOT NULL DEFAULT 'delete',
  fired_at         timestamptz
);

CREATE TABLE holdfast.cron_firings (
  cron_id      uuid NOT NULL,
  scheduled_at timestamptz NOT NULL,
  run_id       uuid,
  error        text,
  decided_at   timestamptz NOT NULL,
  PRIMARY KEY (cron_id, scheduled_at)
);

-- migrate:down
DROP TABLE holdfast.cron_firings;
DROP TABLE holdfast.cron_states;
