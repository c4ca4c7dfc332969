# SPDX-License-Identifier: Apache-2.0
"""load - clients that write all the time and remember what the server acknowledged.

Each client is a thread with a connection, threads, items and assistants of its own, so that the
order of its writes is known. The ledger says for each object what may be found later:

    acknowledged (2xx, read to the end)   must be there
    failed, cut or still under way        may be there or not, whole
    acknowledged as deleted               must stay away

A run counts as acknowledged when its id has arrived: with the answer of a background run, with the
head of a stream; for a waiting request, with the values.
"""
import http.client
import json
import random
import threading
import time
import uuid

from proc import ask_more, events

GONE = None
PAUSE_SECONDS = 0.02
# How often a client does what, for one that does all, and for one that mostly runs agents.
MIXED = {"create_thread": 3, "put_item": 6, "delete_item": 2, "create_assistant": 1,
         "rename_assistant": 1, "patch_thread": 1, "run_background": 4, "run_wait": 3,
         "run_stream": 3, "delete_thread": 1}
RUNS = {**MIXED, "put_item": 3, "delete_item": 1, "run_background": 24, "run_wait": 8,
        "run_stream": 8}


def token():
    return "t" + uuid.uuid4().hex


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.threads = {}      # id: the metadata acknowledged, or GONE
        self.uncertain = set() # ids of threads whose deletion was not answered
        self.assistants = {}   # id: [names that may be found]
        self.items = {}        # key: [values that may be found; GONE: none]
        self.runs = {}         # id: {"thread", "token", "done"}
        self.tokens = {}       # token of every run ever asked for: the thread's id
        self.writes = 0        # acknowledged
        self.statuses = {}     # answers by status
        self.bad = []          # what no server may answer
        self.marks = []        # (place in the log of writes, kind, id, value), see powerloss.py
        self.mark = None       # gives that place

    def acknowledged(self, kind, id_, value):
        """With the lock held, right after the answer has been read."""
        self.writes += 1
        if self.mark:
            self.marks.append((self.mark(), kind, id_, value))

    def forget_uncertain(self):
        """After a check: what was found is what is known from now on."""
        self.uncertain.clear()


class Client(threading.Thread):
    """One client; ends when told to, or when the server is gone."""

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.ledger, self.number = load, load.ledger, number
        self.random = random.Random(load.seed * 1000 + number)
        self.connection = None
        self.own_threads, self.own_assistants = [], []

    def run(self):
        names, weights = zip(*self.load.actions.items())
        due = time.monotonic()
        while not self.load.stopping.is_set():
            self.doing = self.random.choices(names, weights)[0]
            try:
                getattr(self, self.doing)()
            except (OSError, http.client.HTTPException, ValueError):
                self.close()
                if self.load.stopping.wait(0.05) or not self.load.server.alive():
                    return
            due = max(due + self.load.period_seconds, time.monotonic() - 1)
            self.load.stopping.wait(max(due - time.monotonic(), 0) if self.load.period_seconds
                                    else self.random.random() * PAUSE_SECONDS)
        self.close()

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def open(self):
        if not self.connection:
            self.connection = self.load.server.connection(timeout=120)
        return self.connection

    def ask(self, method, path, body=None):
        status, answer, headers = ask_more(self.open(), method, path, body)
        with self.ledger.lock:
            if status in (429, 503) and not headers.get("Retry-After"):
                self.ledger.bad.append(f"{method} {path}: {status} without Retry-After")
            self.ledger.statuses[status] = self.ledger.statuses.get(status, 0) + 1
            if status >= 500 and not (isinstance(answer, dict) and answer.get("detail")):
                self.ledger.bad.append(f"{method} {path}: {status} with the body {answer!r}")
            if 400 <= status < 500 and status not in (404, 409, 429):
                self.ledger.bad.append(f"{method} {path}: {status} {answer!r}")
        if status >= 500:
            self.load.stopping.wait(0.05)
        return status, answer

    # --- threads, assistants, items
    def create_thread(self):
        id_, metadata = str(uuid.uuid4()), {"mark": token()}
        status, answer = self.ask("POST", "/threads", {"thread_id": id_, "metadata": metadata})
        if status == 200:
            with self.ledger.lock:
                self.ledger.threads[id_] = metadata
                self.ledger.acknowledged("thread", id_, metadata)
            self.own_threads.append(id_)
            if len(self.own_threads) > 8:
                self.own_threads.pop(0)

    def patch_thread(self):
        if not self.own_threads:
            return
        id_, key = self.random.choice(self.own_threads), token()
        status, answer = self.ask("PATCH", f"/threads/{id_}", {"metadata": {key: 1}})
        if status == 200:
            with self.ledger.lock:
                merged = {**self.ledger.threads[id_], key: 1}
                self.ledger.threads[id_] = merged
                self.ledger.acknowledged("thread", id_, merged)

    def delete_thread(self):
        if len(self.own_threads) < 4:
            return
        id_ = self.own_threads.pop(self.random.randrange(len(self.own_threads)))
        with self.ledger.lock:
            self.ledger.uncertain.add(id_)
        status, answer = self.ask("DELETE", f"/threads/{id_}")
        if status == 204:
            with self.ledger.lock:
                self.ledger.uncertain.discard(id_)
                self.ledger.threads[id_] = GONE
                self.ledger.acknowledged("thread", id_, GONE)

    def create_assistant(self):
        id_, name = str(uuid.uuid4()), token()
        status, answer = self.ask("POST", "/assistants", {
            "assistant_id": id_, "graph_id": "agent", "name": name})
        if status == 200:
            with self.ledger.lock:
                self.ledger.assistants[id_] = [name]
                self.ledger.acknowledged("assistant", id_, name)
            self.own_assistants.append(id_)

    def rename_assistant(self):
        if not self.own_assistants:
            return
        id_, name = self.random.choice(self.own_assistants), token()
        with self.ledger.lock:
            self.ledger.assistants[id_].append(name)
        status, answer = self.ask("PATCH", f"/assistants/{id_}", {"name": name})
        if status == 200:
            with self.ledger.lock:
                self.ledger.assistants[id_] = [name]
                self.ledger.acknowledged("assistant", id_, name)

    def change_item(self, value):
        key = f"c{self.number}-k{self.random.randrange(200)}"
        with self.ledger.lock:
            self.ledger.items.setdefault(key, [GONE]).append(value)
        body = {"namespace": ["crash", f"n{self.number}"], "key": key}
        if value is GONE:
            status, answer = self.ask("DELETE", "/store/items", body)
        else:
            status, answer = self.ask("PUT", "/store/items", {**body, "value": value})
        if status == 204:
            with self.ledger.lock:
                self.ledger.items[key] = [value]
                self.ledger.acknowledged("item", key, value)

    def put_item(self):
        size = self.random.choice((10, 10, 10, 500, 5000, 40000))
        self.change_item({"mark": token(), "fill": "x" * size})

    def delete_item(self):
        self.change_item(GONE)

    # --- runs
    def request(self):
        mark = token()
        text = f"{mark} [[tokens:{self.random.choice((3, 20, 60))}]]"
        if self.random.random() < 0.3:
            text += ' [[tool:calculator {"expression":"6*7"}]]'
        if self.random.random() < 0.2:
            text += f" [[delay:{self.random.choice((50, 200, 400))}]]"
        body = {"assistant_id": "agent",
                "input": {"messages": [{"role": "user", "content": text}]},
                "config": {"configurable": {"tools": ["calculator"]}},
                "stream_mode": ["messages-tuple", "values"]}
        thread = self.random.choice(self.own_threads) if self.own_threads else None
        with self.ledger.lock:
            self.ledger.tokens[mark] = thread
        return mark, thread, body

    def accepted(self, run_id, thread, mark, done):
        with self.ledger.lock:
            self.ledger.runs[run_id] = {"thread": thread, "token": mark, "done": done}
            self.ledger.acknowledged("run", run_id, {"thread": thread, "done": done})

    def run_background(self):
        mark, thread, body = self.request()
        if thread:
            status, answer = self.ask("POST", f"/threads/{thread}/runs", body)
            if status == 200:
                self.accepted(answer["run_id"], thread, mark, False)

    def run_wait(self):
        mark, thread, body = self.request()
        if not thread:
            return
        self.open().request("POST", f"/threads/{thread}/runs/wait", body=json.dumps(body),
                            headers={"Content-Type": "application/json"})
        response = self.connection.getresponse()
        place = response.headers.get("Content-Location", "")
        if response.status == 200 and place:
            self.accepted(place.rsplit("/", 1)[1], thread, mark, False)
        values = json.loads(response.read())
        with self.ledger.lock:
            self.ledger.statuses[response.status] = \
                self.ledger.statuses.get(response.status, 0) + 1
        if response.status == 200 and isinstance(values, dict) and "messages" in values:
            self.accepted(place.rsplit("/", 1)[1], thread, mark, True)
            if mark not in json.dumps(values):
                self.ledger.bad.append(f"the values of run {place} lack its input")
        elif response.status == 200 and "__error__" not in (values or {}):
            self.ledger.bad.append(f"a waiting request got {values!r}")

    def run_stream(self):
        mark, thread, body = self.request()
        if not thread:
            return
        self.open().request("POST", f"/threads/{thread}/runs/stream", body=json.dumps(body),
                            headers={"Content-Type": "application/json"})
        response = self.connection.getresponse()
        place = response.headers.get("Content-Location", "")
        if response.status != 200:
            response.read()
            return
        run_id = place.rsplit("/", 1)[1]
        self.accepted(run_id, thread, mark, False)
        failed = False
        for name, _, _ in events(response):
            failed = failed or name == "error"
        if not failed:
            self.accepted(run_id, thread, mark, True)


class Load:
    """`with Load(server, ledger, clients=8):` runs the clients; .stop() before a kill. per_second:
    what all of them together do when the server keeps up."""

    def __init__(self, server, ledger, clients=8, seed=1, actions=MIXED, per_second=None):
        self.server, self.ledger, self.seed, self.actions = server, ledger, seed, actions
        self.period_seconds = clients / per_second if per_second else 0
        self.stopping = threading.Event()
        self.clients = [Client(self, n) for n in range(clients)]
        for client in self.clients:
            client.own_threads = [t for t, m in ledger.threads.items()
                                  if m is not GONE and t not in ledger.uncertain
                                  and hash(t) % clients == client.number][-4:]

    def start(self):
        for client in self.clients:
            client.start()
        return self

    def stop(self):
        self.stopping.set()

    def join(self, seconds=30):
        """Returns what the clients that do not come back are waiting for."""
        self.stop()
        until = time.monotonic() + seconds
        for client in self.clients:
            client.join(max(0.1, until - time.monotonic()))
        self.hanging = [f"client {c.number} in {c.doing}" for c in self.clients if c.is_alive()]
        return self.hanging

    def __enter__(self):
        return self.start()

    def __exit__(self, *what):
        self.join()
