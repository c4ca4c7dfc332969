# SPDX-License-Identifier: Apache-2.0
"""proc - starts, kills and asks the binaries under test, for suites that do harm to them.

A process writes its log into a file; a server listens on a free port that is read from there.
With HF_TEST_DATABASE=postgres the data folder of a server stands for a database, see postgres.py.
"""
import atexit
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import postgres

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
START_SECONDS_MAX = 60
FULL = os.environ.get("HF_TEST_FULL") == "1"


def binary(debug=False):
    if debug:
        return os.environ.get("HOLDFAST_DEBUG", str(ROOT / "build" / "debug" / "holdfast"))
    return os.environ.get("HOLDFAST", str(ROOT / "build" / "holdfast"))


class Failure(Exception):
    """What a test found."""


class Process:
    """One process; .log is its standard error."""

    living = set()

    def __init__(self, args, log, env=None, restore_signals=True, preexec=None):
        self.log = pathlib.Path(log)
        environment = dict(os.environ)
        environment.update(env or {})
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=environment, preexec_fn=preexec,
                                            restore_signals=restore_signals)
        Process.living.add(self)

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        return self.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=60):
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"the process does not end within {seconds} s; {self.tail()}") from None
        Process.living.discard(self)
        return code

    def text(self):
        """The log since this start."""
        with open(self.log, "rb") as f:
            f.seek(self.log_start)
            return f.read().decode(errors="replace")

    def tail(self):
        lines = self.text().splitlines()[-15:]
        return f"log {self.log}:\n" + "\n".join("    " + line[:400] for line in lines)

    def find(self, event):
        """The first line of the log with this event, or None."""
        for line in self.text().splitlines():
            if f'"{event}"' in line:
                try:
                    return json.loads(line)
                except ValueError:
                    continue
        return None


@atexit.register
def end_living():
    for process in list(Process.living):
        if process.alive():
            process.process.kill()
            process.process.wait()


class Listener(Process):
    """A process that says in its log on which port it listens."""

    def wait_ready(self, pattern):
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            match = re.search(pattern, self.text())
            if match:
                self.port = int(match.group(1))
                return self
            if not self.alive():
                raise Failure(f"the start failed with {self.wait()}; {self.tail()}")
            time.sleep(0.01)
        raise Failure(f"no start within {START_SECONDS_MAX} s; {self.tail()}")

    def connection(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, path, body=None, timeout=60):
        """(status, parsed body) over a connection of its own."""
        connection = self.connection(timeout)
        try:
            return ask(connection, method, path, body)
        finally:
            connection.close()


def events(response):
    """Yields (event, id, data) of an event stream; http.client's errors when it is cut."""
    text, name, id_, data = b"", None, None, []
    while part := response.read1(65536):
        *lines, text = (text + part).split(b"\n")
        for line in lines:
            field, _, value = line.decode().partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                id_ = value
            elif field == "data":
                data.append(value)
            elif not line and name:
                yield name, id_, "\n".join(data)
                name, data = None, []


def ask(connection, method, path, body=None):
    return ask_more(connection, method, path, body)[:2]


def ask_more(connection, method, path, body=None):
    """(status, parsed body, headers)"""
    text = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
    headers = {"Content-Type": "application/json"} if text is not None else {}
    connection.request(method, path, body=text, headers=headers)
    response = connection.getresponse()
    data = response.read()
    return response.status, json.loads(data) if data.strip() else None, response.headers


class MockLlm(Listener):
    def __init__(self, folder, *args):
        super().__init__([binary(), "mock-llm", "--listen", "127.0.0.1:0", *args],
                         pathlib.Path(folder) / "mock-llm.log", {"HOLDFAST_LOG_FORMAT": "json"})
        self.wait_ready(r"http://127\.0\.0\.1:(\d+)/v1\n")


class Server(Listener):
    """`holdfast serve` on a data folder; ready when the constructor returns. .database is what
    keeps its data when that is not SQLite in the folder: the one given, or one that servers on the
    same folder share."""

    databases = {}  # by folder

    def __init__(self, folder, model=None, args=(), env=None, debug=False, ready=True,
                 database=None, **how):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        if database or postgres.wanted():
            self.database = database or Server.databases.get(self.folder) or postgres.Database()
            Server.databases[self.folder] = self.database
            env = {"DATABASE_URL": self.database.url, **(env or {})}
        else:
            self.database = None
        url = f"http://127.0.0.1:{model.port}/v1" if model else "http://127.0.0.1:9/v1"
        environment = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url,
                       "HOLDFAST_LOG_FORMAT": "json"}
        environment.update(env or {})
        command = [binary(debug), "serve", "--listen", "127.0.0.1:0", "--data", str(self.data)]
        if debug:
            command.append("--debug-api")
        super().__init__([*command, *args], self.folder / "server.log", environment, **how)
        if ready:
            self.wait_ready(r'"server\.listening".*"port":\s*(\d+)')

    def failpoints(self):
        status, points = self.call("GET", "/debug/failpoints")
        if status != 200:
            raise Failure(f"/debug/failpoints answers {status}")
        return {p["name"]: p for p in points}

    def set_failpoint(self, spec):
        status, answer = self.call("PUT", "/debug/failpoints", spec)
        if status != 200:
            raise Failure(f"failpoint {spec}: {answer}")


class Suite:
    """Counts checks; the last line is what `./dev test` reads."""

    def __init__(self, name):
        self.passed = self.failed = 0
        self.name = name
        self.started = time.monotonic()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"holdfast-{name}-"))

    def check(self, ok, what, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what} {detail}".rstrip(), flush=True)
        return ok

    def none(self, problems, what):
        """A list of problems must be empty."""
        problems = list(problems)
        self.check(not problems, what, "\n    " + "\n    ".join(map(str, problems[:8]))
                   if problems else "")
        return not problems

    def run(self, tests):
        for test in tests:
            start = time.monotonic()
            try:
                test(self)
            except Exception as error:  # a broken test is a failed one, and the others still run
                if not isinstance(error, (Failure, OSError, http.client.HTTPException)):
                    import traceback
                    traceback.print_exc()
                self.check(False, test.__name__, f"{type(error).__name__}: {error}")
            print(f"{test.__name__}: {time.monotonic() - start:.1f} s", flush=True)
        end_living()
        for database in Server.databases.values():
            try:
                database.drop()
            except Exception as error:
                self.check(False, "PostgreSQL's log", error)
        if self.failed:
            print(f"the files are in {self.folder}")
        else:
            import shutil
            shutil.rmtree(self.folder, ignore_errors=True)
        print(f"{self.passed} passed, {self.failed} failed")
        raise SystemExit(1 if self.failed or not self.passed else 0)
