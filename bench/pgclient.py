# SPDX-License-Identifier: Apache-2.0
"""pgclient.py - the PostgreSQL client (bench/pg.c) against pgbench and psql, in turns.

Both run the statements of bench/pgbench/*.sql over TCP on the loopback, with the same documents and
arrays. In flight are, for pgbench, as many clients, a connection each; for ours as many fibers,
which share at most CONNECTIONS connections. COPY: the same file, by psql's \\copy.
"""
import json
import random
import re
import statistics
import subprocess
import time
import uuid

import database as db
import harness as h
from harness import Result, say

SCRIPTS = h.ROOT / "bench" / "pgbench"
CONNECTIONS = 10
PIPELINE = 100
BATCH_ROWS = 100
COPY_ROWS = 300000
WORDS = "the of a to in agent tool call answer thread state value step plan model run".split()


def document(size):
    """JSON of exactly `size` bytes, in the shape that jsonb gives it back."""
    rng, messages = random.Random(size), []
    while len(json.dumps({"pad": "", "messages": messages})) < size - 150:
        text = " ".join(rng.choice(WORDS) + str(rng.randrange(1000)) for _ in range(8))
        messages.append({"type": "human", "content": text})
    pad = size - len(json.dumps({"pad": "", "messages": messages}))
    return json.dumps({"pad": "x" * pad, "messages": messages})


def array(values):
    return "{" + ",".join(f'"{v}"' for v in values) + "}"


class Work:
    """The files and variables of both sides, on a fresh database."""

    def __init__(self, cluster):
        self.cluster, self.name = cluster, cluster.postgres.create_database()
        self.url = cluster.postgres.url(self.name)
        self.docs = {n: h.WORK / f"document-{n}.json" for n in (2048, 10240)}
        for size, path in self.docs.items():
            path.write_text(document(size))
        text = self.docs[2048].read_text()
        self.variables = {"insert": {"doc": text}, "batch": {
            "ids": array(uuid.uuid4() for _ in range(BATCH_ROWS)),
            "numbers": array(range(BATCH_ROWS)),
            "texts": "{" + ",".join(['"' + text[:200].replace('"', '\\"') + '"'] * BATCH_ROWS)
                     + "}"}}
        self.psql((SCRIPTS / "schema.sql").read_text())
        self.psql("INSERT INTO bench.big SELECT g, $doc$" + self.docs[10240].read_text() +
                  "$doc$ FROM generate_series(1, 1000) g; VACUUM ANALYZE bench.big")
        self.rows = h.WORK / "rows.txt"
        with open(self.rows, "w", encoding="utf-8") as f:
            for n in range(COPY_ROWS):
                f.write(f"{uuid.UUID(int=n)}\t{n}\t{'some text of a row ' * 6}\n")
        pipeline = (SCRIPTS / "select.sql").read_text().splitlines()
        self.pipelined = h.WORK / "pipelined.sql"
        self.pipelined.write_text("\n".join([pipeline[0], "\\startpipeline",
                                             *pipeline[1:] * PIPELINE, "\\endpipeline", ""]))

    def psql(self, sql):
        self.cluster.postgres.psql(sql, self.name)

    def pgbench(self, mode, clients, seconds, script=None):
        argv = [self.cluster.postgres.bin / "pgbench", "-n", "-M", "prepared", "-f",
                script or SCRIPTS / f"{mode}.sql", "-c", str(clients), "-j",
                str(min(2, clients)), "-T", str(seconds)]
        for name, value in self.variables.get(mode, {}).items():
            argv += ["-D", f"{name}={value}"]
        done = subprocess.run([*argv, self.url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
        if done.returncode != 0 or not rate:
            raise h.Failure(f"pgbench {mode}: {done.stdout[-1500:]}")
        return float(rate.group(1))

    def ours(self, mode, in_flight, seconds, path=None):
        argv = [h.RELEASE / "bench" / "bench_pg", mode, str(in_flight), str(seconds),
                str(min(CONNECTIONS, in_flight)), self.url, path or self.docs[
                    10240 if mode == "fetch" else 2048]]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise h.Failure(f"bench_pg {mode}: {done.stderr[-1500:]}")
        return json.loads(done.stdout)

    def copy_psql(self):
        begun = time.monotonic()
        self.cluster.postgres.psql(f"\\copy bench.rows FROM '{self.rows}'", self.name)
        return COPY_ROWS / (time.monotonic() - begun)

    def empty(self):
        self.psql("TRUNCATE bench.rows, bench.docs; CHECKPOINT")


def compare(cluster, floor, subject, rounds):
    """Figures of both in turns, and the median of the ratios."""
    theirs, own = [], []
    for _ in range(rounds):
        busy, ours, begun = h.busy_seconds(), h.own_seconds([cluster]), time.monotonic()
        theirs.append(floor())
        own.append(subject())
        foreign = h.busy_seconds() - busy - (h.own_seconds([cluster]) - ours)
        h.foreign_cores.append(max(0, foreign / (time.monotonic() - begun)))
    out = {key: statistics.median(r[key] for r in own) for key in own[0]}
    out["rounds_per_second"] = [r["per_second"] for r in own]
    out["pgbench_per_second"] = statistics.median(theirs)
    out["of_pgbench"] = statistics.median(r["per_second"] / t for r, t in zip(own, theirs))
    return out


CELLS = (("select", 1, 0.7), ("select", 10, 0.9), ("insert", 1, 0.85), ("insert", 10, 0.95),
         ("insert", 100, None), ("fetch", 1, 0.9), ("fetch", 10, 0.9), ("batch", 1, 0.95),
         ("batch", 10, 0.95))
NAMES = {"select": "SELECT $1", "insert": "INSERT of a 2 kB jsonb", "copy": "COPY of rows",
         "fetch": "10 kB jsonb by key", "batch": "batch of 100 rows"}


def bench(args):
    seconds, rounds = max(1, round(args.seconds or 1)), args.rounds or 9
    result = None
    with db.Cluster() as cluster:
        result = Result("pg", f"{rounds} rounds of {seconds} s each, pgbench -M prepared and the "
                        "client in turns; ratios are medians of the rounds' ratios. The client has "
                        f"one thread and at most {CONNECTIONS} connections, pgbench two threads "
                        "and a connection for each in flight. At 100 in flight SELECT $1 is "
                        "compared with pgbench's pipelines of 100 on one connection", cluster)
        work = Work(cluster)
        for mode, in_flight, wanted in CELLS:
            work.empty()
            found = compare(cluster, lambda: work.pgbench(mode, in_flight, seconds),
                            lambda: work.ours(mode, in_flight, seconds), rounds)
            result.figures[f"{mode}_{in_flight}"] = found
            say(f"{mode} {in_flight}: {json.dumps(found)}")
            if wanted:
                result.target(f"{NAMES[mode]}, {in_flight} in flight, part of pgbench",
                              found["of_pgbench"], "x", at_least=wanted)
        found = compare(cluster,
                        lambda: PIPELINE * work.pgbench("select", 1, seconds, work.pipelined),
                        lambda: work.ours("select", PIPELINE, seconds), rounds)
        result.figures[f"select_{PIPELINE}"] = found
        say(f"select {PIPELINE}: {json.dumps(found)}")
        result.target(f"SELECT $1, {PIPELINE} in flight, part of pipelined pgbench",
                      found["of_pgbench"], "x", at_least=0.3)

        def copied(run):
            work.empty()
            return run()
        found = compare(cluster, lambda: copied(work.copy_psql),
                        lambda: copied(lambda: work.ours("copy", 1, 0, work.rows)), rounds)
        result.figures["copy_1"] = found
        say(f"copy: {json.dumps(found)}")
        result.target("COPY FROM STDIN, rows per second, part of psql's \\copy",
                      found["of_pgbench"], "x", at_least=0.8)
    result.save()
