-- Messages are found by their words, as titles are; see docs/internals/conversations.md. A text is a
-- title (number -1) or a message, by its number in the list. Its words wait in its row until the index
-- takes them, many at a time, as those of item_texts do.
DROP TRIGGER conversation_new_put;
DROP VIEW conversation_new;
DROP TRIGGER thread_conversations_gone;
DROP TRIGGER conversation_texts_gone;

-- derived: conversation_texts conversation_marks conversation_owners
CREATE TABLE conversation_texts_new (
  id         INTEGER PRIMARY KEY,
  thread_id  TEXT NOT NULL,
  number     INTEGER NOT NULL,
  size       INTEGER NOT NULL,
  owner_word TEXT,
  words      TEXT, -- NULL: the index has them
  UNIQUE (thread_id, number)
);
INSERT INTO conversation_texts_new (id, thread_id, number, size)
SELECT id, thread_id, -1, size FROM conversation_texts;
DROP TABLE conversation_texts;
ALTER TABLE conversation_texts_new RENAME TO conversation_texts;
CREATE INDEX conversation_texts_waiting ON conversation_texts (id) WHERE words IS NOT NULL;

CREATE TRIGGER conversation_texts_gone AFTER DELETE ON conversation_texts WHEN OLD.words IS NULL BEGIN
  DELETE FROM conversation_words WHERE rowid = OLD.id;
END;
CREATE TRIGGER conversation_texts_changed AFTER UPDATE OF words ON conversation_texts
WHEN OLD.words IS NULL AND NEW.words IS NOT NULL BEGIN
  DELETE FROM conversation_words WHERE rowid = OLD.id;
END;
CREATE TRIGGER conversation_texts_taken AFTER UPDATE OF words ON conversation_texts
WHEN OLD.words IS NOT NULL AND NEW.words IS NULL BEGIN
  INSERT INTO conversation_words (rowid, owner, words) VALUES (OLD.id, OLD.owner_word, OLD.words);
END;

-- How far the messages of a thread have become texts: mark says which they are, seen_at is the
-- thread's updated_at when they were looked at.
CREATE TABLE conversation_marks (
  thread_id TEXT NOT NULL PRIMARY KEY,
  seen_at   INTEGER NOT NULL,
  mark      TEXT NOT NULL
) WITHOUT ROWID;

-- Of whoever searches: what was added to before this time has been looked at.
CREATE TABLE conversation_owners (
  owner   TEXT NOT NULL PRIMARY KEY,
  upto_at INTEGER NOT NULL
);

CREATE TRIGGER thread_conversations_gone AFTER DELETE ON thread_conversations BEGIN
  DELETE FROM conversation_texts WHERE thread_id = OLD.thread_id;
  DELETE FROM conversation_marks WHERE thread_id = OLD.thread_id;
END;
