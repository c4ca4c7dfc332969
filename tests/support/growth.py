# SPDX-License-Identifier: Apache-2.0
"""growth.py - one thread that grows turn by turn, and what each turn costs, in figures that a busy
machine does not change: pages that SQLite writes, bytes of PostgreSQL's log, statements, CPU.

A turn is runs/wait of the agent with a message of 1,000 bytes; the model stand-in answers with as
many. Afterwards the whole past is read: every state by the before-cursor, some by their ids.
"""
import http.client
import json
import os
import struct

MESSAGE_BYTES = 1000
STATES_A_TURN = 3  # the input, before the model, after it
FRAME_BYTES = 4096 + 24
COUNTED = {"holdfast_db_statements_total": "statements", "holdfast_db_commits_total": "commits",
           "holdfast_db_reads_total": "reads"}


def text_of(turn):
    """Different words in each turn."""
    words = " ".join(f"word{turn * 7919 % 9973 + i * 31}" for i in range(120))
    return f"{turn} {words}"[:MESSAGE_BYTES]


class Wal:
    """Counts the frames that were added to a write-ahead log; None when it began anew meanwhile."""

    def __init__(self, path):
        self.path, self.salt, self.count = path, None, 0

    def added(self):
        with open(self.path, "rb") as f:
            head = f.read(32)
            if len(head) < 32:
                return None
            salt, same = head[16:24], head[16:24] == self.salt
            count = self.count if same else 0
            while True:
                f.seek(32 + count * FRAME_BYTES)
                frame = f.read(24)
                if len(frame) < 24 or frame[8:16] != salt or struct.unpack(">I", frame[:4])[0] == 0:
                    break
                count += 1
        new = count - self.count if same else None
        self.salt, self.count = salt, count
        return new


class Conversation:
    """port and pid of a server; wal: its Wal (SQLite); log_bytes: how far PostgreSQL's log is."""

    def __init__(self, port, pid, wal=None, log_bytes=None):
        self.port, self.pid, self.wal, self.log_bytes = port, pid, wal, log_bytes
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.turns = []
        self.thread = self.ask("POST", "/threads", {})["thread_id"]
        self.before = self.figures()

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        text = json.dumps(body) if body is not None else None
        self.connection.request(method, path, text, headers)
        response = self.connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise AssertionError(f"{method} {path}: {response.status} {data[:300]!r}")
        return json.loads(data)

    def figures(self):
        self.connection.request("GET", "/metrics")
        text = self.connection.getresponse().read().decode()
        out = {}
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name in COUNTED:
                out[COUNTED[name]] = float(value)
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        out["cpu_ms"] = (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")
        if self.log_bytes:
            out["log_bytes"] = self.log_bytes()
        return out

    def turn(self, streamed=False):
        """One more; its cost is appended to .turns."""
        number = len(self.turns)
        text = text_of(number)
        body = {"assistant_id": "agent", "input": {
            "messages": [{"role": "user", "content": f"[[echo:{text}]]"}]}}
        if streamed:
            self.stream({**body, "stream_mode": ["values", "messages-tuple"]})
        else:
            messages = self.ask("POST", f"/threads/{self.thread}/runs/wait", body)["messages"]
            if len(messages) != 2 * number + 2 or messages[-1]["content"] != text:
                raise AssertionError(f"turn {number}: {len(messages)} messages, {messages[-1]}")
        now = self.figures()
        cost = {name: value - self.before[name] for name, value in now.items()}
        if self.wal:
            cost["pages"] = self.wal.added()
        self.before = now
        self.turns.append(cost)

    def stream(self, body):
        self.connection.request("POST", f"/threads/{self.thread}/runs/stream", json.dumps(body),
                                {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        data = response.read()
        if response.status != 200 or b"event: error" in data:
            raise AssertionError(f"stream: {response.status} {data[-300:]!r}")

    def read_all(self):
        """Reads every state of the past by the before-cursor and checks it; how many there are."""
        wanted, before, ids, page = len(self.turns) * STATES_A_TURN, None, [], 20
        path = f"/threads/{self.thread}/history"
        while True:
            body = {"limit": page, **({"before": before} if before else {})}
            states = self.ask("POST", path, body)
            for state in states:
                self.check_state(state, wanted - len(ids) - 1)
                if ids and state["checkpoint"]["checkpoint_id"] != parent:
                    raise AssertionError(f"the parent of {ids[-1]} is not the state before")
                ids.append(state["checkpoint"]["checkpoint_id"])
                parent = (state["parent_checkpoint"] or {}).get("checkpoint_id")
            if len(states) < page:
                break
            before = states[-1]["checkpoint"]
        if len(ids) != wanted or parent:
            raise AssertionError(f"{len(ids)} states of {wanted}, before them {parent}")
        for at in (0, wanted // 2, wanted - 1):
            self.check_state(self.ask("GET", f"/threads/{self.thread}/state/{ids[-1 - at]}"), at)
        return wanted

    def check_state(self, state, number):
        """number: counts from the thread's first."""
        turn, part = divmod(number, STATES_A_TURN)
        messages = (state["values"] or {}).get("messages", [])
        texts = [m["content"] for m in messages]
        wanted = []
        for i in range(turn):
            wanted += [f"[[echo:{text_of(i)}]]", text_of(i)]
        wanted += [f"[[echo:{text_of(turn)}]]", text_of(turn)][:part]
        if texts != wanted:
            raise AssertionError(f"state {number} has {len(texts)} messages of {len(wanted)}")


def mean(turns, name):
    """Over the turns that have it."""
    values = [t[name] for t in turns if t.get(name) is not None]
    return sum(values) / len(values)
