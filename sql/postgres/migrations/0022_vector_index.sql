-- An index for queries by meaning in stores too big for looking at every vector, when the database
-- has the extension pgvector. The index itself is made by the server that knows how long its vectors
-- are (driver/vectors.sql): nothing here needs the extension.

-- migrate:up

-- Floats of 32 bits, little end first, as item_vectors holds them. Each is exact; what is no number
-- (the server stores none) is 0. As dear as it is: a plan that calls it for each row is a bad one.
CREATE FUNCTION holdfast.floats(bytes bytea) RETURNS real[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
  SELECT array_agg((CASE WHEN f.exponent = 255 THEN 0
                    ELSE (CASE WHEN f.top > 127 THEN -1 ELSE 1 END)
                         * ((f.bits & 8388607) + CASE WHEN f.exponent = 0 THEN 0 ELSE 8388608 END)
                         * power(2::float8, greatest(f.exponent, 1) - 150) END)::real
                   ORDER BY f.place)
  FROM (SELECT b.place, b.top, b.bits, b.bits >> 23 AS exponent
        FROM (SELECT i.place, get_byte(bytes, 4 * i.place + 3) AS top,
                     get_byte(bytes, 4 * i.place) + (get_byte(bytes, 4 * i.place + 1) << 8)
                     + (get_byte(bytes, 4 * i.place + 2) << 16)
                     + ((get_byte(bytes, 4 * i.place + 3) & 127) << 24) AS bits
              FROM generate_series(0, octet_length(bytes) / 4 - 1) AS i(place)) b) f
$$;

-- Where pgvector is and how its type for so many numbers is called; no row: it cannot be used.
CREATE FUNCTION holdfast.vector_type(numbers integer)
RETURNS TABLE (schema name, type text, version integer[])
LANGUAGE sql STABLE AS $$
  SELECT e.schema, CASE WHEN numbers <= 2000 THEN 'vector' ELSE 'halfvec' END, e.version
  FROM (SELECT n.nspname AS schema, string_to_array(x.extversion, '.')::integer[] AS version
        FROM pg_catalog.pg_extension x JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace
        WHERE x.extname = 'vector') e
  WHERE e.version >= ARRAY[0, 5] AND numbers <= 2000
     OR e.version >= ARRAY[0, 7] AND numbers <= 4000
$$;

-- What is to be done next for the index of vectors of so many numbers: 'ready'; 'none' and why it
-- cannot be; 'wait' while somebody builds it; 'script' and a statement to run by itself.
CREATE FUNCTION holdfast.vector_index_step(numbers integer)
RETURNS TABLE (step text, what text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  name text := 'item_vectors_near_' || numbers;
  found_index regclass := to_regclass('holdfast.' || name);
  t record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'vector') THEN
    IF EXISTS (SELECT FROM pg_catalog.pg_available_extensions e WHERE e.name = 'vector') THEN
      RETURN QUERY SELECT 'script', 'CREATE EXTENSION IF NOT EXISTS vector';
    ELSE
      RETURN QUERY SELECT 'none', 'the server has no extension vector (pgvector)';
    END IF;
    RETURN;
  END IF;
  SELECT * INTO t FROM holdfast.vector_type(numbers);
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'none', 'this version of pgvector has no index for vectors of ' || numbers
                                || ' numbers';
  ELSIF to_regprocedure('holdfast.vector_of(bytea)') IS NULL THEN
    RETURN QUERY SELECT 'script', format(
      'CREATE OR REPLACE FUNCTION holdfast.vector_of(bytes bytea) RETURNS %1$I.vector '
      'LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS '
      '$f$ SELECT holdfast.floats(bytes)::%1$I.vector $f$', t.schema);
  ELSIF found_index IS NULL THEN
    RETURN QUERY SELECT 'script', format(
      'CREATE INDEX CONCURRENTLY IF NOT EXISTS %1$I ON holdfast.item_vectors USING hnsw '
      '((holdfast.vector_of(vector)::%2$I.%3$I(%4$s)) %2$I.%5$I) '
      'WHERE octet_length(vector) = %6$s',
      name, t.schema, t.type, numbers, t.type || '_cosine_ops', 4 * numbers);
  ELSIF (SELECT i.indisvalid FROM pg_catalog.pg_index i WHERE i.indexrelid = found_index) THEN
    RETURN QUERY SELECT 'ready', NULL::text;
  ELSIF EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
                WHERE p.index_relid = found_index) THEN
    RETURN QUERY SELECT 'wait', NULL::text;
  ELSE
    RETURN QUERY SELECT 'script', format('DROP INDEX CONCURRENTLY IF EXISTS holdfast.%I', name);
  END IF;
END $$;

-- The ids of the vectors nearest to one, by the index, at most so many; none when there is no index.
-- The order is nearly right, and some near one may be missing. Which may be seen is decided as for a
-- full scan (item_vector_ids). The plan follows the index whatever the planner thinks of it: another
-- one would make vectors of all rows.
CREATE FUNCTION holdfast.vectors_near(of_owner text, range_from text, range_below text,
                                      range_inside text, now_ timestamptz, filter_ jsonb, model_ text,
                                      query bytea, count_ bigint)
RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SET enable_sort = off SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off AS $$
DECLARE
  numbers integer := octet_length(query) / 4;
  t record;
BEGIN
  SELECT * INTO t FROM holdfast.vector_type(numbers);
  IF NOT FOUND OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_index i
    WHERE i.indexrelid = to_regclass('holdfast.item_vectors_near_' || numbers) AND i.indisvalid) THEN
    RETURN;
  END IF;
  PERFORM set_config('hnsw.ef_search', least(greatest(count_, 40), 1000)::text, true);
  IF t.version >= ARRAY[0, 8] THEN -- goes on while the filter lets too few through
    PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true);
  END IF;
  RETURN QUERY EXECUTE format(
    'SELECT v.id FROM holdfast.item_vectors v '
    'JOIN langgraph_server.store_items i '
    '  ON i.owner_id = v.owner AND holdfast.labels(i.namespace) COLLATE "C" = v.namespace '
    '  AND i.key = v.key AND i.updated_at = v.updated_at '
    'LEFT JOIN holdfast.item_ttls e '
    '  ON e.owner = v.owner AND e.namespace = v.namespace AND e.key = v.key '
    'WHERE octet_length(v.vector) = %4$s AND ($1 IS NULL OR v.owner = $1) '
    '  AND v.namespace COLLATE "C" >= $2 AND v.namespace COLLATE "C" < $3 '
    '  AND (v.namespace = $2 OR v.namespace COLLATE "C" >= $4) '
    '  AND (e.expires_at IS NULL OR e.expires_at > $5) AND v.model = $7 '
    '  AND ($6 = ''{}'' OR holdfast.filter(i.value, $6)) '
    'ORDER BY holdfast.vector_of(v.vector)::%1$I.%2$I(%3$s) OPERATOR(%1$I.<=>) '
    '         holdfast.vector_of($8)::%1$I.%2$I(%3$s) '
    'LIMIT $9', t.schema, t.type, numbers, 4 * numbers)
  USING of_owner, range_from, range_below, range_inside, now_, filter_, model_, query, count_;
END $$;

-- migrate:down
DO $$
BEGIN
  IF to_regprocedure('holdfast.vector_of(bytea)') IS NOT NULL THEN
    DROP FUNCTION holdfast.vector_of(bytea) CASCADE; -- and the index with it
  END IF;
END $$;
DROP FUNCTION holdfast.vectors_near(text, text, text, text, timestamptz, jsonb, text, bytea, bigint);
DROP FUNCTION holdfast.vector_index_step(integer);
DROP FUNCTION holdfast.vector_type(integer);
DROP FUNCTION holdfast.floats(bytea);
