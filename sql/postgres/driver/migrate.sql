-- What the migration runner says to the server. $n of the statements that go into a script are
-- replaced by literals, since a script takes no parameters.

-- name: migrate_serialise
-- In a script, which is one transaction: one runner at a time, also behind a transaction pooler.
SELECT pg_catalog.pg_advisory_xact_lock(5279361047125);

-- name: migrate_schema
CREATE SCHEMA IF NOT EXISTS holdfast;

-- name: migrate_table
CREATE TABLE IF NOT EXISTS holdfast.schema_migrations (
  version    int4        NOT NULL PRIMARY KEY,
  name       text        NOT NULL,
  sha256     text        NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);

-- name: migrate_lease_table
-- Who migrates: a lease, since an index that is built concurrently cannot sit in a transaction.
CREATE TABLE IF NOT EXISTS holdfast.migration_lease (
  one        bool NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
  holder     uuid,
  expires_at timestamptz
);

-- name: migrate_lease_row
INSERT INTO holdfast.migration_lease (one) VALUES (true) ON CONFLICT DO NOTHING;

-- name: migrate_exists
SELECT pg_catalog.to_regclass('holdfast.schema_migrations') IS NOT NULL;

-- name: migrate_applied
SELECT version, name, sha256, applied_at FROM holdfast.schema_migrations ORDER BY version;

-- name: migrate_lease_take
-- $1 holder; also renews
UPDATE holdfast.migration_lease
SET holder = $1, expires_at = pg_catalog.clock_timestamp() + interval '60 s'
WHERE holder IS NULL OR holder = $1 OR expires_at < pg_catalog.clock_timestamp()
RETURNING true;

-- name: migrate_lease_end
-- $1 holder
UPDATE holdfast.migration_lease SET holder = NULL, expires_at = NULL WHERE holder = $1;

-- name: migrate_lease_held
-- $1 holder; in a script: fails (22012) when the lease has gone to somebody else
SELECT 1 / pg_catalog.count(*) FROM holdfast.migration_lease WHERE holder = $1;

-- name: migrate_record
-- $1 version, $2 name, $3 digest
INSERT INTO holdfast.schema_migrations (version, name, sha256) VALUES ($1, $2, $3);

-- name: migrate_forget
-- $1 version
DELETE FROM holdfast.schema_migrations WHERE version = $1;

-- name: migrate_invalid_indexes
-- $1 the schema of the checkpoint tables. Left behind by a build that was cut short, unless it is
-- under way.
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname::text
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND n.nspname IN ('holdfast', 'langgraph_server', $1)
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_create_index p
                  WHERE p.index_relid = i.indexrelid)
ORDER BY 1;

-- name: migrate_drop_index
-- $1 qualified and quoted name; in a script by itself
DROP INDEX CONCURRENTLY IF EXISTS $1;
