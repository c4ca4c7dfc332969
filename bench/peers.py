# SPDX-License-Identifier: Apache-2.0
"""peers.py - the programs of bench/peers, in node, and the packages they need (build/peers)."""
import json
import os
import pathlib
import subprocess

import harness as h

HERE = h.ROOT / "bench" / "peers"
FOLDER = h.ROOT / "build" / "peers"
NATIVE = "better-sqlite3"  # made from its source: what it would fetch instead is no package


def npm(*words):
    env = dict(os.environ)
    if pathlib.Path("/usr/include/node/node.h").exists():
        env["npm_config_nodedir"] = "/usr"  # or its headers are fetched, too
    done = subprocess.run(["npm", *words, "--silent"], cwd=FOLDER, capture_output=True, text=True,
                          env=env, check=False)
    if done.returncode != 0:
        raise h.Failure(f"npm {words[0]}: {(done.stderr or done.stdout)[-1500:]}")


def packages():
    wanted = (HERE / "package.json").read_text()
    mark = FOLDER / "installed.json"
    if mark.exists() and mark.read_text() == wanted:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text(wanted)
    npm("install", "--no-audit", "--no-fund", "--ignore-scripts")
    npm("rebuild", NATIVE, "--build-from-source")
    mark.write_text(wanted)


def run(name, *words):
    """The line of JSON that it prints."""
    done = subprocess.run(["node", HERE / name, *map(str, words)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise h.Failure(f"{name}: {done.stderr[-1500:]}")
    return json.loads(done.stdout)
