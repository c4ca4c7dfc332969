# SPDX-License-Identifier: Apache-2.0
"""preferences.py - upserts of preferences over HTTP beside pgbench running the same statement.

Both write KEYS keys of one owner, in turns, over the same number of connections; pgbench commits
each by itself, as the server would for a lone client. How many statements the server executed for
its writes is counted by PostgreSQL (pg_stat_statements).
"""
import json
import re
import statistics

import database as db
import harness as h
from harness import Result, load, median, say

import catalogue  # tests/support, which database.py put on the path

KEYS, CLIENTS, COUNTED = 400, 10, 10000
PATH = "/preferences/{id}"
BODY = json.dumps({"value": {"theme": "dark", "size": 12}})


def statement():
    """The text that the server executes, with pgbench's words for its parameters."""
    text = catalogue.statements()["preference_put", "changes"]
    values = {1: "gen_random_uuid()", 2: "''", 3: "'key' || (:n)::text",
              4: "'" + json.dumps(json.loads(BODY)["value"]) + "'", 5: "true", 6: "now()",
              7: "false", 8: "500"}
    return (f"\\set n random(1, {KEYS})\n"
            + re.sub(r"\$(\d+)", lambda m: values[int(m.group(1))], text) + ";\n")


def calls(cluster, name):
    (count,), = cluster.postgres.psql(
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements "
        "WHERE query LIKE '%INTO holdfast.preferences%'", name)
    return int(count)


def bench(args):
    seconds, rounds = args.seconds or 2, args.rounds or 7
    with db.Cluster({"shared_preload_libraries": "pg_stat_statements"}) as cluster:
        result = Result("preferences-postgres", f"{rounds} rounds of {seconds:g} s each, pgbench "
                        "-M prepared and PUT /preferences/{key} in turns, the same statement, "
                        f"{CLIENTS} clients each, {KEYS} keys of one owner; the ratio is the "
                        "median of the rounds' ratios; generator, server and PostgreSQL share the "
                        "cores", cluster)
        url = cluster.new_database()
        name = url.rsplit("/", 1)[1]
        cluster.postgres.psql("CREATE EXTENSION pg_stat_statements", name)
        ids = h.WORK / "keys.txt"
        ids.write_text("".join(f"key{n}\n" for n in range(1, KEYS + 1)))
        theirs, ours, cpu = [], [], []
        with h.server(h.fresh_folder("preferences"), database=url) as server:
            common = {"method": "PUT", "path": PATH, "body": BODY, "ids": ids,
                      "connections": CLIENTS, "watch": (server, cluster)}
            load("http", server, count=4 * KEYS, **common)
            cluster.settle(url)
            for _ in range(rounds):
                used = cluster.cpu_seconds()
                theirs.append(db.pgbench(cluster, url, statement(), CLIENTS, seconds))
                cpu.append((cluster.cpu_seconds() - used) / (theirs[-1] * max(1, round(seconds))))
                ours.append(load("http", server, seconds=seconds, **common))
            before = calls(cluster, name)
            load("http", server, count=COUNTED, **common)
            written = calls(cluster, name) - before
        put = {"per_second": median(ours, "per_second"),
               "p50_us": median(ours, "latency_us", "p50"),
               "p99_us": median(ours, "latency_us", "p99"),
               "cpu_us": median(ours, "cpu", "server", "us_each"),
               "postgres_cpu_us": median(ours, "cpu", "postgres", "us_each"),
               "rounds_per_second": [r["per_second"] for r in ours]}
        result.figures["put"] = put
        result.figures["pgbench"] = {"per_second": statistics.median(theirs),
                                     "postgres_cpu_us": statistics.median(cpu) * 1e6,
                                     "rounds_per_second": theirs}
        ratio = statistics.median(a["per_second"] / b for a, b in zip(ours, theirs))
        result.figures["statements_each"] = written / COUNTED
        say(json.dumps(result.figures))
        result.target(f"PUT /preferences/{{key}}, part of pgbench's upsert, {CLIENTS} clients",
                      ratio, "x", at_least=0.8)
    result.save()
