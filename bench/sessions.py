# SPDX-License-Identifier: Apache-2.0
"""sessions.py - what a session costs a request, beside a token that is verified and remembered;
and the state of the gateway with a million rows of each kind (gateway.py).

The same request, one after the other on one connection, in turns: with a JWT, whose check is
remembered; with a session that is remembered; with a session on a server that remembers none, so
each request reads its row. The cost is the difference of the medians; the request itself reads the
owner's preferences, of which there are none.
"""
import contextlib
import http.client
import json

import gateway
import harness as h
from harness import Result, load, median, say

SECRET = "a secret of the benchmark, of more than 32 bytes"
PATH = "/preferences"


def begin(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/sessions", "{}", {
        "Authorization": f"Bearer {h.token(SECRET)}", "Content-Type": "application/json"})
    response = connection.getresponse()
    made = json.loads(response.read())
    connection.close()
    if response.status != 201:
        raise h.Failure(f"POST /sessions: {response.status} {made}")
    return made["token"]


def bench(args, make_cluster):
    rounds, seconds = args.rounds or 5, args.seconds or 1
    name = "sessions-postgres" if args.database else "sessions"
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(make_cluster()) if args.database else None
        result = Result(name, f"medians of {rounds} rounds of {seconds:g} s each, in turns, GET "
                        f"{PATH} on one connection; two servers, one of which remembers none. "
                        "Lists: a million conversations with titles, sessions and accounts, half "
                        "of them of the owner who asks. Jobs: a million expired sessions and a "
                        "million logs that leave hot, four connections, windows beside the jobs "
                        "and on an empty database; starts in turns with that one",
                        cluster)

        def server(folder, *options):
            url = cluster.new_database() if cluster else ""
            return stack.enter_context(h.server(h.fresh_folder(folder), name=folder, database=url,
                                                jwt_secret=SECRET, options=options))

        remembering, reading = server("remembering"), server("reading", "--session-cache", "0")
        ways = {"token": (remembering, h.token(SECRET)),
                "remembered": (remembering, begin(remembering)), "read": (reading, begin(reading))}
        got = {way: [] for way in ways}
        for _ in range(rounds):
            for way, (target, token) in ways.items():
                got[way].append(load("http", target, method="GET", path=PATH, connections=1,
                                     seconds=seconds, token=token))
        gateway.lists(result, cluster, SECRET, seconds, max(3, rounds // 2))
        gateway.jobs(result, cluster, seconds, rounds)
    for way, results in got.items():
        result.figures[way] = {"p50_us": median(results, "latency_us", "p50"),
                               "p99_us": median(results, "latency_us", "p99"),
                               "cpu_us": median(results, "cpu", ways[way][0].name, "us_each")}
    say(json.dumps({k: v for k, v in result.figures.items() if k != "plans"}))
    base = result.figures["token"]["p50_us"]
    for way, at_most in (("remembered", 0.02), ("read", 0.3)):
        result.target(f"a session that is {way}, over a token, p50",
                      (result.figures[way]["p50_us"] - base) / 1000, "ms", at_most=at_most)
    result.save()
