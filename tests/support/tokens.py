# SPDX-License-Identifier: Apache-2.0
"""tokens.py - tokens, key pairs and an authority for tests, without any package: HMAC is Python's,
the rest is done by the openssl program.
"""
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import subprocess
import threading
import time


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(sub, **more):
    now = int(time.time())
    return {"sub": sub, "iat": now, "exp": now + 600, **more}


def unsigned(header, body):
    return f"{b64(json.dumps(header))}.{b64(body if isinstance(body, str) else json.dumps(body))}"


def hs256(secret, body, **header):
    data = unsigned({"alg": "HS256", "typ": "JWT", **header}, body)
    key = secret if isinstance(secret, bytes) else secret.encode()
    return f"{data}.{b64(hmac.new(key, data.encode(), hashlib.sha256).digest())}"


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def pair_of(der):
    """r and s of an ECDSA signature, 32 bytes each."""
    parts, at = [], 2
    for _ in range(2):
        size = der[at + 1]
        parts.append(der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0"))
        at += 2 + size
    return b"".join(parts)


class Key:
    """alg: RS256, ES256 or EdDSA."""
    OPTIONS = {"RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
               "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
               "EdDSA": ["-algorithm", "ED25519"]}

    def __init__(self, folder, alg, kid):
        self.alg, self.kid = alg, kid
        self.path = pathlib.Path(folder) / f"key-{alg}-{kid}.pem"
        self.path.write_bytes(openssl("genpkey", *self.OPTIONS[alg]))
        self.public = openssl("pkey", "-in", str(self.path), "-pubout", "-outform", "DER")

    def pem(self):
        return openssl("pkey", "-in", str(self.path), "-pubout")

    def jwk(self):
        common = {"kid": self.kid, "use": "sig", "alg": self.alg}
        if self.alg == "RS256":
            text = openssl("rsa", "-in", str(self.path), "-noout", "-modulus").decode()
            n = bytes.fromhex(text.strip().split("=")[1])
            return {"kty": "RSA", "n": b64(n), "e": "AQAB", **common}
        if self.alg == "ES256":
            return {"kty": "EC", "crv": "P-256", "x": b64(self.public[-64:-32]),
                    "y": b64(self.public[-32:]), **common}
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(self.public[-32:]), **common}

    def token(self, body, **header):
        data = unsigned({"alg": self.alg, "kid": self.kid, **header}, body).encode()
        if self.alg == "EdDSA":
            part = self.path.with_suffix(".data")
            part.write_bytes(data)
            signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(self.path), "-in",
                                str(part))
        else:
            signature = openssl("dgst", "-sha256", "-sign", str(self.path), data=data)
            if self.alg == "ES256":
                signature = pair_of(signature)
        return f"{data.decode()}.{b64(signature)}"


class Authority:
    """Serves a key set, introspection and Supabase's user; what it answers is set by the test."""

    def __init__(self, port=0):
        self.keys, self.status, self.delay = [], 200, 0
        self.users = {}  # token → what is known of it
        self.asked = {"jwks": 0, "introspect": 0, "user": 0}
        self.last = {}
        self.lock = threading.Lock()
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self, kind, status, value):
                with authority.lock:
                    authority.asked[kind] += 1
                    authority.last = dict(self.headers)
                if authority.delay:
                    time.sleep(authority.delay)
                if authority.status != 200:
                    status, value = authority.status, {"msg": "out of order"}
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                if self.path == "/jwks":
                    self.answer("jwks", 200, {"keys": authority.keys})
                    return
                token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
                known = authority.users.get(token)
                self.answer("user", 200 if known else 403, known or {"msg": "invalid JWT"})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                known = authority.users.get(body.removeprefix("token=").split("&")[0])
                self.answer("introspect", 200, {"active": True, **known} if known else
                            {"active": False})

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 200
            daemon_threads = True

            def handle_error(self, request, address):
                pass  # a client that did not wait

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
