# SPDX-License-Identifier: Apache-2.0
"""gateway.py - the state of the gateway with a million rows of each kind: lists, jobs, starts.

Lists: one owner has HERS conversations, sessions and accounts, a thousand others the rest; each
list is read from a place in its middle, too. The indexes that they run along are named by EXPLAIN
on the same rows; another plan is a failure.

Jobs: a million sessions that are over and a million logs that leave the tier hot. The same requests
beside the jobs and on an empty database, and how soon a start answers: each in turns with that.
"""
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal
import sqlite3
import statistics
import time
import urllib.parse

import database as db
import harness as h
from harness import Failure, load, median, say

import catalogue  # tests/support, which database.py put on the path

MILLION = 1_000_000
HERS, OTHERS = 500_000, 1000
OWNER = "bench"
MINUTE_US, DAY_US = 60_000_000, 86_400_000_000
LIST_MS, JOBS_RATIO, START_RATIO = 2, 1.3, 1.1

SERIES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})\n"
WHO = f"CASE WHEN i <= {HERS} THEN '{OWNER}' ELSE 'other' || (i % {OTHERS}) END"


# --- rows ---------------------------------------------------------------------------------------
def owner_word(owner):
    import hashlib
    return "o" + hashlib.sha256(owner.encode()).hexdigest()[:32]


def lists_sqlite(now_us):
    old = now_us - 400 * DAY_US
    series = SERIES.format(count=MILLION)
    return [f"""INSERT INTO threads (id, owner, status, metadata, config, interrupts, seq,
                       created_at, updated_at, state_updated_at)
{series}SELECT printf('%032x', i), {WHO}, 'idle',
  CASE WHEN i % 5 = 0 THEN '{{"archived_at":"2026-01-01"}}' ELSE '{{}}' END, '{{}}', '{{}}', 0,
  {old} + i, {old} + i * 7919 % {MILLION} * 1000000, {old} FROM n""",
            f"""INSERT INTO thread_conversations (thread_id, title)
{series}SELECT printf('%032x', i), 'word' || (i % 20000) || ' number' || i FROM n""",
            f"""INSERT INTO conversation_texts (thread_id, number, size, owner_word, words)
{series}SELECT printf('%032x', i), -1, 2, CASE WHEN i <= {HERS} THEN '{owner_word(OWNER)}'
  ELSE 'oother' || (i % {OTHERS}) END, 'word' || (i % 20000) || ' number' || i || ' ' FROM n""",
            f"""INSERT INTO accounts (id, user_id, provider_id, account_id, profile, created_at,
                       updated_at)
{series}SELECT printf('%032x', i), {WHO}, 'p', i, '{{}}', {old}, {old} FROM n""",
            sessions_sqlite(now_us + 30 * DAY_US, WHO)]


def sessions_sqlite(ends_us, who):
    return f"""INSERT INTO sessions (id, user_id, digest, scope, address, created_at, last_used_at,
                      expires_at, ends_at)
{SERIES.format(count=MILLION)}SELECT printf('%032x', i), {who}, randomblob(32), 1, 'a', 1, 1,
  {ends_us} + i, {ends_us} + i FROM n"""


def logs_sqlite(at_us):
    return f"""INSERT INTO agent_logs (id, session_id, user_id, level, category, content, tier,
                        created_at, bytes)
{SERIES.format(count=MILLION)}SELECT printf('%032x', i), printf('%032x', i / 20),
  'other' || (i % {OTHERS}), 'info', 'c', 'm', 'hot', {at_us} + i, 1 FROM n"""


def lists_postgres():
    return [f"""INSERT INTO langgraph_server.threads (id, metadata, status, created_at, updated_at)
SELECT lpad(to_hex(i), 32, '0')::uuid::text,
  CASE WHEN i % 5 = 0 THEN '{{"archived_at": "2026-01-01"}}' ELSE '{{}}' END::jsonb ||
  jsonb_build_object('owner', {WHO}), 'idle', now() - interval '400 days',
  now() - interval '400 days' + i::int8 * 7919 % {MILLION} * interval '1 second'
FROM generate_series(1, {MILLION}) i""",
            f"""INSERT INTO holdfast.thread_conversations (thread_id, title)
SELECT lpad(to_hex(i), 32, '0')::uuid, 'word' || (i % 20000) || ' number' || i
FROM generate_series(1, {MILLION}) i""",
            f"""INSERT INTO holdfast.conversation_texts (thread_id, number, size, words)
SELECT lpad(to_hex(i), 32, '0')::uuid, -1, 2, ('word' || (i % 20000) || ':1 number' || i || ':2 ' ||
  CASE WHEN i <= {HERS} THEN '{owner_word(OWNER)}' ELSE 'oother' || (i % {OTHERS}) END
  || ':1')::tsvector FROM generate_series(1, {MILLION}) i""",
            f"""INSERT INTO holdfast.accounts (id, user_id, provider_id, account_id, profile,
  created_at, updated_at)
SELECT lpad(to_hex(i), 32, '0')::uuid, {WHO}, 'p', i, '{{}}', now(), now()
FROM generate_series(1, {MILLION}) i""",
            sessions_postgres("now() + interval '30 days'", WHO)]


def sessions_postgres(ends, who):
    return f"""INSERT INTO holdfast.sessions (id, user_id, digest, scope, address, created_at,
  last_used_at, expires_at, ends_at)
SELECT lpad(to_hex(i), 32, '0')::uuid, {who}, sha256(i::text::bytea), 1, 'a', now(), now(),
  {ends}, {ends} FROM generate_series(1, {MILLION}) i"""


def logs_postgres(at):
    return f"""INSERT INTO holdfast.agent_logs (id, session_id, user_id, level, category, content,
  tier, created_at, bytes)
SELECT lpad(to_hex(i), 32, '0')::uuid, lpad(to_hex(i / 20), 32, '0')::uuid,
  'other' || (i % {OTHERS}), 'info', 'c', 'm', 'hot', {at}, 1
FROM generate_series(1, {MILLION}) i"""


class Place:
    """Where a server's data lie, whichever the database is."""

    def __init__(self, name, cluster):
        self.name, self.cluster = name, cluster
        self.folder = h.fresh_folder(name)
        self.url = cluster.new_database() if cluster else ""

    def server(self, *options, **more):
        return h.server(self.folder, name=self.name, database=self.url, options=options, **more)

    def made(self):
        with self.server():  # which makes the schema
            pass
        return self

    def fill(self, sqlite, postgres):
        begun = time.monotonic()
        if self.cluster:
            self.fill_postgres(postgres)
        else:
            with contextlib.closing(self.file()) as file:
                for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -800000"):
                    file.execute(f"PRAGMA {pragma}")
                for text in sqlite:
                    file.execute(text)
                file.commit()
        say(f"{self.name}: filled in {time.monotonic() - begun:.1f} s")

    def fill_postgres(self, statements):
        """Two at a time, without looking at foreign keys; words get their index afterwards."""
        name, psql = self.url.rsplit("/", 1)[1], self.cluster.postgres.psql
        index, = psql("SELECT pg_get_indexdef('holdfast.conversation_texts_words'::regclass)", name)
        psql("DROP INDEX holdfast.conversation_texts_words", name)
        ahead = "SET session_replication_role = replica; SET synchronous_commit = off;\n"
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(psql, ahead + text, name) for text in statements]:
                done.result()
        psql(f"SET maintenance_work_mem = '512MB';\n{index[0]};\nVACUUM ANALYZE", name)

    def file(self):
        return sqlite3.connect(self.folder / "holdfast.db")


# --- plans --------------------------------------------------------------------------------------
def explained(place):
    """{statement: the lines of its plan}"""
    middle = f"{MILLION // 2}"
    if place.cluster:
        texts = catalogue.statements()
        at, id_ = "now() - interval '395 days'", "md5('x')::uuid"
        words = f"'{OWNER}', '{owner_word(OWNER)}', '[\"word77\"]', 51, 2000000, now(), {id_}"
    else:
        generator = catalogue.generator()
        texts = {(name, "plain"): generator.text_of(tokens, "?") for name, tokens in
                 generator.statements(h.ROOT / "sql" / "sqlite", []).items()}
        at, id_, words = middle, "'7'", None
    page = f"'{OWNER}', {at}, {id_}, 51"
    wanted = {"session_list": (f"'{OWNER}', {id_}, {at}, 21", "sessions_user"),
              "account_list": (f"'{OWNER}', {id_}, 21", "accounts_user")}
    for side in ("older", "newer"):
        wanted[f"conversation_{side}_open"] = (page, "threads_updated")
        wanted[f"conversation_{side}_archived"] = (page, "threads_archived")
    if words:
        wanted["conversation_search"] = (words, "conversation_texts_words")
    found = {}
    for name, (values, index) in wanted.items():
        text = texts[name, "plain"]
        if place.cluster:
            lines = [row[0] for row in place.cluster.postgres.psql(
                f"PREPARE one AS {text};\nEXPLAIN (ANALYZE, BUFFERS, COSTS OFF) "
                f"EXECUTE one({values})", place.url.rsplit("/", 1)[1])]
        else:
            with contextlib.closing(place.file()) as file:
                lines = [row[3] for row in file.execute(
                    "EXPLAIN QUERY PLAN " + text, [1] * len(set(re.findall(r"\?\d+", text))))]
        if not any(index in line for line in lines):
            raise Failure(f"{name} does not run along {index}: {lines}")
        found[name] = lines
    return found


# --- lists --------------------------------------------------------------------------------------
def ask(server, path, token, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    connection.request(method, path, body, {"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    if response.status != 200:
        raise Failure(f"{method} {path}: {response.status} {answer}")
    return answer


def search_through(server, token):
    """Until a search has seen all that there is; seconds."""
    begun = time.monotonic()
    while not ask(server, "/conversations/search?q=number1", token)["complete"]:
        if time.monotonic() - begun > 300:
            raise Failure("a search does not come to its end")
        time.sleep(0.2)
    return time.monotonic() - begun


def routes(server, token):
    """{what: path}; the middle ones behind places that the lists themselves name."""
    def middle(archived):
        us = int((time.time() - 395 * 86400) * 1e6)
        page = ask(server, f"/conversations?limit=50&archived={archived}"
                   f"&before={us}:ffffffff-ffff-ffff-ffff-ffffffffffff", token)
        return urllib.parse.quote(page["before"])
    paths = {"sessions": "/sessions?limit=20", "accounts": "/accounts?limit=20"}
    for archived, what in (("false", "conversations"), ("true", "archived conversations")):
        at = f"/conversations?limit=50&archived={archived}"
        paths[what] = at
        paths[f"{what}, older than the middle"] = f"{at}&before={middle(archived)}"
        paths[f"{what}, newer than the middle"] = f"{at}&after={middle(archived)}"
    paths["search, one title of a million"] = "/conversations/search?q=number4711"
    paths["search, 25 titles, ranked"] = "/conversations/search?q=word77"
    for what, path in paths.items():
        answer = ask(server, path, token)
        rows = next(v for v in (answer if isinstance(answer, dict) else {"all": answer}).values()
                    if isinstance(v, list))
        if not rows:
            raise Failure(f"{path} finds nothing")
    return paths


def lists(result, cluster, secret, seconds, rounds):
    place = Place("lists", cluster).made()
    place.fill(lists_sqlite(time.time_ns() // 1000), lists_postgres())
    result.figures["plans"] = explained(place)
    token = h.token(secret)
    with place.server(jwt_secret=secret) as server:
        result.figures["search_through_seconds"] = search_through(server, token)
        say(f"searched through in {result.figures['search_through_seconds']:.1f} s")
        paths = routes(server, token)
        got = {what: [] for what in paths}
        for _ in range(rounds):
            for what, path in paths.items():
                got[what].append(load("http", server, method="GET", path=path, connections=1,
                                      seconds=seconds, token=token))
    figures = {what: {"p50_us": median(r, "latency_us", "p50"),
                      "p99_us": median(r, "latency_us", "p99"),
                      "cpu_us": median(r, "cpu", "lists", "us_each")} for what, r in got.items()}
    result.figures["lists"] = figures
    for what, row in figures.items():
        result.target(f"{what}, p50", row["p50_us"] / 1000, "ms", at_most=LIST_MS)


# --- jobs ---------------------------------------------------------------------------------------
def started(place, rounds):
    """Milliseconds from the start to the first answer."""
    times = []
    for _ in range(rounds):
        with place.server() as server:
            times.append(server.ready_ms)
    return times


def busy(server):
    jobs = {j["name"]: j for j in ask(server, "/admin/jobs", "")["jobs"]}
    return [n for n in ("sessions.expired", "logs.tiers") if jobs[n]["state"] == "running"]


REQUESTS = {"read": {"method": "GET", "path": "/conversations?limit=20"},
            "write": {"method": "PUT", "path": "/preferences/k{m}", "body": '{"value":{n}}'}}


def windows(idle, due, seconds, rounds):
    """{kind: loads} of the server without jobs and of the one with them, in turns. The latter
    sleeps while the former is measured, so that both have the machine to themselves."""
    without, beside = ({kind: [] for kind in REQUESTS} for _ in range(2))
    for _ in range(rounds):
        for kind, request in REQUESTS.items():
            os.kill(due.pid, signal.SIGSTOP)
            try:
                without[kind].append(load("http", idle, connections=4, seconds=seconds, **request))
            finally:
                os.kill(due.pid, signal.SIGCONT)
            before = busy(due)
            one = load("http", due, connections=4, seconds=seconds, **request)
            if before and busy(due):
                beside[kind].append(one)
    if not all(beside.values()):
        raise Failure("the jobs are over before anything was measured beside them")
    return without, beside


def jobs(result, cluster, seconds, rounds):
    now_us = time.time_ns() // 1000
    empty = Place("empty", cluster).made()
    due = Place("due", cluster).made()
    due.fill([sessions_sqlite(now_us - DAY_US, WHO), logs_sqlite(now_us - 20 * DAY_US)],
             [sessions_postgres("now() - interval '1 day'", WHO),
              logs_postgres("now() - interval '20 days'")])
    # In turns; a start that is stopped at once does none of the work.
    starts = {"empty": [], "due": []}
    for _ in range(max(7, rounds)):
        for name, place in (("empty", empty), ("due", due)):
            starts[name] += started(place, 1)
    with empty.server() as idle, due.server() as server:
        deadline = time.monotonic() + 30
        while not busy(server):
            if time.monotonic() > deadline:
                raise Failure("the jobs do not begin")
            time.sleep(0.05)
        without, beside = windows(idle, server, seconds, rounds)
    for kind in REQUESTS:
        row = {"without_p50_us": median(without[kind], "latency_us", "p50"),
               "without_p99_us": median(without[kind], "latency_us", "p99"),
               "beside_p50_us": median(beside[kind], "latency_us", "p50"),
               "beside_p99_us": median(beside[kind], "latency_us", "p99"),
               "windows": len(beside[kind])}
        result.figures[f"jobs_{kind}"] = row
        result.target(f"{kind}s while jobs run, p99 of that without",
                      row["beside_p99_us"] / row["without_p99_us"], "x", at_most=JOBS_RATIO)
    result.figures["start"] = {name: statistics.median(t) for name, t in starts.items()}
    result.target("first answer with a million expired sessions and a million hot logs, of that "
                  "of an empty database", result.figures["start"]["due"]
                  / result.figures["start"]["empty"], "x", at_most=START_RATIO)
