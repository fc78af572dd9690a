# SPDX-License-Identifier: Apache-2.0
"""What the reading itself must keep to: tries, threads, memory, progress."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_video_providers.api.client import ClientSettings
from airflow_video_providers.delivery.buffers import BufferPool
from airflow_video_providers.delivery.source.download import Download
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.exceptions import SourceError
from airflow_video_providers.jobs import VideoOutput
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4

MB = 1_000_000
BODY = mp4(20 * MB)
SETTINGS = DownloadSettings(client=ClientSettings(connect_timeout=5, read_timeout=3), attempts=3, backoff=0)
RANGES = DownloadSettings(client=SETTINGS.client, attempts=3, backoff=0, streams=4, parallel_from=10 * MB)


def _new_etag_only(resource: Resource) -> None:
    resource.etag = f'"v{resource.hits}"'


def _ranges_once(resource: Resource) -> None:
    resource.ranges = resource.hits == 1


def test_a_kill_does_not_wait_for_the_vendor_to_mint_a_link(faulty_server: FaultyServer) -> None:
    """The reading of ranges ends while one of them holds the vendor's line."""
    asked, answered = threading.Event(), threading.Event()

    def refresh() -> VideoOutput:
        asked.set()
        assert answered.wait(20)
        return output

    faulty_server.add("/video", Resource(BODY, token_uses={"0": 2}))
    output = VideoOutput(kind="video", url=f"{faulty_server.url}/video?token=0", name="a.mp4")
    download = Download(output, refresh, RANGES, lambda: b"")
    download.open()
    pool = BufferPool(40 * 1024 * 1024)
    parts = download.parts(pool, 1024 * 1024)
    try:
        next(parts)
        assert asked.wait(10)
        with ThreadPoolExecutor(1) as thread:
            closing = thread.submit(parts.close)
            try:
                closing.result(timeout=10)
            finally:
                answered.set()
    finally:
        answered.set()
        download.close()


def test_a_body_that_breaks_and_an_answer_that_does_not_come_are_tries_of_one_row(faulty_server: FaultyServer) -> None:
    """Every third request is answered, and its body breaks at once: no progress, so three requests are all."""

    def before(resource: Resource) -> None:
        resource.statuses = [(503, {})] if resource.hits % 3 else []

    url = faulty_server.add("/video", Resource(BODY, always_cut=0, before=before))
    output = VideoOutput(kind="video", url=url)
    download = Download(output, lambda: output, SETTINGS, lambda: b"")
    download.open()
    with pytest.raises(SourceError, match="given up after 3 tries"):
        next(download.parts(BufferPool(40 * 1024 * 1024), 1024 * 1024))
    download.close()
    assert len(faulty_server.requests) == 3


@pytest.mark.parametrize("before", [_new_etag_only, _ranges_once])
def test_bytes_that_ranges_read_in_vain_are_not_counted(
    before: Callable[[Resource], None], faulty_server: FaultyServer
) -> None:
    """The run of ranges ends in the middle; its threads stop, its memory comes back, its progress is taken back."""
    url = faulty_server.add("/video", Resource(BODY, before=before, bytes_per_second=40 * MB))
    output = VideoOutput(kind="video", url=url)
    digest, total, most = hashlib.sha256(), 0, 0

    def count(number: int) -> None:
        nonlocal total, most
        total += number
        most = max(most, total)

    download = Download(output, lambda: output, RANGES, digest.digest, count)
    download.open()
    pool = BufferPool(40 * 1024 * 1024)
    for part in download.parts(pool, 1024 * 1024):
        digest.update(part.view)
        pool.give(part.buffer)
    download.close()
    assert digest.digest() == hashlib.sha256(BODY).digest()
    assert total == most == len(BODY)
    assert pool.lent == 0
    for _ in range(100):
        if not any(thread.name.startswith("range") for thread in threading.enumerate()):
            break
        time.sleep(0.05)
    assert not any(thread.name.startswith("range") for thread in threading.enumerate())
