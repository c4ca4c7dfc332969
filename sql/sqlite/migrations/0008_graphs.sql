-- Graphs that are documents, registered while serving, and their versions.
CREATE TABLE graphs (
  graph_id   TEXT NOT NULL PRIMARY KEY,
  owner      TEXT NOT NULL,
  version    INTEGER NOT NULL,
  document   TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  deleted    INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX graphs_revision ON graphs (revision);
CREATE TABLE graph_versions (
  graph_id   TEXT NOT NULL,
  version    INTEGER NOT NULL,
  owner      TEXT NOT NULL,
  document   TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (graph_id, version)
) WITHOUT ROWID;
