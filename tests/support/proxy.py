# SPDX-License-Identifier: Apache-2.0
"""proxy.py - a TCP proxy that cuts connections: the network between a client and the server.

It cuts all of them, once after each arm(): after cut_after bytes from the server (or the client)
counted from then on; or when cut() is called.
"""
import contextlib
import socket
import threading


class Proxy:
    def __init__(self, port, cut_after):
        self.target, self.cut_after, self.armed = port, cut_after, None
        self.cuts, self.seen, self.pairs = 0, 0, []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.drop()

    def arm(self, cut_after=None, side="server"):
        """side: whose bytes count."""
        with self.lock:
            self.cut_after = self.cut_after if cut_after is None else cut_after
            self.seen, self.armed = 0, side

    def cut(self):
        self.cuts += 1
        self.drop()

    def drop(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            with self.lock:
                self.pairs.append((client, server))
            for source, sink, side in ((client, server, "client"), (server, client, "server")):
                threading.Thread(target=self.copy, args=(source, sink, side), daemon=True).start()

    def take(self, data, side):
        """How much of a side's data may pass; less than all of it: then cut."""
        with self.lock:
            if self.armed != side or self.cut_after is None:
                return len(data)
            room = max(self.cut_after - self.seen, 0)
            self.seen += len(data)
            if len(data) > room:
                self.armed = None
                return room
            return len(data)

    def copy(self, source, sink, side):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                room = self.take(data, side)
                sink.sendall(data[:room])
                if room < len(data):
                    self.cut()
                    return
            sink.shutdown(socket.SHUT_WR)
