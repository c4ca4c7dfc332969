# SPDX-License-Identifier: Apache-2.0
"""ws.py - WebSocket by hand, over wire.py: handshakes and frames that no client library would send.
"""
import struct

import wire
from suite import equal, is_true


def shake(path, **changed):
    """A handshake; a header that is None is left out."""
    headers = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade",
               "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
               **{k.replace("_", "-"): v for k, v in changed.items()}}
    return wire.request("GET", path, headers=[(k, v) for k, v in headers.items() if v is not None])


def frame(first, data, masked=True):
    head = bytes([first])
    bit = 128 if masked else 0
    if len(data) < 126:
        head += bytes([bit | len(data)])
    elif len(data) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(data))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(data))
    if not masked:
        return head + data
    mask = b"\x11\x22\x33\x44"
    key = int.from_bytes((mask * (len(data) // 4 + 1))[:len(data)], "big")
    return head + mask + (int.from_bytes(data, "big") ^ key).to_bytes(len(data), "big")


def read_frame(w):
    first, second = w.exactly(2)
    length = second & 127
    if length > 125:
        length = int.from_bytes(w.exactly(2 if length == 126 else 8), "big")
    is_true(not second & 128, "a server's frames are not masked")
    return first, w.exactly(length)


def opened(port, path):
    w = wire.Wire(port)
    w.send(shake(path))
    status, headers = w.head()
    equal((status, headers["upgrade"], headers["connection"].lower()),
          (101, "websocket", "upgrade"), "the handshake")
    equal(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "as in the RFC")
    return w


def broken_frames(text):
    """[(bytes, close code)] of what breaks the rules; nothing that follows is looked at."""
    return [(frame(0x81, b"x", masked=False), 1002), (frame(0xc1, b"x"), 1002),
            (frame(0x83, b"x"), 1002), (frame(0x80, b"x"), 1002), (frame(0x88, b"x"), 1002),
            (frame(0x88, b"\x03\xed"), 1002), (frame(0x09, b""), 1002),
            (frame(0x89, b"x" * 126), 1002), (frame(0x82, b"x"), 1003),
            (frame(0x81, b"\xff"), 1007), (b"\x81\xff" + struct.pack(">Q", 17 << 20), 1009),
            (frame(0x01, text[:3]) + frame(0x81, text), 1002)]
