-- Messages are found by their words, as titles are; see docs/internals/conversations.md. A text is a
-- title (number -1) or a message, by its number in the list. What follows from a conversation goes
-- with its row.

-- migrate:up
CREATE TABLE holdfast.conversation_texts (
  thread_id uuid NOT NULL REFERENCES holdfast.thread_conversations ON DELETE CASCADE,
  number    int8 NOT NULL,
  size      integer NOT NULL,
  words     tsvector NOT NULL,
  PRIMARY KEY (thread_id, number)
);
INSERT INTO holdfast.conversation_texts (thread_id, number, size, words)
SELECT thread_id, -1, size, words FROM holdfast.thread_conversations WHERE title IS NOT NULL;
CREATE INDEX conversation_texts_words ON holdfast.conversation_texts USING gin (words);

ALTER TABLE holdfast.thread_conversations DROP COLUMN size, DROP COLUMN words;

-- How far the messages of a thread have become texts: mark says which they are, seen_at is the
-- thread's updated_at when they were looked at.
CREATE TABLE holdfast.conversation_marks (
  thread_id uuid PRIMARY KEY REFERENCES holdfast.thread_conversations ON DELETE CASCADE,
  seen_at   timestamptz NOT NULL,
  mark      text NOT NULL
);

-- Of whoever searches: what was added to before this time has been looked at.
CREATE TABLE holdfast.conversation_owners (
  owner   text PRIMARY KEY,
  upto_at timestamptz NOT NULL
);

-- migrate:down
DROP TABLE holdfast.conversation_owners;
DROP TABLE holdfast.conversation_marks;
ALTER TABLE holdfast.thread_conversations
  ADD COLUMN size integer NOT NULL DEFAULT 0, ADD COLUMN words tsvector NOT NULL DEFAULT '';
UPDATE holdfast.thread_conversations c SET size = x.size, words = x.words
FROM holdfast.conversation_texts x WHERE x.thread_id = c.thread_id AND x.number = -1;
ALTER TABLE holdfast.thread_conversations
  ALTER COLUMN size DROP DEFAULT, ALTER COLUMN words DROP DEFAULT;
DROP TABLE holdfast.conversation_texts;
CREATE INDEX thread_conversations_words ON holdfast.thread_conversations USING gin (words);
