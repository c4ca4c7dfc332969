-- Graphs that are documents, registered while serving, and their versions.

-- migrate:up
CREATE TABLE holdfast.graphs (
  graph_id   text COLLATE "C" PRIMARY KEY,
  owner      text COLLATE "C" NOT NULL,
  version    bigint NOT NULL,
  document   text  NOT NULL,
  revision   bigint NOT NULL,
  deleted    boolean NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX graphs_revision ON holdfast.graphs (revision);
CREATE TABLE holdfast.graph_versions (
  graph_id   text COLLATE "C" NOT NULL,
  version    bigint NOT NULL,
  owner      text COLLATE "C" NOT NULL,
  document   text  NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (graph_id, version)
);

-- migrate:down
DROP TABLE holdfast.graph_versions;
DROP TABLE holdfast.graphs;
