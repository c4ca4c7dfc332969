\set n random(1, 1000)
SELECT doc FROM bench.big WHERE id = :n;
