# SPDX-License-Identifier: Apache-2.0
"""A file server that breaks in every way that a download must survive, one resource at a time, on request."""

from __future__ import annotations

import gzip
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

_BLOCK = 64 * 1024


@dataclass
class Resource:
    """
    One file and how it is served.

    ``framing``: length, chunked or close. ``declared``: a length that is not true. ``cuts``: after how many bytes each
    answer in turn is cut (None: not at all); ``always_cut``: every answer. ``cut_how``: fin, reset or stall.
    ``statuses``: answered first, one a request. ``token_uses``: how often a link with this ``?token=`` works (others:
    never).
    ``before``: called with the resource before each answer. ``most``: bytes that one answer to a Range holds at most.
    ``connections``: answers that are sent at once; others get ``crowded``. ``headers``: sent in place of usual ones.
    ``later_ranges``: the status, and its headers, for each Range that begins behind the first byte of the file.
    ``if_range``: whether the header of that name is heeded. ``past_the_end``: the Content-Range of a 416; None: none.
    """

    body: bytes
    content_type: str = "video/mp4"
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True
    framing: str = "length"
    declared: int | None = None
    cuts: list[int | None] = field(default_factory=list)
    always_cut: int | None = None
    cut_how: str = "fin"
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    redirect: str | None = None
    packed: bool = False
    token_uses: dict[str, int] | None = None
    before: Callable[[Resource], None] | None = None
    delay: float = 0.0
    bytes_per_second: int | None = None
    most: int | None = None
    connections: int | None = None
    crowded: int = 429
    later_ranges: tuple[int, dict[str, str]] | None = None
    if_range: bool = True
    past_the_end: str | None = "bytes */{total}"
    headers: dict[str, str] = field(default_factory=dict)
    hits: int = 0
    active: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.packed:
            _packed(self.body)  # before a client waits for it


@lru_cache(maxsize=2)
def _packed(body: bytes) -> bytes:
    return gzip.compress(body, 1)


class FaultyServer:
    """The server: ``resources`` by path, and every request that came, with its headers."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.lines: list[str] = []
        self.stop = threading.Event()
        owner = self

        class Handler(_Handler):
            server_state = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def add(self, path: str, resource: Resource) -> str:
        """Serve a resource; return its link."""
        self.resources[path] = resource
        return self.url + path

    def close(self) -> None:
        """Stop."""
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: FaultyServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        state = self.server_state
        state.requests.append((self.path, dict(self.headers)))
        state.lines.append(self.requestline)
        resource = state.resources.get(path)
        if resource is None:
            return self._status(404)
        resource.hits += 1
        if resource.before is not None:
            resource.before(resource)
        time.sleep(resource.delay)
        if resource.token_uses is not None:
            token = query.removeprefix("token=")
            if resource.token_uses.get(token, 0) <= 0:
                return self._status(403)
            resource.token_uses[token] -= 1
        if resource.statuses:
            status, headers = resource.statuses.pop(0)
            return self._status(status, **headers)
        if resource.redirect is not None:
            return self._status(302, Location=resource.redirect)
        with resource.lock:
            resource.active += 1
            crowded = resource.connections is not None and resource.active > resource.connections
        try:
            return self._status(resource.crowded) if crowded else self._file(resource)
        finally:
            with resource.lock:
                resource.active -= 1

    def _status(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, resource: Resource) -> None:
        body = _packed(resource.body) if resource.packed else resource.body
        first, last, status = 0, len(body) - 1, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if_range = self.headers.get("If-Range") if resource.if_range else None
        if asked and int(asked[1]) and resource.later_ranges is not None:
            status, headers = resource.later_ranges
            self._status(status, **headers)
            return
        if asked and resource.ranges and if_range in (None, resource.etag, resource.modified):
            first, status = int(asked[1]), 206
            last = min(last, int(asked[2])) if asked[2] else last
            last = min(last, first + resource.most - 1) if resource.most else last
            if first >= len(body):
                said = resource.past_the_end
                self._status(416, **({} if said is None else {"Content_Range": said.format(total=len(body))}))
                return
        data = memoryview(body)[first : last + 1]
        self.send_response(status)
        self.send_header("Content-Type", resource.content_type)
        if resource.etag:
            self.send_header("ETag", resource.etag)
        if resource.modified:
            self.send_header("Last-Modified", resource.modified)
        if resource.packed or "Content-Encoding" in resource.headers:
            self.send_header("Content-Encoding", resource.headers.get("Content-Encoding", "gzip"))
        if status == 206:
            total = len(body) if resource.declared is None else resource.declared
            written = resource.headers.get("Content-Range", "bytes {first}-{last}/{total}")
            self.send_header("Content-Range", written.format(first=first, last=last, total=total))
        if resource.framing == "length":
            self.send_header(
                "Content-Length", str(len(data) if resource.declared is None else resource.declared - first)
            )
        elif resource.framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        if resource.framing == "close" or resource.declared is not None:
            self.send_header("Connection", "close")
        self.end_headers()
        cut = (
            resource.always_cut if resource.always_cut is not None else resource.cuts.pop(0) if resource.cuts else None
        )
        try:
            self._send(data if cut is None else data[:cut], resource)
            if cut is not None and cut < len(data):
                self._cut(resource)
                return
            if resource.framing == "chunked":
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
        if resource.framing == "close" or resource.declared is not None:
            self.close_connection = True

    def _send(self, data: memoryview, resource: Resource) -> None:
        for start in range(0, len(data), _BLOCK):
            block = data[start : start + _BLOCK]
            if resource.framing == "chunked":
                self.wfile.write(b"%x\r\n" % len(block) + block + b"\r\n")
            else:
                self.wfile.write(block)
            if resource.bytes_per_second:
                time.sleep(len(block) / resource.bytes_per_second)

    def _cut(self, resource: Resource) -> None:
        self.wfile.flush()
        self.close_connection = True
        if resource.cut_how == "stall":
            self.server_state.stop.wait(30)
        elif resource.cut_how == "reset":
            time.sleep(0.05)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def faulty_server() -> Iterator[FaultyServer]:
    """Run a server for one test."""
    server = FaultyServer()
    yield server
    server.close()
