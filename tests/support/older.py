# SPDX-License-Identifier: Apache-2.0
"""older.py - stores of the layouts before the history's, made and written as their programs did.

Each has append(events), checkpoint(session, payload, at), an address for `holdfast`, and state():
what must be the same after it was read. An event is an envelope with a sessionId, or with None.
"""
import hashlib
import json
import sqlite3
import uuid

import postgres

TABLES = """
CREATE TABLE IF NOT EXISTS {schema}history_events (
  id TEXT PRIMARY KEY, session_id {name}, occurred_at {time}, envelope {json} NOT NULL);
CREATE TABLE IF NOT EXISTS {schema}history_checkpoints (
  session_id TEXT PRIMARY KEY, payload {json} NOT NULL, created_at {time});
"""


def digest_of(paths):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


class Folder:
    def __init__(self, folder):
        self.path = folder / f"older-{uuid.uuid4()}"
        self.path.mkdir()
        self.address = f"jsonl:{self.path}"

    def append(self, events):
        for e in events:
            with open(self.path / f"{e.get('sessionId') or 'unknown'}.jsonl", "a",
                      encoding="utf-8") as file:
                file.write(json.dumps({"id": e["id"], "sessionId": e.get("sessionId") or "unknown",
                                       "envelope": e, "createdAt": e["occurredAt"]}) + "\n")

    def damage(self, session, row, text, time="2026-01-01T00:00:00Z"):
        with open(self.path / f"{session}.jsonl", "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def checkpoint(self, session, payload, at):
        (self.path / f"{session}.checkpoint.json").write_text(
            json.dumps({"payload": payload, "createdAt": at}))

    def state(self):
        return digest_of(self.path.iterdir())

    def close(self):
        pass


class Sqlite:
    def __init__(self, folder):
        self.path = folder / f"older-{uuid.uuid4()}.db"
        self.address = f"sqlite:{self.path}"
        self.db = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.executescript(TABLES.format(schema="", name="TEXT", time="TEXT NOT NULL",
                                            json="TEXT"))

    def append(self, events):
        with self.db:
            self.db.executemany("INSERT INTO history_events VALUES (?, ?, ?, ?)", [
                (e["id"], e.get("sessionId"), e["occurredAt"], json.dumps(e)) for e in events])

    def damage(self, session, row, text, time="2026-01-01T00:00:00Z"):
        with self.db:
            self.db.execute("INSERT INTO history_events VALUES (?, ?, ?, ?)",
                            (row, session, time, text))

    def checkpoint(self, session, payload, at):
        with self.db:
            self.db.execute("INSERT INTO history_checkpoints VALUES (?, ?, ?) ON CONFLICT "
                            "(session_id) DO UPDATE SET payload = excluded.payload, "
                            "created_at = excluded.created_at", (session, json.dumps(payload), at))

    def state(self):
        return "\n".join(self.db.iterdump())

    def close(self):
        self.db.close()


class Postgres:
    """kinds: of names, times and JSON in its tables."""

    def __init__(self, folder, name="TEXT", time="TEXT", form="TEXT", schema="public"):
        self.database = postgres.Database(on=postgres.cluster())
        self.schema = schema
        url = self.database.url
        self.address = url if schema == "public" else f"{url}?schema={schema}"
        self.run(f'CREATE SCHEMA IF NOT EXISTS "{schema}";' + TABLES.format(
            schema=f'"{schema}".', name=name, time=time, json=form))

    def run(self, sql):
        return self.database.cluster.psql(sql, self.database.name)

    @staticmethod
    def quote(value):
        return "NULL" if value is None else "'" + value.replace("'", "''") + "'"

    def row(self, *values):
        return "(" + ", ".join(self.quote(v) for v in values) + ")"

    def append(self, events):
        rows = [self.row(e["id"], e.get("sessionId"), e["occurredAt"], json.dumps(e))
                for e in events]
        for i in range(0, len(rows), 5000):
            self.run(f'INSERT INTO "{self.schema}".history_events VALUES '
                     + ",\n".join(rows[i:i + 5000]) + " ON CONFLICT (id) DO NOTHING")

    def damage(self, session, row, text, time="2026-01-01T00:00:00Z"):
        self.run(f'INSERT INTO "{self.schema}".history_events VALUES '
                 + self.row(row, session, time, text))

    def checkpoint(self, session, payload, at):
        self.run(f'INSERT INTO "{self.schema}".history_checkpoints VALUES '
                 + self.row(session, json.dumps(payload), at) + " ON CONFLICT (session_id) DO "
                 "UPDATE SET payload = excluded.payload, created_at = excluded.created_at")

    def state(self):
        return [self.run(f'SELECT md5(string_agg(t::text, $$\n$$ ORDER BY t::text)), '
                         f'max(xmin::text) FROM "{self.schema}".{table} t')
                for table in ("history_events", "history_checkpoints")]

    def close(self):
        self.database.drop()
