# SPDX-License-Identifier: Apache-2.0
"""A refusal of Google Cloud Storage or Azure is told in the service's own words, and rights may be few."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google_crc32c
import pytest

from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.exceptions import DestinationError, DestinationExistsError
from airflow_video_providers.jobs import VideoOutput
from tests.support.cloud_emulators import CloudBucket
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4

BODIES = [pytest.param(mp4(1_000_000), id="small"), pytest.param(mp4(20_000_000), id="parts")]
RETENTION = "Object 'b/v.mp4' is subject to a retention policy and cannot be overwritten until 2027-01-01"


class Cloud:
    """A service whose answers a function gives: method, path, headers and body to status, headers and body."""

    def __init__(self) -> None:
        self.answer: Callable[[str, str, Any, bytes], tuple[int, dict[str, str], bytes]]
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, text = owner.answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Cloud]:
    """Run a service."""
    started = Cloud()
    yield started
    started.close()


def deliver(server: FaultyServer, uri: str, **rules: Any) -> DeliveredFile:
    """Deliver the server's video."""
    output = VideoOutput(kind="video", url=f"{server.url}/video", name="a.mp4")
    location = parse_location(uri)
    return Delivery(
        output,
        vendor="acme",
        job_id="j1",
        location=location,
        store=open_store(location),
        refresh=lambda: output,
        rules=DeliveryRules(**rules),
        journal=MemoryJournal(),
    ).deliver()


# ---------------------------------------------------------------- Azure


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, "BlobImmutableDueToPolicy"),
        (409, "BlobArchived"),
        (409, "InvalidBlobType"),
        (409, "SnapshotsPresent"),
        (409, "ContainerBeingDeleted"),
        (409, "AccountBeingCreated"),
        (409, "PendingCopyOperation"),
        (412, "LeaseIdMissing"),
        (403, "AccountIsDisabled"),
        (403, "AuthorizationPermissionMismatch"),
    ],
)
def test_azure_says_why(
    status: int,
    code: str,
    body: bytes,
    service: Cloud,
    faulty_server: FaultyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(method: str, path: str, headers: Any, data: bytes) -> tuple[int, dict[str, str], bytes]:
        if method in ("HEAD", "GET"):
            return 404, {"x-ms-error-code": "BlobNotFound"}, b""
        if "comp=block&" in f"{path}&":
            return 201, {}, b""
        said = f"<Error><Code>{code}</Code><Message>Not permitted now.\nRequestId:1\nTime:2026</Message></Error>"
        return status, {"x-ms-error-code": code, "Content-Type": "application/xml"}, said.encode()

    service.answer = answer
    key = base64.b64encode(b"k" * 64).decode()
    text = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={key};BlobEndpoint={service.url}/a;"
    connection = {"conn_type": "wasb", "extra": {"connection_string": text}}
    monkeypatch.setenv("AIRFLOW_CONN_AZ", json.dumps(connection))
    faulty_server.add("/video", Resource(body))
    with pytest.raises(DestinationError) as caught:
        deliver(faulty_server, "abfs://az@container/v.mp4")
    assert not isinstance(caught.value, DestinationExistsError)
    assert (
        str(caught.value)
        == f"acme job j1, video to abfs://container/v.mp4: abfs://container/v.mp4: {code}: Not permitted now."
    )


@pytest.mark.parametrize("body", BODIES)
def test_a_blob_that_somebody_has_leased(body: bytes, abfs_bucket: CloudBucket, faulty_server: FaultyServer) -> None:
    blob = abfs_bucket.client.get_blob_client(abfs_bucket.bucket, "v.mp4")
    blob.upload_blob(b"theirs")
    blob.acquire_lease()
    faulty_server.add("/video", Resource(body))
    with pytest.raises(DestinationError, match=r"LeaseIdMissing: .*lease"):
        deliver(faulty_server, abfs_bucket.uri("v.mp4"))
    assert abfs_bucket.read("v.mp4") == b"theirs"


# ---------------------------------------------------------------- Google Cloud Storage


def bucket_of_few_rights(service: Cloud, refusal: str | None = None) -> dict[str, int]:
    """Serve a bucket in which an account may create objects and nothing else; return what was created, by size."""
    created: dict[str, int] = {}
    begun: dict[str, Any] = {}

    def denied(reason: str) -> tuple[int, dict[str, str], bytes]:
        error = json.dumps({"error": {"code": 403, "message": reason}}).encode()
        return 403, {"Content-Type": "application/json"}, error

    def stored(size: int, digest: Any = None) -> tuple[int, dict[str, str], bytes]:
        created["v.mp4"] = size
        fields = {"name": "v.mp4", "generation": "7", "size": str(size)}
        if digest is not None:
            fields["crc32c"] = base64.b64encode(digest.digest()).decode()
        return 200, {"Content-Type": "application/json"}, json.dumps(fields).encode()

    def answer(method: str, path: str, headers: Any, data: bytes) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/session"):
            if method == "DELETE":
                return 499, {}, b""
            begun["digest"].update(data)
            sent, _, total = headers["Content-Range"].removeprefix("bytes ").partition("/")
            if total == "*":
                return 308, {"Range": f"bytes=0-{sent.partition('-')[2]}"}, b""
            return stored(int(total), begun["digest"])
        if path.startswith("/upload/") and method == "POST":
            if refusal:
                return denied(refusal)
            if "uploadType=resumable" in path:
                begun["digest"] = google_crc32c.Checksum()
                return 200, {"Location": f"{service.url}/session?upload_id=secret"}, b""
            return stored(1)
        return denied("robot does not have storage.objects.get access")

    service.answer = answer
    return created


@pytest.fixture
def robot(service: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the connection ``gs_robot`` to the service."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.url)
    connection = {"conn_type": "google_cloud_platform", "extra": {"project": "p", "is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_GS_ROBOT", json.dumps(connection))


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
@pytest.mark.parametrize("body", BODIES)
def test_an_account_that_may_only_create_objects(
    body: bytes, if_exists: str, service: Cloud, robot: None, faulty_server: FaultyServer
) -> None:
    created = bucket_of_few_rights(service)
    faulty_server.add("/video", Resource(body))
    assert deliver(faulty_server, "gs://gs_robot@b/v.mp4", if_exists=if_exists).transferred == len(body)
    assert list(created) == ["v.mp4"]


@pytest.mark.parametrize("body", BODIES)
def test_google_says_why(body: bytes, service: Cloud, robot: None, faulty_server: FaultyServer) -> None:
    bucket_of_few_rights(service, RETENTION)
    faulty_server.add("/video", Resource(body))
    with pytest.raises(DestinationError) as caught:
        deliver(faulty_server, "gs://gs_robot@b/v.mp4")
    assert str(caught.value) == f"acme job j1, video to gs://b/v.mp4: gs://b/v.mp4: {RETENTION}"


def test_an_upload_that_is_refused_in_the_middle_names_no_session(
    service: Cloud, robot: None, faulty_server: FaultyServer
) -> None:
    bucket_of_few_rights(service)
    allowed = service.answer

    def answer(method: str, path: str, headers: Any, data: bytes) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/session") and method == "PUT":
            return 403, {"Content-Type": "text/html"}, b"<html>upload_id=secret</html>"
        return allowed(method, path, headers, data)

    service.answer = answer
    faulty_server.add("/video", Resource(mp4(20_000_000)))
    with pytest.raises(DestinationError) as caught:
        deliver(faulty_server, "gs://gs_robot@b/v.mp4")
    assert str(caught.value) == "acme job j1, video to gs://b/v.mp4: gs://b/v.mp4: the store responds with 403"
