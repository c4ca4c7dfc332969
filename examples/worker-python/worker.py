#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker: does steps of plans whose tool is `worker:QUEUE`. Needs Python 3.9, no packages.

    python3 worker.py http://127.0.0.1:2024 thumbnails

The server keeps a lease for each step that it hands out. While a step is under way a thread extends
its lease; when the server says that the step was cancelled, or that the lease is somebody else's by
now, the step is told to stop and nothing more is sent for it. Whatever happens to this process, the
server queues the step again when its lease is over: under the same key, so do the work once for a
key. SIGTERM ends the worker when what it does is done.
"""
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

LEASE = float(os.environ.get("WORKER_LEASE", "30"))  # seconds
WAIT = 20      # seconds that a claim waits for something to do
AT_ONCE = 4    # steps
PAUSE = 1      # seconds after trouble


class Refused(Exception):
    """The server does not want this; asking again is of no use."""


class Server:
    def __init__(self, url):
        self.url = url.rstrip("/")
        self.headers = {"Content-Type": "application/json"}
        if os.environ.get("WORKER_TOKEN"):
            self.headers["Authorization"] = f"Bearer {os.environ['WORKER_TOKEN']}"

    def once(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), self.headers)
        try:
            with urllib.request.urlopen(request, timeout=WAIT + 30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code in (408, 429) or error.code >= 500:
                raise ConnectionError(f"{error.code} {text}") from error
            raise Refused(f"{error.code} {text}") from error

    def ask(self, path, body):
        """Until there is an answer: results may be told twice."""
        while True:
            try:
                return self.once(path, body)
            except OSError as error:
                print(f"{path}: {error}; again in {PAUSE} s", file=sys.stderr, flush=True)
                time.sleep(PAUSE)


class Step:
    """A step that this worker has. A handler looks at `stopped` now and then."""

    def __init__(self, server, work):
        self.server, self.work = server, work
        self.inputs, self.key, self.attempt = work["inputs"], work["key"], work["attempt"]
        self.name = work["name"]
        self.stopped = threading.Event()
        self.lease = {k: work[k] for k in ("plan_id", "position", "token")}

    def progress(self, message, data=None):
        """Stands in the plan's log as `step.progress`."""
        try:
            self.server.once("/plans/work/events", {"work": [{
                **self.lease, "events": [{"message": message, "data": data}]}]})
        except (OSError, Refused) as error:
            print(f"progress: {error}", file=sys.stderr, flush=True)

    def run(self, handler):
        try:
            verb, said = "complete", {"output": handler(self)}
        except ValueError as error:  # wrong inputs do not become right by trying again
            verb, said = "fail", {"error": str(error)[:500] or "wrong inputs", "retryable": False}
        except Exception as error:
            verb, said = "fail", {"error": str(error)[:500] or type(error).__name__}
        if self.stopped.is_set():
            return
        try:
            self.server.ask(f"/plans/work/{verb}", {"work": [{**self.lease, **said}]})
        except Refused as error:
            print(f"{self.name}: {error}", file=sys.stderr, flush=True)


class Worker:
    def __init__(self, server, queue, handler):
        self.server, self.queue, self.handler = server, queue, handler
        self.id = f"{socket.gethostname()}-{os.getpid()}"
        self.steps, self.ending = {}, threading.Event()
        self.room = threading.Condition()

    def heartbeats(self):
        while True:
            time.sleep(LEASE / 3)
            steps = list(self.steps.values())
            if not steps:
                continue
            try:
                told = self.server.once("/plans/work/heartbeat", {
                    "lease": LEASE, "work": [s.lease for s in steps]})["work"]
            except (OSError, Refused) as error:
                print(f"heartbeat: {error}", file=sys.stderr, flush=True)
                continue
            for step, answer in zip(steps, told):
                if answer["status"] != "leased":
                    print(f"{step.name}: {answer['status']}", file=sys.stderr, flush=True)
                    step.stopped.set()

    def one(self, step, at):
        step.run(self.handler)
        with self.room:
            del self.steps[at]
            self.room.notify_all()

    def serve(self):
        threading.Thread(target=self.heartbeats, daemon=True).start()
        while not self.ending.is_set():
            with self.room:
                if len(self.steps) >= AT_ONCE:
                    self.room.wait(1)
                    continue
                free = AT_ONCE - len(self.steps)
            try:
                work = self.server.once(f"/plans/queues/{self.queue}/claim", {
                    "worker_id": self.id, "max": free, "wait": WAIT, "lease": LEASE})["work"]
            except OSError as error:
                print(f"claim: {error}; again in {PAUSE} s", file=sys.stderr, flush=True)
                self.ending.wait(PAUSE)
                continue
            for item in work:
                at = (item["plan_id"], item["position"], item["token"])
                self.steps[at] = Step(self.server, item)
                threading.Thread(target=self.one, args=(self.steps[at], at)).start()


def handler(step):
    """What this example does: counts the words of a text, slowly if it is asked to."""
    text = step.inputs.get("text")
    if not isinstance(text, str):
        raise ValueError("text: must be a string")
    if step.attempt <= step.inputs.get("fail_times", 0):
        raise RuntimeError("not this time")
    words = text.split()
    step.progress(f"{len(words)} words", {"key": step.key})
    step.stopped.wait(step.inputs.get("seconds", 0))
    return {"words": len(words), "attempt": step.attempt}


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: worker.py URL QUEUE")
    worker = Worker(Server(sys.argv[1]), sys.argv[2], handler)
    signal.signal(signal.SIGTERM, lambda *_: worker.ending.set())
    signal.signal(signal.SIGINT, lambda *_: worker.ending.set())
    print(f"worker {worker.id} waits for steps of queue {worker.queue}", flush=True)
    worker.serve()


if __name__ == "__main__":
    main()
