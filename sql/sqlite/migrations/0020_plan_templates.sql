-- What plans are made of, and what they are made with: templates, a plan with parameters; projects, by
-- the names that plans give as theirs; settings of an owner. `version` counts changes.
CREATE TABLE plan_templates (
  id          TEXT NOT NULL PRIMARY KEY,
  owner       TEXT NOT NULL,
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  parameters  TEXT NOT NULL,
  plan        TEXT NOT NULL,
  version     INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX plan_templates_name ON plan_templates (owner, name);

CREATE TABLE projects (
  id          TEXT NOT NULL PRIMARY KEY,
  owner       TEXT NOT NULL,
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  metadata    TEXT NOT NULL,
  settings    TEXT NOT NULL,
  version     INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX projects_name ON projects (owner, name);

CREATE TABLE settings (
  owner      TEXT NOT NULL,
  key        TEXT NOT NULL,
  value      TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (owner, key)
);
