-- Background jobs. Counts only grow: each write adds what its process has done since its last one.
-- A pass that begins answers all who wanted one before: it takes `wanted` as `served`.

-- shared: job_columns
name, worker, due_at, started_at, finished_at, updated_at, passes, row_count, rows_last, failures, failed_last, error, wanted, served

-- name: job_list
-- $1 limit
SELECT @job_columns FROM holdfast.jobs ORDER BY name LIMIT $1;

-- name: job_want
-- $1 name, $2 now
INSERT INTO holdfast.jobs AS jobs (name, updated_at, passes, row_count, rows_last, failures, failed_last, wanted,
                  served)
VALUES ($1, $2, 0, 0, 0, 0, 0, 1, 0)
ON CONFLICT (name) DO UPDATE SET wanted = jobs.wanted + 1
RETURNING @job_columns;

-- name: job_put
-- $1 name, $2 worker, $3 due, $4 started, $5 finished, $6 now, $7 passes, $8 rows and $9 failures
-- since the last write, $10 rows of the last pass, $11 failures one after the other, $12 why,
-- $13 served
INSERT INTO holdfast.jobs AS jobs (name, worker, due_at, started_at, finished_at, updated_at, passes, row_count,
                  failures, rows_last, failed_last, error, wanted, served)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
ON CONFLICT (name) DO UPDATE SET
  worker = excluded.worker, due_at = excluded.due_at, started_at = excluded.started_at,
  finished_at = coalesce(excluded.finished_at, jobs.finished_at),
  updated_at = excluded.updated_at, passes = jobs.passes + excluded.passes,
  row_count = jobs.row_count + excluded.row_count, failures = jobs.failures + excluded.failures,
  rows_last = excluded.rows_last, failed_last = excluded.failed_last, error = excluded.error,
  served = greatest(jobs.served, excluded.served);
