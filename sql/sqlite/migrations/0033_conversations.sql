-- A conversation is a thread; what it has beyond one, see docs/internals/conversations.md. It is
-- archived when the thread's metadata say since when.
CREATE INDEX threads_archived ON threads (owner, updated_at)
  WHERE (metadata ->> '$.archived_at') IS NOT NULL;

-- summary is of the messages up to the one whose id is summary_upto.
CREATE TABLE thread_conversations (
  thread_id    TEXT NOT NULL PRIMARY KEY,
  title        TEXT,
  summary      TEXT,
  summary_upto TEXT,
  summary_at   INTEGER
) WITHOUT ROWID;

-- The words of titles, as those of items in item_texts and item_words.
-- derived: conversation_texts
CREATE TABLE conversation_texts (
  id        INTEGER PRIMARY KEY,
  thread_id TEXT NOT NULL UNIQUE,
  size      INTEGER NOT NULL
);

CREATE VIRTUAL TABLE conversation_words USING fts5
  (owner, words, content = '', contentless_delete = 1, tokenize = 'ascii');

CREATE TRIGGER conversation_texts_gone AFTER DELETE ON conversation_texts BEGIN
  DELETE FROM conversation_words WHERE rowid = OLD.id;
END;

CREATE TRIGGER thread_conversations_gone AFTER DELETE ON thread_conversations BEGIN
  DELETE FROM conversation_texts WHERE thread_id = OLD.thread_id;
END;

-- Writing a title is one statement: an insert here.
CREATE VIEW conversation_new AS
  SELECT thread_id, title, 0 AS size, '' AS owner_word, '' AS words FROM thread_conversations;

CREATE TRIGGER conversation_new_put INSTEAD OF INSERT ON conversation_new BEGIN
  INSERT INTO thread_conversations (thread_id, title) VALUES (NEW.thread_id, NEW.title)
  ON CONFLICT (thread_id) DO UPDATE SET title = excluded.title;
  DELETE FROM conversation_texts WHERE thread_id = NEW.thread_id;
  INSERT INTO conversation_texts (thread_id, size) VALUES (NEW.thread_id, NEW.size);
  INSERT INTO conversation_words (rowid, owner, words)
  SELECT id, NEW.owner_word, NEW.words FROM conversation_texts WHERE thread_id = NEW.thread_id;
END;

-- One trigger for all that goes with a thread's row.
DROP TRIGGER preference_overrides_go;
CREATE TRIGGER threads_gone AFTER DELETE ON threads BEGIN
  DELETE FROM preference_overrides WHERE thread_id = OLD.id;
  DELETE FROM thread_conversations WHERE thread_id = OLD.id;
END;
