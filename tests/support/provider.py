# SPDX-License-Identifier: Apache-2.0
"""provider.py - a provider of identities in the test: discovery, keys, and codes for ID tokens, as
OpenID Connect and PKCE have them; what it does wrong is set by the test. And a browser's part: it
keeps cookies and follows where it is sent."""
import base64
import hashlib
import http.client
import http.server
import json
import secrets
import tempfile
import threading
import time
import urllib.parse

import tokens

ID, SECRET = "holdfast client", "a secret: of + the client/"


class Provider:
    def __init__(self, folder, client_secret=SECRET, post=False):
        self.key = tokens.Key(tempfile.mkdtemp(dir=folder), "ES256", "one")
        self.keys = [self.key.jwk()]
        self.client_secret, self.post = client_secret, post
        self.codes, self.asked, self.faults = {}, {"document": 0, "keys": 0, "token": 0}, []
        self.user = {"sub": "17"}
        self.document = {}  # what it says differently of itself
        self.claims = lambda claims: claims  # as they are signed
        self.sign = None  # claims -> token, in place of the key's
        self.answer = None  # (status, text) of the token endpoint
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def reply(self, status, text, headers=()):
                data = text.encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                path, _, query = self.path.partition("?")
                if path == "/.well-known/openid-configuration":
                    provider.asked["document"] += 1
                    self.reply(200, json.dumps(provider.says()))
                elif path in ("/keys", "/keys2"):
                    provider.asked["keys"] += 1
                    self.reply(200, json.dumps({"keys": provider.keys}))
                elif path == "/authorize":
                    self.reply(302, "", [("Location", provider.authorize(query))])
                else:
                    self.reply(404, "")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                provider.asked["token"] += 1
                self.reply(*(provider.answer or provider.token(body, self.headers)))

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                pass  # a client that did not wait

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def options(self, **more):
        """As --oidc-providers has it."""
        secret = {"client_secret": self.client_secret} if self.client_secret else {}
        return {"issuer": self.url, "client_id": ID, **secret, **more}

    def says(self):
        return {"issuer": self.url, "authorization_endpoint": f"{self.url}/authorize?x=y",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
                **({"token_endpoint_auth_methods_supported": ["client_secret_post"]}
                   if self.post else {}), **self.document}

    def fault(self, text):
        self.faults.append(text)

    def authorize(self, query):
        """Where the browser is sent back: the user is logged in here, and says yes."""
        asked = dict(urllib.parse.parse_qsl(query, strict_parsing=True))
        for name, want in (("response_type", "code"), ("client_id", ID), ("x", "y"),
                           ("code_challenge_method", "S256")):
            if asked.get(name) != want:
                self.fault(f"{name}: {asked.get(name)!r}")
        if "openid" not in asked["scope"].split():
            self.fault("no openid")
        code = secrets.token_urlsafe(16) + "+/="
        self.codes[code] = (asked, dict(self.user))
        more = urllib.parse.urlencode({"code": code, "state": asked["state"], "iss": self.url})
        return f"{asked['redirect_uri']}?{more}"

    def knows(self, asked, headers):
        if not self.client_secret:
            return asked.get("client_id") == ID and "authorization" not in headers
        if self.post:
            return (asked.get("client_id"), asked.get("client_secret")) == (
                ID, self.client_secret) and "authorization" not in headers
        text = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
        name, _, secret = text.partition(":")
        return (urllib.parse.unquote(name), urllib.parse.unquote(secret)) == (
            ID, self.client_secret) and "client_secret" not in asked

    def token(self, body, headers):
        asked = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        if not self.knows(asked, headers):
            return 401, '{"error":"invalid_client"}'
        begun, user = self.codes.pop(asked.get("code"), (None, None))
        challenge = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        if (begun is None or asked["grant_type"] != "authorization_code"
                or asked["redirect_uri"] != begun["redirect_uri"]
                or tokens.b64(challenge) != begun["code_challenge"]):
            return 400, '{"error":"invalid_grant"}'
        now = int(time.time())
        claims = self.claims({"iss": self.url, "aud": ID, "iat": now, "exp": now + 300,
                              "nonce": begun["nonce"], **user})
        return 200, json.dumps({"access_token": "never looked at", "token_type": "Bearer",
                                "id_token": (self.sign or self.key.token)(claims)})

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Browser:
    def __init__(self):
        self.cookies = {}

    def get(self, url, headers=None):
        """(status, headers, text), with the cookies of the host."""
        at = urllib.parse.urlsplit(url)
        jar = self.cookies.setdefault(at.netloc, {})
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
        sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())} if jar else {}
        connection.request("GET", f"{at.path}{'?' if at.query else ''}{at.query}",
                           headers={**sent, **(headers or {})})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        for line in response.headers.get_all("Set-Cookie") or []:
            (name, _, value), *rest = [p.partition("=") for p in line.split("; ")]
            if ("Max-Age", "=", "0") in rest:
                jar.pop(name, None)
            else:
                jar[name] = value
        return response.status, response.headers, text

    def begin(self, url, return_to=None):
        """Goes to the provider and back: the address of the callback, not asked for yet."""
        query = "" if return_to is None else "?" + urllib.parse.urlencode({"return_to": return_to})
        status, headers, text = self.get(url + query)
        if status != 302:
            raise AssertionError(f"{url}: {status} {text}")
        status, headers, text = self.get(headers["Location"])
        if status != 302:
            raise AssertionError(f"the provider: {status} {text}")
        return headers["Location"]

    def login(self, url, return_to=None):
        return self.get(self.begin(url, return_to))
