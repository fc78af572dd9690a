# SPDX-License-Identifier: Apache-2.0
"""Google's upload client commits what it has when it is thrown away; ours must not."""

from __future__ import annotations

import gc
import json
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from airflow_video_providers.delivery.buffers import PART_BYTES
from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.gcs.store import GcsStore


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[str]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(200, Location=f"http://{self.headers['Host']}/upload?upload_id=1")

    def do_PUT(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        if self.headers["Content-Range"].endswith("/*"):
            self.seen.append("chunk")
            self._answer(308, b"", Range=f"bytes=0-{length - 1}")
        else:
            self.seen.append("commit")
            self._answer(200, json.dumps({"name": "v.mp4", "generation": "2", "size": str(length)}).encode())

    def do_DELETE(self) -> None:
        self.seen.append("cancel")
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent: the connections are broken on purpose."""


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[GcsStore, list[str]]]:
    """Run a store that breaks the connection when an upload is cancelled."""

    class Handler(_Handler):
        seen: list[str] = []  # noqa: RUF012  # of this one server

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", "google-cloud-platform://")
    store = GcsStore("bucket", None)
    client = storage.Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://127.0.0.1:{server.server_port}"},
    )
    store.__dict__["_bucket"] = client.bucket("bucket")
    yield store, Handler.seen
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("parts", [0, 2])
def test_an_upload_whose_abort_does_not_get_through_stays_invisible(
    parts: int, gcs: tuple[GcsStore, list[str]]
) -> None:
    store, seen = gcs
    writer = store.begin("v.mp4", ObjectAttributes(), replace=True)
    for number in range(parts):
        writer.write(number, number * PART_BYTES, bytearray(PART_BYTES), PART_BYTES)
    writer.abort()
    del writer
    gc.collect()
    assert seen == ["chunk"] * parts + ["cancel"] * (parts > 0)


def test_an_upload_that_nobody_ends_stays_invisible(gcs: tuple[GcsStore, list[str]]) -> None:
    store, seen = gcs
    writer = store.begin("v.mp4", ObjectAttributes(), replace=True)
    writer.write(0, 0, bytearray(PART_BYTES), PART_BYTES)
    del writer
    gc.collect()
    assert seen == ["chunk"]
