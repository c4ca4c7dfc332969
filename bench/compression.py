#!/usr/bin/env python3
"""compression - what compressed answers cost and save, on the release build.

usage: bench/compression.py [requests, default 1000]

One keep-alive connection, one answer after the other, as they are and with each coding in turns,
three rounds, medians. CPU is the server's whole process for one answer (reading the database and
making the JSON included), so the difference to identity is what the coding costs. The longest turn
is the loop's, over all answers of a row.
"""
import http.client
import json
import os
import statistics
import sys
import time
import uuid

sys.dont_write_bytecode = True
import harness as h  # noqa: E402  (after the line that keeps the tree free of __pycache__)

TICK = 1e6 / os.sysconf("SC_CLK_TCK")
GRAPH = {"metadata": {"graph_id": "agent"}}
CODINGS = ("identity", "gzip", "zstd")
WORDS = ("the agent asks a tool for the weather in some town and answers the user with what it was "
         "told before it goes on to the next step of the plan that was made for this week").split()


def words(count, seed):
    return " ".join(WORDS[(seed * 31 + i * 17 + i * i * seed) % len(WORDS)] for i in range(count))


def message(i):
    kind = "human" if i % 2 == 0 else "ai"
    return {"type": kind, "id": str(uuid.uuid4()), "content": words(12, i + 3)}


class Client:
    def __init__(self, server):
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def ask(self, method, path, body=None, headers=()):
        data = body if isinstance(body, (bytes, str)) or body is None else json.dumps(body)
        self.connection.request(method, path, data,
                                {"Content-Type": "application/json", **dict(headers)})
        response = self.connection.getresponse()
        got = response.read()
        if response.status != 200:
            raise h.Failure(f"{method} {path}: {response.status} {got[:300]}")
        return response.headers, got

    def json(self, method, path, body=None):
        return json.loads(self.ask(method, path, body)[1])

    def longest_turn_us(self):
        """Since it was asked last."""
        return self.json("GET", "/metrics?format=json")["holdfast_loop_turn_microseconds_max"]


def measure(client, count, method, path, body, coding, headers=()):
    headers = {"Accept-Encoding": coding, **dict(headers)}
    got, data = client.ask(method, path, body, headers)
    if got.get("Content-Encoding", "identity") != coding:
        raise h.Failure(f"{path} came as {got.get('Content-Encoding')}")
    client.longest_turn_us()
    ticks, begun = h.cpu_ticks(client.server.pid), time.monotonic()
    for _ in range(count):
        client.ask(method, path, body, headers)
    seconds = time.monotonic() - begun
    cpu = (h.cpu_ticks(client.server.pid) - ticks) * TICK / count
    return {"bytes": len(data), "cpu_us": cpu, "us": seconds * 1e6 / count,
            "turn_us": client.longest_turn_us()}


def rows(client, name, count, method, path, body=None, headers=()):
    rounds = [{c: measure(client, count, method, path, body, c, headers) for c in CODINGS}
              for _ in range(3)]
    for coding in CODINGS:
        one = {k: statistics.median(r[coding][k] for r in rounds)
               for k in ("bytes", "cpu_us", "us", "turn_us")}
        plain = rounds[0]["identity"]["bytes"]
        less = 100 - 100 * one["bytes"] / plain
        print(f"| {name} | {coding} | {one['bytes']:,} | {less:.0f} % | {one['cpu_us']:,.0f} | "
              f"{one['us']:,.0f} | {one['turn_us']:,.0f} |", flush=True)


def fill(client):
    """A thread of 5 kB, a hundred threads, one of 2 MB, a session of 20 MB."""
    thread = client.json("POST", "/threads", GRAPH)["thread_id"]
    client.json("POST", f"/threads/{thread}/state",
                {"values": {"messages": [message(i) for i in range(30)]}})
    for i in range(100):
        metadata = {"graph_id": "agent", "customer": f"c-{i % 7}"}
        one = client.json("POST", "/threads", {"metadata": metadata})
        client.json("POST", f"/threads/{one['thread_id']}/state",
                    {"values": {"messages": [message(i + k) for k in range(4)]}})
    large = client.json("POST", "/threads", GRAPH)["thread_id"]
    client.json("POST", f"/threads/{large}/state",
                {"values": {"messages": [message(i) for i in range(13000)]}})
    session = f"s-{uuid.uuid4()}"
    for part in range(20):
        lines = [json.dumps({"id": f"{part}-{i}", "type": "message",
                             "payload": {"text": words(60, part * 1000 + i)}})
                 for i in range(2000)]
        client.ask("PUT", f"/history/{session}/events", "\n".join(lines),
                   {"Content-Type": "application/x-ndjson"})
    return thread, large, session


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with h.server(h.fresh_folder("compression")) as server:
        client = Client(server)
        thread, large, session = fill(client)
        print("| answer | coding | bytes | less | server CPU us | us | longest turn us |")
        print("|---|---|---|---|---|---|---|")
        rows(client, "a thread's state", count, "GET", f"/threads/{thread}/state")
        rows(client, "a search", count, "POST", "/threads/search", {"limit": 100})
        rows(client, "a large state", max(5, count // 50), "GET", f"/threads/{large}/state")
        rows(client, "lines of a history", max(2, count // 300), "GET",
             f"/history/{session}/events", headers={"Accept": "application/x-ndjson"})


main()
