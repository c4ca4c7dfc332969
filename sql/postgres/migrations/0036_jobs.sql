-- Background jobs: how far they have come and who asked for them; see docs/internals/jobs.md.

-- migrate:up
CREATE TABLE holdfast.jobs (
  name        text COLLATE "C" PRIMARY KEY,
  worker      uuid,
  due_at      timestamptz,
  started_at  timestamptz,
  finished_at timestamptz,
  updated_at  timestamptz NOT NULL,
  passes      int8 NOT NULL,
  row_count   int8 NOT NULL,
  rows_last   int8 NOT NULL,
  failures    int8 NOT NULL,
  failed_last int8 NOT NULL,
  error       text,
  wanted      int8 NOT NULL,
  served      int8 NOT NULL
) WITH (fillfactor = 50);

-- migrate:down
DROP TABLE holdfast.jobs;
