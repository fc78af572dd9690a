# SPDX-License-Identifier: Apache-2.0
"""Google's download client reads whatever is there under a name; ours must read one version."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from airflow_video_providers.delivery.stores.gcs.store import GcsStore
from airflow_video_providers.exceptions import SourceError

OLD, NEW = b"a" * 20_000_000, b"b" * 20_000_000


class Server(ThreadingHTTPServer):
    """One object, whose reads keep the condition ``ifGenerationMatch`` as Google documents it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.generation, self.body = 1, OLD
        self.refuses = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        server = self.server
        if query.get("alt") != ["media"]:
            size, generation = str(len(server.body)), str(server.generation)
            self._answer(200, json.dumps({"name": "v.mp4", "generation": generation, "size": size}).encode())
        elif server.refuses:
            self._answer(server.refuses)
        elif query.get("ifGenerationMatch", [str(server.generation)]) != [str(server.generation)]:
            self._answer(412)
        else:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"])
            assert asked is not None
            first, last = int(asked[1]), int(asked[2] or len(server.body))
            data = server.body[first : last + 1]
            if not data:
                self._answer(416)
                return
            self._answer(206, data, f"bytes {first}-{first + len(data) - 1}/{len(server.body)}")

    def _answer(self, status: int, body: bytes = b"{}", content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    """Run the server."""
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(server: Server, monkeypatch: pytest.MonkeyPatch) -> GcsStore:
    """Give the store on that server."""
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", "google-cloud-platform://")
    store = GcsStore("bucket", None)
    client = storage.Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://127.0.0.1:{server.server_port}"},
    )
    store.__dict__["_bucket"] = client.bucket("bucket")
    return store


def test_an_object_that_stays_is_read_whole(store: GcsStore) -> None:
    stream, stored = store.open("v.mp4")
    with stream:
        assert (stream.read(), stored.size) == (OLD, len(OLD))


def test_an_object_that_was_replaced_is_never_read_as_a_mixture(store: GcsStore, server: Server) -> None:
    stream, _ = store.open("v.mp4")
    with stream:
        assert stream.read(1_000_000) == OLD[:1_000_000]
        server.generation, server.body = 2, NEW
        with pytest.raises(SourceError, match=r"gs://bucket/v\.mp4 was changed or deleted while it was read"):
            stream.read()


def test_a_read_that_is_refused(store: GcsStore, server: Server) -> None:
    stream, _ = store.open("v.mp4")
    server.refuses = 403
    with stream, pytest.raises(SourceError, match=r"gs://bucket/v\.mp4 cannot be read"):
        stream.read()
