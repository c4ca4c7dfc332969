-- The words of store items, for full-text search. src/model/terms.h cuts them; here a word is what
-- stands between blanks. A row follows its item: it goes with it, by triggers.
-- derived: item_texts
CREATE TABLE item_texts (
  id         INTEGER PRIMARY KEY,
  owner      TEXT NOT NULL,
  namespace  TEXT NOT NULL,
  key        TEXT NOT NULL,
  size       INTEGER NOT NULL,
  UNIQUE (owner, namespace, key)
);

-- Contentless: only the index is kept. The owner is a word of its own column, so that a search meets
-- the words of one owner only.
CREATE VIRTUAL TABLE item_words USING fts5
  (owner, words, content = '', contentless_delete = 1, tokenize = 'ascii');

CREATE TRIGGER item_texts_gone AFTER DELETE ON item_texts BEGIN
  DELETE FROM item_words WHERE rowid = OLD.id;
END;

CREATE TRIGGER store_items_gone AFTER DELETE ON store_items BEGIN
  DELETE FROM item_texts
  WHERE owner = OLD.owner AND namespace = OLD.namespace AND key = OLD.key;
END;

-- Writing an item's words is one statement: an insert here.
CREATE VIEW item_text_new AS
  SELECT owner, namespace, key, size, '' AS owner_word, '' AS words FROM item_texts;

CREATE TRIGGER item_text_new_put INSTEAD OF INSERT ON item_text_new BEGIN
  DELETE FROM item_texts
  WHERE owner = NEW.owner AND namespace = NEW.namespace AND key = NEW.key;
  INSERT INTO item_texts (owner, namespace, key, size)
  VALUES (NEW.owner, NEW.namespace, NEW.key, NEW.size);
  INSERT INTO item_words (rowid, owner, words)
  SELECT id, NEW.owner_word, NEW.words FROM item_texts
  WHERE owner = NEW.owner AND namespace = NEW.namespace AND key = NEW.key;
END;
