# SPDX-License-Identifier: Apache-2.0
"""receiver.py - who is told by webhooks: a server in the test that keeps what came and answers what
it is told to; and Standard Webhooks' rule for signatures, written from its text."""
import base64
import hashlib
import hmac
import http.server
import threading
import time

from suite import eventually


class Receiver:
    """Answers what its list says, then what `decide` says (path -> status, headers, body, seconds
    to wait before that), then 200; keeps what came."""

    def __init__(self, port=0):
        receiver = self
        self.seen, self.answers, self.lock = [], [], threading.Lock()
        self.decide = None
        self.asked, self.consent = [], lambda path: {}  # OPTIONS: what came; headers of the answer

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                wait = 0
                with receiver.lock:
                    if receiver.answers:
                        status, headers, data = receiver.answers.pop(0)
                    elif receiver.decide and receiver.decide(self.path):
                        status, headers, data, wait = receiver.decide(self.path)
                    else:
                        status, headers, data = 200, {}, b"thanks"
                    receiver.seen.append((self.path, dict(self.headers.items()), body, status))
                time.sleep(wait)
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except ConnectionError:
                    pass  # who asked is gone

            do_GET = do_POST

            def do_OPTIONS(self):
                with receiver.lock:
                    receiver.asked.append((self.path, dict(self.headers.items()),
                                           len(receiver.seen)))
                    headers = receiver.consent(self.path)
                self.send_response(200 if headers is not None else 405)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # who asked is gone
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def of(self, path):
        with self.lock:
            return [s for s in self.seen if s[0] == path]

    def await_path(self, path, count=1):
        def probe():
            found = self.of(path)
            return [s[:3] for s in found] if len(found) >= count else None
        return eventually(probe, f"{count} deliveries to {path}", 40)

    def count(self, path):
        return len(self.of(path))

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def verified(headers, body, key):
    names = {k.lower(): v for k, v in headers.items()}
    signed = f"{names['webhook-id']}.{names['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{mac}" in names["webhook-signature"].split(" ")
