-- Threads that end some time after their last use: what happens then (delete, keep_latest), the
-- time, and when to look next. The end itself is updated_at + ttl_us, always.
ALTER TABLE threads ADD COLUMN ttl_strategy TEXT;
ALTER TABLE threads ADD COLUMN ttl_us INTEGER;
ALTER TABLE threads ADD COLUMN ttl_check_at INTEGER;
CREATE INDEX threads_ttl ON threads (ttl_check_at) WHERE ttl_check_at IS NOT NULL;
