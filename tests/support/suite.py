# SPDX-License-Identifier: Apache-2.0
"""suite.py - the frame of a suite: functions marked with @test run in order, each on its own.

A test fails by an exception; nothing else counts. The last line is "N passed, N failed". Names
given on the command line select by substring. A suite starts its servers in main()'s `setup`, which
gives the context that every test takes, and ends them in its `teardown`, whose failure counts as a
test: that is where sanitizer reports and unclean exits show.
"""
import asyncio
import faulthandler
import inspect
import os
import pathlib
import signal
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
FULL = os.environ.get("HF_TEST_FULL") == "1"
TEST_SECONDS_MAX = 300 if FULL else 90
_tests = []


def use_venv():
    """The packages of tests/requirements.txt live in build/venv."""
    python = ROOT / "build" / "venv" / "bin" / "python"
    if python.exists() and pathlib.Path(sys.prefix).resolve() != (ROOT / "build/venv").resolve():
        os.execv(str(python), [str(python), *sys.argv])


def test(function):
    _tests.append(function)
    return function


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


def is_true(value, what):
    if not value:
        raise AssertionError(what)


def eventually(probe, what, seconds=20):
    """Waits until probe() is true; the bound only ends a test that would never pass."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = probe()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"it never happened: {what}")


def _late(signum, frame):
    raise TimeoutError(f"took more than {TEST_SECONDS_MAX} s")


def _run(function, *args):
    signal.alarm(TEST_SECONDS_MAX)
    try:
        result = function(*args)
        if inspect.iscoroutine(result):
            asyncio.run(result)
        return None
    except Exception:
        return traceback.format_exc(limit=-6)
    finally:
        signal.alarm(0)


def main(setup, teardown):
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _late)
    names = sys.argv[1:]
    passed = failed = 0
    context = setup()
    for function in _tests:
        if names and not any(n in function.__name__ for n in names):
            continue
        start = time.monotonic()
        error = _run(function, context)
        seconds = time.monotonic() - start
        print(f"{'not ok' if error else 'ok'} {function.__name__} {seconds:.2f} s", flush=True)
        if error:
            failed += 1
            print(error, flush=True)
        else:
            passed += 1
    error = _run(teardown, context)
    if error:
        failed += 1
        print(f"not ok end\n{error}")
    else:
        passed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
