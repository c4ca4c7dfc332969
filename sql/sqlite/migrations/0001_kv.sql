-- Settings of the server itself. `value` has no type of its own: it keeps what is stored.
CREATE TABLE kv (
    owner      TEXT    NOT NULL,
    key        TEXT    NOT NULL CHECK (instr(key, char(0)) = 0),
    value,
    version    INTEGER NOT NULL CHECK (version > 0),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;
