# SPDX-License-Identifier: Apache-2.0
"""database.py - PostgreSQL for the benchmarks: a cluster of its own, as durable as in production,
and what pgbench gets out of it: the floor.

Server, pgbench and peers reach it the same way, over its Unix-domain socket, as programs on one
machine do. Its settings stand in the result file.
"""
import re
import subprocess
import sys

import harness as h

sys.path.insert(0, str(h.ROOT / "tests" / "support"))
import postgres  # noqa: E402

SETTINGS = {"shared_buffers": "4GB", "max_wal_size": "4GB", "max_connections": "200",
            "synchronous_commit": "on", "autovacuum": "on", "checkpoint_timeout": "15min"}
SEEDED = 1000
THREAD_ID = "00000000-0000-4000-8000-{:012d}"
FLOOR = """
CREATE SCHEMA floor;
CREATE TABLE floor.threads (LIKE langgraph_server.threads INCLUDING ALL);
"""
INSERT = """INSERT INTO floor.threads (id, metadata, config, "values", interrupts, status)
VALUES (gen_random_uuid()::text, '{}', '{}', '{}', '{}', 'idle');
"""
SELECT = f"""\\set n random(1, {SEEDED})
SELECT id, status, metadata, config, "values", interrupts, created_at, updated_at
FROM langgraph_server.threads
WHERE id = '{THREAD_ID.format(0)[:-12]}' || lpad((:n)::text, 12, '0');
"""


class Cluster:
    """name and pid for --watch; the '+' makes hf-load count the children, too."""

    name = "postgres"

    def __init__(self, more=None):
        h.WORK.mkdir(parents=True, exist_ok=True)
        self.postgres = postgres.Postgres(settings={**SETTINGS, **(more or {})}, parent=h.WORK)

    @property
    def pid(self):
        return f"{self.postgres.process.pid}+"

    def cpu_seconds(self):
        return self.postgres.cpu_seconds()

    def new_database(self):
        return self.postgres.socket_url(self.postgres.create_database())

    def settle(self, url):
        """What autovacuum would do within its minute: statistics, and plans made with them."""
        self.postgres.psql("VACUUM ANALYZE", url.rsplit("/", 1)[1])

    def describe(self):
        return {"version": self.postgres.version(), "reached over": "its socket", "fsync": "on",
                **SETTINGS}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.postgres.close()


def seed_threads(server):
    """Threads whose ids the select of pgbench can compute; returns a file of them."""
    import http.client
    import json
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    ids = [THREAD_ID.format(n) for n in range(1, SEEDED + 1)]
    for id_ in ids:
        connection.request("POST", "/threads", json.dumps({"thread_id": id_}),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise h.Failure(f"POST /threads: {response.status} {body[:300]}")
    connection.close()
    path = h.WORK / "ids.txt"
    path.write_text("\n".join(ids) + "\n")
    return path


def pgbench(cluster, url, script, clients, seconds):
    """Statements a second, each a transaction, prepared; a failed one fails the run."""
    path = cluster.postgres.folder / "script.sql"
    path.write_text(script)
    argv = [cluster.postgres.bin / "pgbench", "-n", "-M", "prepared", "-f", path, "-c",
            str(clients), "-j", "2", "-T", str(max(1, round(seconds))), url]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=postgres.environment(),
                          check=False)
    rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
    failed = re.search(r"^number of failed transactions: (\d+)", done.stdout, re.M)
    if done.returncode != 0 or not rate or (failed and int(failed.group(1)) > 0):
        raise h.Failure(f"pgbench: {done.stdout[-1500:]}")
    return float(rate.group(1))
