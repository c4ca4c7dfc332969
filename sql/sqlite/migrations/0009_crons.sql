-- Crons: runs at times. next_run_at is the next scheduled instant, NULL when there is none (any
-- more); fired_at the last one that was decided. cron_firings decides: an instant of a cron that
-- has a row there has had its run, or never gets one (error says why).
CREATE TABLE crons (
  id               TEXT NOT NULL PRIMARY KEY,
  owner            TEXT NOT NULL,
  assistant_id     TEXT NOT NULL,
  thread_id        TEXT,
  schedule         TEXT NOT NULL,
  timezone         TEXT,
  end_time         INTEGER,
  enabled          INTEGER NOT NULL,
  on_run_completed TEXT NOT NULL,
  payload          TEXT NOT NULL,
  metadata         TEXT NOT NULL,
  next_run_at      INTEGER,
  fired_at         INTEGER,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX crons_owner ON crons (owner, created_at);
CREATE INDEX crons_due ON crons (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX crons_thread ON crons (thread_id) WHERE thread_id IS NOT NULL;
CREATE INDEX crons_assistant ON crons (assistant_id);

CREATE TABLE cron_firings (
  cron_id      TEXT NOT NULL,
  scheduled_at INTEGER NOT NULL,
  run_id       TEXT,
  error        TEXT,
  decided_at   INTEGER NOT NULL,
  PRIMARY KEY (cron_id, scheduled_at)
) WITHOUT ROWID;
CREATE TRIGGER crons_gone AFTER DELETE ON crons BEGIN
  DELETE FROM cron_firings WHERE cron_id = old.id;
END;
