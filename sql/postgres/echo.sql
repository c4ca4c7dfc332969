-- Nothing stored.

-- name: echo
SELECT $1::int8, $2::float8, $3::text, $4::bytea, $5::uuid, $6::timestamptz;
