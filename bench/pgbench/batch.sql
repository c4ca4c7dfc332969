INSERT INTO bench.rows (id, n, data) SELECT * FROM unnest(:ids::uuid[], :numbers::int[], :texts::text[]);
