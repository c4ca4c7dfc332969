#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""graph_runner.py FOLDER [HELLO] - a small runner of graphs, the standard library only.

It speaks docs/internals/runners.md over stdin and stdout: one thread reads, each task has a thread
of its own. What it does is noted in FOLDER/notes, a line each, for the suite that started it. With
HELLO it misbehaves from the start: silent, garbage, version, bad, taken, dead.
"""
import json
import os
import pathlib
import sys
import threading
import time

FOLDER = pathlib.Path(sys.argv[1])
HELLO = sys.argv[2] if len(sys.argv) > 2 else ""
INTERRUPTED, CANCELLED, PASSING = -32001, -32002, -32003


class Interrupted(Exception):
    pass


class Cancelled(Exception):
    pass


class Passing(Exception):
    pass


class Wire:
    """Messages out, one at a time; requests of ours and their answers."""

    def __init__(self):
        self.lock, self.numbers, self.waiting = threading.Lock(), 0, {}

    def raw(self, text):
        with self.lock:
            sys.stdout.write(text)
            sys.stdout.flush()

    def send(self, **message):
        self.raw(json.dumps({"jsonrpc": "2.0", **message}) + "\n")

    def ask(self, method, params):
        box = {"over": threading.Event()}
        with self.lock:
            self.numbers += 1
            number = f"q{self.numbers}"
            self.waiting[number] = box
        self.send(id=number, method=method, params=params)
        box["over"].wait()
        return box["message"]

    def answered(self, message):
        box = self.waiting.pop(message["id"], None)
        if box:
            box["message"] = message
            box["over"].set()


wire = Wire()
tasks = {}  # number → Task


def note(*words):
    with open(FOLDER / "notes", "a") as out:
        out.write(" ".join(str(w) for w in words) + "\n")


class Task:
    def __init__(self, number, params):
        self.number, self.params, self.state = number, params, params["state"]
        self.cancelled = threading.Event()

    def event(self, **event):
        wire.send(method="task.event", params={"task": self.number, **event})

    def interrupt(self, value):
        got = wire.ask("task.interrupt", {"task": self.number, "value": value})
        if "error" in got:
            raise Interrupted()
        return got["result"]["resume"]

    def run(self):
        node = self.params["node"]
        note("start", node, self.params["attempt"])
        try:
            result = NODES[self.params["graph"]][node](self)
        except Cancelled:
            note("cancelled", node)
            wire.send(id=self.number, error={"code": CANCELLED, "message": "cancelled"})
        except Interrupted:
            wire.send(id=self.number, error={"code": INTERRUPTED, "message": "asks"})
        except Exception as fault:
            code = PASSING if isinstance(fault, Passing) else 1
            wire.send(id=self.number, error={"code": code, "message": str(fault),
                                             "data": {"type": type(fault).__name__}})
        else:
            note("end", node)
            wire.send(id=self.number, result=result or {})
        finally:
            tasks.pop(self.number, None)


# --- graph "talk": tokens, a loop, a question ---

def think(task):
    said = ["Round ", str(task.state["n"] + 1), "."]
    message = f"m-{task.params['task_id']}"
    for piece in said:
        task.event(token={"message_id": message, "content": piece})
    task.event(custom={"round": task.state["n"] + 1})
    return {"writes": {"messages": [{"type": "ai", "id": message, "content": "".join(said)}],
                       "log": ["think"], "n": 1}}


def ask(task):
    verdict = task.interrupt({"question": "good?", "n": task.state["n"]})
    more = task.interrupt({"question": "sure?"}) if verdict == "twice" else None
    return {"writes": {"log": ["ask"], "verdict": [verdict, more]}}


def after_think(state):
    if state["n"] < state.get("rounds", 1):
        return {"goto": "think"}
    return {"goto": ["ask"] if state.get("ask") else "__end__"}


TALK = {"id": "talk", "description": "thinks, and asks",
        "channels": {"messages": {"reducer": "messages"}, "log": {"reducer": "append"},
                     "n": {"reducer": "sum", "initial": 0}, "rounds": {}, "ask": {},
                     "verdict": {"input": False}},
        "nodes": {"think": {}, "ask": {}},
        "edges": [{"from": "__start__", "to": "think"},
                  {"from": "think", "to": "think", "condition": "more"},
                  {"from": "think", "to": "ask", "condition": "ask"},
                  {"from": "think", "to": "__end__", "condition": "done"},
                  {"from": "ask", "to": "__end__"}],
        "schemas": {"input": {"type": "object", "title": "Talk",
                              "properties": {"rounds": {"type": "integer"}}}}}


# --- graph "fan": sends, pairs of writes, a node that says what follows ---

def split(task):
    return {"sends": [{"node": "item", "input": {"item": i}} for i in task.state["items"]],
            "routed": True}


def item(task):
    value = task.params["input"]["item"]
    time.sleep(0.05 if value == 1 else 0)
    return {"writes": [["total", value], ["log", f"item {value}"], ["log", "again"]]}


def collect(task):
    return {"writes": {"log": [f"total {task.state['total']}"]}}


FAN = {"id": "fan", "channels": {"items": {}, "total": {"reducer": "sum"},
                                 "log": {"reducer": "append"}},
       "nodes": {"split": {}, "item": {}, "collect": {}},
       "edges": [{"from": "__start__", "to": "split"},
                 {"from": "split", "to": "item", "condition": "each"},
                 {"from": "item", "to": "collect"}, {"from": "collect", "to": "__end__"}]}


# --- graph "outer": a graph inside ---

def close(task):
    return {"writes": {"log": ["closed"]}}


OUTER = {"id": "outer", "channels": {**TALK["channels"]},
         "nodes": {"inner": {"subgraph": "talk"}, "close": {}},
         "edges": [{"from": "__start__", "to": "inner"}, {"from": "inner", "to": "close"},
                   {"from": "close", "to": "__end__"}]}


# --- graph "odd": what can go wrong ---

def once(name):
    path = FOLDER / name
    if path.exists():
        return False
    path.touch()
    return True


def sleep(task):
    while not task.cancelled.wait(0.02):
        note("works")
        if (FOLDER / "go").exists():
            return {"writes": {"log": ["slept"]}}
    raise Cancelled()


def stubborn(task):
    while True:
        time.sleep(0.02)
        note("works")


def die(task):
    if task.state.get("always") or once("died"):
        os._exit(7)
    return {"writes": {"log": ["lived"]}}


def passing(task):
    if once("passed"):
        raise Passing("try again")
    return {"writes": {"log": ["passed"]}}


def lines(text):
    def play(task):
        wire.raw(text)
        return stubborn(task)
    return play


def flood(task):
    for i in range(2000):
        task.event(custom={"i": i, "fill": "x" * 8000})
    return {"writes": {"log": ["flooded"]}}


def fail(task):
    raise ValueError("it is wrong ö" + "x" * 1000)


def strange(task):
    """Messages about nothing, which hurt nobody."""
    wire.send(method="task.event", params={"task": 10 ** 12, "custom": 1})
    wire.send(method="task.event", params=[1, 2])
    wire.send(method="no.such", params={})
    wire.send(id=10 ** 12, result={})
    wire.send(id="text", error={"code": 1, "message": "x"})
    refused = [wire.ask("no.such", {})["error"]["code"],
               wire.ask("task.interrupt", {"task": 10 ** 12, "value": 1})["error"]["code"]]
    for token in (1, {}, {"message_id": 5}, {"message_id": "m", "content": ["x"]},
                  {"message_id": "m", "tool_call": {"index": "x", "id": 3}}):
        task.event(token=token)
    return {"writes": {"log": refused}}


ODD = {"id": "odd", "channels": {"do": {}, "always": {}, "log": {"reducer": "append"}},
       "nodes": {"first": {}, "do": {}, "slow": {"timeout_seconds": 0.3,
                                                 "retry": {"attempts": 1}}},
       "edges": [{"from": "__start__", "to": "first"},
                 {"from": "first", "to": "do", "condition": "do"},
                 {"from": "first", "to": "slow", "condition": "slow"},
                 {"from": "do", "to": "__end__"}, {"from": "slow", "to": "__end__"}]}
DOINGS = {"sleep": sleep, "stubborn": stubborn, "die": die, "passing": passing, "fail": fail,
          "flood": flood, "strange": strange,
          "garbage": lines("this is no JSON\n"),
          "no_rpc": lines('{"jsonrpc":"1.0","id":1}\n'),
          "deep": lines("[" * 5000 + "]" * 5000 + "\n"),
          "long": lines("x" * 300000),
          "channel": lambda task: {"writes": {"nowhere": 1}},
          "node": lambda task: {"goto": "nowhere"},
          "pair": lambda task: {"writes": [["log"]]},
          "text": lambda task: {"writes": "log"}}


def first(task):
    return {"writes": {"log": ["first"]}}


def after_first(state):
    if state["do"] == "bad_route":
        return {"goto": "nowhere"}
    return {"goto": "slow" if state["do"] == "slow" else "do"}


NODES = {"talk": {"think": think, "ask": ask},
         "fan": {"split": split, "item": item, "collect": collect},
         "outer": {"close": close},
         "odd": {"first": first, "slow": sleep,
                 "do": lambda task: DOINGS[task.state["do"]](task)}}
ASKED = ("OPENAI_API_KEY", "DATABASE_URL", "SUPABASE_JWT_SECRET", "HOLDFAST_WEBHOOK_SECRET")
ROUTES = {("talk", "think"): after_think, ("odd", "first"): after_first}


# --- the protocol ---

def hello(message):
    if HELLO == "silent":
        return
    if HELLO == "dead":
        os._exit(9)
    if HELLO == "garbage":
        wire.raw("hello\n")
    graphs = [TALK, FAN, OUTER, ODD]
    if HELLO == "bad":
        graphs = [{**TALK, "nodes": {"a:b": {}}}]
    if HELLO == "taken":
        graphs = [{**TALK, "id": "agent"}]
    note("hello", os.getpid())
    note("environment", *sorted(n for n in os.environ if n in ASKED))
    wire.send(id=message["id"], result={"protocol": 2 if HELLO == "version" else 1,
                                        "graphs": graphs})


def take(message):
    method, params = message.get("method"), message.get("params", {})
    if method == "hello":
        hello(message)
    elif method == "task.run":
        task = tasks[message["id"]] = Task(message["id"], params)
        threading.Thread(target=task.run, daemon=True).start()
    elif method == "task.cancel":
        if params["task"] in tasks:
            tasks[params["task"]].cancelled.set()
    elif method == "graph.route":
        try:
            result = ROUTES[params["graph"], params["from"]](params["state"])
            wire.send(id=message["id"], result=result)
        except Exception as fault:
            wire.send(id=message["id"], error={"code": 1, "message": str(fault)})
    else:
        wire.answered(message)


def main():
    print("a word to stderr", file=sys.stderr, flush=True)
    for line in sys.stdin:
        take(json.loads(line))
    note("over", os.getpid())
    os._exit(0)  # the server is gone, or wants no more


main()
