-- A statement for many did not do all that its batches rely on: the error names the elements that
-- were not among those that it did.

-- migrate:up
CREATE OR REPLACE FUNCTION holdfast.expected(done bigint[], count integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RAISE EXCEPTION 'an expectation does not hold: %', (
    SELECT string_agg(i::text, ' ') FROM generate_series(1, count) AS i WHERE i <> ALL (done))
    USING ERRCODE = 'HF001';
END $$;

-- migrate:down
DROP FUNCTION IF EXISTS holdfast.expected(bigint[], integer);
