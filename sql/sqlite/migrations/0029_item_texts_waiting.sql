-- The words of an item wait in its row until the index takes them, many at a time, before the next
-- search by words or with the periodic work: an item that goes before never met the index.
ALTER TABLE item_texts ADD COLUMN owner_word TEXT;
ALTER TABLE item_texts ADD COLUMN words TEXT; -- NULL: the index has them
CREATE INDEX item_texts_waiting ON item_texts (id) WHERE words IS NOT NULL;

DROP TRIGGER item_texts_gone;
CREATE TRIGGER item_texts_gone AFTER DELETE ON item_texts WHEN OLD.words IS NULL BEGIN
  DELETE FROM item_words WHERE rowid = OLD.id;
END;

DROP TRIGGER item_text_new_put;
DROP VIEW item_text_new;
CREATE TRIGGER item_texts_changed AFTER UPDATE OF words ON item_texts
WHEN OLD.words IS NULL AND NEW.words IS NOT NULL BEGIN
  DELETE FROM item_words WHERE rowid = OLD.id;
END;
CREATE TRIGGER item_texts_taken AFTER UPDATE OF words ON item_texts
WHEN OLD.words IS NOT NULL AND NEW.words IS NULL BEGIN
  INSERT INTO item_words (rowid, owner, words) VALUES (OLD.id, OLD.owner_word, OLD.words);
END;
