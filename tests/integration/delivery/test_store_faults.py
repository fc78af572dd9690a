# SPDX-License-Identifier: Apache-2.0
"""The store refuses, is full, or breaks; two tasks write to one key; what is there already."""

from __future__ import annotations

import json
import resource
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.exceptions import DestinationError, DestinationExistsError, SourceError
from airflow_video_providers.jobs import VideoOutput
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4
from tests.support.s3 import KEY, SECRET, S3Server
from tests.support.unsteady_proxy import UnsteadyProxy

pytestmark = pytest.mark.s3

BODY = mp4(20_000_000)
DOWNLOAD = DownloadSettings(client=ClientSettings(read_timeout=5), attempts=3, backoff=0)


def connect(monkeypatch: pytest.MonkeyPatch, endpoint_url: str, secret: str = SECRET, **config: object) -> None:
    """Define the connection ``s3_test``."""
    extra = {"endpoint_url": endpoint_url, "region_name": "us-east-1", "config_kwargs": config}
    connection = {"conn_type": "aws", "login": KEY, "password": secret, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_S3_TEST", json.dumps(connection))


def delivery(
    server: FaultyServer, uri: str, journal: MemoryJournal | None = None, job_id: str = "j1", if_exists: str = "skip"
) -> Delivery:
    """Prepare to deliver the server's video."""
    output = VideoOutput(kind="video", url=f"{server.url}/video", name="a.mp4")
    location = parse_location(uri)
    return Delivery(
        output,
        vendor="acme",
        job_id=job_id,
        location=location,
        store=open_store(location),
        refresh=lambda: output,
        rules=DeliveryRules(if_exists=if_exists, download=DOWNLOAD),
        journal=MemoryJournal() if journal is None else journal,
    )


def deliver(server: FaultyServer, uri: str, **arguments: object) -> DeliveredFile:
    """Deliver the server's video."""
    return delivery(server, uri, **arguments).deliver()  # type: ignore[arg-type]


@pytest.fixture
def source(faulty_server: FaultyServer) -> FaultyServer:
    """Serve the video."""
    faulty_server.add("/video", Resource(BODY))
    return faulty_server


def test_wrong_secret(source: FaultyServer, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, s3.endpoint_url, secret="wrong")
    with pytest.raises(DestinationError, match=r"SignatureDoesNotMatch|AccessDenied"):
        deliver(source, f"s3://s3_test@{s3.bucket}/v.mp4")
    assert s3.list_keys() == s3.uploads() == []


def test_no_bucket(source: FaultyServer, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, s3.endpoint_url)
    with pytest.raises(DestinationError, match="NoSuchBucket"):
        deliver(source, f"s3://s3_test@none-{uuid.uuid4().hex}/v.mp4")


@pytest.mark.parametrize("resets", [1, 1000])
def test_the_store_resets_in_the_middle(
    resets: int, source: FaultyServer, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = UnsteadyProxy(urlsplit(s3.endpoint_url).port or 0)
    connect(monkeypatch, proxy.url, retries={"mode": "standard", "max_attempts": 2})
    uri, journal = f"s3://s3_test@{s3.bucket}/v.mp4", MemoryJournal()
    proxy.resets, proxy.after = resets, 3_000_000
    try:
        if resets == 1:
            assert deliver(source, uri, journal=journal).size == len(BODY)
            assert proxy.broken == 1
        else:
            with pytest.raises(DestinationError):
                deliver(source, uri, journal=journal)
            assert s3.list_keys() == s3.uploads() == []
            proxy.resets = 0
            deliver(source, uri, journal=journal)
        assert s3.body("v.mp4") == BODY
        assert s3.uploads() == []
    finally:
        proxy.close()


def test_a_store_that_is_down_leaves_an_upload_that_the_retry_sweeps(
    source: FaultyServer, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = UnsteadyProxy(urlsplit(s3.endpoint_url).port or 0)
    connect(monkeypatch, proxy.url, retries={"mode": "standard", "max_attempts": 1})
    uri = f"s3://s3_test@{s3.bucket}/v.mp4"
    others = s3.client.create_multipart_upload(Bucket=s3.bucket, Key="v.mp4")["UploadId"]

    class Journal(MemoryJournal):
        def save(self, uri: str, record: dict[str, Any]) -> None:
            super().save(uri, record)
            if record.get("uploads"):  # the upload has begun: from here on neither parts nor its abort get through
                proxy.resets = 1000

    try:
        with pytest.raises(DestinationError):
            deliver(source, uri, journal=(journal := Journal()))
        assert len(s3.uploads()) == 2
        proxy.resets = 0
        deliver(source, uri, journal=MemoryJournal(journal))
        assert s3.body("v.mp4") == BODY
        assert s3.uploads() == [others], "the upload of another task was swept, or our own was not"
    finally:
        proxy.close()


def test_reading_an_object_takes_up_where_it_broke(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = UnsteadyProxy(urlsplit(s3.endpoint_url).port or 0)
    connect(monkeypatch, proxy.url)
    s3.client.put_object(Bucket=s3.bucket, Key="in.mp4", Body=BODY)
    store = open_store(parse_location(f"s3://s3_test@{s3.bucket}/in.mp4"))
    try:
        proxy.resets, proxy.after, proxy.answers = 2, 6_000_000, True
        stream, stored = store.open("in.mp4")
        with stream:
            assert (stored.size, stream.read()) == (len(BODY), BODY)
        assert proxy.broken == 2
        # Another version in the middle: never a mixture.
        proxy.resets = 1
        stream, _ = open_store(parse_location(f"s3://s3_test@{s3.bucket}/in.mp4")).open("in.mp4")
        with stream:
            stream.read(1_000_000)
            s3.client.put_object(Bucket=s3.bucket, Key="in.mp4", Body=mp4(20_000_000, seed=3))
            with pytest.raises(SourceError, match="changed while it was read"):
                stream.read()
    finally:
        proxy.close()


class _FullStore(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    aborted: list[str]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._answer(404)

    def do_GET(self) -> None:
        self._answer(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")

    def do_POST(self) -> None:
        self._answer(200, b"<R><UploadId>u-1</UploadId></R>")

    def do_PUT(self) -> None:
        self._answer(507, b"<Error><Code>InsufficientStorage</Code><Message>The disk is full.</Message></Error>")

    def do_DELETE(self) -> None:
        self.aborted.append(self.path)
        self._answer(204)


@pytest.fixture
def full_store() -> Iterator[ThreadingHTTPServer]:
    """Run a store that takes no bytes."""

    class Handler(_FullStore):
        aborted: list[str] = []  # noqa: RUF012  # of this one store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_full_store(source: FaultyServer, full_store: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, f"http://127.0.0.1:{full_store.server_port}")
    with pytest.raises(DestinationError, match="InsufficientStorage: The disk is full"):
        deliver(source, "s3://s3_test@bucket/v.mp4")
    aborted: list[str] = full_store.RequestHandlerClass.aborted  # type: ignore[attr-defined]
    assert aborted
    assert all("uploadId=u-1" in path for path in aborted)


def test_a_file_system_that_is_full(source: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000_000, limits[1]))
    try:
        with pytest.raises(DestinationError, match="cannot be written: File too large"):
            deliver(source, f"file://{tmp_path}/v.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("v.mp4", b"old")]


def test_a_folder_that_cannot_be_made(source: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "videos").write_bytes(b"a file")
    with pytest.raises(DestinationError, match=r"cannot be written: (File exists|Not a directory)"):
        deliver(source, f"file://{tmp_path}/videos/v.mp4")


@pytest.mark.parametrize("scheme", ["s3", "file"])
def test_many_tasks_to_one_key_end_in_one_whole_object(
    scheme: str, source: FaultyServer, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, s3.endpoint_url)
    uri = f"s3://s3_test@{s3.bucket}/v.mp4" if scheme == "s3" else f"file://{tmp_path}/v.mp4"
    with ThreadPoolExecutor(4) as threads:
        delivered = [done.result() for done in [threads.submit(deliver, source, uri) for _ in range(4)]]
    assert len({(item.uri, item.size) for item in delivered}) == 1
    assert (s3.body("v.mp4") if scheme == "s3" else (tmp_path / "v.mp4").read_bytes()) == BODY
    assert s3.uploads() == []
    assert [path.name for path in tmp_path.iterdir()] == ([] if scheme == "s3" else ["v.mp4"])


@pytest.mark.parametrize("scheme", ["s3", "file"])
def test_what_is_there_already(
    scheme: str, source: FaultyServer, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, s3.endpoint_url)
    uri = f"s3://s3_test@{s3.bucket}/v.mp4" if scheme == "s3" else f"file://{tmp_path}/v.mp4"
    first = deliver(source, uri, if_exists="fail")
    assert first.transferred == len(BODY)
    # Our own file: found by every rule but "overwrite".
    assert deliver(source, uri, if_exists="fail").transferred == 0
    assert deliver(source, uri, if_exists="skip").transferred == 0
    assert deliver(source, uri, if_exists="overwrite").transferred == len(BODY)
    # Another job's file: an error, or replaced.
    with pytest.raises(DestinationExistsError, match="not this output's file"):
        deliver(source, uri, job_id="j2", if_exists="fail")
    assert deliver(source, uri, job_id="j2", if_exists="skip").transferred == len(BODY)
    assert deliver(source, uri, job_id="j2", if_exists="skip").transferred == 0


@pytest.mark.parametrize("scheme", ["s3", "file"])
@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_fail_holds_also_for_an_object_that_came_during_the_transfer(
    size: int, scheme: str, faulty_server: FaultyServer, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, s3.endpoint_url)
    uri = f"s3://s3_test@{s3.bucket}/v.mp4" if scheme == "s3" else f"file://{tmp_path}/v.mp4"
    location = parse_location(uri)

    def somebody_else(_: Resource) -> None:
        open_store(location).put(location.key, b"theirs", ObjectAttributes(), replace=True)

    faulty_server.add("/video", Resource(mp4(size), before=somebody_else))
    with pytest.raises(DestinationExistsError):
        deliver(faulty_server, uri, if_exists="fail")
    assert (s3.body("v.mp4") if scheme == "s3" else (tmp_path / "v.mp4").read_bytes()) == b"theirs"
    assert s3.uploads() == []
