-- The words of store items, for full-text search. src/model/terms.h cuts them; here a word is what
-- stands between blanks. updated_at is the item's: words of an item that another runtime has changed
-- since are not looked at.

-- migrate:up
CREATE TABLE holdfast.item_texts (
  owner      text NOT NULL,
  namespace  text NOT NULL,
  key        text NOT NULL,
  size       integer NOT NULL,
  words      tsvector NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (owner, namespace, key)
);
CREATE INDEX item_texts_words ON holdfast.item_texts USING gin (words);

-- Words by their places. The owner is a word, too, so that the index meets one owner's only.
CREATE FUNCTION holdfast.words(owner_word text, words text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (SELECT coalesce(string_agg('''' || u.word || ''':' || u.place, ' '), '')
          FROM unnest(string_to_array(rtrim(words, ' '), ' ')) WITH ORDINALITY AS u(word, place)
          WHERE u.word <> '')::tsvector || (owner_word || ':1')::tsvector
$$;

-- Any of the words, of one owner; '' of all.
CREATE FUNCTION holdfast.words_query(owner_word text, words text[]) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (CASE WHEN owner_word = '' THEN '' ELSE owner_word || ' & ' END || '('
          || (SELECT string_agg('''' || w || '''', ' | ') FROM unnest(words) u(w)) || ')')::tsquery
$$;

-- From 0 to 1; text_score() of src/db/sqlite/text_score.c says how, and gives the same.
CREATE FUNCTION holdfast.words_score(words tsvector, size integer, wanted text[])
RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT round((coalesce(sum(f.n / (f.n + 1.2 * (0.25 + 0.75 * size / 64.0))), 0)
                / cardinality(wanted))::numeric, 6)::double precision
  FROM (SELECT least(cardinality(u.positions), 255)::double precision AS n
        FROM unnest(words) AS u(lexeme, positions, weights)
        WHERE u.lexeme = ANY (wanted)) f
$$;

-- migrate:down
DROP FUNCTION holdfast.words_score(tsvector, integer, text[]),
  holdfast.words_query(text, text[]), holdfast.words(text, text);
DROP TABLE holdfast.item_texts;
