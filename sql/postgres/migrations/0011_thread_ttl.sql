-- Threads that end some time after their last use: what happens then (delete, keep_latest), the
-- time, and when to look next. The end itself is the thread's updated_at + ttl_us, always. No run
-- changes these columns.
-- transaction: no

-- migrate:up
ALTER TABLE holdfast.thread_heads
  ADD COLUMN IF NOT EXISTS ttl_strategy text,
  ADD COLUMN IF NOT EXISTS ttl_us bigint,
  ADD COLUMN IF NOT EXISTS ttl_check_at timestamptz;

CREATE INDEX CONCURRENTLY IF NOT EXISTS thread_heads_ttl
  ON holdfast.thread_heads (ttl_check_at) WHERE ttl_check_at IS NOT NULL;

-- migrate:down
DROP INDEX CONCURRENTLY IF EXISTS holdfast.thread_heads_ttl;

ALTER TABLE holdfast.thread_heads
  DROP COLUMN IF EXISTS ttl_strategy, DROP COLUMN IF EXISTS ttl_us,
  DROP COLUMN IF EXISTS ttl_check_at;
