# SPDX-License-Identifier: Apache-2.0
"""s3.py - storage that speaks as much of Amazon S3's HTTP API as blobs need: objects of one bucket,
in memory, and Signature Version 4 of each request verified, written from AWS's description of it.
`documented()` is the example of that description, so that the verifier itself is known to be right.
"""
import collections
import hashlib
import hmac
import http.server
import re
import threading
import time
import urllib.parse

BUCKET, REGION = "blobs", "eu-test-1"
KEY_ID, SECRET = "KEYID", "a secret of the bucket"
LATE_SECONDS_MAX = 900
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), ?"
                           r"SignedHeaders=(?P<names>[^,]+), ?"
                           r"Signature=(?P<signature>[0-9a-f]{64})")
EMPTY = hashlib.sha256(b"").hexdigest()


def signature(secret, method, target, headers, names, scope):
    """names: of the signed headers, in order; scope: DATE/REGION/s3/aws4_request."""
    path, _, query = target.partition("?")
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    quoted = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}"
                      for k, v in pairs)
    lines = "".join(f"{n}:{' '.join(headers[n].split())}\n" for n in names)
    request = "\n".join([method, path, quoted, lines, ";".join(names),
                         headers["x-amz-content-sha256"]])
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
                      hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def documented():
    """(what we make of it, what it says): GET Object of the examples of header-based signing."""
    headers = {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9",
               "x-amz-content-sha256": EMPTY, "x-amz-date": "20130524T000000Z"}
    return (signature("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "GET", "/test.txt", headers,
                      sorted(headers), "20130524/us-east-1/s3/aws4_request"),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


class S3:
    """.seen counts answers by (method, status); fail(status, times) answers so for a while."""

    def __init__(self):
        self.objects, self.seen, self.port = {}, collections.Counter(), 0
        self.failing, self.lock = [], threading.Lock()
        self.start()

    def start(self):
        """Again at the same port, with what it had."""
        storage = self
        self.down = False

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if storage.down:  # on a connection of before
                    self.close_connection = True
                    return
                status, headers, data = storage.answer(self, body)
                with storage.lock:
                    storage.seen[self.command, status] += 1
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_DELETE = do_POST = do_HEAD = do_PUT

            def log_message(self, *_):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # who asked is gone
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.down = True
        self.server.shutdown()
        self.server.server_close()

    def fail(self, status, times):
        with self.lock:
            self.failing = [status] * times

    def refusal(self, request, body):
        """Why the request is not signed as it must be; None: it is."""
        headers = {k.lower(): v for k, v in request.headers.items()}
        found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if not found:
            return "AccessDenied"
        date, names = headers.get("x-amz-date", ""), found["names"].split(";")
        if found["key"] != KEY_ID:
            return "InvalidAccessKeyId"
        if found["scope"] != f"{date[:8]}/{REGION}/s3/aws4_request":
            return "AuthorizationHeaderMalformed"
        if abs(time.time() - time.mktime(time.strptime(date, "%Y%m%dT%H%M%SZ")) +
               time.timezone) > LATE_SECONDS_MAX:
            return "RequestTimeTooSkewed"
        amz = {n for n in headers if n.startswith("x-amz-")}
        if names != sorted(names) or not {"host"} | amz <= set(names) <= set(headers):
            return "AccessDenied"
        if headers.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        wanted = signature(SECRET, request.command, request.path, headers, names, found["scope"])
        return None if hmac.compare_digest(wanted, found["signature"]) else "SignatureDoesNotMatch"

    def answer(self, request, body):
        with self.lock:
            if self.failing:
                return self.failing.pop(), {}, b"<Error/>"
        why = self.refusal(request, body)
        if why:
            return 403, {}, f"<Error><Code>{why}</Code></Error>".encode()
        _, bucket, name = request.path.split("/", 2)
        if bucket != BUCKET:
            return 404, {}, b"<Error><Code>NoSuchBucket</Code></Error>"
        if request.command == "PUT":
            self.objects[name] = body
            return 200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b""
        if request.command == "DELETE":
            self.objects.pop(name, None)
            return 204, {}, b""
        if name not in self.objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        return self.part(self.objects[name], request.headers.get("range"))

    @staticmethod
    def part(data, text):
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", text or "")
        if not found:
            return 200, {}, data
        first, last = int(found[1]), min(int(found[2]), len(data) - 1)
        if first >= len(data):
            return 416, {"Content-Range": f"bytes */{len(data)}"}, b"<Error/>"
        return (206, {"Content-Range": f"bytes {first}-{last}/{len(data)}"},
                data[first:last + 1])

    def names(self):
        return sorted(name.rsplit("/", 1)[-1] for name in list(self.objects))

    def options(self, prefix="", secret=SECRET, key_id=KEY_ID, bucket=BUCKET):
        """Of a server that keeps its artifacts here: flags, and the secret by the environment."""
        return (("--blob-s3-endpoint", self.url, "--blob-s3-bucket", bucket, "--blob-s3-region",
                 REGION, "--blob-s3-prefix", prefix, "--blob-s3-key-id", key_id),
                {"HOLDFAST_BLOB_S3_SECRET": secret})
