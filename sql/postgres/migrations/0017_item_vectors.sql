-- The vectors of store items, of the places that queries look at: floats of 32 bits, little end
-- first. An id stands for one vector for good, so whoever has it in memory need not ask again.
-- updated_at is the item's: vectors of an older value, whoever changed it, are not looked at.

-- migrate:up
CREATE TABLE holdfast.item_vectors (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner      text NOT NULL,
  namespace  text NOT NULL,
  key        text NOT NULL,
  field      text NOT NULL,
  model      text NOT NULL,
  updated_at timestamptz NOT NULL,
  vector     bytea NOT NULL
);
CREATE INDEX item_vectors_item ON holdfast.item_vectors (owner, namespace COLLATE "C", key);
-- Floats do not get smaller; reading them back would cost more.
ALTER TABLE holdfast.item_vectors ALTER COLUMN vector SET STORAGE EXTERNAL;

-- migrate:down
DROP TABLE holdfast.item_vectors;
