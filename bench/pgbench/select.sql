\set n random(1, 1000)
SELECT :n::int;
