-- Holdfast's own schema: what the shared tables have no columns for, the thread log, checkpoints in
-- the native layout, and who works. Ids are uuids; JSON that must come back as it went is text.

-- migrate:up
DO $$ BEGIN
  IF to_regnamespace('holdfast') IS NULL THEN CREATE SCHEMA holdfast; END IF;
END $$;

CREATE TABLE holdfast.kv (
  owner      text NOT NULL,
  key        text NOT NULL,
  value      bytea,
  version    bigint NOT NULL CHECK (version > 0),
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (owner, key)
);

-- Processes that commit: the number of the last group of batches, and the epoch that fences.
CREATE TABLE holdfast.writers (
  id         uuid PRIMARY KEY,
  epoch      bigint NOT NULL,
  group_no   bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE holdfast.assistant_versions (
  assistant_id uuid NOT NULL,
  version      integer NOT NULL,
  graph_id     text NOT NULL,
  name         text,
  description  text,
  config       jsonb NOT NULL,
  context      jsonb NOT NULL,
  metadata     jsonb NOT NULL,
  created_at   timestamptz NOT NULL,
  PRIMARY KEY (assistant_id, version)
);

-- Tables that grow and shrink are not truncated by a vacuum: statements that were planned while one
-- was empty would read all of it until its next statistics.

-- The thread's counter of log entries, its newest checkpoint, and the run that has it. A thread that
-- another runtime made has no row until its first run here. Its updates touch no index.
CREATE TABLE holdfast.thread_heads (
  thread_id        uuid PRIMARY KEY,
  seq              bigint NOT NULL DEFAULT 0,
  checkpoint_id    uuid,
  error            text,
  run_id           uuid,
  attempt          bigint,
  worker           uuid,
  state_updated_at timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);

-- The runs of Holdfast: what langgraph_server.runs has no columns for, and its status, since this row
-- is the one that is locked and fenced. live: not over yet. first_seq: the log position before it.
CREATE TABLE holdfast.run_states (
  run_id        uuid PRIMARY KEY,
  thread_id     uuid NOT NULL,
  created_at    timestamptz NOT NULL,
  status        text NOT NULL,
  live          boolean NOT NULL,
  attempt       bigint NOT NULL,
  first_seq     bigint NOT NULL,
  worker        uuid,
  cancel_action text,
  cancel_reason text,
  error         text
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);
CREATE INDEX run_states_live ON holdfast.run_states (thread_id, created_at, run_id) WHERE live;
CREATE INDEX run_states_worker ON holdfast.run_states (worker, run_id) WHERE live;
CREATE INDEX run_states_cancel ON holdfast.run_states (worker)
  WHERE live AND cancel_action IS NOT NULL;

CREATE TABLE holdfast.events (
  thread_id uuid NOT NULL,
  seq       bigint NOT NULL,
  run_id    uuid NOT NULL,
  kind      smallint NOT NULL,
  at        timestamptz NOT NULL,
  data      text NOT NULL,
  PRIMARY KEY (thread_id, seq)
) WITH (vacuum_truncate = false);

CREATE TABLE holdfast.checkpoints (
  thread_id            uuid NOT NULL,
  checkpoint_ns        text NOT NULL,
  checkpoint_id        uuid NOT NULL,
  parent_checkpoint_id uuid,
  run_id               uuid,
  step                 integer NOT NULL,
  source               text NOT NULL,
  channels             text NOT NULL,
  next                 text NOT NULL,
  tasks                text NOT NULL,
  metadata             text NOT NULL,
  created_at           timestamptz NOT NULL,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
) WITH (vacuum_truncate = false);

CREATE TABLE holdfast.checkpoint_values (
  thread_id uuid NOT NULL,
  hash      text NOT NULL,
  value     text NOT NULL,
  PRIMARY KEY (thread_id, hash)
) WITH (vacuum_truncate = false);

CREATE TABLE holdfast.checkpoint_lists (
  thread_id uuid NOT NULL,
  list_id   bigint NOT NULL,
  start     bigint NOT NULL,
  count     bigint NOT NULL,
  items     text NOT NULL,
  PRIMARY KEY (thread_id, list_id, start)
) WITH (vacuum_truncate = false);

-- The end of store items that have one.
CREATE TABLE holdfast.item_ttls (
  owner       text NOT NULL,
  namespace   text NOT NULL,
  key         text NOT NULL,
  ttl_minutes bigint NOT NULL,
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (owner, namespace, key)
);
CREATE INDEX item_ttls_expires ON holdfast.item_ttls (expires_at);

CREATE TABLE holdfast.workers (
  id         uuid PRIMARY KEY,
  host       text NOT NULL,
  pid        bigint NOT NULL,
  started_at timestamptz NOT NULL,
  seen_at    timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE holdfast.leaders (
  name       text PRIMARY KEY,
  worker     uuid NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- A statement did not do what its batch relies on; see tools/gen-catalogue.
CREATE FUNCTION holdfast.expected() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RAISE EXCEPTION 'an expectation does not hold' USING ERRCODE = 'HF001';
END $$;

-- The uuid of an id in either spelling; NULL for what is none.
CREATE FUNCTION holdfast.to_uuid(id text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN id ~ '^[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}$'
         THEN id::uuid END
$$;

-- Both spellings of an id: dashed as new rows have it, and 32 digits as others write it.
CREATE FUNCTION holdfast.spellings(id uuid) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ARRAY[id::text, replace(id::text, '-', '')]
$$;

-- Labels joined by '.': namespaces of the Python runtime look like '{a,b}'.
CREATE FUNCTION holdfast.labels(namespace text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN namespace LIKE '{%}'
         THEN replace(replace(substr(namespace, 2, length(namespace) - 2), '"', ''), ',', '.')
         ELSE namespace END
$$;

CREATE FUNCTION holdfast.labels_cut(labels text, depth bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN depth <= 0 THEN labels
         ELSE array_to_string((string_to_array(labels, '.'))[1:depth::integer], '.') END
$$;

-- '*' stands for any one label.
CREATE FUNCTION holdfast.labels_fit(labels text[], pattern text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(cardinality(pattern) <= cardinality(labels)
                  AND (SELECT bool_and(p = '*' OR p = l)
                       FROM unnest(pattern, labels[1:cardinality(pattern)]) AS u(p, l)), true)
$$;

CREATE FUNCTION holdfast.labels_match(labels text, prefix text, suffix text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (prefix = '' OR holdfast.labels_fit(string_to_array(labels, '.'),
                                             string_to_array(prefix, '.')))
     AND (suffix = '' OR
          (cardinality(string_to_array(suffix, '.')) <= cardinality(string_to_array(labels, '.'))
           AND holdfast.labels_fit(
             (string_to_array(labels, '.'))[1 + cardinality(string_to_array(labels, '.'))
                                            - cardinality(string_to_array(suffix, '.')):],
             string_to_array(suffix, '.'))))
$$;

-- Letters of ASCII count as equal to their capitals.
CREATE FUNCTION holdfast.icontains(whole text, part text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT part = '' OR position(lower(part COLLATE "C") IN lower(whole COLLATE "C")) > 0
$$;

-- Filters of the store. A plain value means equality; an object with $-keys is a list of operators;
-- another object is compared member by member. An order is only between two numbers or two strings;
-- $ne holds for a missing member.
CREATE FUNCTION holdfast.meets(value jsonb, wanted jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  name text;
  operand jsonb;
  ordered boolean;
BEGIN
  IF jsonb_typeof(wanted) <> 'object' THEN
    RETURN value IS NOT NULL AND value = wanted;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM jsonb_object_keys(wanted) k WHERE k LIKE '$%') THEN
    RETURN jsonb_typeof(value) IS NOT DISTINCT FROM 'object' AND holdfast.filter(value, wanted);
  END IF;
  FOR name, operand IN SELECT * FROM jsonb_each(wanted) LOOP
    IF name = '$eq' THEN
      IF value IS NULL OR value <> operand THEN RETURN false; END IF;
    ELSIF name = '$ne' THEN
      IF value IS NOT NULL AND value = operand THEN RETURN false; END IF;
    ELSIF name NOT IN ('$gt', '$gte', '$lt', '$lte') THEN
      RAISE EXCEPTION 'the filter has an unknown operator' USING ERRCODE = '22023';
    ELSE
      IF value IS NULL OR jsonb_typeof(value) <> jsonb_typeof(operand) THEN RETURN false; END IF;
      IF jsonb_typeof(value) = 'number' THEN
        ordered := CASE name
          WHEN '$gt' THEN (value #>> '{}')::numeric > (operand #>> '{}')::numeric
          WHEN '$gte' THEN (value #>> '{}')::numeric >= (operand #>> '{}')::numeric
          WHEN '$lt' THEN (value #>> '{}')::numeric < (operand #>> '{}')::numeric
          ELSE (value #>> '{}')::numeric <= (operand #>> '{}')::numeric END;
      ELSIF jsonb_typeof(value) = 'string' THEN
        ordered := CASE name
          WHEN '$gt' THEN (value #>> '{}') COLLATE "C" > (operand #>> '{}')
          WHEN '$gte' THEN (value #>> '{}') COLLATE "C" >= (operand #>> '{}')
          WHEN '$lt' THEN (value #>> '{}') COLLATE "C" < (operand #>> '{}')
          ELSE (value #>> '{}') COLLATE "C" <= (operand #>> '{}') END;
      ELSE
        ordered := false;
      END IF;
      IF NOT ordered THEN RETURN false; END IF;
    END IF;
  END LOOP;
  RETURN true;
END $$;

CREATE FUNCTION holdfast.filter(whole jsonb, wanted jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  name text;
  operand jsonb;
BEGIN
  FOR name, operand IN SELECT * FROM jsonb_each(wanted) LOOP
    IF NOT holdfast.meets(whole -> name, operand) THEN RETURN false; END IF;
  END LOOP;
  RETURN true;
END $$;

-- The next three are called for what is rare, or what a statement must see fresh: after waiting for
-- a row's lock, the statement's own snapshot is older than that row; a function's is not.
CREATE FUNCTION holdfast.thread_has_live_runs(thread uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM holdfast.run_states s WHERE s.thread_id = thread AND s.live);
END $$;

-- Before a thread is made whose head is there already: either the thread is, too, or another runtime
-- has deleted it, and what hung on it goes now.
CREATE FUNCTION holdfast.thread_clear(thread uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM langgraph_server.threads
             WHERE id = ANY (holdfast.spellings(thread))) THEN
    RAISE EXCEPTION 'the thread exists' USING ERRCODE = '23505';
  END IF;
  DELETE FROM holdfast.events WHERE thread_id = thread;
  DELETE FROM holdfast.checkpoints WHERE thread_id = thread;
  DELETE FROM holdfast.checkpoint_values WHERE thread_id = thread;
  DELETE FROM holdfast.checkpoint_lists WHERE thread_id = thread;
  DELETE FROM holdfast.run_states WHERE thread_id = thread AND live;
  DELETE FROM langgraph_server.runs WHERE thread_id = ANY (holdfast.spellings(thread));
  DELETE FROM holdfast.thread_heads WHERE thread_id = thread;
  RETURN true;
END $$;

-- The row is there in the other spelling of its id.
CREATE FUNCTION holdfast.other_spelling() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RAISE EXCEPTION 'the id is taken, in its other spelling' USING ERRCODE = '23505';
END $$;

-- migrate:down
DROP TABLE holdfast.leaders, holdfast.workers, holdfast.item_ttls, holdfast.checkpoint_lists,
  holdfast.checkpoint_values, holdfast.checkpoints, holdfast.events, holdfast.run_states,
  holdfast.thread_heads, holdfast.assistant_versions, holdfast.writers, holdfast.kv;
DROP FUNCTION holdfast.other_spelling(), holdfast.thread_clear(uuid),
  holdfast.thread_has_live_runs(uuid), holdfast.filter(jsonb, jsonb), holdfast.meets(jsonb, jsonb),
  holdfast.icontains(text, text), holdfast.labels_match(text, text, text),
  holdfast.labels_fit(text[], text[]), holdfast.labels_cut(text, bigint), holdfast.labels(text),
  holdfast.spellings(uuid), holdfast.to_uuid(text), holdfast.expected();
