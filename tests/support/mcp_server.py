#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp_server.py PORT [--token TOKEN] - an MCP server made with the official Python SDK (PyPI mcp):
revision 2026-07-28 and, with initialize, the older ones. With a token it wants that bearer."""
import asyncio
import json
import sys
import urllib.parse

import uvicorn
from mcp.server.mcpserver import Context, Image, MCPServer

server = MCPServer("python-tools")
state = {"cancelled": 0}


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def whoami(ctx: Context) -> str:
    """Who asks."""
    return "you are " + (ctx.request_context.request.headers.get("authorization") or "nobody")


@server.tool()
async def slow(seconds: float, ctx: Context) -> str:
    """Takes its time and says how far it is."""
    try:
        for i in range(4):
            await ctx.report_progress(i + 1, 4, f"step {i + 1}")
            await asyncio.sleep(seconds / 4)
    except asyncio.CancelledError:
        state["cancelled"] += 1
        raise
    return "done"


@server.tool()
def picture() -> Image:
    """Draws."""
    return Image(data=b"\x89PNG", format="png")


@server.tool()
def broken() -> str:
    """Fails."""
    raise ValueError("it is broken")


@server.tool()
def cancelled() -> int:
    """How many calls were cancelled."""
    return state["cancelled"]


async def exchange(receive, send):
    """RFC 8693; the tokens it gives say whose they are and for what."""
    body = (await receive())["body"].decode()
    form = {k: v[0] for k, v in urllib.parse.parse_qs(body).items()}
    good = (form.get("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange" and
            form.get("subject_token_type") == "urn:ietf:params:oauth:token-type:access_token" and
            form.get("client_id") == "mcp_default" and form.get("subject_token") != "revoked")
    port = urllib.parse.urlsplit(form.get("resource", "")).port
    answer = {"access_token": f"for-{form.get('subject_token')}-at-{port}",
              "token_type": "Bearer"} if good else {"error": "invalid_grant"}
    await send({"type": "http.response.start", "status": 200 if good else 400,
                "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def guarded(app, token):
    async def answer(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/oauth/token":
            await exchange(receive, send)
            return
        if scope["type"] == "http" and token:
            headers = dict(scope["headers"])
            if headers.get(b"authorization") != f"Bearer {token}".encode():
                await send({"type": "http.response.start", "status": 401,
                            "headers": [(b"www-authenticate", b"Bearer")]})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)
    return answer


if __name__ == "__main__":
    wanted = sys.argv[3] if len(sys.argv) > 3 else None
    uvicorn.run(guarded(server.streamable_http_app(), wanted), port=int(sys.argv[1]),
                log_level="info")
