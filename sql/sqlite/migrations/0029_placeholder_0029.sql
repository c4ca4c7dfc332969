-- Holds a number.
SELECT 1;
