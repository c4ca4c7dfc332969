-- The index of the store's vectors, made while the server works.

-- name: vector_index_step
-- $1 numbers in a vector
SELECT step, what FROM holdfast.vector_index_step($1::int4);
