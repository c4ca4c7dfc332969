-- A conversation is a thread; what it has beyond one, see docs/internals/conversations.md. It is
-- archived when the thread's metadata say since when. The table of 0007, which held a copy of what
-- the thread's row has, was never written and goes.
-- transaction: no

-- migrate:up
CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_threads_archived ON langgraph_server.threads
  ((coalesce(metadata ->> 'owner', '') COLLATE "C"), updated_at)
  WHERE (metadata ->> 'archived_at') IS NOT NULL;

DROP TABLE IF EXISTS holdfast.conversations;

CREATE TABLE IF NOT EXISTS holdfast.thread_conversations (
  thread_id    uuid PRIMARY KEY,
  title        text,
  size         integer NOT NULL,
  words        tsvector NOT NULL,
  summary      text,
  summary_upto text,
  summary_at   timestamptz
);

CREATE INDEX CONCURRENTLY IF NOT EXISTS thread_conversations_words
  ON holdfast.thread_conversations USING gin (words);

-- migrate:down
DROP TABLE IF EXISTS holdfast.thread_conversations;

CREATE TABLE IF NOT EXISTS holdfast.conversations (
  id         uuid PRIMARY KEY,
  user_id    text NOT NULL,
  title      text,
  archived   boolean NOT NULL DEFAULT false,
  metadata   jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE INDEX CONCURRENTLY IF NOT EXISTS conversations_user
  ON holdfast.conversations (user_id, archived, updated_at DESC);

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_threads_archived;
