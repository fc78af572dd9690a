# SPDX-License-Identifier: Apache-2.0
"""A real HTTP server on a free local port that answers as a test tells it, and remembers what it was sent."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True)
class Answer:
    """What the server does with one request."""

    status: int = 200
    json: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    """Read the request, then reset the connection without an answer."""
    delay: float = 0.0


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class LocalApi:
    """Answers of a path are given in order, the last one for ever; an unknown path gets ``otherwise``."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self._open = 0
        self._changed = threading.Condition()
        self.otherwise = Answer(status=404, json={"message": "no such path"})
        self._answers: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                api.connections += 1
                with api._changed:
                    api._open += 1
                super().setup()

            def finish(self) -> None:
                super().finish()
                with api._changed:
                    api._open -= 1
                    api._changed.notify_all()

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                url = urlsplit(self.path)
                request = Received(
                    method=self.command,
                    path=url.path,
                    query=parse_qs(url.query),
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(length),
                )
                answer = api._take(request)
                time.sleep(answer.delay)
                if answer.reset:
                    # Linger 0: closing sends RST, as a load balancer that dies does.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                body = answer.body
                if body is None:
                    body = b"" if answer.json is None else json.dumps(answer.json).encode()
                self.send_response(answer.status)
                if "Content-Type" not in answer.headers:
                    self.send_header("Content-Type", "application/json")
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if answer.status != 204:
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that went away, or a connection reset on purpose

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer the requests of one path with these, in order; the last one for ever."""
        self._answers[method, path] = list(answers)

    def _take(self, request: Received) -> Answer:
        self.received.append(request)
        answers = self._answers.get((request.method, request.path))
        if not answers:
            return self.otherwise
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def count(self, method: str | None = None) -> int:
        return sum(method in (None, request.method) for request in self.received)

    def wait_until_closed(self) -> None:
        """Wait until its clients have closed all connections."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._open, timeout=30), f"{self._open} connections are open"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def local_api() -> Iterator[LocalApi]:
    api = LocalApi()
    yield api
    api.stop()


@pytest.fixture
def other_api() -> Iterator[LocalApi]:
    """Another origin."""
    api = LocalApi()
    yield api
    api.stop()


@pytest.fixture
def tls_api(tmp_path: Path) -> Iterator[LocalApi]:
    """A server whose certificate, signed by itself, lies at ``tmp_path / "cert.pem"``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "cert.pem"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_pem = tmp_path / "key.pem"
    key_pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_pem)
    api = LocalApi(context)
    yield api
    api.stop()


@pytest.fixture
def dead_url() -> str:
    """A URL at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between tries pass at once and are written down."""
    taken: list[float] = []
    clock = SimpleNamespace(sleep=taken.append, monotonic=time.monotonic)
    monkeypatch.setattr("tenacity.nap.time", clock)
    monkeypatch.setattr("airflow_video_providers.hooks.common.time", clock)
    return taken
