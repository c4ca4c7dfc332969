# SPDX-License-Identifier: Apache-2.0
"""history.py - the history store: durable appends, pages out of a large session, memory.

The subject is bench/history.c, the adapter behind the pipeline as in a server; through HTTP it is
the server itself. In turns with it run its floors (syncs of the same disk, of as many bytes) and
its peers: for SQLite better-sqlite3, for the folder mkdir -p and append by node, for PostgreSQL
psql's COPY of the same rows, and pgbench inserting them one by one. Stores lie in build/bench/
and are removed.
"""
import concurrent.futures
import contextlib
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import time

import database as db
import harness as h
import peers

WRITERS = 16
AT_ONCE = 50
BYTES = 2000
SECONDS = 3
PAGE_BYTES = 16384  # of a file that holds histories alone, as the commands make it
EVENTS = 300000
READS = 2000
SMALL_EVENTS = 1000  # of the small session
PAGES_PER_SECOND = 50
PROBES_PER_SECOND = 200
FLOOR_SEQUENCE = "CREATE SEQUENCE bench_rows CACHE 1000"
EMPTY = "TRUNCATE holdfast.history_events, holdfast.history_sessions; CHECKPOINT"
COLUMNS = ("session, seq, occurred_at, stored_at, expires_at, ttl_ms, bytes, kind, digest, id, "
           "type, source, trace_id, headers, payload")
INSERT = f"""INSERT INTO holdfast.history_events ({COLUMNS})
VALUES (1000000 + :client_id, nextval('bench_rows'), now(), now(), NULL, 0, {BYTES}, 0,
        decode(repeat('00', 16), 'hex'), gen_random_uuid()::text, 'tool.result', 'bench', NULL,
        NULL, convert_to(repeat('x', {BYTES}), 'UTF8'));
"""


@contextlib.contextmanager
def watched(*processes):
    """Notes how many cores worked for others meanwhile."""
    busy, own, begun = h.busy_seconds(), h.own_seconds(processes), time.monotonic()
    yield
    foreign = h.busy_seconds() - busy - (h.own_seconds(processes) - own)
    h.foreign_cores.append(max(0, foreign / (time.monotonic() - begun)))


def program(argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False,
                          cwd=h.WORK)
    if done.returncode != 0:
        raise h.Failure(f"{pathlib.Path(argv[0]).name}: {done.stderr[-1500:]}")
    return json.loads(done.stdout)


def subject(mode, store, **options):
    argv = [h.RELEASE / "bench" / "bench_history", mode, store]
    for name, value in options.items():
        argv += [f"--{name}", value]
    return program(argv)


def medians(rounds):
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def ratio(own, others, key="per_second"):
    """The median of the rounds' ratios."""
    return statistics.median(a[key] / b[key] for a, b in zip(own, others))


class Store:
    """A kind of store, in a folder of its own that is made anew for each round."""

    def __init__(self, kind):
        self.kind = kind
        self.fresh()

    def fresh(self):
        self.folder = h.fresh_folder("history")
        self.address = (f"sqlite:{self.folder}/history.db" if self.kind == "sqlite" else
                        f"file:{self.folder}/history")
        return self.address

    def options(self):
        return {"page": PAGE_BYTES} if self.kind == "sqlite" else {}

    def serve(self):
        """A server whose history it is."""
        return h.server(self.folder, options=("--history", self.address))


# --- appends -------------------------------------------------------------------------------------
def appended(store, seconds, **options):
    return subject("append", store.fresh(), seconds=seconds, **options, **store.options())


def figures_of(many, one):
    return {"many": medians(many), "one": medians(one),
            "rounds_per_second": [r["per_second"] for r in many],
            "of_floor": statistics.median(r["per_second"] / r["floor_per_second"] for r in many),
            "one_of_syncs": statistics.median(r["per_second"] / r["syncs_per_second"]
                                              for r in one)}


def appends_sqlite(rounds, seconds):
    store, many, one, peer = Store("sqlite"), [], [], {1: [], 100: []}
    for _ in range(rounds):
        with watched():
            many.append(appended(store, seconds, writers=WRITERS, events=AT_ONCE))
            one.append(appended(store, seconds, writers=1, events=1))
            for rows, got in peer.items():
                store.fresh()
                got.append(peers.run("sqlite.mjs", store.folder / "peer.db", rows, BYTES, seconds))
    out = figures_of(many, one)
    for rows, got in peer.items():
        out[f"peer_{rows}_per_second"] = medians(got)["per_second"]
        out[f"over_peer_{rows}"] = ratio(many, got)
    return out


def appends_file(rounds, seconds):
    store, many, one, peer = Store("file"), [], [], []
    for _ in range(rounds):
        with watched():
            many.append(appended(store, seconds, writers=WRITERS, events=AT_ONCE))
            one.append(appended(store, seconds, writers=1, events=1))
            store.fresh()
            peer.append(peers.run("append.mjs", store.folder, WRITERS, BYTES, seconds))
    return {**figures_of(many, one), "peer_per_second": medians(peer)["per_second"],
            "over_peer": ratio(many, peer)}


def copied(cluster, name, form, count):
    """The rows that are in the table, out of it and in again by psql; only the way in counts."""
    rows, psql = h.WORK / "rows.copy", cluster.postgres.psql
    table = f"holdfast.history_events ({COLUMNS})"
    psql(f"\\copy {table} TO '{rows}' WITH (FORMAT {form})", name)
    psql(EMPTY, name)
    begun = time.monotonic()
    psql(f"\\copy {table} FROM '{rows}' WITH (FORMAT {form})", name)
    took = time.monotonic() - begun
    rows.unlink()
    return {"per_second": count / took}


def appends_postgres(rounds, seconds, cluster, url):
    name, psql = url.rsplit("/", 1)[1], cluster.postgres.psql
    many, one, copy = [], [], {"text": [], "binary": []}
    single = {1: [], WRITERS: []}
    psql(FLOOR_SEQUENCE, name)
    for _ in range(rounds):
        with watched(cluster):
            psql(EMPTY, name)
            many.append(subject("append", url, seconds=seconds, writers=WRITERS, events=AT_ONCE))
            for form, got in copy.items():
                got.append(copied(cluster, name, form, many[-1]["stored"]))
            psql(EMPTY, name)
            one.append(subject("append", url, seconds=seconds, writers=1, events=1))
            for clients, got in single.items():
                psql(EMPTY, name)
                got.append({"per_second": db.pgbench(cluster, url, INSERT, clients, seconds)})
    out = figures_of(many, one)
    for form, got in copy.items():
        out[f"copy_{form}_per_second"] = medians(got)["per_second"]
        out[f"of_copy_{form}"] = ratio(many, got)
    for clients, got in single.items():
        out[f"inserts_{clients}_per_second"] = medians(got)["per_second"]
        out[f"over_inserts_{clients}"] = ratio(many, got)
    psql(EMPTY, name)
    return out


# --- reads ---------------------------------------------------------------------------------------
def fill(address, events, **options):
    begun = time.monotonic()
    got = subject("append", address, writers=20, events=AT_ONCE, sessions=20, fill=events,
                  **options)
    h.say(f"{events:,} events in {time.monotonic() - begun:.0f} s")
    return got


def reads(address, rounds):
    """Pages from anywhere in the large session; and, in turns, from as many events in its middle
    as a small one has, and from that: what differs there is the size of the session alone, not how
    much of it is in the caches."""
    asked = {"large": {"session": "large"},
             "middle": {"session": "large", "within": SMALL_EVENTS},
             "small": {"session": "small"}}
    got = {name: [] for name in asked}
    for _ in range(rounds):
        for name, options in asked.items():
            got[name].append(subject("read", address, reads=READS, **options))
    return {**{name: medians(of) for name, of in got.items()},
            "large_over_small": ratio(got["middle"], got["small"], "p50_us")}


def through_http(server, events, size, seconds, watch):
    """Pages while others append at half of what the server takes at most."""
    payload = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz 0123456789", k=size))
    body = json.dumps([{"type": "tool.result", "source": "bench", "payload": payload}] * AT_ONCE)
    put = {"method": "PUT", "path": "/history/session{m}/events", "body": body, "watch": watch,
           "connections": WRITERS}
    places = h.WORK / "places.txt"
    places.write_text("".join(f"{random.randrange(1, max(2, events // 10 - 100))}\n"
                              for _ in range(2000)))
    most = h.load("http", server, seconds=seconds, **put)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(h.load, "http", server, **options) for options in (
            {**put, "seconds": seconds + 1, "rate": most["per_second"] / 2},
            {"path": "/history/large/events?limit=100&from_seq={id}", "ids": places,
             "seconds": seconds, "warmup": 0.5, "rate": PAGES_PER_SECOND},
            {"path": "/ok", "seconds": seconds, "warmup": 0.5, "rate": PROBES_PER_SECOND})]
        half, pages, probes = (job.result() for job in jobs)
    del h.foreign_cores[-3:]  # they took each other for strangers
    return {"ingest_most_per_second": most["per_second"] * AT_ONCE,
            "ingest_per_second": half["per_second"] * AT_ONCE,
            "ingest_server_cpu_us": most["cpu"]["server"]["us_each"] / AT_ONCE,
            "page_us": pages["latency_us"], "ok_us": probes["latency_us"]}


# --- memory --------------------------------------------------------------------------------------
def rss_max_mib(argv):
    """Runs it; its peak, of its own memory alone (what fork and exec leave in rusage is not)."""
    with subprocess.Popen([str(a) for a in argv], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as child:
        peak = 0
        while child.poll() is None:
            with contextlib.suppress(OSError):
                for line in open(f"/proc/{child.pid}/status", encoding="utf-8"):
                    if line.startswith("VmHWM:"):
                        peak = int(line.split()[1]) / 1024
            time.sleep(0.02)
        if child.returncode != 0:
            raise h.Failure(f"{argv[1:3]}: {child.stderr.read()[-1500:]}")
    return peak


def memory(address):
    """Peaks of reading everything and one session, and of a copy of everything into a folder."""
    out, to = {}, h.fresh_folder("history-copy")
    for name, words in (("export_one", ("export", "--session", "session 1")),
                        ("export", ("export",)), ("copy", ("copy", "--to", f"file:{to}/copy"))):
        begun = time.monotonic()
        out[f"{name}_mib"] = rss_max_mib([h.BINARY, "history", words[0], "--store", address,
                                          *words[1:]])
        out[f"{name}_seconds"] = time.monotonic() - begun
    shutil.rmtree(to)
    return out


# --- the whole -----------------------------------------------------------------------------------
def on_disk(kind, appends, events, size, rounds, seconds):
    store = Store(kind)
    out = {"events": events, "append": appends(rounds, seconds)}
    h.say(f"{kind}: {json.dumps(out)}")
    fill(store.fresh(), events, bytes=size, **store.options())
    out["read"] = reads(store.address, rounds)
    out["memory"] = memory(store.address)
    with store.serve() as server:
        out["http"] = through_http(server, events, size, seconds, (server,))
    h.say(f"{kind}: {json.dumps(out)}")
    shutil.rmtree(store.folder)
    return out


def on_postgres(cluster, events, size, rounds, seconds):
    url = cluster.new_database()
    with h.server(h.fresh_folder("history"), database=url):
        pass  # makes the tables
    out = {"events": events, "append": appends_postgres(rounds, seconds, cluster, url)}
    h.say(f"postgres: {json.dumps(out)}")
    fill(url, events, bytes=size)
    cluster.settle(url)
    out["read"] = reads(url, rounds)
    out["memory"] = memory(url)
    with h.server(h.fresh_folder("history"), database=url) as server:
        out["http"] = through_http(server, events, size, seconds, (server, cluster))
    h.say(f"postgres: {json.dumps(out)}")
    return out


def targets(result, name, f, page_ms):
    a, large = f["append"], f["read"]["large"]
    if "over_peer_1" in a:
        result.target(f"{name}: over better-sqlite3, a row a transaction", a["over_peer_1"], "x",
                      at_least=3)
        result.target(f"{name}: over better-sqlite3, 100 rows a transaction", a["over_peer_100"],
                      "x", at_least=1.2)
    if "over_peer" in a:
        result.target(f"{name}: over mkdir and append by node, which syncs nothing",
                      a["over_peer"], "x", at_least=3)
    if "of_copy_text" in a:
        result.target(f"{name}: part of psql's COPY of the same rows", a["of_copy_text"], "x",
                      at_least=0.8)
        result.target(f"{name}: over inserts of one row, one client", a["over_inserts_1"], "x",
                      at_least=5)
    else:
        result.target(f"{name}: durable events a second, {WRITERS} writers",
                      a["many"]["per_second"], "/s", at_least=60000)
        result.target(f"{name}: one waiting writer, part of the disk's syncs", a["one_of_syncs"],
                      "x", at_least=0.5)
    result.target(f"{name}: 100 events out of {large['session_events']:,.0f} among "
                  f"{f['events']:,}, p50", large["p50_us"] / 1000, "ms", at_most=page_ms)
    result.target(f"{name}: a thousand events in its middle over a session of a thousand, p50",
                  f["read"]["large_over_small"], "x", at_most=1.5)
    result.target(f"{name}: the same through HTTP during ingest at half speed, p95",
                  f["http"]["page_us"]["p95"] / 1000, "ms", at_most=2)
    result.target(f"{name}: GET /ok meanwhile (the loop's lag), p99",
                  f["http"]["ok_us"]["p99"] / 1000, "ms", at_most=5)
    result.target(f"{name}: memory while reading {f['events']:,} events",
                  f["memory"]["export_mib"], "MiB", at_most=32)
    result.target(f"{name}: memory while copying them", f["memory"]["copy_mib"], "MiB", at_most=32)


def bench(args, clusters):
    rounds, seconds = args.rounds or 3, max(1, round(args.seconds or SECONDS))
    events, size = args.events or EVENTS, args.event_bytes or BYTES
    method = (f"{rounds} rounds of {seconds} s, in turns with floors and peers; medians, and "
              f"medians of the rounds' ratios. {WRITERS} writers, {AT_ONCE} events of {BYTES:,} "
              "bytes an append, each waiting for its answer; one waiting writer appends events "
              f"one by one. Pages of 100 events of {size:,} bytes from random places, {READS} "
              "of each session. "
              "Through HTTP: the generator's processes share the cores with the server; pages "
              f"{PAGES_PER_SECOND} and GET /ok {PROBES_PER_SECOND} times a second. Memory: the "
              "peak of holdfast history export and copy (into a folder)")
    if args.database:
        with clusters() as cluster:
            result = h.Result("history-postgres", method + ". COPY: psql's \\copy, one "
                              "transaction, of the rows that were appended just before; inserts: "
                              "pgbench -M prepared", cluster)
            result.figures["postgres"] = on_postgres(cluster, events, size, rounds, seconds)
        targets(result, "PostgreSQL", result.figures["postgres"], 0.2)
    else:
        peers.packages()
        result = h.Result("history", method + f". SQLite: a file of its own with pages of "
                          f"{PAGE_BYTES:,} bytes; better-sqlite3: WAL, synchronous=FULL, its own "
                          "page size, one connection, sessions in turns")
        for name, kind, appends in (("SQLite", "sqlite", appends_sqlite),
                                    ("folder", "file", appends_file)):
            result.figures[kind] = on_disk(kind, appends, events, size, rounds, seconds)
            targets(result, name, result.figures[kind], 0.1)
    result.save()
