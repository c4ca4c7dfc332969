-- Statements that belong to no resource.

-- name: ping
SELECT 1;
