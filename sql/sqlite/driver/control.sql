-- What the SQLite driver itself says to its connections. Not part of the catalogue of statements.
-- PRAGMAs take no bound parameters: the driver writes the number in place of $1.

-- name: begin
BEGIN IMMEDIATE;
-- name: begin_read
BEGIN;
-- name: commit
COMMIT;
-- name: rollback
ROLLBACK;
-- name: savepoint
SAVEPOINT batch;
-- name: release
RELEASE batch;
-- name: rollback_to
ROLLBACK TO batch;

-- name: set_page_bytes
-- Of a file that is made anew: changes nothing in one that has tables.
PRAGMA page_size = $1;
-- name: get_page_bytes
PRAGMA page_size;
-- name: set_erase
-- What is deleted is overwritten.
PRAGMA secure_delete = ON;
-- name: set_wal
PRAGMA journal_mode = WAL;
-- name: set_sync_full
PRAGMA synchronous = FULL;
-- name: set_sync_normal
PRAGMA synchronous = NORMAL;
-- name: set_cache_kib
PRAGMA cache_size = -$1;
-- name: set_mmap_bytes
PRAGMA mmap_size = $1;
-- name: set_temp_memory
PRAGMA temp_store = MEMORY;
-- name: set_foreign_keys
PRAGMA foreign_keys = $1;
-- name: check_foreign_keys
PRAGMA foreign_key_check;
-- name: set_untrusted_schema
PRAGMA trusted_schema = OFF;

-- name: get_application
PRAGMA application_id;
-- name: set_application
PRAGMA application_id = $1;
-- name: count_objects
SELECT count(*) FROM sqlite_schema;

-- name: create_migrations
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    sha256     TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
);
-- name: list_migrations
SELECT version, name, sha256 FROM schema_migrations ORDER BY version;
-- name: add_migration
INSERT INTO schema_migrations (version, name, sha256, applied_at) VALUES ($1, $2, $3, $4);

-- What full-text functions are registered with: the pointer of $1 is filled in.
-- name: fts5
SELECT fts5($1);
