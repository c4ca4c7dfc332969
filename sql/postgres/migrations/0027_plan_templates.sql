-- What plans are made of, and what they are made with: templates, a plan with parameters; projects, by
-- the names that plans give as theirs; settings of an owner. `version` counts changes.

-- migrate:up
CREATE TABLE holdfast.plan_templates (
  id          uuid PRIMARY KEY,
  owner       text COLLATE "C" NOT NULL,
  name        text COLLATE "C" NOT NULL,
  description text NOT NULL,
  parameters  text NOT NULL,
  plan        text NOT NULL,
  version     bigint NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX plan_templates_name ON holdfast.plan_templates (owner, name);

CREATE TABLE holdfast.projects (
  id          uuid PRIMARY KEY,
  owner       text COLLATE "C" NOT NULL,
  name        text COLLATE "C" NOT NULL,
  description text NOT NULL,
  metadata    text NOT NULL,
  settings    text NOT NULL,
  version     bigint NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX projects_name ON holdfast.projects (owner, name);

CREATE TABLE holdfast.settings (
  owner      text COLLATE "C" NOT NULL,
  key        text COLLATE "C" NOT NULL,
  value      text NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (owner, key)
);

-- migrate:down
DROP TABLE holdfast.settings, holdfast.projects, holdfast.plan_templates;
