# SPDX-License-Identifier: Apache-2.0
"""verify - what must hold of the data of a server that was killed, and of one that came back.

check_file and check_ledger read what open_data gives: a copy of SQLite's files, or the tables in
PostgreSQL, seen through the names of the former. The others ask the server that was started on the
data. Each returns a list of texts, one a problem.
"""
import json
import pathlib
import shutil
import sqlite3
import time

from load import GONE
from proc import Failure

# A run's time of its own: the longest answers of the model, with many runs at once on a machine
# that also runs other tests. What is meant is "soon", and not never.
RUN_SECONDS_MAX = 15
RECOVER_SECONDS_MAX = 5 + RUN_SECONDS_MAX


# What the SQLite tables are called, made of those in PostgreSQL.
VIEWS = """WITH threads AS (
  SELECT replace(t.id, '-', '') AS id, t.status, t.metadata::text AS metadata,
    coalesce(h.seq, 0) AS seq, replace(h.checkpoint_id::text, '-', '') AS checkpoint_id
  FROM langgraph_server.threads t LEFT JOIN holdfast.thread_heads h ON h.thread_id = t.id::uuid),
runs AS (
  SELECT replace(r.id, '-', '') AS id, replace(r.thread_id, '-', '') AS thread_id, r.status,
    s.attempt, s.error
  FROM langgraph_server.runs r LEFT JOIN holdfast.run_states s ON s.run_id = r.id::uuid),
assistants AS (SELECT replace(id, '-', '') AS id, name FROM langgraph_server.assistants),
store_items AS (SELECT namespace, key, value::text AS value FROM langgraph_server.store_items),
events AS (SELECT replace(thread_id::text, '-', '') AS thread_id, seq FROM holdfast.events),
checkpoints AS (
  SELECT replace(thread_id::text, '-', '') AS thread_id,
    replace(checkpoint_id::text, '-', '') AS checkpoint_id FROM holdfast.checkpoints
  UNION ALL SELECT replace(thread_id, '-', ''), replace(checkpoint_id, '-', '')
  FROM public.checkpoints WHERE checkpoint_ns = ''),
checkpoint_values AS (
  SELECT replace(thread_id::text, '-', '') AS thread_id FROM holdfast.checkpoint_values),
checkpoint_lists AS (
  SELECT replace(thread_id::text, '-', '') AS thread_id FROM holdfast.checkpoint_lists)
"""


class PostgresData:
    """The tables of a PostgreSQL database under the names and in the forms of those in SQLite."""

    def __init__(self, database):
        self.database = database

    def execute(self, sql):
        return self.database.execute(VIEWS + sql)

    def close(self):
        pass


def open_data(server, to):
    """What the database of a server holds that has ended, or does nothing now."""
    if not server.database:
        return open_copy(copy(server.data, to))
    if not server.alive():
        server.database.quiet()
    return PostgresData(server.database)


def copy(data, to):
    """The file and its log; the shared memory is made anew from the log."""
    to = pathlib.Path(to)
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for name in ("holdfast.db", "holdfast.db-wal", "holdfast.db-journal"):
        if (pathlib.Path(data) / name).exists():
            shutil.copy(pathlib.Path(data) / name, to / name)
    return to / "holdfast.db"


def open_copy(path):
    return sqlite3.connect(path, isolation_level=None)


def check_file(db):
    """Holds at any moment, whatever killed the server."""
    problems = []
    if not isinstance(db, PostgresData):
        problems += [f"integrity_check: {row[0]}" for row in db.execute("PRAGMA integrity_check")
                     if row[0] != "ok"]
    problems += [f"thread {t}: {n} runs are running" for t, n in db.execute(
        "SELECT thread_id, count(*) FROM runs WHERE status = 'running' GROUP BY 1 "
        "HAVING count(*) > 1")]
    problems += [f"thread {t}: its counter is {seq}, its log has {n} entries from {low} to {high}"
                 for t, seq, n, low, high in db.execute(
        "SELECT t.id, t.seq, count(e.seq), min(e.seq), max(e.seq) FROM threads t "
        "LEFT JOIN events e ON e.thread_id = t.id GROUP BY t.id, t.seq "
        "HAVING count(e.seq) <> t.seq OR coalesce(max(e.seq), 0) <> t.seq "
        "OR coalesce(min(e.seq), 1) <> 1")]
    problems += [f"table {table}: rows of thread {t}, which is gone" for table in
                 ("runs", "events", "checkpoints", "checkpoint_values", "checkpoint_lists")
                 for (t,) in db.execute(f"SELECT DISTINCT thread_id FROM {table} "
                                        "WHERE thread_id NOT IN (SELECT id FROM threads)")]
    problems += [f"thread {t}: its checkpoint {c} is missing" for t, c in db.execute(
        "SELECT t.id, t.checkpoint_id FROM threads t WHERE t.checkpoint_id IS NOT NULL AND NOT "
        "EXISTS (SELECT 1 FROM checkpoints c WHERE c.thread_id = t.id "
        "AND c.checkpoint_id = t.checkpoint_id)")]
    problems += [f"thread {t} is {status} with {n} live runs" for t, status, n in db.execute(
        "SELECT t.id, t.status, count(r.id) AS n FROM threads t LEFT JOIN runs r "
        "ON r.thread_id = t.id AND r.status IN ('pending', 'running') GROUP BY t.id, t.status "
        "HAVING (t.status = 'busy') <> (count(r.id) > 0)")]
    return problems


def check_settled(db):
    """Holds when nothing is under way."""
    return [f"run {r} of thread {t} is {s} after attempt {n}" for r, t, s, n in db.execute(
        "SELECT id, thread_id, status, attempt FROM runs WHERE status IN ('pending', 'running')")]


def hexed(id_):
    return id_.replace("-", "")


def thread_problem(rows, id_, metadata, uncertain):
    found = rows.get(hexed(id_))
    if metadata is GONE:
        return f"thread {id_}, deleted, is back" if found is not None else None
    if found is None:
        return None if uncertain else f"thread {id_} is lost"
    lacking = [k for k, v in metadata.items() if json.loads(found).get(k) != v]
    return f"thread {id_} lacks {lacking[0]} in its metadata" if lacking else None


def item_problem(rows, key, allowed):
    found = rows.get(key)
    value = GONE if found is None else json.loads(found)
    if value in allowed:
        return None
    state = "lost" if value is GONE else "not what was written last"
    return f"item {key} is {state}: {str(found)[:80]!r}, not one of {str(allowed)[:200]}"


def check_ledger(db, ledger):
    """Everything acknowledged is there with its content; what was deleted stayed away."""
    threads = dict(db.execute("SELECT id, metadata FROM threads"))
    items = dict(db.execute("SELECT key, value FROM store_items"))
    assistants = dict(db.execute("SELECT id, name FROM assistants"))
    runs = {r: (t, s) for r, t, s in db.execute("SELECT id, thread_id, status FROM runs")}
    problems = [thread_problem(threads, t, m, t in ledger.uncertain)
                for t, m in ledger.threads.items()]
    problems += [item_problem(items, k, v) for k, v in ledger.items.items()]
    problems += [f"assistant {a} is {assistants.get(hexed(a))}, not one of {names}"
                 for a, names in ledger.assistants.items()
                 if assistants.get(hexed(a)) not in names]
    for id_, run in ledger.runs.items():
        if ledger.threads.get(run["thread"]) is GONE or run["thread"] in ledger.uncertain:
            continue
        thread, status = runs.get(hexed(id_), (None, None))
        if thread != hexed(run["thread"]):
            problems.append(f"run {id_} is lost")
        elif run["done"] and status != "success":
            problems.append(f"run {id_}, whose end was seen, is {status}")
    return [p for p in problems if p]


def settle(server, seconds=RECOVER_SECONDS_MAX):
    """Waits until no thread is busy; returns the seconds it took."""
    start = time.monotonic()
    while True:
        status, busy = server.call("POST", "/threads/search", {"status": "busy", "limit": 1000})
        if status != 200:
            raise Failure(f"/threads/search answers {status}: {busy}")
        took = time.monotonic() - start
        if not busy:
            return took
        if took > seconds:
            raise Failure(f"{len(busy)} threads are busy after {took:.0f} s, like "
                          f"{busy[0]['thread_id']}; {server.tail()}")
        time.sleep(0.05)


def check_conversations(server, ledger, threads, all_of_them=False):
    """Each input stands in its thread once, and an answer of the model after it."""
    problems = []
    accepted = {}
    for run in ledger.runs.values():
        accepted.setdefault(run["thread"], set()).add(run["token"])
    for thread in threads:
        status, state = server.call("GET", f"/threads/{thread}/state")
        if status != 200:
            problems.append(f"state of thread {thread}: {status} {state}")
            continue
        messages = (state.get("values") or {}).get("messages", [])
        human = [str(m["content"]).split(" ")[0] for m in messages if m["type"] == "human"]
        problems += [f"thread {thread}: input {t} stands there {human.count(t)} times"
                     for t in set(human) if human.count(t) > 1]
        problems += [f"thread {thread}: input {t} of an accepted run is lost"
                     for t in accepted.get(thread, set()) - set(human)]
        problems += [f"thread {thread}: input {t} belongs to another thread" for t in human
                     if ledger.tokens.get(t, thread) != thread]
        problems += [f"thread {thread}: no answer after input {human_token(messages, i)}"
                     for i, m in enumerate(messages) if m["type"] == "human" and
                     (i + 1 == len(messages) or messages[i + 1]["type"] != "ai")]
        if state.get("next"):
            problems.append(f"thread {thread}: still to do is {state['next']}")
    return problems


def human_token(messages, index):
    return str(messages[index]["content"]).split(" ")[0]


def learn(ledger, db):
    """After a check: where two values were possible, the one that is there."""
    items = dict(db.execute("SELECT key, value FROM store_items"))
    assistants = dict(db.execute("SELECT id, name FROM assistants"))
    threads = {t for (t,) in db.execute("SELECT id FROM threads")}
    for key in ledger.items:
        ledger.items[key] = [json.loads(items[key]) if key in items else GONE]
    for id_ in ledger.assistants:
        ledger.assistants[id_] = [assistants[hexed(id_)]]
    for id_ in ledger.uncertain:
        if hexed(id_) not in threads:
            ledger.threads[id_] = GONE
    ledger.uncertain.clear()
