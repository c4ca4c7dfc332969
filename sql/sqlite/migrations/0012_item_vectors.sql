-- The vectors of store items, of the places that queries look at: floats of 32 bits, little end
-- first. An id stands for one vector for good, so whoever has it in memory need not ask again.
-- updated_at is the item's: vectors of an older value are not looked at.
-- derived: item_vectors
CREATE TABLE item_vectors (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  owner      TEXT NOT NULL,
  namespace  TEXT NOT NULL,
  key        TEXT NOT NULL,
  field      TEXT NOT NULL,
  model      TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  vector     BLOB NOT NULL,
  UNIQUE (owner, namespace, key, field)
);

CREATE TRIGGER store_items_vectors_gone AFTER DELETE ON store_items BEGIN
  DELETE FROM item_vectors
  WHERE owner = OLD.owner AND namespace = OLD.namespace AND key = OLD.key;
END;
