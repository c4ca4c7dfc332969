# SPDX-License-Identifier: Apache-2.0
"""server.py - the real binary and the model stand-in as child processes of a suite.

Every server takes a free port and a data folder of its own under a temporary one; restart() keeps
both. Ending a server checks what it left: exit status 0 after SIGTERM, and no report of a sanitizer
or a failed assertion in its log. Before it ends, the counters of its routes are gathered, so that a
suite can tell which routes were asked. With HF_TEST_DATABASE=postgres each has a database of its
own on a shared cluster, see postgres.py; statements that PostgreSQL finds wrong are a failure, too.
"""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import postgres
from suite import ROOT

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
BAD = re.compile(r"(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|"
                 r"assertion failed|ASSERT)")
COUNTED = re.compile(r'^holdfast_http_requests_total\{method="([A-Z]+)",route="([^"]+)",'
                     r'status="(\dxx)"\} (\d+)', re.M)
routes_asked = {}  # (method, route) -> set of status classes, over all servers of this process


def binary(kind="debug"):
    """kind: debug (sanitizers) or release. HF_TEST_BINARY overrides it for a whole suite."""
    kind = os.environ.get("HF_TEST_BINARY", kind)
    name = "HOLDFAST_DEBUG" if kind == "debug" else "HOLDFAST"
    path = os.environ.get(name) or str(ROOT / "build" / ("debug" if kind == "debug" else "") /
                                       "holdfast")
    if not pathlib.Path(path).exists():
        raise SystemExit(f"{path} does not exist: ./dev build")
    return path


def child_environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST")}
    env.setdefault("ASAN_OPTIONS",
                   "abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=0")
    env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:abort_on_error=1:print_stacktrace=1")
    env.update(extra or {})
    return env


class Process:
    """A child whose log is checked when it ends."""

    def __init__(self, name, folder):
        self.name, self.folder, self.process = name, folder, None
        self.log_path = folder / f"{name}.log"

    def spawn(self, command, env):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, cwd=self.folder)

    def text(self):
        return self.log_path.read_text(errors="replace")

    def tail(self, lines=30):
        return "\n".join(self.text().splitlines()[-lines:])

    def await_text(self, pattern):
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            found = re.findall(pattern, self.text())
            if len(found) > self.starts:
                self.starts += 1
                return found[-1]
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"{self.name} did not start:\n{self.tail()}")

    starts = 0

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """As a crash: nothing is flushed."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.check_log()

    def stop(self):
        if not self.process:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.name} does not end on SIGTERM:\n{self.tail()}") from None
        self.check_log()
        if status != 0:
            raise AssertionError(f"{self.name} ended with {status}:\n{self.tail()}")

    def check_log(self):
        text = self.text()
        found = BAD.search(text)
        if found:
            keep = ROOT / "build" / "logs" / "tests" / f"{self.name}-bad.log"
            keep.parent.mkdir(parents=True, exist_ok=True)
            keep.write_text(text)
            raise AssertionError(f"{self.name}, see {keep}:\n{text[found.start():][:4000]}")


class Mock(Process):
    def __init__(self, folder, *options, kind="debug", name="mock"):
        super().__init__(name, folder)
        self.spawn([binary(kind), "mock-llm", "--listen", "127.0.0.1:0", *options],
                   child_environment())
        self.url = self.await_text(r"mock-llm: (http://\S+)")

    def stats(self):
        host = self.url.split("/")[2]
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("GET", "/stats")
        stats = json.loads(connection.getresponse().read())
        connection.close()
        return stats


_api = []


def check_answer(server, method, path, body, response, data):
    """Each JSON answer is one that spec/openapi.json describes. (A hundred of an operation are
    enough. Suites without the packages of tests/requirements.txt check none.)"""
    kind = response.headers.get("content-type", "")
    if not kind.startswith("application/json") or method == "HEAD":
        return
    try:
        import openapi
    except ImportError:
        return
    if not _api:
        _api.extend((openapi.OpenApi(), {}))
    api, seen = _api
    template, _ = api.operation(method, path)
    key = (method, template, response.status)
    seen[key] = seen.get(key, 0) + 1
    if template and seen[key] <= 100:
        selected = "select" in path or "select" in str(body)
        api.check(method, path, response.status, kind, data, selected)


class Server(Process):
    def __init__(self, folder, mock, *options, kind="debug", name="server", env=None):
        super().__init__(name, folder)
        self.options, self.kind, self.port = list(options), kind, 0
        self.mock, self.env, self.data = mock, dict(env or {}), folder / f"{name}-data"
        self.database = None
        if postgres.wanted() and "DATABASE_URL" not in self.env:
            self.database = postgres.Database()
            self.env["DATABASE_URL"] = self.database.url
        self.start()

    def start(self):
        env = child_environment({"OPENAI_API_KEY": "no-key-needed",
                                 "OPENAI_BASE_URL": self.mock.url if self.mock else
                                 "http://127.0.0.1:9/v1", **self.env})
        self.spawn([binary(self.kind), "serve", "--listen", f"127.0.0.1:{self.port}", "--data",
                    str(self.data), "--log-format", "json", *self.options], env)
        line = self.await_text(r'(\{.*"server\.listening".*\})')
        self.port = json.loads(line)["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        if self.request("GET", "/ok")[2] != b'{"ok":true}':
            raise AssertionError("GET /ok")

    def request(self, method, path, body=None, headers=None, host="127.0.0.1"):
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection(host, self.port, timeout=60)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body,
                           {**({"Content-Type": "application/json"} if body is not None else {}),
                            **(headers or {})})
        response = connection.getresponse()
        data = response.read()
        connection.close()
        check_answer(self, method, path, body, response, data)
        return response.status, response.headers, data

    def json(self, method, path, body=None, status=200):
        got, _, data = self.request(method, path, body)
        if got != status:
            raise AssertionError(f"{method} {path}: {got} {data[:500]!r}, wanted {status}")
        return json.loads(data) if data else None

    def gather(self):
        if not self.alive():
            return
        text = self.request("GET", "/metrics")[2].decode()
        for method, route, status, count in COUNTED.findall(text):
            if int(count) > 0:
                routes_asked.setdefault((method, route), set()).add(status)

    def stop(self):
        self.gather()
        super().stop()

    def restart(self, how="stop"):
        """how: stop (SIGTERM) or kill (SIGKILL)."""
        self.gather()
        (super().stop if how == "stop" else self.kill)()
        self.start()


class Bench:
    """The processes of a suite and their folder."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-test-"))
        self.processes = []

    def mock(self, *options, **more):
        process = Mock(self.folder, *options, **more)
        self.processes.append(process)
        return process

    def server(self, mock, *options, **more):
        process = Server(self.folder, mock, *options, **more)
        self.processes.append(process)
        return process

    def close(self):
        faults = []
        for process in reversed(self.processes):
            try:
                process.stop()
            except Exception as fault:
                faults.append(str(fault))
                if process.process:
                    process.kill()
        for database in [p.database for p in self.processes if getattr(p, "database", None)]:
            try:
                database.drop()
            except Exception as fault:
                faults.append(str(fault))
        if faults:
            raise AssertionError("\n".join(faults))
        shutil.rmtree(self.folder, ignore_errors=True)
