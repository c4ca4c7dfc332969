# SPDX-License-Identifier: Apache-2.0
"""postgres.py - PostgreSQL clusters and PgBouncer for tests and benchmarks.

A cluster is one `postgres` process, made by initdb in a temporary folder of its own, with a free
TCP port on 127.0.0.1 and a socket in that folder; it has nothing to do with the cluster that a
package may have made. PostgreSQL refuses to run as root: under root everything here runs as the
user `postgres`, which the package makes. The port stays the same over restarts. It lies below the
range that the kernel takes for outgoing connections, since a client of the same machine could
otherwise sit on it, or connect to itself, while the server is down.

`cluster()` gives the one that the environment names (HF_TEST_POSTGRES, set by tools/run-tests: one
for a whole run of tests), or starts one. `Postgres.create_database()` is a fresh database on it.

Suites that run on either database ask `wanted()`: HF_TEST_DATABASE=postgres gives each of their
servers a `Database` of its own there, instead of SQLite in the data folder; =pgbouncer, too, but
reached through a transaction pooler.

HF_TEST_POSTGRES_BIN names another folder of binaries than the newest in /usr/lib/postgresql.
"""
import atexit
import contextlib
import csv
import io
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import uuid

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
PORTS = (15000, 30000)
START_TRIES = 5
USER = "postgres"
READY = re.compile("database system is ready to accept (read.only )?connections")
# A crash of the server itself, and statements that are wrong in themselves (classes 42 and XX).
BAD = re.compile(r"PANIC:|TRAP:|was terminated by signal (?!9)|could not fsync|invalid page")
WRONG = re.compile(r"^.* (?:42\w{3}|XX\w{3}) (?P<database>\S*) \S* ?(?:ERROR|FATAL):.*$", re.M)
# What tests want: quick to start, an honest log. Durability is the default's: fsync and
# synchronous_commit are on unless a test says otherwise.
SETTINGS = {
    "listen_addresses": "127.0.0.1", "max_connections": 300, "shared_buffers": "128MB",
    "log_line_prefix": "%m [%p] %e %d %a ", "log_statement": "none", "logging_collector": "off",
    "log_min_messages": "warning", "log_checkpoints": "off", "timezone": "UTC",
    "lc_messages": "C", "max_wal_size": "2GB", "unix_socket_permissions": "0777"}


class PostgresError(Exception):
    """A cluster that does not start, or a statement of a test that fails."""


def binaries():
    """The folder of initdb and postgres."""
    named = os.environ.get("HF_TEST_POSTGRES_BIN")
    folders = [pathlib.Path(named)] if named else sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda f: float(f.parent.name) if f.parent.name.replace(".", "").isdigit() else 0,
        reverse=True)
    for folder in folders:
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found:
        return pathlib.Path(found).resolve().parent
    raise PostgresError("PostgreSQL is not installed: apt-get install postgresql")


def owner():
    """Who may run a server: {} for ourselves, else what subprocess takes to become another."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        raise PostgresError(f"the user {USER} is missing; the package postgresql makes it") \
            from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give(path):
    """Hands a file or folder over to the user that runs servers."""
    who = owner()
    if who:
        os.chown(path, who["user"], who["group"])


def make_folder(prefix, parent=None):
    """A temporary folder that the server's user owns and can reach."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    give(folder)
    who = owner()
    if who and subprocess.run(["test", "-w", str(folder)], check=False, **who).returncode != 0:
        folder.rmdir()
        if parent is None:
            raise PostgresError(f"the user {USER} cannot write to {folder.parent}")
        return make_folder(prefix, "/var/tmp")
    return folder


def free_port():
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def environment():
    """Without a developer's PGHOST, PGOPTIONS and the like."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return {**env, "LC_ALL": "C.UTF-8"}


def rows_of(text):
    return [tuple(row) for row in csv.reader(io.StringIO(text))]


class Child:
    """A server process in a folder of its own; ends with the program that started it."""

    living = set()

    def __init__(self, name, folder, port):
        self.name, self.folder, self.process = name, folder, None
        self.port = port or free_port()
        self.log_path = folder / f"{name}.log"
        self.kept = False

    def spawn(self, command):
        self.log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.folder,
                                            env=environment(), **owner())
        Child.living.add(self)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def text(self):
        """The log since the last start."""
        with open(self.log_path, "rb") as f:
            f.seek(self.log_start)
            return f.read().decode(errors="replace")

    def tail(self, lines=20):
        return "\n".join(self.text().splitlines()[-lines:])

    def end(self, number):
        """Sends the signal and waits; what does not end is killed, and that is an error."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise PostgresError(f"{self.name} does not end:\n{self.tail()}") from None
        finally:
            Child.living.discard(self)

    def await_ready(self, ready):
        """True when it is; False: the port was taken meanwhile."""
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            if ready():
                return True
            if self.process.poll() is not None:
                Child.living.discard(self)
                self.process = None
                if re.search(r"[Aa]ddress already in use", self.text()):
                    return False
                break
            time.sleep(0.01)
        raise PostgresError(f"{self.name} does not start:\n{self.tail()}")

    ending = signal.SIGQUIT

    def close(self):
        """Ends it and removes its folder."""
        self.end(self.ending)
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@atexit.register
def end_living():
    for child in list(Child.living):
        with contextlib.suppress(PostgresError, OSError):
            child.close()


class Postgres(Child):
    """A cluster. fsync=False for tests in which nothing crashes; settings override SETTINGS.
    standby_of: a hot standby of that one, which from then on answers a commit when the standby has
    it, too."""

    starts = 0
    STOPS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

    def __init__(self, fsync=True, settings=None, name="postgres", parent=None, start=True,
                 standby_of=None):
        super().__init__(name, make_folder("holdfast-pg-", parent), None)
        self.bin, self.data = binaries(), self.folder / "data"
        self.settings = {**SETTINGS, "fsync": "on" if fsync else "off", **(settings or {})}
        # These files need no sync: a crash of the machine ends the test, too.
        if standby_of:
            self.run("pg_basebackup", "-D", self.data, "-h", standby_of.folder, "-p",
                     standby_of.port, "-U", USER, "-R", "-c", "fast", "--no-sync")
        else:
            self.run("initdb", "-D", self.data, "-U", USER, "-A", "trust", "--encoding=UTF8",
                     "--locale=C.UTF-8", "--no-sync")
        if start or standby_of:
            self.start()
        if standby_of:
            standby_of.psql("ALTER SYSTEM SET synchronous_standby_names = '*'; "
                            "SELECT pg_reload_conf()")

    def run(self, program, *arguments):
        done = subprocess.run([self.bin / program, *map(str, arguments)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=environment(),
                              cwd=self.folder, check=False, **owner())
        if done.returncode != 0:
            raise PostgresError(f"{program}: {done.stdout}")

    def promote(self):
        """A standby becomes the one that is written to."""
        self.psql("ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_promote()")

    def command(self):
        options = {**self.settings, "port": self.port, "unix_socket_directories": self.folder}
        return [self.bin / "postgres", "-D", self.data,
                *(part for k, v in options.items() for part in ("-c", f"{k}={v}"))]

    def start(self, wait=True):
        """Returns when it answers. wait=False: at once; await_start() waits."""
        first = self.starts == 0
        self.starts += 1
        for _ in range(START_TRIES):
            self.spawn(self.command())
            if not wait or self.await_start():
                return self
            if not first:  # the port belongs to the cluster: clients know it
                time.sleep(0.5)
                continue
            self.port = free_port()
        raise PostgresError(f"{self.name} finds no free port:\n{self.tail()}")

    def await_start(self):
        return self.await_ready(lambda: READY.search(self.text()))

    def stop(self, mode="fast"):
        """mode: smart, fast (a shutdown with a checkpoint), immediate (as after a crash)."""
        self.end(self.STOPS[mode])

    def kill(self):
        """SIGKILL of the parent process; its children notice and end. Shared memory is left."""
        if self.process is None:
            return
        children = self.children()
        self.end(signal.SIGKILL)
        until = time.monotonic() + STOP_SECONDS_MAX
        while time.monotonic() < until and any(map(running, children)):
            time.sleep(0.01)

    def children(self):
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(OSError):
            return [int(pid) for pid in path.read_text().split()]
        return []

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    # --- talking to it
    def url(self, database="postgres", host="127.0.0.1", port=None, **parameters):
        """A URL for clients. host: a name, or several with ports (`h1:1,h2:2`)."""
        place = host if ":" in host else f"{host}:{port or self.port}"
        text = f"postgresql://{USER}@{place}/{urllib.parse.quote(database)}"
        return text + ("?" + urllib.parse.urlencode(parameters) if parameters else "")

    def socket_url(self, database="postgres"):
        place = f"{urllib.parse.quote(str(self.folder), safe='')}:{self.port}"
        return f"postgresql://{USER}@{place}/{urllib.parse.quote(database)}"

    def psql(self, sql, database="postgres"):
        """Runs statements; the rows of the last one as tuples of texts."""
        done = subprocess.run([self.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--csv",
                               "-t", "-d", self.socket_url(database)],
                              input=sql, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=environment(), check=False)
        if done.returncode != 0:
            raise PostgresError(f"{done.stderr.strip()}: {sql[:300]}")
        return rows_of(done.stdout)

    def create_database(self, name=None):
        """A fresh database; returns its name."""
        name = name or "hf_" + uuid.uuid4().hex[:12]
        self.psql(f'CREATE DATABASE "{name}"')
        return name

    def drop_database(self, name):
        self.psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def check_log(self, database=None):
        """Raises for a crash of the server, and for wrong statements in this database."""
        return check_log(self.log_path, database)

    def cpu_seconds(self):
        """Of the server with all its processes, ended ones included."""
        ticks = 0
        for pid in [self.process.pid, *self.children()]:
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                own = 4 if pid == self.process.pid else 2  # the parent's include ended ones
                ticks += sum(map(int, fields[11:11 + own]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def amcheck(self):
        """What pg_amcheck finds wrong in tables and indexes of all databases, or None."""
        done = subprocess.run([self.bin / "pg_amcheck", "--all", "--install-missing",
                               "--heapallindexed", "-h", self.folder, "-p", str(self.port),
                               "-U", USER], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env=environment(), check=False)
        return done.stdout or f"exit code {done.returncode}" if done.returncode != 0 else None

    def version(self):
        return subprocess.run([self.bin / "postgres", "--version"], capture_output=True,
                              text=True, check=True).stdout.strip()


def running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def check_log(path, database=None):
    text = pathlib.Path(path).read_text(errors="replace")
    found = BAD.search(text)
    if found:
        raise AssertionError(f"the log of PostgreSQL, {path}:\n"
                             f"{text[max(0, found.start() - 300):][:3000]}")
    wrong = [m.group(0) for m in WRONG.finditer(text) if m.group("database") == database]
    if database and wrong:
        raise AssertionError("PostgreSQL found statements wrong:\n" + "\n".join(wrong[:8]))


class Shared:
    """The cluster that the environment names: databases come and go, the server is not ours."""

    def __init__(self, place):
        folder, port = place.rsplit(":", 1)
        self.folder, self.port = pathlib.Path(folder), int(port)
        self.bin, self.log_path = binaries(), self.folder / "postgres.log"

    url, socket_url, psql = Postgres.url, Postgres.socket_url, Postgres.psql
    create_database, drop_database = Postgres.create_database, Postgres.drop_database
    check_log = Postgres.check_log

    def close(self):
        pass


_cluster = None


def cluster():
    """The cluster that tests of this process share; see the top."""
    global _cluster
    if _cluster is None:
        place = os.environ.get("HF_TEST_POSTGRES")
        _cluster = Shared(place) if place else Postgres(fsync=False)
    return _cluster


def place_of(postgres):
    """For HF_TEST_POSTGRES."""
    return f"{postgres.folder}:{postgres.port}"


def wanted():
    """Does this suite run on PostgreSQL?"""
    name = os.environ.get("HF_TEST_DATABASE", "sqlite")
    if name not in ("sqlite", "postgres", "pgbouncer"):
        raise SystemExit(f"HF_TEST_DATABASE={name}: not sqlite, postgres or pgbouncer")
    return name != "sqlite"


_bouncer = None


def bouncer():
    """A pooler in front of cluster(), for this process."""
    global _bouncer
    if _bouncer is None:
        _bouncer = PgBouncer(cluster())
    return _bouncer


class Rows(list):
    """As a cursor of the sqlite3 module."""

    def fetchall(self):
        return self


class Database:
    """A database of a server under test. url: what the server gets, when not that of the cluster
    (a pooler's, a proxy's)."""

    def __init__(self, on=None, url=None):
        self.cluster = on or cluster()
        self.name = self.cluster.create_database()
        if not on and not url and os.environ.get("HF_TEST_DATABASE") == "pgbouncer":
            url = bouncer().url
        self.url = url(self.name) if url else self.cluster.url(self.name)

    def execute(self, sql):
        """The rows of one query, as tuples of what their JSON forms give."""
        text = self.cluster.psql(f"SELECT row_to_json(q) FROM ({sql}\n) q", self.name)
        return Rows(json.loads(line, object_pairs_hook=lambda pairs: tuple(v for _, v in pairs))
                    for line, in text)

    def quiet(self, seconds=30):
        """Waits until nobody does anything: what a killed client had sent is decided. (Behind a
        pooler connections outlive their clients.)"""
        until = time.monotonic() + seconds
        while True:
            (count,), = self.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND "
                "(state <> 'idle' OR state_change > clock_timestamp() - interval '100 ms')")
            if count == 0:
                return
            if time.monotonic() > until:
                raise PostgresError(f"{count} connections to {self.name} are still busy")
            time.sleep(0.02)

    def drop(self):
        """Raises when PostgreSQL found statements of the server wrong."""
        self.cluster.drop_database(self.name)
        self.cluster.check_log(self.name)


BOUNCER = """[databases]
* = host={host} port={target} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 1000
default_pool_size = {size}
logfile = {folder}/pgbouncer.log
ignore_startup_parameters = extra_float_digits
admin_users = {user}
"""


class Lock:
    """An exclusive lock on a table, in a psql of its own."""

    def __init__(self, cluster, database, table):
        self.process = subprocess.Popen(
            [cluster.bin / "psql", "-XqAt", "-d", cluster.socket_url(database)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
        self.process.stdin.write(
            f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT 'held';\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != "held":
            raise PostgresError(f"no lock on {table}")

    def release(self):
        self.process.stdin.close()
        self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


class PgBouncer(Child):
    """A transaction pooler in front of a cluster, with `size` connections to each database."""

    ending = signal.SIGKILL  # SIGQUIT is nothing to it where whoever began it ignores that

    def __init__(self, postgres, size=8, settings=()):
        super().__init__("pgbouncer", make_folder("holdfast-bouncer-"), None)
        exe = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
        if not exe:
            raise PostgresError("pgbouncer is not installed: apt-get install pgbouncer")
        self.exe, self.target, self.size, self.settings = exe, postgres, size, settings
        self.log_path.touch()
        give(self.log_path)
        self.start()

    def start(self):
        for _ in range(START_TRIES):
            path = self.folder / "pgbouncer.ini"
            text = BOUNCER.format(host=self.target.folder, target=self.target.port, port=self.port,
                                  size=self.size, folder=self.folder, user=USER)
            path.write_text(text + "".join(f"{line}\n" for line in self.settings))
            give(path)
            self.spawn([self.exe, "-q", path])
            if self.await_ready(self.accepts):
                return self
            self.port = free_port()
        raise PostgresError(f"pgbouncer finds no free port:\n{self.tail()}")

    def accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return self.process.poll() is None
        except OSError:
            return False

    def stop(self):
        self.end(signal.SIGTERM)

    def kill(self):
        self.end(signal.SIGKILL)

    def url(self, database, **parameters):
        return Postgres.url(self, database, **parameters)

    def show(self, what):
        """Rows of SHOW … of the pooler's own console."""
        done = subprocess.run([binaries() / "psql", "-X", "-q", "--csv", "-t", "-c", f"SHOW {what}",
                               "-d", self.url("pgbouncer")], stdout=subprocess.PIPE, text=True,
                              env=environment(), check=True)
        return rows_of(done.stdout)
