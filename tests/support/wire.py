# SPDX-License-Identifier: Apache-2.0
"""wire.py - HTTP/1.1 by hand, for what no client library would send; and a reader of event streams.
"""
import json
import socket


class Wire:
    """One connection. send() takes bytes as they are; read() gives one response at a time."""

    def __init__(self, port, seconds=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = bytearray()  # its front is cut off without copying the rest

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def more(self):
        data = self.socket.recv(65536)
        self.left += data
        return bool(data)

    def until(self, mark):
        while mark not in self.left:
            if not self.more():
                raise EOFError(f"closed after {self.left[:200]!r}")
        return self.take(self.left.index(mark), len(mark))

    def exactly(self, count):
        while len(self.left) < count:
            if not self.more():
                raise EOFError(f"closed {count - len(self.left)} bytes before the end")
        return self.take(count)

    def take(self, count, more=0):
        data = bytes(self.left[:count])
        del self.left[:count + more]
        return data

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ", 2)
        if version != "HTTP/1.1":
            raise AssertionError(lines[0])
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        return int(status), headers

    def read(self, has_body=True):
        """(status, headers, body) of the next final response."""
        status, headers = self.head()
        while status == 100:
            status, headers = self.head()
        if not has_body or status in (204, 304):
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            body = bytearray()
            while True:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                body += self.exactly(size)
                if self.exactly(2) != b"\r\n":
                    raise AssertionError("a chunk does not end with CRLF")
                if size == 0:
                    return status, headers, bytes(body)
        return status, headers, self.exactly(int(headers.get("content-length", "0")))

    def closed(self):
        """True when the peer has closed and left nothing unread."""
        try:
            while self.more():
                pass
        except ConnectionError:
            pass
        return self.left == b""

    def ask(self, method, path, body=None, headers=()):
        self.send(request(method, path, body, headers))
        return self.read(has_body=method != "HEAD")


def request(method, path, body=None, headers=()):
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    lines += [f"{k}: {v}" for k, v in headers]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def parse_events(data):
    """[(event, data text, id)] of the complete frames of an event stream; comments are dropped."""
    frames = []
    for block in data.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]:
        event, lines, last_id = None, [], None
        for line in block.split(b"\n"):
            if line.startswith(b":") or not line:
                continue
            name, _, value = line.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            if name == b"event":
                event = value.decode()
            elif name == b"data":
                lines.append(value.decode())
            elif name == b"id":
                last_id = value.decode()
        if event is not None or lines:
            frames.append((event, "\n".join(lines), last_id))
    return frames
