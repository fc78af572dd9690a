# SPDX-License-Identifier: Apache-2.0
"""A proxy between a hook and a fake server: it records every request and disturbs the ones that a test names."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True)
class TapRequest:
    """A request as it arrived; ``path`` is without its query, ``headers`` are by lower-case name."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def __contains__(self, text: str) -> bool:
        """Tell whether a text occurs anywhere in the request."""
        everything = [self.path, self.query, self.body.decode("latin-1"), *self.headers.values()]
        return any(text in part for part in everything)


@dataclass(frozen=True)
class TapResponse:
    """A response, as the server gave it or as an action makes it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Forward = Callable[[], TapResponse]
Action = Callable[[TapRequest, Forward], "TapResponse | None"]
"""Responds to a request in place of the server; ``forward`` passes it on. None: the connection is reset."""


def lose_response(request: TapRequest, forward: Forward) -> None:
    """Let the request have its effect, then reset the connection."""
    forward()


def drop_request(request: TapRequest, forward: Forward) -> None:
    """Reset the connection before the server sees the request."""


def respond(status: int, body: bytes = b"{}", **headers: str) -> Action:
    """Return an action that responds without the server; an underscore in a header's name is a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = TapResponse(status, {"Content-Type": "application/json", **named}, body)
    return lambda request, forward: response


def respond_with_a_page(request: TapRequest, forward: Forward) -> TapResponse:
    """Let the request have its effect, and respond with a page of HTML and status 200."""
    forward()
    return TapResponse(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>One moment</title>")


class Tap:
    """
    Serves on a free local port whatever ``upstream`` serves.

    :param upstream: any URL of the server; its origin is what counts.
    :param count_jobs: returns how many jobs the server has created; tells the tap which request creates one.
    """

    def __init__(self, upstream: str, count_jobs: Callable[[], int]) -> None:
        parts = urlsplit(upstream)
        if parts.scheme != "http":
            raise ValueError(f"A fake server is reached by http, not {upstream!r}")
        self._upstream, self._count_jobs = parts.netloc, count_jobs
        self.requests: list[TapRequest] = []
        self.creating: TapRequest | None = None
        """The last request that made the server create a job."""
        self._strikes: list[tuple[Action, Callable[[TapRequest], bool], list[int]]] = []
        self._lock = threading.RLock()
        self._server = _serve(self._respond)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"

    def rewrite(self, connection: Mapping[str, Any]) -> dict[str, Any]:
        """Return the connection with the tap in place of the server."""
        text = json.dumps(connection).replace(f"http://{self._upstream}", self.origin)
        return dict(json.loads(text))

    def strike(self, action: Action, when: Callable[[TapRequest], bool], *, times: int = 1) -> None:
        """Disturb the next ``times`` requests for which ``when`` is true."""
        self._strikes.append((action, when, [times]))

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _respond(self, request: TapRequest) -> TapResponse | None:
        with self._lock:  # one at a time, so that a new job belongs to the request that is being served
            self.requests.append(request)
            for action, when, left in self._strikes:
                if left[0] > 0 and when(request):
                    left[0] -= 1
                    return action(request, lambda: self._forward(request))
            return self._forward(request)

    def _forward(self, request: TapRequest) -> TapResponse:
        safe = request.method in ("GET", "HEAD")
        before = 0 if safe else self._count_jobs()
        response = self._exchange(request)
        if not safe and self._count_jobs() > before:
            self.creating = request
        return response

    def _exchange(self, request: TapRequest) -> TapResponse:
        connection = HTTPConnection(self._upstream, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
            target = f"{request.path}?{request.query}" if request.query else request.path
            connection.request(request.method, target, request.body or None, {**headers, "accept-encoding": "identity"})
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            return TapResponse(answer.status, kept, answer.read())
        finally:
            connection.close()


def spoil_lists(job_id: str, spoiled: list[str]) -> Action:
    """Return an action that puts unreadable items into each list that shows the job; it names them in ``spoiled``."""

    def action(request: TapRequest, forward: Forward) -> TapResponse:
        response = forward()
        with suppress(ValueError):
            content = json.loads(response.body)
            if _spoil(content, job_id):
                spoiled.append(request.path)
                return replace(response, body=json.dumps(content).encode())
        return response

    return action


def _spoil(content: Any, job_id: str) -> bool:
    """Put two unreadable items before the job in the outermost list that shows it."""
    if isinstance(content, list):
        for item in content:
            if isinstance(item, dict) and job_id in json.dumps(item):
                content[:0] = ["unreadable", {name: [] for name in item}]
                return True
        return False
    return isinstance(content, dict) and sum(_spoil(value, job_id) for value in content.values()) > 0


def _serve(respond: Callable[[TapRequest], TapResponse | None]) -> ThreadingHTTPServer:
    """Serve on a free port of this machine, from a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = respond(TapRequest(self.command, parts.path, parts.query, headers, body))
            if response is None:
                # Linger 0: closing sends RST, as a load balancer that dies does.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            if response.status != 204:
                self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if response.status != 204 and self.command != "HEAD":
                self.wfile.write(response.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that went away, or a connection reset on purpose

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
