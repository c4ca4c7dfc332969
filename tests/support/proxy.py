# SPDX-License-Identifier: Apache-2.0
"""proxy.py - a TCP proxy that cuts connections: the network between a client and the server.

It cuts once, after cut_after bytes from the server counted from arm() on, or when cut() is called.
"""
import contextlib
import socket
import threading


class Proxy:
    def __init__(self, port, cut_after):
        self.target, self.cut_after, self.armed = port, cut_after, False
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

    def arm(self):
        with self.lock:
            self.seen, self.armed = 0, True

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
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            with self.lock:
                self.pairs.append((client, server))
            threading.Thread(target=self.copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, True), daemon=True).start()

    def take(self, data):
        """How much of the server's data may pass; less than all of it: then cut."""
        with self.lock:
            if not self.armed or self.cut_after is None:
                return len(data)
            room = max(self.cut_after - self.seen, 0)
            self.seen += len(data)
            if len(data) > room:
                self.armed = False
                return room
            return len(data)

    def copy(self, source, sink, counted):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                room = self.take(data) if counted else len(data)
                sink.sendall(data[:room])
                if counted and room < len(data):
                    self.cut()
                    return
            sink.shutdown(socket.SHUT_WR)
