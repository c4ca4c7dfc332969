-- Filters of the store with lists, logic and paths; src/base/json_filter.h says what holds when.

-- migrate:up
-- A member; of a path, when no member has that very name: labels of digits take array elements.
CREATE FUNCTION holdfast.member(whole jsonb, name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  label text;
  found jsonb := whole;
BEGIN
  IF whole ? name OR position('.' IN name) = 0 THEN
    RETURN whole -> name;
  END IF;
  FOREACH label IN ARRAY string_to_array(name, '.') LOOP
    IF jsonb_typeof(found) = 'object' THEN
      found := found -> label;
    ELSIF jsonb_typeof(found) = 'array' AND label ~ '^[0-9]{1,9}$' THEN
      found := found -> label::integer;
    ELSE
      RETURN NULL;
    END IF;
  END LOOP;
  RETURN found;
END $$;

CREATE OR REPLACE FUNCTION holdfast.meets(value jsonb, wanted jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  name text;
  operand jsonb;
  met boolean;
BEGIN
  IF jsonb_typeof(wanted) <> 'object' THEN
    RETURN value IS NOT NULL AND value = wanted;
  END IF;
  IF wanted = '{}' THEN
    RETURN jsonb_typeof(value) IS NOT DISTINCT FROM 'object';
  END IF;
  FOR name, operand IN SELECT * FROM jsonb_each(wanted) LOOP
    IF left(name, 1) <> '$' THEN
      met := jsonb_typeof(value) IS NOT DISTINCT FROM 'object'
             AND holdfast.meets(holdfast.member(value, name), operand);
    ELSIF name = '$eq' THEN
      met := value IS NOT NULL AND value = operand;
    ELSIF name = '$ne' THEN
      met := value IS NULL OR value <> operand;
    ELSIF name = '$in' THEN
      met := value IS NOT NULL AND EXISTS (SELECT 1 FROM jsonb_array_elements(operand) e(v)
                                           WHERE e.v = value);
    ELSIF name = '$nin' THEN
      met := value IS NULL OR NOT EXISTS (SELECT 1 FROM jsonb_array_elements(operand) e(v)
                                          WHERE e.v = value);
    ELSIF name = '$exists' THEN
      met := (value IS NOT NULL) = operand::boolean;
    ELSIF name = '$and' THEN
      met := NOT EXISTS (SELECT 1 FROM jsonb_array_elements(operand) e(v)
                         WHERE NOT holdfast.meets(value, e.v));
    ELSIF name = '$or' THEN
      met := EXISTS (SELECT 1 FROM jsonb_array_elements(operand) e(v)
                     WHERE holdfast.meets(value, e.v));
    ELSIF name = '$not' THEN
      met := NOT holdfast.meets(value, operand);
    ELSIF name NOT IN ('$gt', '$gte', '$lt', '$lte') THEN
      RAISE EXCEPTION 'the filter has an unknown operator' USING ERRCODE = '22023';
    ELSIF value IS NULL OR jsonb_typeof(value) <> jsonb_typeof(operand) THEN
      met := false;
    ELSIF jsonb_typeof(value) = 'number' THEN
      met := CASE name
        WHEN '$gt' THEN (value #>> '{}')::numeric > (operand #>> '{}')::numeric
        WHEN '$gte' THEN (value #>> '{}')::numeric >= (operand #>> '{}')::numeric
        WHEN '$lt' THEN (value #>> '{}')::numeric < (operand #>> '{}')::numeric
        ELSE (value #>> '{}')::numeric <= (operand #>> '{}')::numeric END;
    ELSIF jsonb_typeof(value) = 'string' THEN
      met := CASE name
        WHEN '$gt' THEN (value #>> '{}') COLLATE "C" > (operand #>> '{}')
        WHEN '$gte' THEN (value #>> '{}') COLLATE "C" >= (operand #>> '{}')
        WHEN '$lt' THEN (value #>> '{}') COLLATE "C" < (operand #>> '{}')
        ELSE (value #>> '{}') COLLATE "C" <= (operand #>> '{}') END;
    ELSE
      met := false;
    END IF;
    IF NOT met THEN RETURN false; END IF;
  END LOOP;
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION holdfast.filter(whole jsonb, wanted jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT holdfast.meets(whole, wanted) $$;

-- migrate:down
CREATE OR REPLACE FUNCTION holdfast.meets(value jsonb, wanted jsonb) RETURNS boolean
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

CREATE OR REPLACE FUNCTION holdfast.filter(whole jsonb, wanted jsonb) RETURNS boolean
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

DROP FUNCTION holdfast.member(jsonb, text);
