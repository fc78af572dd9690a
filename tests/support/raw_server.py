# SPDX-License-Identifier: Apache-2.0
"""A TCP server that reads HTTP requests and answers with whatever bytes a test writes, at whatever pace."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

Respond = Callable[["RawConnection", bytes], bool]
"""Takes the connection and one request; returns whether the connection stays open for another."""


class RawConnection:
    """One connection of a client."""

    def __init__(self, server: RawServer, sock: socket.socket) -> None:
        self._server = server
        self._sock = sock

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)
        with self._server.lock:
            self._server.sent += len(data)

    def drip(self, data: bytes, *, pause: float) -> None:
        for byte in data:
            self.send(bytes([byte]))
            time.sleep(pause)


class RawServer:
    """``sent``: how many bytes went out; ``requests``: what came in, headers and body."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.sent = 0
        self.lock = threading.Lock()
        self.respond: Respond = lambda connection, request: False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._open.append(sock)
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), sock, sock.makefile("rb") as stream:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    head += line
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                request = head + stream.read(length)
                self.requests.append(request)
                if not self.respond(RawConnection(self, sock), request):
                    return

    def close(self) -> None:
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def http_response(body: Any = b"", *, status: int = 200, headers: str = "") -> bytes:
    """Return a response as it lies on the wire; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    return head.encode("latin-1") + content


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    """A server on a free port of its own."""
    server = RawServer()
    yield server
    server.close()
