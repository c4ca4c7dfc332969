"""plans.py - plans of steps: making them, working them off, reading them among a million.

Making is one POST on one connection, durable when it is answered; the steps of these plans wait for
a first one that sleeps, so nothing else happens meanwhile. Working off: a plan of steps that do
nothing, from the request to its end; and from the making of a plan to the start of its only step,
whose tool changes nothing outside: such a one starts while the plan is being stored, often in the
turn of the loop that made it (then the time is 0). One that does waits for two commits.
On PostgreSQL the peer is graphile-worker, on the same cluster, in turns: adding as many jobs in one
call, and working off jobs that do nothing.
"""
import json
import re
import socket
import statistics
import time

import harness as h
import peers

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
SIZES = (10, 50, 100)
MANY = 10000
TIMES = 100
STARTS = 200
SEEDED_PLANS = 100  # of MANY steps
READS = 200
P50_MS = {10: 1.0, 50: 1.6, 100: 2.6}


def plan(count, held):
    """Equal steps; held: they wait for one that sleeps."""
    hold = [{"name": "hold", "tool": "test:sleep", "inputs": {"ms": 3600000}}] if held else []
    more = {"depends_on": ["hold"]} if held else {}
    steps = [{"name": f"step {n}", "tool": "test:echo", "inputs": {"n": n}, **more}
             for n in range(count - len(hold))]
    return json.dumps({"goal": "measure", "project_id": "bench", "concurrency": 1000,
                       "steps": hold + steps})


class Client:
    """One connection. What is timed is from the first byte sent to the last one received, without
    what a client of Python takes to make one and understand the other."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.took_ms = 0.0

    def receive(self):
        data = b""
        while True:
            part = self.socket.recv(1 << 20)
            if not part:
                raise h.Failure(f"the server closed the connection after {data[:300]!r}")
            data += part
            head, end, body = data.partition(b"\r\n\r\n")
            if not end:
                continue
            length = LENGTH.search(head)
            if length and len(body) >= int(length.group(1)):
                return head, body
            if not length and body.endswith(b"0\r\n\r\n"):
                return head, unchunked(body)

    def call(self, method, path, body=None):
        body = (body or "").encode()
        text = (f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        start = time.perf_counter()
        self.socket.sendall(text)
        head, body = self.receive()
        self.took_ms = (time.perf_counter() - start) * 1000
        if head.split(b" ", 2)[1] not in (b"200", b"201"):
            raise h.Failure(f"{method} {path}: {head[:40]!r} {body[:300]!r}")
        return json.loads(body or b"null")


def unchunked(data):
    whole = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if int(size, 16) == 0:
            return whole
        whole, data = whole + data[:int(size, 16)], data[int(size, 16) + 2:]


def percentiles(ms):
    ms = sorted(ms)
    return {"p50_ms": statistics.median(ms), "p95_ms": ms[int(len(ms) * 0.95)]}


def make(client, count, times):
    body, ms = plan(count, held=True), []
    for n in range(times + 5):
        made = client.call("POST", "/plans/runs", body)
        if n >= 5:
            ms.append(client.took_ms)
        client.call("POST", f"/plans/runs/{made['id']}/cancel")
    return percentiles(ms)


def work(client, count):
    """Seconds from the request to the end, and from the first start to the end."""
    body = plan(count, held=False)
    start = time.perf_counter()
    made = client.call("POST", "/plans/runs", body)
    client.call("GET", f"/threads/{made['thread_id']}/runs/{made['run_id']}/join")
    whole = time.perf_counter() - start
    done = client.call("GET", f"/plans/runs/{made['id']}")
    if done["status"] != "succeeded" or done["counts"]["succeeded"] != count:
        raise h.Failure(f"a plan ended as {done['status']}: {done['counts']}")
    return whole, micros(done["ended_at"]) / 1e6 - micros(done["started_at"]) / 1e6


def micros(text):
    import datetime
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(at.timestamp()) * 1000000 + at.microsecond


def starts(client):
    """From the row of a plan to the start of its step."""
    ms = []
    for _ in range(STARTS):
        made = client.call("POST", "/plans/runs", plan(1, held=False))
        client.call("GET", f"/threads/{made['thread_id']}/runs/{made['run_id']}/join")
        done = client.call("GET", f"/plans/runs/{made['id']}")
        ms.append((micros(done["steps"][0]["started_at"]) - micros(done["created_at"])) / 1000)
    return percentiles(ms)


def reads(client):
    """Lists and details among a million steps."""
    one = client.call("GET", "/plans/runs?limit=1")["runs"][0]["id"]
    paths = {"newest plans": "/plans/runs?limit=50",
             "of a project": "/plans/runs?project_id=bench&limit=50",
             "of a state": "/plans/runs?status=succeeded&limit=50",
             "one, counts of its 10,000 steps": f"/plans/runs/{one}?limit=1",
             "a page of its steps": f"/plans/runs/{one}/steps?limit=50"}
    out = {}
    for name, path in paths.items():
        ms = []
        for _ in range(READS):
            client.call("GET", path)
            ms.append(client.took_ms)
        out[name] = percentiles(ms)
    return out


def graphile(url, *words):
    return peers.run("graphile.mjs", url, *words)


def measure(result, server, rounds, cluster=None):
    client, f = Client(server), result.figures
    peer = cluster.new_database() if cluster else None
    made = {count: [] for count in SIZES}
    added = {count: [] for count in SIZES}
    for _ in range(rounds):
        for count in SIZES:
            made[count].append(make(client, count, TIMES))
            if peer:
                added[count].append(graphile(peer, "add", count, TIMES))
    for count in SIZES:
        f[f"make_{count}"] = {"p50_ms": h.median(made[count], "p50_ms"),
                              "p95_ms": h.median(made[count], "p95_ms")}
        if peer:
            f[f"make_{count}"]["graphile_p50_ms"] = h.median(added[count], "p50_ms")
            f[f"make_{count}"]["of_graphile"] = statistics.median(
                m["p50_ms"] / a["p50_ms"] for m, a in zip(made[count], added[count]))
    f["make_many"] = make(client, MANY, rounds)
    worked, jobs = [], []
    for _ in range(rounds):
        worked.append(work(client, MANY))
        if peer:
            jobs.append(MANY / graphile(cluster.new_database(), "work", MANY)["ms"] * 1000)
    f["work"] = {"steps": MANY, "whole_per_second": MANY / statistics.median(w for w, _ in worked),
                 "per_second": MANY / statistics.median(e for _, e in worked)}
    if peer:
        f["work"]["graphile_per_second"] = statistics.median(jobs)
        f["work"]["over_graphile"] = statistics.median(
            MANY / w[1] / j for w, j in zip(worked, jobs))
    f["start"] = starts(client)
    h.say(f"{json.dumps(f)}")
    for _ in range(SEEDED_PLANS - rounds):
        work(client, MANY)
    if cluster:
        cluster.settle(server.database)
    f["reads"] = reads(client)


def targets(result):
    f = result.figures
    for count, most in P50_MS.items():
        result.target(f"making a plan of {count} steps, p50", f[f"make_{count}"]["p50_ms"], "ms",
                      at_most=most)
        if "of_graphile" in f[f"make_{count}"]:
            result.target(f"making {count} steps, part of graphile-worker's add_jobs",
                          f[f"make_{count}"]["of_graphile"], "x", at_most=0.9)
    result.target("making a plan of 10,000 steps, p50", f["make_many"]["p50_ms"] / 1000, "s",
                  at_most=0.15)
    if "over_graphile" in f["work"]:
        result.target("steps that do nothing, a second", f["work"]["per_second"], "/s",
                      at_least=60000)
        result.target("steps that do nothing, over graphile-worker's jobs",
                      f["work"]["over_graphile"], "x", at_least=1.2)
    result.target("from a plan's making to its step's start, p50", f["start"]["p50_ms"], "ms",
                  at_most=0.5)
    for name, p in f["reads"].items():
        result.target(f"among a million steps, {name}, p50", p["p50_ms"], "ms", at_most=2)


def bench(args, clusters):
    rounds = args.rounds or 3
    method = (f"{rounds} rounds, in turns with the peer; medians. Making: {TIMES} times a round, "
              f"one connection, the client in Python included. Working off {MANY:,} steps that do "
              "nothing, each state change in the log")
    if args.database:
        peers.packages()
        with clusters() as cluster:
            result = h.Result("plans-postgres", method + ". graphile-worker 0.18 with a local "
                              "queue of 500, 24 jobs at once and batched completion", cluster)
            url = cluster.new_database()
            with h.server(h.fresh_folder("plans"), database=url) as server:
                server.database = url
                measure(result, server, rounds, cluster)
    else:
        result = h.Result("plans", method)
        with h.server(h.fresh_folder("plans")) as server:
            measure(result, server, rounds)
    targets(result)
    result.save()
