"""harness.py - what the benchmarks share: processes on free ports, the load generator, the machine,
medians, targets and the result file.

Everything started here ends with the run; data lies in build/bench/, on a real disk.
"""
import base64
import contextlib
import datetime
import hmac
import http.client
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "bench"
RELEASE = ROOT / "build" / "release"
BINARY = ROOT / "build" / "holdfast"
RESULTS = ROOT / "bench" / "results"
# What the stand-in's first token looks like, in its own frames and in ours.
FIRST_TOKEN = '"content":"This"'
# The first words of the stand-in's answer: an answer without them is a failure.
EXPECT = "This stand-in answers every question with the same sentence"


FOREIGN_CORES_MAX = 0.1


class Failure(Exception):
    """The run cannot go on, or something answered wrongly."""


def say(text):
    print(f"bench: {text}", flush=True)


def use_build(folder):
    """Measures the server of this build folder instead."""
    global RELEASE, BINARY
    RELEASE = pathlib.Path(folder).resolve()
    BINARY = RELEASE / "src" / "cli" / "holdfast"


def build_tools():
    """The load generator and the SQLite floor, from the build that ./dev made."""
    if not (RELEASE / "build.ninja").exists():
        raise Failure("build/release is missing; run ./dev bench, or ./dev build first")
    done = subprocess.run(["flock", str(ROOT / "build" / "dev.lock"), "ninja", "-C", str(RELEASE),
                           "--quiet", "bench/hf-load", "bench/bench_floor_sqlite",
                           "bench/bench_auth", "bench/bench_pg", "bench/bench_history"],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"the build of the load generator failed: {done.stdout[-4000:]}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fresh_folder(name):
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def answers(port, path="/ok"):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return s.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def fetch(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


class Process:
    """A child that listens; .pid is the process whose CPU counts."""

    def __init__(self, name, argv, port, health, env=None, one_child=False):
        self.name, self.port = name, port
        WORK.mkdir(parents=True, exist_ok=True)
        self.log = WORK / f"{name}.log"
        with open(self.log, "wb") as log:
            self.started = time.monotonic()
            self.child = subprocess.Popen([str(a) for a in argv], stdout=log, stderr=log,
                                          env={**os.environ, **(env or {})},
                                          stdin=subprocess.DEVNULL, preexec_fn=raise_file_limit)
        while not answers(port, health):
            if self.child.poll() is not None or time.monotonic() - self.started > 30:
                self.stop()
                raise Failure(f"{name} does not answer: {self.log.read_text()[-2000:]}")
            time.sleep(0.0005)
        self.ready_ms = (time.monotonic() - self.started) * 1000
        self.pid = self.child.pid
        if one_child:  # a master with one worker, which does the work
            text = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            self.pid = int(text.split()[0])

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise Failure(f"{self.name} did not end 30 s after SIGTERM") from None

    def alive(self):
        return self.child.poll() is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def mock(delay_ms=10, token_delay_ms=0):
    port = free_port()
    return Process("mock", [BINARY, "mock-llm", "--listen", f"127.0.0.1:{port}", "--delay-ms",
                            delay_ms, "--token-delay-ms", token_delay_ms], port, "/health")


def server(data, model=None, name="server", options=(), database="", jwt_secret=""):
    """On the given data folder, or the database with this URL; model: the mock it asks. jwt_secret:
    every request must bring a token signed with it."""
    port = free_port()
    env = {"OPENAI_API_KEY": "x", "DATABASE_URL": database, "LOG_LEVEL": "warn", "PORT": "",
           "OPENAI_BASE_URL": f"http://127.0.0.1:{model.port if model else 9}/v1",
           "SUPABASE_JWT_SECRET": jwt_secret}
    return Process(name, [BINARY, "serve", "--listen", f"127.0.0.1:{port}", "--data", data,
                          *options], port, "/ok", env)


def token(secret):
    """A JWT for an hour, HS256."""
    def encoded(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    claims = {"sub": "bench", "exp": int(time.time()) + 3600}
    text = b".".join(encoded(json.dumps(part).encode())
                     for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (text + b"." + encoded(hmac.digest(secret.encode(), text, "sha256"))).decode()


NGINX_CONFIG = """daemon off; worker_processes 1; pid nginx.pid; error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp;
  scgi_temp_path temp;
  server { listen 127.0.0.1:%d; root .; open_file_cache max=100; }
}
"""


def nginx(body):
    """One worker that serves the bytes at /file.json. None when nginx is not installed."""
    exe = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not exe:
        return None
    folder, port = fresh_folder("nginx"), free_port()
    (folder / "file.json").write_bytes(body)
    config = NGINX_CONFIG.replace("root .;", f"root {folder};") % port
    (folder / "nginx.conf").write_text(config)
    return Process("nginx", [exe, "-p", folder, "-c", "nginx.conf", "-e", "stderr"], port,
                   "/file.json", one_child=True)


def busy_seconds():
    """CPU time of everything on the machine, since its start."""
    with open("/proc/stat", encoding="utf-8") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds(processes):
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime + sum(
        p.cpu_seconds() if hasattr(p, "cpu_seconds") else
        cpu_ticks(p.pid) / os.sysconf("SC_CLK_TCK") for p in processes)


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


# By run of the load generator: how many cores worked for somebody else meanwhile.
foreign_cores = []


def load(mode, target, watch=(), tolerate=False, **options):
    """Runs hf-load; options with '_' for '-'. A failure of any request fails the run."""
    argv = [str(RELEASE / "bench" / "hf-load"), mode, "--port", str(target.port)]
    for name, value in options.items():
        argv += ["--" + name.replace("_", "-"), str(value)]
    for process in watch or (target,):
        argv += ["--watch", f"{process.name}={process.pid}"]
    busy, own, begun = busy_seconds(), own_seconds(watch or (target,)), time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise Failure(f"{' '.join(argv)}: {done.stderr or done.stdout}") from None
    foreign = busy_seconds() - busy - (own_seconds(watch or (target,)) - own)
    result["foreign_cores"] = max(0, foreign / (time.monotonic() - begun))
    foreign_cores.append(result["foreign_cores"])
    if (done.returncode != 0 or result["failures"]) and not tolerate:
        raise Failure(f"{' '.join(argv)}: {result['failures']} failures: {result['errors']}")
    return result


def floor_sqlite(seconds):
    folder = fresh_folder("floor")
    argv = [str(RELEASE / "bench" / "bench_floor_sqlite"), str(seconds), str(folder / "floor.db")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def auth_costs(seconds):
    """Microseconds of finding out who sent a request, by way; see bench/auth.c."""
    done = subprocess.run([str(RELEASE / "bench" / "bench_auth"), str(seconds)],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def median(rounds, *path):
    """Of one figure over rounds of results; path: the keys down to it."""
    values = []
    for item in rounds:
        for key in path:
            item = item[key]
        values.append(item)
    return statistics.median(values)


def machine():
    cpu = "unknown"
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo", encoding="utf-8"):
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(pages / 2**30, 1),
            "kernel": platform.release().split("-")[0], "disk": disk(),
            "counting_ms": round(counting_ms(), 1)}


def counting_ms():
    """How long this Python takes to count to a million, the best of five: the clock of the cores,
    roughly, so that runs on different machines can be read side by side."""
    times = []
    for _ in range(5):
        start, n = time.perf_counter(), 0
        while n < 1_000_000:
            n += 1
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def disk():
    WORK.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["df", "--output=fstype", str(WORK)], capture_output=True, text=True,
                          check=False)
    return done.stdout.split()[-1] if done.returncode == 0 else "unknown"


def first_line(argv):
    with contextlib.suppress(OSError, IndexError):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip().splitlines()[0]
    return "none"


def versions():
    return {"holdfast": first_line([str(BINARY), "--version"]),
            "binary_built": datetime.datetime.fromtimestamp(
                BINARY.stat().st_mtime).astimezone().isoformat(timespec="seconds"),
            "head": first_line(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]),
            "nginx": first_line([shutil.which("nginx") or "/usr/sbin/nginx", "-v"]),
            "compiler": first_line([os.environ.get("CC", "gcc"), "--version"])}


class Result:
    """The figures of one benchmark, its targets, and the file they end in."""

    note = ""  # what this run measures that the one before did not have

    def __init__(self, bench, method, database=None):
        self.data = {"bench": bench, "note": Result.note,
                     "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
                     "method": method, "machine": machine(), "versions": versions(),
                     "load_average_before": os.getloadavg()[0], "figures": {}, "targets": []}
        if database:
            self.data["database"] = database.describe()
        self.figures = self.data["figures"]

    def target(self, name, value, unit, at_least=None, at_most=None):
        bound = at_least if at_least is not None else at_most
        met = value >= bound if at_least is not None else value <= bound
        self.data["targets"].append({
            "name": name, "value": round(value, 4), "unit": unit,
            "target": f"{'>=' if at_least is not None else '<='} {bound}", "met": bool(met),
            "of_target": round(value / bound, 3) if bound else None})

    def save(self):
        foreign = statistics.median(foreign_cores) if foreign_cores else 0
        self.data["foreign_cores_median"] = round(foreign, 3)
        if foreign > FOREIGN_CORES_MAX:
            say(f"the machine was busy: {foreign:.2f} cores worked for others; figures are too low")
        foreign_cores.clear()
        RESULTS.mkdir(parents=True, exist_ok=True)
        stamp = self.data["time"][:16].replace(":", "")
        path = RESULTS / f"{stamp}-{self.data['bench']}.json"
        path.write_text(json.dumps(self.data, indent=1) + "\n")
        for t in self.data["targets"]:
            say(f"{'met   ' if t['met'] else 'MISSED'} {t['name']}: {t['value']:g} {t['unit']}"
                f" (target {t['target']})")
        say(f"wrote {path.relative_to(ROOT)}")
