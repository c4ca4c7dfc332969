-- Nothing stored.

-- name: echo
-- What went over comes back. $1 integer, $2 real, $3 text, $4 blob, $5 id, $6 time
SELECT $1, $2, $3, $4, $5, $6;
