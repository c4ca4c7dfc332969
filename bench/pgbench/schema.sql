-- What bench/run pg and pgbench write to and read from.
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
CREATE TABLE bench.docs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, doc jsonb NOT NULL);
CREATE TABLE bench.big (id int PRIMARY KEY, doc jsonb NOT NULL);
CREATE TABLE bench.rows (id uuid NOT NULL, n int NOT NULL, data text NOT NULL);
