-- What the migrations say for themselves. Words such as $1 in those marked "text" are put into the
-- text by the program: they are numbers, names or ids of its own.

-- name: migrate_ready
SELECT to_regclass('holdfast.schema_migrations') IS NOT NULL
   AND to_regclass('holdfast.schema_lease') IS NOT NULL;

-- name: migrate_lock
-- For as long as the transaction lives: two that make the tables below would collide.
SELECT pg_catalog.pg_advisory_xact_lock(5207310983422116);

-- name: migrate_make_schema
DO 'BEGIN IF to_regnamespace(''holdfast'') IS NULL THEN CREATE SCHEMA holdfast; END IF; END';

-- name: migrate_make_versions
CREATE TABLE IF NOT EXISTS holdfast.schema_migrations (
  version    integer PRIMARY KEY,
  name       text NOT NULL,
  sha256     text NOT NULL,
  applied_at timestamptz NOT NULL,
  ms         bigint NOT NULL
);

-- name: migrate_make_lease
CREATE TABLE IF NOT EXISTS holdfast.schema_lease (
  one        boolean PRIMARY KEY CHECK (one),
  holder     uuid,
  expires_at timestamptz NOT NULL
);

-- name: migrate_fill_lease
INSERT INTO holdfast.schema_lease (one, expires_at) VALUES (true, '-infinity')
ON CONFLICT (one) DO NOTHING;

-- name: migrate_list
SELECT version, name, sha256, applied_at, ms FROM holdfast.schema_migrations ORDER BY version;

-- name: migrate_take
-- $1 holder, $2 length in microseconds
UPDATE holdfast.schema_lease
SET holder = $1, expires_at = clock_timestamp() + $2::int8 * interval '1 microsecond'
WHERE holder = $1 OR expires_at < clock_timestamp()
RETURNING 1;

-- name: migrate_leave
-- $1 holder
UPDATE holdfast.schema_lease SET holder = NULL, expires_at = '-infinity' WHERE holder = $1;

-- name: migrate_patience
-- text: a lock that is not had soon is not waited for, since all others would queue up behind.
SET LOCAL lock_timeout = '2s';

-- name: migrate_fence
-- text. $1 holder
DO 'BEGIN
  PERFORM 1 FROM holdfast.schema_lease WHERE holder = ''$1'' FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION ''another process has taken over the migration'' USING ERRCODE = ''55000'';
  END IF;
END';

-- name: migrate_record
-- text. $1 version, $2 name, $3 digest, $4 milliseconds before this transaction
INSERT INTO holdfast.schema_migrations (version, name, sha256, applied_at, ms)
VALUES ('$1', '$2', '$3', now(),
        '$4'::int8 + (extract(epoch FROM clock_timestamp() - now()) * 1000)::int8);

-- name: migrate_unrecord
-- text. $1 version
DELETE FROM holdfast.schema_migrations WHERE version = '$1';

-- name: migrate_forget
-- When no version is left. What others put into the schema keeps it.
DO 'BEGIN
  IF NOT EXISTS (SELECT 1 FROM holdfast.schema_migrations) THEN
    DROP TABLE holdfast.schema_migrations, holdfast.schema_lease;
    IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class
                   WHERE relnamespace = to_regnamespace(''holdfast'')) THEN
      DROP SCHEMA holdfast;
    END IF;
  END IF;
END';

-- name: invalid_indexes
-- Left behind by a build that failed; not those that are being built now. The name, how it is
-- written, what is left to say to make it. $1 schema of the checkpoints
SELECT c.relname::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       regexp_replace(pg_catalog.pg_get_indexdef(c.oid), '^CREATE (UNIQUE )?INDEX ',
                      'CREATE \1INDEX CONCURRENTLY IF NOT EXISTS ')
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND NOT i.indisprimary
  AND n.nspname IN ('holdfast', 'langgraph_server', $1)
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_create_index p
                  WHERE p.index_relid = c.oid)
ORDER BY 2;

-- name: index_drop
-- text. $1 how its name is written
DROP INDEX CONCURRENTLY IF EXISTS $1;
