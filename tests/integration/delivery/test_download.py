# SPDX-License-Identifier: Apache-2.0
"""What the reading itself must keep to: tries, threads, memory, progress."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from airflow_video_providers.api.links import LinkPolicy
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.buffers import BufferPool
from airflow_video_providers.delivery.source.download import Download
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.exceptions import SourceError, SourceLinkRefusedError, VideoOutputNotReadyError
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


def test_a_host_that_sends_little_at_once_is_asked_again_at_once(
    faulty_server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = faulty_server.add("/video", Resource(BODY, most=MB))
    output = VideoOutput(kind="video", url=url)
    for settings in (replace(SETTINGS, backoff=60), replace(RANGES, backoff=60)):  # no wait is ever needed
        digest = hashlib.sha256()
        download = Download(output, lambda: output, settings, digest.digest)
        download.open()
        pool = BufferPool(40 * 1024 * 1024)
        for part in download.parts(pool, 8 * MB):
            digest.update(part.view)
            pool.give(part.buffer)
        download.close()
        assert digest.digest() == hashlib.sha256(BODY).digest()
        assert (download.complete, download.resumes) == (True, 0)
    assert caplog.records == []


def test_a_host_with_one_connection_a_link_is_read_in_one_stream(faulty_server: FaultyServer) -> None:
    resource = Resource(BODY, connections=1, bytes_per_second=10 * MB)
    url = faulty_server.add("/video", resource)
    output = VideoOutput(kind="video", url=url)
    digest = hashlib.sha256()
    settings = replace(RANGES, client=ClientSettings(connect_timeout=5, read_timeout=20), attempts=6, backoff=0.05)
    download = Download(output, lambda: output, settings, digest.digest)
    download.open()
    pool = BufferPool(40 * 1024 * 1024)
    for part in download.parts(pool, MB):
        digest.update(part.view)
        pool.give(part.buffer)
    download.close()
    assert digest.digest() == hashlib.sha256(BODY).digest()
    assert pool.lent == 0


def test_a_link_is_sent_as_it_was_given(faulty_server: FaultyServer) -> None:
    """Not encoded anew, at its origin and behind a redirect; with our own name, and without credentials."""
    odd = "/a//b/../c%2fd%7e;x"  # behind the redirect also with a second slash before it
    query = "?token=%2f~!$'()*,;:@[]{}|^`\"<>&x=+"
    faulty_server.add("/go", Resource(b"", redirect=faulty_server.add("/" + odd, Resource(BODY)) + query))
    faulty_server.add(odd, faulty_server.resources["/" + odd])  # as which the server shows the path
    output = VideoOutput(kind="video", url=f"{faulty_server.url}/go{query}#fragment")
    download = Download(output, lambda: output, SETTINGS, lambda: b"")
    download.open()
    download.close()
    assert faulty_server.lines == [f"GET /go{query} HTTP/1.1", f"GET /{odd}{query} HTTP/1.1"]
    for _, headers in faulty_server.requests:
        assert headers["User-Agent"].startswith("airflow-video-providers/")
        assert "Authorization" not in headers


def test_a_relative_redirect_is_followed_to_its_very_text(faulty_server: FaultyServer) -> None:
    """Double slashes and an empty query count: a store takes them for a part of the key, a signature may cover them."""
    faulty_server.add("/files//42/get", Resource(b"", redirect="videos//v.mp4?"))
    faulty_server.add("/files//42/videos//v.mp4", Resource(BODY))
    output = VideoOutput(kind="video", url=f"{faulty_server.url}/files//42/get")
    download = Download(output, lambda: output, SETTINGS, lambda: b"")
    download.open()
    download.close()
    assert faulty_server.lines == ["GET /files//42/get HTTP/1.1", "GET /files//42/videos//v.mp4? HTTP/1.1"]


def test_a_proxy_is_given_the_very_link(faulty_server: FaultyServer) -> None:
    settings = replace(SETTINGS, client=ClientSettings(connect_timeout=5, read_timeout=3, proxy=faulty_server.url))
    for link in ("http://a.example//a//../b;?", "http://a.example/v?", "http://a.example/v;?x=%2f'&y=?"):
        faulty_server.lines.clear()
        faulty_server.add(link.partition("?")[0], Resource(BODY))
        output = VideoOutput(kind="video", url=link)
        download = Download(output, partial(_same, output), settings, bytes)
        download.open()
        download.close()
        assert faulty_server.lines == [f"GET {link} HTTP/1.1"]


def test_a_link_that_is_not_there_yet_is_minted_again(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/video", Resource(BODY))
    fresh = [VideoOutput(kind="video"), VideoOutputNotReadyError("no link", vendor="v", endpoint="e")]

    def refresh() -> VideoOutput:
        found = fresh.pop(0) if fresh else VideoOutput(kind="video", url=url)
        if isinstance(found, VideoOutputNotReadyError):
            raise found
        return found

    download = Download(VideoOutput(kind="video"), refresh, SETTINGS, lambda: b"")
    download.open()
    download.close()
    assert download.size == len(BODY)
    fresh += [VideoOutput(kind="video")] * 3
    download = Download(VideoOutput(kind="video"), refresh, SETTINGS, lambda: b"")
    with pytest.raises(SourceError, match=r"no link for the file yet .* after 3 tries"):
        download.open()
    download.close()


class Public(LinkPolicy):
    """That of a vendor whose API is reached by a public address: here, by that of a server on this machine."""

    def _is_api_private(self) -> bool:
        return False


def test_every_link_and_every_hop_leads_to_a_public_address(faulty_server: FaultyServer) -> None:
    """The first link, a redirect of the vendor's own host, a fresh link; neither may lead to this machine."""
    other = FaultyServer()
    try:
        url = other.add("/video", Resource(BODY))
        here, dead = f"{faulty_server.url}/go", faulty_server.add("/dead", Resource(BODY, statuses=[(403, {})] * 9))
        links = Public(faulty_server.url)
        name = url.replace("127.0.0.1", "localhost")
        for first, fresh, redirect in ((url, url, ""), (name, name, ""), (here, here, url), (here, here, name),
                                       (here, here, "http://169.254.169.254/latest"), (dead, url, "")):  # fmt: skip
            faulty_server.add("/go", Resource(b"", redirect=redirect))
            for settings in (replace(SETTINGS, links=links), replace(RANGES, links=links)):
                refreshed = VideoOutput(kind="video", url=fresh)
                download = Download(VideoOutput(kind="video", url=first), partial(_same, refreshed), settings, bytes)
                with pytest.raises(SourceLinkRefusedError, match="private address"):
                    download.open()
                download.close()
        assert other.requests == []
        allowed = replace(SETTINGS, links=Public(faulty_server.url, allow_private=True))
        download = Download(VideoOutput(kind="video", url=url), partial(_same, None), allowed, bytes)
        download.open()
        download.close()
    finally:
        other.close()


def _same(output: Any) -> Any:
    return output


@pytest.mark.parametrize("link", ["http://a.example/v", " http://a.example/v", "\x01\tHTTP://a.example/v"])
def test_plain_http_is_refused_however_it_is_written(link: str) -> None:
    output = VideoOutput(kind="video", url=link)
    download = Download(output, lambda: output, replace(SETTINGS, plain_http=False), bytes)
    with pytest.raises(SourceLinkRefusedError, match="plain http"):
        download.open()
    download.close()
