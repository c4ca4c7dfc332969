-- What a model makes of logs of agents that leave the tier hot; see docs/internals/agent-logs.md.
-- pending: a log that no insight covers yet.
ALTER TABLE agent_logs ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
CREATE INDEX agent_logs_pending ON agent_logs (user_id, session_id, created_at, id) WHERE pending;

CREATE TABLE agent_insights (
  id         TEXT NOT NULL PRIMARY KEY,
  session_id TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  category   TEXT,
  content    TEXT NOT NULL,
  logs       INTEGER NOT NULL,
  first_at   INTEGER NOT NULL,
  last_at    INTEGER NOT NULL,
  model      TEXT NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE INDEX agent_insights_user ON agent_insights (user_id, created_at, id);
CREATE INDEX agent_insights_session ON agent_insights (session_id, user_id, created_at, id);
CREATE INDEX agent_insights_age ON agent_insights (created_at);

-- What they are searched by: words, as those of items in item_texts and item_words, and a vector.
-- derived: agent_insight_texts
CREATE TABLE agent_insight_texts (
  id         INTEGER PRIMARY KEY,
  insight_id TEXT NOT NULL UNIQUE,
  size       INTEGER NOT NULL,
  embedder   TEXT,
  vector     BLOB
);

CREATE VIRTUAL TABLE agent_insight_words USING fts5
  (owner, words, content = '', contentless_delete = 1, tokenize = 'ascii');

CREATE TRIGGER agent_insight_texts_gone AFTER DELETE ON agent_insight_texts BEGIN
  DELETE FROM agent_insight_words WHERE rowid = OLD.id;
END;

CREATE TRIGGER agent_insights_gone AFTER DELETE ON agent_insights BEGIN
  DELETE FROM agent_insight_texts WHERE insight_id = OLD.id;
END;

-- Writing both is one statement: an insert here.
CREATE VIEW agent_insight_new AS
  SELECT insight_id, size, '' AS owner_word, '' AS words, embedder, vector FROM agent_insight_texts;

CREATE TRIGGER agent_insight_new_put INSTEAD OF INSERT ON agent_insight_new BEGIN
  INSERT INTO agent_insight_texts (insight_id, size, embedder, vector)
  VALUES (NEW.insight_id, NEW.size, NEW.embedder, NEW.vector);
  INSERT INTO agent_insight_words (rowid, owner, words)
  SELECT id, NEW.owner_word, NEW.words FROM agent_insight_texts WHERE insight_id = NEW.insight_id;
END;
