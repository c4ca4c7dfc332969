# SPDX-License-Identifier: Apache-2.0
"""sdk.py - the official Python client (PyPI langgraph-sdk), each of its answers checked.

Import it after suite.use_venv().
"""
import httpx
from langgraph_sdk import get_client

from suite import equal, is_true


def client(url, api, headers=None, timeout=60):
    """api: an openapi.OpenApi() that every JSON answer must match."""
    async def check(response):
        kind = response.headers.get("content-type", "")
        if kind.startswith("text/event-stream"):
            return
        body = await response.aread()
        asked = response.request
        api.check(asked.method, asked.url.path, response.status_code, kind, body,
                  selected=b'"select":' in asked.content or b"select=" in asked.url.query)

    made = get_client(url=url, timeout=timeout, headers=headers)
    made.http.client.event_hooks["response"].append(check)
    return made


def human(text, **more):
    return {"messages": [{"role": "user", "content": text, **more}]}


async def collect(stream):
    return [part async for part in stream]


async def refused(awaitable, error, status, text):
    """The call must raise this class, with this status, and the text in its message. The client's
    wait, join and cancel raise the transport's own class."""
    try:
        await awaitable
    except httpx.HTTPStatusError as e:
        is_true(isinstance(e, error) or type(e) is httpx.HTTPStatusError,
                f"{type(e).__name__} instead of {error.__name__}: {e}")
        equal(e.response.status_code, status, "status")
        detail = e.response.json()["detail"]
        is_true(text in detail, f"{text!r} is not in {detail!r}")
        return e
    raise AssertionError(f"{error.__name__} was not raised")
